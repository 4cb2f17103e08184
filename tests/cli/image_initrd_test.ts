// image initrd: what a machine boots from the network and runs in memory, made of a root image: what is in the archive is what is in the image, as
// zstd and GNU cpio have it; and what no machine could boot is refused. Not the boot itself (tests/machines).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { needShape } from "../shapes.ts";
import { type Box, makeBox, run, skipIf } from "./tools.ts";

const skip = skipIf("image initrd", lacks({ root: true, programs: ["cpio", "zstd", "setfattr"] }));

const VERSION = "6.1.0-1-amd64";

/** A root as Debian has it, as far as it matters here, with all that a root can have in it. */
const MAKE = `
mkdir -p boot dev usr/sbin usr/lib/systemd usr/bin etc srv/deep tmp
ln -s usr/sbin sbin; ln -s usr/lib lib
ln -s /lib/systemd/systemd usr/sbin/init
echo systemd > usr/lib/systemd/systemd
echo kernel > boot/vmlinuz-${VERSION}; echo config > boot/config-${VERSION}
cd srv
printf x > setuid; chown 1000:2000 setuid; chmod 4755 setuid
printf n > "$(printf 'new\\nline')"; printf b > "$(printf '\\377\\376')"; : > empty; truncate -s 1M holes
ln -s "$(printf '/no\\377where')" dangling; ln -s deep/one relative
printf 'three names' > deep/one; ln deep/one two; ln deep/one three; chmod 640 two
head -c 3000000 /dev/urandom > large
printf c > capable; setfattr -n user.note -v x capable
mkdir sticky; chmod 1777 sticky; mkdir setgid; chmod 2775 setgid
cd ..; find . -depth -exec touch -h -d @1600000000 {} +
touch -d @-5 srv/empty; touch -d @1600000000 srv`;

/** One line for each name below a directory, as find(1) has it, and the hashes of files. Not the times of directories and links, which cpio does not set. */
async function look(dir: string): Promise<string[]> {
  const { outBytes, err, status } = await run("bash", [
    "-euc",
    `export LC_ALL=C; cd "$1"
     find . -mindepth 1 -type d -printf '%P|%y|%m|%U:%G\\0' -o -mindepth 1 -type l -printf '%P|%y|%U:%G|%l\\0' \\
       -o -mindepth 1 -printf '%P|%y|%m|%U:%G|%T@|%s|%n\\0'
     find . -type f -print0 | xargs -0 sha256sum -z`,
    "look",
    dir,
  ]);
  assert.equal(status, 0, err);
  return outBytes.toString("latin1").split("\0").filter((line) => line !== "").sort();
}

async function sh(dir: string, script: string): Promise<void> {
  const { err, status } = await run("bash", ["-euc", script], { cwd: dir });
  assert.equal(status, 0, err);
}

/** A root that was captured; its directory. */
async function captured(box: Box, name: string, more = ""): Promise<string> {
  const root = `${box.dir}/root-${name}`;
  fs.mkdirSync(root);
  await sh(root, `${MAKE}\n${more}`);
  await box.ok(["image", "capture", "--root", root, `images/${name}`]);
  return root;
}

/** What is in an initrd, unpacked. */
async function unpacked(box: Box, name: string): Promise<{ dir: string; names: string[] }> {
  const dir = `${box.dir}/unpacked-${name}`;
  await box.ok(["get", `boot/${name}`, `${box.dir}/boot-${name}`]);
  fs.mkdirSync(dir);
  const archive = `${box.dir}/boot-${name}/initrd`;
  await sh(dir, `zstd -dcq ${archive} | cpio -idm --quiet`);
  const { out } = await run("bash", ["-c", `zstd -dcq ${archive} | cpio -t --quiet`]);
  return { dir, names: out.split("\n") };
}

/** How many bytes the store has in its packs. */
function packed(box: Box): number {
  const names = fs.readdirSync(box.home, { recursive: true, encoding: "utf8" }).filter((at) =>
    at.endsWith(".pack")
  );
  assert.ok(names.length > 0);
  return names.reduce((sum, at) => sum + fs.statSync(`${box.home}/${at}`).size, 0);
}

test(
  "all of a root is in the initrd, but what is in boot; it begins with the console, and links /init",
  skip,
  async (t) => {
    const box = makeBox(t);
    await box.begin();
    const root = await captured(box, "base");
    const made = JSON.parse(await box.ok(["--json", "image", "initrd", "images/base", "boot/base"]));
    needShape("ImageResult", made);
    assert.deepEqual([made.name, made.kernel, made.without], ["boot/base", VERSION, 1]);
    assert.match(await box.ok(["names"]), /^boot\/base@1/m);
    const { dir, names } = await unpacked(box, "base");
    assert.deepEqual(names.slice(0, 3), ["dev", "dev/console", "."]);
    assert.equal(fs.readFileSync(`${box.dir}/boot-base/vmlinuz`, "utf8"), "kernel\n");
    const bytes = fs.statSync(`${box.dir}/boot-base/initrd`).size;
    assert.equal(made.initrdBytes, bytes);
    assert.match(
      (await run("zstd", ["-lv", `${box.dir}/boot-base/initrd`])).out,
      /XXH64/,
      "the kernel can check it",
    );

    const console = fs.lstatSync(`${dir}/dev/console`);
    assert.deepEqual([console.isCharacterDevice(), console.rdev, console.mode & 0o7777], [
      true,
      5 * 256 + 1,
      0o600,
    ]);
    assert.equal(fs.readlinkSync(`${dir}/init`), "/sbin/init");
    fs.rmSync(`${dir}/dev/console`);
    fs.rmSync(`${dir}/init`);
    await sh(root, "rm boot/*; touch -d @0 srv/empty"); // a time before 1970 becomes 1970
    const [have, want] = [await look(dir), await look(root)];
    assert.deepEqual(have, want);
    const files = want.filter((line) => /^[^|]*\|[fl]\|/.test(line)).length;
    assert.deepEqual([made.files, made.bytes > 4_000_000 && made.bytes < 4_100_000], [files + 2, true]);

    const { out, err } = await box.isconf(["image", "initrd", "images/base", "boot/base"]);
    assert.equal(out.trim(), made.id, "the same image gives the same");
    assert.match(err, /1 names are without their extended attributes/);
    assert.match(err, /boot\/base has the kernel 6\.1\.0-1-amd64 and an initrd of /);
  },
);

