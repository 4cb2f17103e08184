// image: a host captured as an image at its place in the journal, with everything that is not its own; two of them compared; a host made of
// one goes on behind that place; archives and disks of other tools. On real hosts, with the executable.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { spawnSync } from "node:child_process";
import { carry, checkIn, type Host, hostTest, makeHost, status } from "../hosts.ts";
import { BARE_ROOT } from "../exe/tools.ts";
import { needShape } from "../shapes.ts";

const NEEDS = ["mkfifo", "tar"];
const exists = fs.existsSync(BARE_ROOT);
if (!exists) console.log(`skipped: images of a bare root: ${BARE_ROOT} is not there: scripts/ci_setup.sh`);
const imageTest = (name: string, fn: Parameters<typeof hostTest>[1]) => {
  if (exists) hostTest(name, fn, ...NEEDS);
};

/** A host with one entry in its journal, and things of its own that no image may have. */
async function busy(t: Parameters<typeof makeHost>[0]): Promise<Host> {
  const host = await makeHost(t, "hosta", { lower: BARE_ROOT });
  await host.ok("init");
  await checkIn(host, "begin", ["exec", "sh", "-c", "echo once >> /etc/applied"]);
  await host.sh(`
    mkdir -p /etc/ssh /var/log/app /srv/mem /srv/data
    echo own > /etc/ssh/ssh_host_rsa_key; echo own > /etc/machine-id; echo own > /tmp/scratch
    echo line > /var/log/app/app.log; chmod 640 /var/log/app/app.log; chown 33:4 /var/log/app/app.log
    mount -t tmpfs mem /srv/mem; echo m > /srv/mem/in-memory
    mkfifo /srv/data/fifo; printf x > "/srv/data/$(printf 'new\\nline')"; truncate -s 1M /srv/data/holes
    echo h > /srv/data/one; ln /srv/data/one /srv/data/two; chmod 4755 /srv/data/one`);
  return host;
}

/** Every path below a directory of a host with its kind, mode, owner, time of files, size of files and target. */
const look = async (host: Host, dir: string): Promise<Map<string, string>> =>
  new Map(
    (await host.sh(
      `cd "$1"; find . -mindepth 1 -xdev \\( -type d -printf '%P|%y %m %U:%G\\0' \\) -o -printf '%P|%y %m %U:%G %T@ %s %l\\0'`,
      dir,
    )).split("\0").filter(Boolean).map((line) => line.split("|") as [string, string]),
  );

const MINE =
  /^(etc\/(machine-id|hostname|ssh\/ssh_host_rsa_key)|var\/lib\/isconf|etc\/isconf\/image|var\/log\/|srv\/(mem|data\/fifo)|(tmp|run|dev|proc|sys|mnt|media)(\/|$))/;

imageTest(
  "an image has all of a host but what is its own; the next costs what differs, and diff says what",
  async (t) => {
    const host = await busy(t);
    const asUser = await host.run(["isconf", "image", "capture"], { uid: 65534 });
    assert.notEqual(asUser.status, 0);
    await host.sh(`sed -i 's|^root:[^:]*|root:$y$j9T$abc$def|' /etc/shadow`);
    await host.sh(`echo 'ghost:!$6$salt$hash:1:::::' > /etc/shadow-`);
    const refused = await host.isconf("image", "capture");
    assert.match(refused.stderr, /password hashes of 2 users \(root, ghost\)/);
    assert.equal(await host.ok("image", "ls"), "there is no image yet\n");

    await host.ok("image", "capture", "--passwords");
    const [id] = (await host.isconf("-q", "image", "capture", "--passwords")).stdout.trim().split("\n");
    assert.match(await host.ok("image", "ls"), /^images\/main-1@[12] /m);
    const record = JSON.parse((await host.isconf("--json", "image", "show", id!)).stdout);
    assert.deepEqual(
      [record.kind, record.os.id, record.host, record.place.branch, record.place.seq, record.place.domain],
      ["root", "debian", "hosta", "main", 1, (await status(host)).domain],
    );
    assert.match(await host.ok("image", "verify", "images/main-1"), /whole: \d+ files/);

    for (
      const words of [["show", id!], ["ls"], ["verify", "images/main-1"], ["diff", id!, id!]]
    ) {
      needShape("ImageResult", JSON.parse((await host.isconf("--json", "image", ...words)).stdout));
    }

    await host.ok("get", "images/main-1:fs", "/var/lib/isconf/out");
    const [here, there] = [await look(host, "/"), await look(host, "/var/lib/isconf/out")];
    const differing = [...new Set([...here.keys(), ...there.keys()])].filter((at) =>
      here.get(at) !== there.get(at)
    );
    assert.deepEqual(differing.filter((at) => !MINE.test(at)), []);
    assert.ok(there.size > 5000, `${there.size} names`);
    const out = "/var/lib/isconf/out";
    assert.equal(
      await host.sh(
        `cd ${out}; wc -c < etc/machine-id; wc -c < etc/hostname; ls etc/ssh var/lib/isconf tmp srv/mem 2>&1 || true; stat -c '%s %a %u:%g' var/log/app/app.log
       stat -c '%h' srv/data/one; test srv/data/one -ef srv/data/two; du -k srv/data/holes | cut -f1; cmp bin/dash /bin/dash`,
      ),
      "0\n0\nls: cannot access 'var/lib/isconf': No such file or directory\netc/ssh:\n\nsrv/mem:\n\ntmp:\n0 640 33:4\n2\n0",
    );
    await host.sh(`rm -r ${out}`);

    const used = async () => Number(await host.sh("du -sk /var/lib/isconf/store | cut -f1"));
    const first = await used();
    await checkIn(host, "second", ["exec", "sh", "-c", "echo twice >> /etc/applied"]);
    await host.ok("image", "capture", "--passwords");
    const more = await used() - first;
    assert.ok(more < first / 20, `${more} KiB more than ${first}`);
    const diff = await host.isconf("image", "diff", "images/main-1", "images/main-2");
    assert.equal(diff.status, 1);
    assert.deepEqual(diff.stdout.split("\n").filter((line) => /applied|data/.test(line)), [
      "~ /etc/applied  content, mtime",
    ]);
    assert.equal((await host.isconf("image", "diff", "images/main-2", "images/main-2")).status, 0);
  },
);

