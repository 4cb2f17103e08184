// install, when it goes wrong: a disk that is too small or not empty, an installation that was killed, contents that are missing or wrong. On hosts
// whose root is in memory, onto a loop device, with a small made-up image. That what is made boots is in tests/machines.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { openStoreDatabase } from "../../fs/mod.ts";
import { join, untilConnected } from "../fleet/domain.ts";
import { makeFleet } from "../fleet/fleet.ts";
import { type Host, makeHost, type Owner, until } from "../hosts.ts";
import { addDisk, lacksDisks } from "./disks.ts";

const TARGET = "/run/isconf-install";
const SLOW = { timeoutMs: 120_000 };

/** Makes a host one whose root is in memory, as an installer's is: what a test needs of the one it had is mounted in it. */
const TO_MEMORY = `
mount -t tmpfs -o mode=755 tmpfs /mnt
cd /mnt
for name in /*; do if [ -L "$name" ]; then cp -P "$name" .; elif [ -d "$name" ]; then mkdir ".$name"; fi; done
for name in etc usr var srv dev proc run tmp; do mount --rbind "/$name" "$name"; done
mount -t sysfs -o ro sysfs sys
pivot_root . .
umount -l .
`;

/** What udev does when a disk gets partitions; and what the kernel does, where it does not read this kind of table. */
const UDEVADM = `#!/bin/sh
rm -f /dev/loop[0-9]*p[0-9]*
for disk in /dev/loop[0-9]*; do
  partx --update "$disk"
  for dir in /sys/class/block/"\${disk##*/}"p*; do
    IFS=: read -r major minor <"$dir/dev"
    mknod "/dev/\${dir##*/}" b "$major" "$minor"
  done
done
`;
/** Not every kernel has vfat. */
const MOUNT = `#!/bin/sh
case $* in
  */boot/efi) /bin/mount "$@" || exec /bin/mount -t tmpfs efi "$2";;
  *) exec /bin/mount "$@";;
esac
`;
/** This machine is not restarted. */
const SYSTEMCTL = `#!/bin/sh
echo "$@" >>/run/systemctl
`;

/** A root that has what is asked of an image. $1 where; $2 how many files are in it beside that. GRUB is a word at the beginning of the disk. */
const IMAGE = `
mkdir -p "$1/bin" "$1/usr/sbin" "$1/usr/bin" "$1/usr/lib/grub/i386-pc" "$1/usr/lib/grub/x86_64-efi" "$1/etc" "$1/data" "$1/zz"
for file in $(ldd /bin/sh | grep -o '/[^ ]*'); do mkdir -p "$1$(dirname "$file")"; cp -L "$file" "$1$file"; done
cp -L /bin/sh "$1/bin/sh"
printf '#!/bin/sh\\nfor disk; do :; done\\nprintf GRUB >"$disk"\\n' >"$1/usr/sbin/grub-install"
for file in usr/sbin/update-grub usr/bin/isconf usr/bin/chown; do printf '#!/bin/sh\\n' >"$1/$file"; done
chmod 755 "$1"/usr/sbin/* "$1"/usr/bin/*
head -c 200000 /dev/urandom >"$1/data/large"
i=0; while [ $i -lt "$2" ]; do echo "file $i" >"$1/data/$i"; i=$((i+1)); done
echo end >"$1/zz/last"
`;

const reason = lacksDisks("partx", "sgdisk", "mkfs.vfat", "mkfs.ext4");
if (reason) console.log(`skipped: installations that go wrong: ${reason}`);
const diskTest = (name: string, fn: (t: Owner) => Promise<void>) =>
  test(name, { skip: reason, timeout: 480_000 }, (t) => fn(t));

/** Puts a host into memory, with what an installer has. */
async function intoMemory(host: Host): Promise<Host> {
  await host.write("/usr/bin/udevadm", UDEVADM, 0o755);
  await host.write("/usr/bin/systemctl", SYSTEMCTL, 0o755);
  await host.write("/usr/local/sbin/mount", MOUNT, 0o755);
  await host.sh(TO_MEMORY);
  return host;
}

