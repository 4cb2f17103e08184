// image_record, image_left: what an image says of itself is read strictly; what of a host is its own stays out.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { LEFT, leftOut, mountedElsewhere } from "./image_left.ts";
import { type ImageRecord, osOf, readRecord, writeRecord } from "./image_record.ts";
import { homeOf } from "./paths.ts";

const RECORD: ImageRecord = {
  format: 1,
  kind: "root",
  architecture: "arm64",
  os: { id: "debian", version: "12" },
  host: "hosta",
  madeMs: 1_700_000_000_000,
  files: 7,
  bytes: 12_345,
  place: { domain: "ab".repeat(32), branch: "main", seq: 7, entry: "cd".repeat(32) },
};

test("a record comes back as it was, with or without a place; what later builds add is left out", () => {
  for (const record of [RECORD, { ...RECORD, place: null }]) {
    assert.deepEqual(readRecord(writeRecord(record)), record);
  }
  const more = Buffer.from(JSON.stringify({ ...RECORD, later: 1 }));
  assert.deepEqual(readRecord(more), RECORD);
});

test("a record that is not one is corrupt, whatever is wrong with it", () => {
  const wrong: [string, unknown][] = [
    ["format", { ...RECORD, format: 2 }],
    ["kind", { ...RECORD, kind: "tape" }],
    ["text", { ...RECORD, host: 1 }],
    ["NUL", { ...RECORD, host: "a\0b" }],
    ["os", { ...RECORD, os: null }],
    ["time", { ...RECORD, madeMs: -1 }],
    ["no place at all", { ...RECORD, place: undefined }],
    ["seq 0", { ...RECORD, place: { ...RECORD.place, seq: 0 } }],
    ["entry", { ...RECORD, place: { ...RECORD.place, entry: "x" } }],
    ["domain", { ...RECORD, place: { ...RECORD.place, domain: "AB".repeat(32) } }],
    ["null", null],
    ["list", []],
  ];
  for (const [what, value] of wrong) {
    assert.throws(() => readRecord(Buffer.from(JSON.stringify(value))), { kind: "corrupt" }, what);
  }
  for (const text of ["", "{", '{"format":1,"format":1}', " ".repeat(20_000)]) {
    assert.throws(() => readRecord(Buffer.from(text)), { kind: "corrupt" });
  }
});

test("os-release is read in all ways that it may be written, and gives nothing that is not there", () => {
  assert.deepEqual(osOf('NAME="Debian"\nID=debian\nVERSION_ID="12"\n'), { id: "debian", version: "12" });
  assert.deepEqual(osOf("ID='alpine'\nVERSION_ID=3.19.1"), { id: "alpine", version: "3.19.1" });
  assert.deepEqual(osOf("XID=no\nID=$(reboot)\n"), { id: "$(reboot)", version: "" });
  assert.deepEqual(osOf(""), { id: "", version: "" });
});

test("names, keys, logs, state and what is mounted are a host's own; the rest is not", () => {
  const left = leftOut(homeOf(undefined), new Set(["/srv/nfs", "/etc/isconf/x"]));
  const cases: [path: string, isFile: boolean, left: "all" | "inside" | undefined][] = [
    ["/etc/hostname", true, "inside"],
    ["/etc/machine-id", true, "inside"],
    ["/etc/ssh/ssh_host_ed25519_key", true, "all"],
    ["/etc/ssh/ssh_host_rsa_key.pub", true, "all"],
    ["/etc/ssh/sshd_config", true, undefined],
    ["/var/lib/isconf", false, "all"],
    ["/run", false, "inside"],
    ["/etc/isconf", false, undefined],
    ["/etc/isconf/image", true, "all"],
    ["/etc/isconf/isconf.conf", true, undefined],
    ["/var/log", false, undefined],
    ["/var/log/nginx", false, undefined],
    ["/var/log/nginx/access.log", true, "inside"],
    ["/srv/nfs", false, "inside"],
    ["/usr/bin/env", true, undefined],
    ["/constructor", false, undefined],
  ];
  for (const [path, isFile, expected] of cases) assert.equal(left(path, isFile), expected, path);
  const bytes = (text: string) => Buffer.from(text).toString("latin1");
  assert.equal(leftOut(homeOf("/opt/ä"), new Set())(bytes("/opt/ä/var"), false), "all");
  const own = leftOut(homeOf("/opt/try"), new Set());
  assert.deepEqual(["/opt/try/var", "/opt/try/run", "/opt/try/etc"].map((path) => own(path, false)), [
    "all",
    "all",
    undefined,
  ]);
});

test("docs/images.md has the same list", () => {
  const text = fs.readFileSync(new URL("../docs/images.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| `(\/[^`]+)` \| (all|inside) \|$/gm)].map((
    [, path, left],
  ) => [path, left]);
  assert.deepEqual(rows, Object.entries(LEFT));
});

test("what is mounted from no disk is known by the kernel's own lists; the mount that is seen counts", () => {
  const filesystems =
    "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tnfs4\n\text4\n\tvfat\nnodev\toverlay\n";
  const line = (at: string, type: string) => `30 1 0:26 / ${at} rw,relatime shared:1 - ${type} source rw`;
  const mountinfo = [
    line("/", "overlay"),
    line("/proc", "proc"),
    line("/boot", "ext4"),
    line("/boot/efi", "vfat"),
    line("/srv/a\\040b", "nfs4"),
    line("/home", "fuse.sshfs"),
    line("/data", "tmpfs"),
    line("/data", "ext4"),
    "",
  ].join("\n");
  assert.deepEqual([...mountedElsewhere(mountinfo, filesystems)].sort(), ["/home", "/proc", "/srv/a b"]);
});