test(
  "with --installer a unit is in it, and what of the image stands in its place is not; what an image has as /init stays",
  skip,
  async (t) => {
    const box = makeBox(t);
    await box.start();
    await captured(
      box,
      "base",
      "echo isconf > usr/bin/isconf; echo own > init; mkdir -p etc/systemd/system; chmod 711 etc/systemd/system",
    );
    await captured(
      box,
      "old",
      "echo isconf > usr/bin/isconf; mkdir -p etc/systemd/system; echo old > etc/systemd/system/isconf-install.service",
    );
    for (const name of ["base", "old"]) {
      await box.ok(["image", "initrd", "--installer", `images/${name}`, `boot/${name}`]);
      const { dir, names } = await unpacked(box, name);
      assert.deepEqual(names.filter((name, i) => names.indexOf(name) !== i), [], "each name once");
      const units = `${dir}/etc/systemd/system`;
      const unit = fs.readFileSync(`${units}/isconf-install.service`, "utf8");
      for (
        const line of [
          "ConditionKernelCommandLine=isconf.join",
          "After=network-online.target isconf.service",
          "Wants=network-online.target",
          "Type=oneshot",
          "ExecStart=/usr/bin/isconf install --boot",
          "StandardOutput=journal+console",
          "TimeoutStartSec=infinity",
        ]
      ) assert.ok(unit.split("\n").includes(line), line);
      assert.equal(
        fs.readlinkSync(`${units}/multi-user.target.wants/isconf-install.service`),
        "/etc/systemd/system/isconf-install.service",
      );
      assert.equal(fs.statSync(`${units}/multi-user.target.wants`).mode & 0o7777, 0o755);
      if (name === "old") continue;
      assert.equal(fs.statSync(units).mode & 0o7777, 0o711, "a directory that is there stays as it is");
      assert.equal(fs.readFileSync(`${dir}/init`, "utf8"), "own\n");
    }
    assert.match(await box.ok(["ls"]), /boot\/base/);
  },
);

test(
  "what no machine could boot is refused, and says what to type; of several kernels one is chosen",
  skip,
  async (t) => {
    const box = makeBox(t);
    await box.start();
    await captured(box, "none", "rm boot/vm*; mkdir boot/vmlinuz-dir");
    await captured(box, "two", "echo second > boot/vmlinuz-6.9");
    await captured(box, "loop", "rm usr/sbin/init; ln -s init usr/sbin/init; rm -r usr/lib/systemd");
    await captured(
      box,
      "huge",
      "head -c 12000000 /dev/urandom > srv/before; truncate -s 4294967296 srv/huge",
    );
    await captured(box, "dev", "rmdir dev; echo > dev");
    fs.writeFileSync(`${box.dir}/disk`, Buffer.concat([Buffer.alloc(510), Buffer.from([0x55, 0xaa])]));
    await box.ok(["image", "import", `${box.dir}/disk`, "images/disk"]);
    const cases: [words: string[], why: RegExp][] = [
      [
        ["images/none", "boot/x"],
        /has no kernel: no file \/boot\/vmlinuz-\*[^]*isconf image build --include linux-image/,
      ],
      [
        ["images/two", "boot/x"],
        /has 2 kernels: 6\.1\.0-1-amd64, 6\.9[^]*isconf image initrd --kernel 6\.9 images\/two boot\/x/,
      ],
      [["--kernel", "7", "images/two", "boot/x"], /has no kernel 7, but 6\.1\.0-1-amd64, 6\.9/],
      [
        ["images/loop", "boot/x"],
        /nothing that a kernel could start[^]*--include linux-image-amd64,systemd-sysv/,
      ],
      [
        ["--installer", "--kernel", "6.9", "images/two", "boot/x"],
        /has no \/usr\/bin\/isconf, which --installer starts[^]*isconf image/,
      ],
      [["images/huge", "boot/x"], /srv\/huge: a file of 4294967296 bytes[^]*at most 4294967295/],
      [["images/dev", "boot/x"], /\/dev is no directory/],
      [["images/disk", "boot/x"], /is a disk, an initrd is made of a root/],
      [["images/two"], /not known like this/],
      [["images/two", "../x"], /cannot be the name/],
      [["nothing", "boot/x"], /nothing here is called/],
    ];
    const before = packed(box);
    for (const [words, why] of cases) {
      const { status, err } = await box.isconf(["image", "initrd", ...words]);
      assert.notEqual(status, 0, words.join(" "));
      assert.match(err, why, words.join(" "));
    }
    assert.doesNotMatch(await box.ok(["ls"]), /boot\//);
    assert.equal(packed(box), before, "nothing is stored of what is refused");
    await box.ok(["image", "initrd", "--kernel", "6.9", "images/two", "boot/two"]);
    assert.equal(await box.ok(["cat", "boot/two:vmlinuz"]), "second\n");
  },
);
