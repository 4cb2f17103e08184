// install: what a kernel was told is read strictly, and so are disks; how far it is, is said to whoever listens. The whole way is in tests/machines.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { kernelWords, SOME } from "./boot_words.ts";
import { parseProfile } from "./boot_profiles.ts";
import { grubSettings } from "./install.ts";
import { diskBytes, disksIn, onlyDisk, partition } from "./install_disk.ts";
import { missingRoom, roomBytes } from "./install_image.ts";
import { readOrder, say } from "./install_order.ts";
import { INSTALL } from "./install_template.ts";
import { writeToken } from "./token.ts";
import type { Missing } from "./vm/mod.ts";
import { blanksOf, scriptsOf } from "./vm/template.ts";

const OPEN = writeToken({
  domain: new Uint8Array(32).fill(1),
  id: "00",
  secret: new Uint8Array(0),
  addresses: ["192.0.2.1:4726"],
  net: new Uint8Array(32).fill(2),
});

test("what a profile says is what the machine reads", () => {
  const text =
    `for = any\nkernel = a\nargs = quiet console=ttyS0,115200\njoin = ${OPEN}\ninstall = images/base /dev/sda\nwipe = yes`;
  const words = kernelWords(parseProfile("x", text), SOME);
  assert.deepEqual(readOrder(`BOOT_IMAGE=kernel ${words.join(" ")}\n`), {
    join: OPEN,
    host: "host-525400123456",
    log: `${SOME.base}/log`,
    image: "images/base",
    disk: "/dev/sda",
    mayWipe: true,
    isTwin: false,
    consoles: ["console=ttyS0,115200"],
  });
  const bare = readOrder(`isconf.join=${OPEN} console=x\u001b[31m`);
  assert.deepEqual([bare?.image, bare?.disk, bare?.mayWipe, bare?.log, bare?.consoles], [
    "",
    "",
    false,
    "",
    [],
  ]);
  assert.equal(readOrder(`isconf.join=${OPEN} isconf.twin=yes`)?.isTwin, true);
  assert.equal(readOrder("quiet isconf.image=images/base"), undefined, "nobody said into which domain");
  assert.throws(() => readOrder(`isconf.join=${OPEN} isconf.run=reboot`), /isconf\.run=reboot, which nobody/);
});

test("the only disk is taken; of several, or none, it is said what there is", (t) => {
  const top = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-disks-"));
  t.after(() => fs.rmSync(top, { recursive: true }));
  const add = (name: string, removable: string, size: string) => {
    fs.mkdirSync(`${top}/${name}`);
    fs.writeFileSync(`${top}/${name}/removable`, `${removable}\n`);
    fs.writeFileSync(`${top}/${name}/size`, `${size}\n`);
  };
  assert.throws(() => onlyDisk(disksIn(top)), /has no disk/);
  for (const name of ["loop0", "sr0", "dm-0", "md0", "zram0", "ram1"]) add(name, "0", "100");
  add("sdb", "1", "100");
  add("sdc", "0", "0");
  add("vda", "0", "100");
  assert.equal(onlyDisk(disksIn(top)), "/dev/vda");
  add("nvme0n1", "0", "100");
  assert.throws(() => onlyDisk(disksIn(top)), /several disks: nvme0n1, vda/);
  assert.deepEqual([partition("/dev/vda", 3), partition("/dev/nvme0n1", 3)], ["/dev/vda3", "/dev/nvme0n1p3"]);
});

