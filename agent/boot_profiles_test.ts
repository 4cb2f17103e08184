// boot_profiles: what files say is read strictly, and the most particular profile is a machine's.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { LINES, parseGroup, parseProfile, profileFor, readProfiles } from "./boot_profiles.ts";
import { kernelWords, SOME, valuesOf } from "./boot_words.ts";
import { writeToken } from "./token.ts";

const MAC = "52:54:00:12:34:56", UUID = "01234567-89ab-cdef-0123-456789abcdef";
const TOKEN = {
  domain: new Uint8Array(32).fill(1),
  id: "00",
  addresses: ["192.0.2.1:4726"],
  net: new Uint8Array(32).fill(2),
};
const OPEN = writeToken({ ...TOKEN, secret: new Uint8Array(0) });
const SECRET = writeToken({ ...TOKEN, secret: new Uint8Array(32).fill(3) });
const SERVER = { address: "192.0.2.9", httpPort: 8480, relays: [] };
const parse = (text: string) => parseProfile("x", text);

test("a profile says for whom it is, and what they get", () => {
  const text =
    `# web servers\n\nfor = ${MAC.toUpperCase()} ${UUID}\nfor = bios any\n kernel=boot/linux:vmlinuz \ninitrd = a b:c\ninitrd = d\nargs = console=ttyS0,115200 quiet\nloader = boot/shim.efi\n`;
  assert.deepEqual(parse(text), {
    name: "x",
    macs: [MAC],
    uuids: [UUID],
    arches: ["bios"],
    isForAny: true,
    isDisk: false,
    kernel: "boot/linux:vmlinuz",
    initrds: ["a", "b:c", "d"],
    args: ["console=ttyS0,115200", "quiet"],
    loader: "boot/shim.efi",
    script: "",
    join: "",
    host: "",
    image: "",
    disk: "",
    mayWipe: false,
    isLowTrust: false,
  });
  assert.equal(parse("for = any\nboot = disk").isDisk, true);
});

test("what a profile may not say is named with its line, and nothing of it reaches a boot loader", () => {
  const wrong: [text: string, why: RegExp][] = [
    ["kernel = a", /for which machines/],
    ["for = any", /one of kernel =, script = and boot = disk/],
    ["for = any\nboot = disk\nkernel = a", /one of kernel =/],
    ["for = any\nscript = a\nkernel = a", /one of kernel =/],
    ["for = @web\nkernel = a", /line 1: for has @web, and there is no such group/],
    ["for = any\nkernel = a\nargs = {{name mac}}", /line 3: args the value of mac is no name/],
    ["for = any\nkernel = a\nargs = {{name secret}}", /line 3: args the blank secret has no value/],
    ["for = any\nkernel = a\nargs = a{{b", /line 3: args a blank is written/],
    ["for = any\nkernel = a\ninstall = images/base", /go with join =/],
    ["for = any\nkernel = a\nhost = web", /go with join =/],
    [`for = any\nscript = a\njoin = ${OPEN}`, /goes with kernel =/],
    ["for = any\nkernel = a\njoin = word", /line 3: join that is no token/],
    [`for = any\nkernel = a\njoin = ${SECRET}`, /everybody on that network can read it: isconf token --open/],
    [`for = any\nkernel = a\njoin = ${OPEN}\nhost = -x`, /line 4: host /],
    [
      `for = any\nkernel = a\njoin = ${OPEN}\ninstall = i /etc/passwd`,
      /line 4: install takes an image and a disk/,
    ],
    [
      `for = any\nkernel = a\njoin = ${OPEN}\ninstall = i /dev/sda x`,
      /line 4: install takes an image and a disk/,
    ],
    [`for = any\nkernel = a\njoin = ${OPEN}\nwipe = no`, /line 4: wipe is yes/],
    ["for = 52:54:00:12:34\nkernel = a", /line 1: for has 52:54:00:12:34/],
    ["for = any\nkernel = a b", /line 2: kernel takes one value/],
    ["for = any\nkernel =", /line 2: kernel takes 1 to/],
    ["for = any\nboot = tape", /line 2: boot is disk/],
    ["for = any\nkernel = a\nargs = a;reboot", /line 3: args has the word a;reboot/],
    ["for = any\nkernel = a\nargs = ${net0/mac}", /line 3: args has the word/],
    ["for = any\nkernel = a\nargs = \x1b[31m", /line 3/],
    ["for = any\nkernel = a\nexec = reboot", /line 3: is none of/],
    ["for = any\nconstructor = a", /line 2: is none of/],
    ["nonsense", /line 1: is none of/],
    [`for = any\nkernel = a\nargs = ${"a ".repeat(300)}`, /line 3: args takes 1 to/],
  ];
  for (const [text, why] of wrong) {
    assert.throws(() => parse(text), (e) => why.test((e as Error).message), text);
  }
});