imageTest(
  "a host made of an image goes on behind the entry that is in it; nothing that is in it runs again",
  async (t) => {
    const host = await busy(t);
    await host.ok("image", "capture");
    await checkIn(host, "second", ["exec", "sh", "-c", "echo twice >> /etc/applied"]);
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-image-"));
    t.after(() => Promise.resolve(fs.rmSync(dir, { recursive: true, force: true })));
    await host.ok("get", "images/main-1:fs", "/var/tmp/made");
    const packed = await host.must(["tar", "-C", "/var/tmp/made", "--xattrs", "-cf", "-", "."]);
    const { status: unpacked, stderr } = spawnSync("tar", ["-C", dir, "--xattrs", "-xpf", "-"], {
      input: packed.bytes,
    });
    assert.equal(unpacked, 0, String(stderr));
    const made = await makeHost(t, "hostb", { lower: dir });
    await made.write("/etc/isconf/image", (await host.must(["isconf", "cat", "images/main-1:image"])).stdout);
    assert.equal(await made.sh("cat /etc/applied"), "once");
    await made.ok("start");
    await carry(host, made);
    assert.equal((await status(made)).at, 1);
    await made.ok("up", "--offline");
    assert.equal(await made.sh("cat /etc/applied"), "once\ntwice");
    assert.match(await made.ok("log"), /in the image/);
  },
);

imageTest(
  "work that is not checked in, and a host that lags in the middle of an entry, are at no place",
  async (t) => {
    const host = await makeHost(t, "hosta", { lower: BARE_ROOT });
    await host.ok("init");
    await host.ok("lock", "begin");
    await host.ok("exec", "true");
    const refused = await host.isconf("image", "capture");
    assert.match(refused.stderr, /not checked in: an image of it would be at no place/);
    assert.match(refused.stderr, /isconf ci/);
    await host.ok("ci");
    const writer = host.spawn(["sh", "-c", "while :; do date +%N >> /srv/written; done"]);
    try {
      const changing = await host.isconf("image", "capture", "images/x");
      if (changing.status !== 0) {
        assert.match(
          changing.stderr,
          /\/srv\/written changed while it was read[^]*systemctl stop/,
        );
      }
    } finally {
      writer.child.kill();
    }
  },
);

imageTest(
  "a tar archive and a disk become images; what is neither is refused and says what to type",
  async (t) => {
    const host = await makeHost(t, "hosta", { lower: BARE_ROOT });
    await host.ok("start");
    await host.sh(`
    mkdir -p /srv/r/etc; echo x > /srv/r/etc/x; tar -C /srv/r -czf /srv/root.tar.gz .; tar -C /srv/r -cJf /srv/root.tar.xz . || printf '\\3757zXZ\\0' > /srv/root.tar.xz
    truncate -s 4M /srv/disk; printf '\\125\\252' | dd of=/srv/disk bs=1 seek=510 conv=notrunc status=none
    printf 'QFI\\373' > /srv/disk.qcow2; echo text > /srv/text`);
    await host.ok("image", "import", "/srv/root.tar.gz", "images/root");
    assert.equal(await host.sh("isconf cat images/root:fs/etc/x"), "x");
    await host.ok("image", "import", "/srv/disk", "images/disk");
    await host.sh("isconf get images/disk:disk /srv/again; cmp /srv/disk /srv/again");
    assert.match(await host.ok("image", "ls"), /images\/disk +\S+ .*here only/);
    assert.equal(
      JSON.parse((await host.isconf("--json", "image", "show", "images/disk")).stdout).place,
      null,
    );
    await host.must(["sh", "-c", "zcat /srv/root.tar.gz | isconf image import - images/piped"]);
    assert.equal((await host.isconf("image", "diff", "images/root", "images/piped")).status, 0);
    const cases: [words: string[], why: RegExp][] = [
      [["import", "/srv/disk.qcow2", "images/x"], /QEMU's own kind[^]*qemu-img convert/],
      [["import", "/srv/root.tar.xz", "images/x"], /xz -dc/],
      [["import", "/srv/text", "images/x"], /no tar archive, and no disk/],
      [["import", "/srv", "images/x"], /image capture --root/],
      [["import", "/srv/disk", "../x"], /cannot be the name/],
      [["show", "images/none"], /nothing here is called/],
      [["diff", "images/root", "images/disk"], /one is a root file system and one a disk/],
      [["import", "/srv/disk"], /not known like this/],
      [["capture"], /needs a name/],
    ];
    for (const [words, why] of cases) {
      const { status, stderr } = await host.isconf("image", ...words);
      assert.notEqual(status, 0, words.join(" "));
      assert.match(stderr, why, words.join(" "));
    }
    await host.ok("put", "/srv/text");
    assert.match((await host.isconf("image", "verify", "text")).stderr, /is no image/);
  },
);
