// blanks: what fits each type and what does not, and how it is written.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLANKS, written } from "./blanks.ts";

/** By type: what fits, what does not. */
const TABLE: Record<string, [fits: string[], others: string[]]> = {
  name: [["web1", "a", "Web_1.x-y"], [
    "",
    ".x",
    "-x",
    "a/b",
    "..",
    "$(reboot)",
    "a b",
    "a\n",
    "x".repeat(49),
  ]],
  path: [["/a", "/a b/$(reboot)", "/ä,b", "/it's"], [
    "",
    "a",
    "/",
    "/a/",
    "/a//b",
    "/a/../b",
    "/a\nb",
    "/a\u202eb",
    `/${"x".repeat(5000)}`,
  ]],
  "qemu-path": [["/a,b"], ["a,b"]],
  "bhyve-path": [["/a b"], ["/a,b"]],
  socket: [["/run/x.sock"], [`/${"x".repeat(107)}`, "x"]],
  "qemu-socket": [["/run/x,y.sock"], [`/${"x".repeat(107)}`]],
  mib: [["16", "1024"], ["15", "0x10", "1e3", "-1", "016", " 16", "16 ", "99999999999"]],
  gib: [["1", "65536"], ["0", "65537", "1.5"]],
  cpus: [["1", "255"], ["0", "256", "two"]],
  order: [["1"], ["10", "-1"]],
  pid: [["2", "99999"], ["0", "1", "-1", "2 3"]],
  mac: [["52:54:00:aa:bb:cc"], [
    "53:54:00:aa:bb:cc",
    "52:54:00:AA:bb:cc",
    "52-54-00-aa-bb-cc",
    "52:54:00:aa:bb",
    "",
  ]],
  interface: [["tap0", "br-lan", "eth0.1"], ["", "-x", "a,b", "tap0,script=/x", "sixteen-letters-x", "a/b"]],
  endpoint: [
    ["listen=127.0.0.1:4000", "connect=10.0.0.1:1", "mcast=230.0.0.1:65535"],
    [
      "listen=:4000",
      "listen=127.0.0.1:0",
      "listen=127.0.0.1:65536",
      "listen=256.0.0.1:1",
      "fd=3",
      "listen=127.0.0.1:1,x=y",
    ],
  ],
  ports: [["2222:22", "2222:22,8080:80"], [
    "",
    "22",
    "2222:22,",
    "0:22",
    "22:65536",
    "127.0.0.1:22:22",
    "2222:22,x=y",
  ]],
  "qemu-ports": [["2222:22"], [":22"]],
  suite: [["bookworm", "stable-backports"], ["", "-x", "a b", "Book", "$(reboot)", "x".repeat(33)]],
  variant: [["minbase", "standard"], ["", "all", "minbase,x", "-"]],
  packages: [["htop", "g++,libc6-dev,x11.y"], [
    "",
    "-x",
    "a,",
    ",a",
    "htop less",
    "a,;b",
    "A",
    "x".repeat(200),
  ]],
  url: [["http://deb.debian.org/debian", "file:///srv/mirror", "https://h:80/x?".slice(0, -1)], [
    "",
    "ftp://x",
    "http://",
    "copy:///x",
    "deb http://x",
    "http://x/$(reboot)",
    "http://x y",
    "-http://x",
  ]],
  uuid: [["01234567-89ab-4def-8123-456789abcdef"], [
    "",
    "0123",
    "01234567-89ab-4def-8123-456789ABCDEF",
    "x".repeat(36),
  ]],
  serial: [["0123abcd"], ["", "0123abc", "0123ABCD", "0123-abcd"]],
  accelerator: [["kvm", "tcg"], ["", "xen", "kvm,x"]],
  line: [["console=ttyS0 x", "$(reboot); `id`"], ["", "a\nb", "a\u200bb", "\ud800", "x".repeat(2048)]],
};

test("each type takes what it says and nothing else", () => {
  assert.deepEqual(Object.keys(TABLE), Object.keys(BLANKS));
  for (const [type, [fits, others]] of Object.entries(TABLE)) {
    for (const text of fits) assert.ok(BLANKS[type]!.fits(text), `${type} ${text}`);
    for (const text of others) assert.ok(!BLANKS[type]!.fits(text), `${type} ${JSON.stringify(text)}`);
  }
});

test("a value that does not fit is named, with what it must be; nothing of it reaches the terminal", () => {
  assert.throws(() => written("memory", "mib", "\x1b[2J"), {
    kind: "usage",
    message: "memory is \\x1b[2J, and must be a whole number of MiB from 16 to 4194304",
  });
});

test("a comma in a path ends no option of QEMU", () => {
  assert.equal(written("disk", "qemu-path", "/a,readonly=on"), "/a,,readonly=on");
  assert.equal(written("disk", "path", "/a,b"), "/a,b");
  const forwards = ",hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:80-:8080";
  assert.equal(written("forward", "qemu-ports", "2222:22,80:8080"), forwards);
});