test("a machine's address comes before its UUID, that before its architecture, that before any; of two alike the first", () => {
  const of = (name: string, line: string) => parseProfile(name, `for = ${line}\nkernel = a`);
  const all = [of("any", "any"), of("bios", "bios"), of("bios2", "bios"), of("uuid", UUID), of("mac", MAC)];
  const name = (machine: Parameters<typeof profileFor>[1]) => profileFor(all, machine)?.name;
  assert.equal(name({ mac: MAC, uuid: UUID, arch: "bios" }), "mac");
  assert.equal(name({ mac: "00:00:00:00:00:01", uuid: UUID, arch: "bios" }), "uuid");
  assert.equal(name({ mac: "00:00:00:00:00:01", arch: "bios" }), "bios");
  assert.equal(name({ mac: "00:00:00:00:00:01", arch: "uefi-x64" }), "any");
  assert.equal(profileFor(all.slice(1), { mac: "00:00:00:00:00:01", arch: "uefi-x64" }), undefined);
});

test("files of a directory in the order of their names; others could have written one: none counts", () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-profiles-"));
  try {
    assert.deepEqual(readProfiles(dir), []);
    fs.mkdirSync(path.join(dir, "netboot.d"));
    for (const name of ["b.profile", "a.profile", ".hidden.profile", "c.profile~"]) {
      fs.writeFileSync(path.join(dir, "netboot.d", name), "for = any\nkernel = a\n");
    }
    assert.deepEqual(readProfiles(dir).map(({ name }) => name), ["a", "b"]);
    fs.chmodSync(path.join(dir, "netboot.d", "b.profile"), 0o666);
    assert.throws(() => readProfiles(dir), { kind: "denied" });
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
});

test("docs/netboot.md has each line of a profile", () => {
  const text = fs.readFileSync(new URL("../docs/netboot.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| `([a-z]+)` \|/gm)].map(([, name]) => name);
  assert.deepEqual(rows, Object.keys(LINES));
});

test("a group stands for its machines, and one that is wrong takes all profiles with it", () => {
  const web = parseGroup("web", `# front\n${MAC.toUpperCase()} # a\n${UUID}\n`);
  const profile = parseProfile("x", "for = @web bios\nkernel = a", new Map([["web", web]]));
  assert.deepEqual([profile.macs, profile.uuids, profile.arches], [[MAC], [UUID], ["bios"]]);
  assert.throws(() => parseGroup("web", "bios"), /the group web has bios/);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-profiles-"));
  try {
    fs.mkdirSync(`${dir}/netboot.d`);
    fs.writeFileSync(`${dir}/netboot.d/a.profile`, "for = @web\nkernel = a\n");
    fs.writeFileSync(`${dir}/netboot.d/web.group`, `${MAC}\n`);
    assert.deepEqual(readProfiles(dir).map(({ macs }) => macs), [[MAC]]);
    fs.writeFileSync(`${dir}/netboot.d/web.group`, "what\n");
    assert.throws(() => readProfiles(dir), /the group web has what/);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
});

test("a machine's words have its own values, and tell it how to come into its domain; a secret only where that is allowed", () => {
  const text = `for = any\nkernel = a\nargs = n={{name machine}} m={{mac mac}} {{name arch}}\njoin = ${OPEN}`;
  const words = (more: string) =>
    kernelWords(parse(`${text}${more}`), valuesOf({ mac: MAC, arch: "bios" }, SERVER));
  const base = `http://192.0.2.9:8480/boot/52-54-00-12-34-56`;
  const [own, asks] = [["n=525400123456", `m=${MAC}`, "bios"], `isconf.join=${OPEN}`];
  assert.deepEqual(words(""), [...own, asks, "isconf.host=host-525400123456", `isconf.log=${base}/log`]);
  assert.deepEqual(
    words("\nhost = web-{{name machine}}\ninstall = images/{{name arch}} /dev/vda\nwipe = yes"),
    [
      ...own,
      asks,
      "isconf.host=web-525400123456",
      `isconf.log=${base}/log`,
      "isconf.image=images/bios",
      "isconf.disk=/dev/vda",
      "isconf.wipe=yes",
    ],
  );
  const secret = parse(`for = any\nkernel = a\njoin = ${SECRET}\ntrust = low`);
  assert.equal(kernelWords(secret, SOME)[0], `isconf.join=${SECRET}`);
  assert.throws(
    () =>
      kernelWords(
        parse("for = any\nkernel = a\nargs = {{name uuid}}"),
        valuesOf({ mac: MAC, arch: "bios" }, SERVER),
      ),
    /the blank uuid has no value/,
  );
});