/** Captures an image with so many files. */
async function capture(host: Host, name: string, files = 10): Promise<void> {
  const dir = `/srv/${path.basename(name)}`;
  await host.sh(IMAGE, dir, String(files));
  await host.must(["isconf", "image", "capture", "--root", dir, name], SLOW);
  await host.sh('rm -r "$1"', dir);
}

/** A host in memory that has an image itself. */
async function alone(t: Owner, files?: number): Promise<Host> {
  const host = await intoMemory(await makeHost(t, "hosta"));
  await host.ok("init");
  await capture(host, "images/base", files);
  return host;
}

const install = (host: Host, ...words: string[]) => host.run(["isconf", "install", ...words], SLOW);

/** The first bytes of a disk: where a boot loader would be. */
const bootOf = (host: Host, disk: string) => host.sh('head -c 4 "$1" | tr -d "\\0"', disk);
const isBlank = async (host: Host, disk: string) =>
  assert.equal(await host.sh('head -c 4194304 "$1" | tr -d "\\0" | wc -c', disk), "0", "nothing was written");

/** What stands on a disk that was made, as it would be after a restart. */
async function needInstalled(host: Host, disk: string, name = "hosta"): Promise<void> {
  assert.equal(await bootOf(host, disk), "GRUB");
  const found = await host.sh(
    `mkdir -p /tmp/look; mount -o ro "$1p3" /tmp/look; cd /tmp/look
     cat etc/hostname zz/last; ls etc/isconf var/lib/isconf/store/store.db; cd /; umount /tmp/look`,
    disk,
  );
  assert.equal(found, `${name}\nend\nvar/lib/isconf/store/store.db\n\netc/isconf:\nimage`);
}

diskTest(
  "a disk that is too small, and an image that cannot boot, are refused before anything is written",
  async (t) => {
    const host = await alone(t);
    const { disk: small } = await addDisk(t, host, 300);
    const refused = await install(host, "images/base", small);
    assert.match(
      refused.stderr,
      /nothing was installed: \/dev\/loop\d+ has 300\.0 MiB, and the image needs about 5\d\d\.\d MiB\n/,
    );
    assert.match(refused.stderr, /\n {2}isconf install IMAGE DISK, with a larger disk/);
    assert.equal(refused.status, 1);
    const plan = await host.isconf("--json", "install", "--plan", "images/base", small);
    assert.match(JSON.parse(plan.stdout).missing[0].why, /has 300\.0 MiB/);

    await host.sh("mkdir -p /srv/bare/etc; echo x >/srv/bare/etc/x");
    await host.ok("image", "capture", "--root", "/srv/bare", "images/bare");
    const bare = await install(host, "images/bare", small);
    assert.match(bare.stderr, /the image has no \/usr\/sbin\/grub-install/);
    assert.match(
      (await install(host, "images/other", small)).stderr,
      /no image is called images\/other in this domain/,
    );
    await isBlank(host, small);
    await host.sh('test ! -e "$1"', TARGET);
    assert.match(await host.ok("status"), /hosta/, "the agent runs as before");
  },
);

diskTest(
  "a disk with something on it needs --wipe; so does one on which an installation was killed, after what it says",
  async (t) => {
    const host = await alone(t, 6000);
    const { disk } = await addDisk(t, host, 1024);
    await host.sh('printf something >"$1"', disk);
    const refused = await install(host, "images/base", disk);
    assert.match(refused.stderr, /\/dev\/loop\d+ is not empty\n {2}isconf install --wipe/);
    assert.equal(await bootOf(host, disk), "some");

    const killed = host.spawn(["isconf", "install", "--wipe", "images/base", disk], SLOW);
    const isLaying = () => {
      assert.equal(killed.child.exitCode, null, killed.said());
      return fs.existsSync(host.path(`${TARGET}/data/1`));
    };
    await until("files are being laid out", isLaying, 60_000);
    const { pid } = host.processes().find(({ title }) => /isconf\0install/.test(title))!;
    await host.sh('kill -9 "$1"', String(pid));
    assert.notEqual((await killed.ended).status, 0);
    assert.ok(!fs.existsSync(host.path(`${TARGET}/zz/last`)), "it was in the middle");
    assert.equal(await bootOf(host, disk), "", "there is no boot loader");

    const again = await install(host, "--wipe", "images/base", disk);
    assert.match(
      again.stderr,
      /\(1\) \/run\/isconf-install is there already; \(2\) \/dev\/loop\d+p3 is mounted/,
    );
    const [, clear] = /\n {2}\(1\) (isconf stop; .*; isconf start); \(2\)/.exec(again.stderr) ?? [];
    assert.ok(clear, again.stderr);
    await host.must(["sh", "-c", clear]);

    const done = await install(host, "--wipe", "images/base", disk);
    assert.equal(done.status, 0, done.stderr);
    assert.match(done.stdout + done.stderr, /installed: images\/base on \/dev\/loop\d+, as this host/);
    await needInstalled(host, disk);
    await host.sh('test ! -e "$1"/data', TARGET);
  },
);

