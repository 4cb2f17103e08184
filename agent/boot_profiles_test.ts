// boot_profiles: what files say is read strictly, and the most particular profile is a machine's.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { LINES, parseProfile, profileFor, readProfiles } from "./boot_profiles.ts";

const MAC = "52:54:00:12:34:56", UUID = "01234567-89ab-cdef-0123-456789abcdef";
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
  });
  assert.equal(parse("for = any\nboot = disk").isDisk, true);
});

test("what a profile may not say is named with its line, and nothing of it reaches a boot loader", () => {
  const wrong: [text: string, why: RegExp][] = [
    ["kernel = a", /for which machines/],
    ["for = any", /kernel =, or boot = disk/],
    ["for = any\nboot = disk\nkernel = a", /kernel =, or boot = disk/],
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