test("a disk has to have room for an image twice, in whole blocks; what nobody has counted is no hindrance", (t) => {
  const top = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-sizes-"));
  t.after(() => fs.rmSync(top, { recursive: true }));
  const disk = `${top}/vdx`, link = `${top}/by-name`;
  assert.equal(diskBytes(top, disk), undefined, "there is none");
  fs.writeFileSync(disk, "");
  assert.equal(diskBytes(`${top}/none`, disk), undefined, "the kernel knows none");
  fs.mkdirSync(`${top}/class/vdx`, { recursive: true });
  fs.writeFileSync(`${top}/class/vdx/size`, `${2 * 2 ** 21}\n`);
  fs.symlinkSync(disk, link);
  assert.deepEqual([disk, link].map((name) => diskBytes(`${top}/class`, name)), [2 ** 31, 2 ** 31]);

  const GIB = 2 ** 30;
  assert.equal(roomBytes({ bytes: 0, files: 10 }), undefined);
  assert.ok(roomBytes({ bytes: GIB, files: 0 })! > 2.5 * GIB);
  const many = roomBytes({ bytes: GIB, files: 100_000 })! - roomBytes({ bytes: GIB, files: 0 })!;
  assert.ok(many >= 100_000 * 4096, String(many));

  const [{ why, hint }] = missingRoom({ bytes: GIB, files: 30_000 }, disk, `${top}/class`) as [Missing];
  assert.match(why, /vdx has 2\.0 GiB, and the image needs about 2\.8 GiB$/);
  assert.match(hint, /^isconf install/);
  assert.deepEqual(missingRoom({ bytes: GIB / 4, files: 30_000 }, disk, `${top}/class`), []);
  assert.deepEqual(missingRoom({ bytes: 0, files: 0 }, disk, `${top}/class`), []);
  assert.deepEqual(missingRoom({ bytes: GIB, files: 1 }, "/dev/none", `${top}/class`), []);
});

test("a step is said by a POST; who does not listen, answers late, or is none, is not waited for long", async (t) => {
  const said: string[] = [];
  const server = http.createServer((req, res) => {
    let text = `${req.method} ${req.url} `;
    req.setEncoding("utf8").on("data", (piece) => text += piece).on("end", () => {
      said.push(text);
      res.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const log = `http://127.0.0.1:${port}/boot/x/log`;
  await say(log, "image", { percent: 41.7 });
  await say(log, "failed", { text: `no \u001b[31mroom${"x".repeat(500)}` });
  await say(log, "up");
  assert.deepEqual([said[0], said[2]], ["POST /boot/x/log image 41%", "POST /boot/x/log up"]);
  assert.match(said[1]!, /^POST \/boot\/x\/log failed no \\x1b\[31mroomx+$/);
  assert.ok(said[1]!.length < 260);
  await say("", "up");
  await say("http://127.0.0.1:1/", "up");
  await say("file:///etc/passwd", "up");
  await say("no url", "up");
});

test("GRUB speaks on the serial port that the kernel was given, and waits for no screen", () => {
  const [time, ...lines] = grubSettings(["console=tty0", "console=ttyS1,115200n8"]).trimEnd().split("\n");
  assert.equal(time, "GRUB_TIMEOUT=2");
  assert.deepEqual(lines, [
    'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX console=tty0 console=ttyS1,115200n8"',
    'GRUB_TERMINAL="console serial"',
    'GRUB_SERIAL_COMMAND="serial --unit=1 --speed=115200"',
  ]);
  assert.match(grubSettings([]), /^GRUB_TERMINAL="console"$/m);
});

test("the scripts of an installation are straight, whatever the disk is called, for both kinds of firmware", () => {
  const some: Record<string, string> = {
    path: "/dev/nvme0n1",
    uuid: "01234567-89ab-4def-8123-456789abcdef",
    serial: "0123abcd",
  };
  const values = Object.fromEntries([...blanksOf(INSTALL)].map(([name, type]) => [name, some[type]]));
  for (const firmware of ["bios", "uefi"]) {
    const scripts = scriptsOf(INSTALL, "install", { ...values, [firmware]: "yes" });
    assert.deepEqual(scripts.map(({ step }) => step), ["disk", "boot", "restart"]);
    const text = scripts.map(({ text }) => text).join("");
    assert.equal(/--target=i386-pc/.test(text), firmware === "bios");
    assert.equal(/--target=x86_64-efi/.test(text), firmware === "uefi");
  }
});