/** Takes the largest object of a host's store, which is a chunk, away, or flips a bit of it, while its agent is stopped; its id. */
async function spoil(host: Host, how: "missing" | "wrong"): Promise<string> {
  await host.ok("stop");
  const store = "/var/lib/isconf/store";
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-spoil-"));
  try {
    // A copy: SQLite would follow the way into the host, and come out beside it.
    for (const name of ["store.db", "store.db-wal"]) {
      const file = host.path(`${store}/${name}`);
      if (fs.existsSync(file)) fs.copyFileSync(file, path.join(dir, name));
    }
    const db = openStoreDatabase(path.join(dir, "store.db"));
    let chunk: { id: string; pack: number; at: number };
    try {
      const largest = "SELECT lower(hex(id)) AS id, pack, at FROM object ORDER BY size DESC LIMIT 1";
      chunk = db.read((r) => r.get(largest)!);
      if (how === "missing") {
        db.write((tx) => tx.run("DELETE FROM object WHERE hex(id) = upper(?)", chunk.id));
      }
    } finally {
      db.close();
    }
    if (how === "missing") {
      await host.sh('rm -f "$1/store.db-wal" "$1/store.db-shm"', store);
      fs.writeFileSync(host.path(`${store}/store.db`), fs.readFileSync(path.join(dir, "store.db")));
    } else flip(host.path(`${store}/packs/${chunk.pack}.pack`), chunk.at + 5000);
    await host.ok("start");
    return chunk.id;
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

function flip(file: string, at: number): void {
  const fd = fs.openSync(file, "r+");
  try {
    const byte = Buffer.alloc(1);
    fs.readSync(fd, byte, 0, 1, at);
    fs.writeSync(fd, Buffer.from([byte[0]! ^ 1]), 0, 1, at);
  } finally {
    fs.closeSync(fd);
  }
}

/** Has an image installed of which a piece is missing or wrong on the only host that has it. */
async function installSpoilt(t: Owner, how: "missing" | "wrong"): Promise<void> {
  const fleet = await makeFleet(t, ["hosta", "hostb"]);
  const [a, b] = [fleet.host("hosta"), await intoMemory(fleet.host("hostb"))];
  await a.ok("init");
  await capture(a, "images/base");
  const id = await spoil(a, how);
  await join(a, b); // not before: it might have got the image to keep it
  await untilConnected(fleet, "hosta", "hostb");
  const { disk } = await addDisk(t, b, 1024);
  const got = await install(b, "images/base", disk);
  assert.match(got.stderr, new RegExp(`object ${id}: nobody has it; asked hosta \\(.*\\)\n {2}`), how);
  assert.notEqual(got.status, 0, how);
  assert.doesNotMatch(got.stdout + got.stderr, /installed:/);
  assert.equal(await bootOf(b, disk), "", "there is no boot loader");
  await b.sh("test ! -e /run/systemctl");
  console.log(`  ${how}: ${got.stderr.split("\n")[0]}`);
}

diskTest(
  "a piece of the image that is missing or wrong where the image is: it is named, and nothing boots",
  async (t) => {
    const ends = await Promise.allSettled(
      (["missing", "wrong"] as const).map((how) => installSpoilt(t, how)),
    );
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  },
);
