// cpio: what is written is what the programs that read this form make of it: GNU cpio, and where they are installed busybox and bsdtar.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { test } from "node:test";
import { checkCpio, type CpioEntry, writeCpio } from "./cpio.ts";
import { isRoot, sh, testIn } from "./fixture.ts";
import { cpioFileBytesMax, cpioPathBytesMax, cpioPieceBytes } from "./limits.ts";
import { collect } from "./oci_fixture.ts";
import { latin1 } from "./tar.ts";

const { S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } = fs.constants;

/** An entry: its path as latin1, and what differs from a small file of root's. */
function entry(path: string, data: string | Uint8Array = "", rest: Partial<CpioEntry> = {}): CpioEntry {
  const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
  return {
    path: Buffer.from(path, "latin1"),
    mode: S_IFREG | 0o644,
    uid: 0,
    gid: 0,
    mtime: 1_700_000_000,
    size: bytes.length,
    content: [bytes],
    ...rest,
  };
}
const dir = (path: string, mode = 0o755) => entry(path, "", { mode: S_IFDIR | mode });
const link = (path: string, target: string) => entry(path, target, { mode: S_IFLNK | 0o777 });

const LARGE = Buffer.alloc(cpioPieceBytes + 3, "0123456789");
const hard = { file: 7, names: 3 };
const shared = { mode: S_IFREG | 0o600, uid: 5, gid: 6, hard };

/** Everything that a root can have in it. */
const ENTRIES: CpioEntry[] = [
  dir("dev"),
  dir("."),
  dir("tmp", 0o1777),
  dir("mail", 0o2775),
  entry("empty"),
  ...[1, 2, 3, 4, 5].map((n) => entry(`of-${n}`, "x".repeat(n))),
  entry("large", LARGE),
  entry("ping", "#!", { mode: S_IFREG | 0o4755 }),
  entry("theirs", "t", { uid: 1000, gid: 0xffff_fffe, mode: S_IFREG | 0o7000 }),
  entry("\xff\xfe\x80", "not UTF-8"),
  entry("new\nline", "n"),
  entry(" blank ", "b"),
  link("link", "usr/sbin"),
  link("nowhere", "/\xff\n/nothing"),
  entry("one", "three names", shared),
  dir("deep"),
  entry("deep/two", "three names", shared),
  entry("deep/three", "three names", shared),
  entry("old", "o", { mtime: -5 }),
  entry("late", "l", { mtime: 2 ** 33 }),
  entry("TRAILER!!!", "no end"),
  entry("last", "l"),
];
const CONSOLE = entry("dev/console", "", { mode: S_IFCHR | 0o600, device: [5, 1] });

const hashOf = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

/** What find(1), sha256sum(1) and stat(1) see of what is in a directory, as lines in latin1; not the times of links. */
function found(dir: string, dirTimes: boolean): string[] {
  const time = dirTimes ? "%T@" : "";
  const lines = sh(
    dir,
    `export LC_ALL=C
     find . -mindepth 1 -type d -printf '%P|d|%m|%U:%G|${time}\\0' -o -type l -printf '%P|l|%U:%G|%l\\0' \
       -o -mindepth 1 -printf '%P|%y|%m|%U:%G|%T@|%s|%n\\0'
     find . -type f -print0 | xargs -0 sha256sum -z
     find . -type c -printf '%P ' -exec stat -c %t:%T {} +`,
  );
  return lines.split("\0").sort();
}

/** The same of entries. */
async function meant(entries: CpioEntry[], dirTimes: boolean): Promise<string[]> {
  const lines: string[] = [];
  for (const { path, mode, uid, gid, mtime, content, device, hard } of entries) {
    const [at, data] = [latin1(path), await collect(streamed(content!))];
    const time = `${Math.min(Math.max(0, mtime), 0xffff_ffff)}.0000000000`;
    const meta = `${(mode & 0o7777).toString(8)}|${uid}:${gid}|`;
    const rest = `${time}|${data.length}|${hard?.names ?? 1}`;
    const kind = mode & S_IFMT;
    if (kind === S_IFDIR && at !== ".") lines.push(`${at}|d|${meta}${dirTimes ? time : ""}`);
    if (kind === S_IFLNK) lines.push(`${at}|l|${uid}:${gid}|${latin1(data)}`);
    if (kind === S_IFREG) lines.push(`${at}|f|${meta}${rest}`, `${hashOf(data)}  ./${at}`);
    if (kind === S_IFCHR) lines.push(`${at}|c|${meta}${rest}`, `${at} ${device!.join(":")}\n`);
  }
  return lines.sort();
}

async function* streamed(content: NonNullable<CpioEntry["content"]>): AsyncGenerator<Uint8Array> {
  yield* content;
}

/** Programs that unpack such an archive into the directory that they run in, and whether they set the times of directories. */
const READERS: [dirTimes: boolean, program: string, ...args: string[]][] = [
  [false, "cpio", "-idm", "--quiet"],
  [false, "busybox", "cpio", "-idm"],
  [true, "bsdtar", "-xpf", "-"],
];

for (const [dirTimes, program, ...args] of READERS) {
  const isThere = spawnSync(program, ["--help"]).error === undefined;
  const why = !isThere ? `${program} is not installed` : !isRoot ? "needs root" : false;
  if (why !== false) console.log(`skipped: ${program} unpacks: ${why}`);
  testIn(
    `${program} unpacks what was written: modes, owners, times, bytes, links and odd names`,
    async (dir) => {
      const entries = [ENTRIES[0]!, CONSOLE, ...ENTRIES.slice(1)];
      const archive = await collect(writeCpio(entries));
      execFileSync(program, args, { cwd: dir, input: archive, stdio: ["pipe", "ignore", "pipe"] });
      assert.deepEqual(found(dir, dirTimes), await meant(entries, dirTimes));
      const inodes = ["one", "deep/two", "deep/three"].map((path) => fs.statSync(`${dir}/${path}`).ino);
      assert.equal(new Set(inodes).size, 1, "three names of one file");
    },
    { skip: why },
  );
}

test("an archive begins with its first entry, has each file's bytes once, and every part at a multiple of four", async () => {
  const archive = Buffer.from(await collect(writeCpio([CONSOLE, ...ENTRIES])));
  assert.equal(
    archive.subarray(0, 124).toString("latin1"),
    "070701" + "00000001" + "00002180" + "00000000".repeat(2) + "00000001" + "6553f100" +
      "00000000".repeat(3) +
      "00000005" + "00000001" + "0000000c" + "00000000" + "dev/console\0\0\0",
  );
  assert.equal(archive.length % 4, 0);
  assert.equal(archive.toString("latin1").split("three names").length, 2);
  for (let at = archive.indexOf("070701"); at >= 0; at = archive.indexOf("070701", at + 1)) {
    assert.equal(at % 4, 0, `an entry at ${at}`);
  }
  assert.match(archive.subarray(-124).toString("latin1"), /^070701[^]{104}TRAILER!!!\0{4}$/);
});

test("pieces are of one length but for the last, however much there is, and the same entries give the same bytes", async () => {
  const entries = [entry("a", LARGE), entry("b", Buffer.alloc(3 * cpioPieceBytes))];
  const pieces: Uint8Array[] = [];
  for await (const piece of writeCpio(entries)) pieces.push(piece);
  assert.deepEqual(pieces.slice(0, -1).map(({ length }) => length), Array(4).fill(cpioPieceBytes));
  assert.deepEqual(Buffer.concat(pieces), Buffer.from(await collect(writeCpio(entries))));
});

test("what the form has no room for is refused by name, and so is a content that is not as long as was said", async () => {
  const path = Buffer.from("big");
  checkCpio({ path, size: cpioFileBytesMax });
  checkCpio({ path: new Uint8Array(cpioPathBytesMax), size: 0 });
  assert.throws(() => checkCpio({ path, size: cpioFileBytesMax + 1 }), {
    kind: "refused",
    message: /^big: a file of 4294967296/,
  });
  assert.throws(() => checkCpio({ path: Buffer.alloc(cpioPathBytesMax + 1, "x"), size: 0 }), {
    message: /a path of more than 4095/,
  });
  await assert.rejects(collect(writeCpio([entry("big", "", { size: 2 ** 32 })])), { kind: "refused" });
  for (const size of [2, 4]) {
    await assert.rejects(collect(writeCpio([entry("f", "xyz", { size })])), {
      kind: "corrupt",
      message: new RegExp(`^f is not of ${size} bytes`),
    });
  }
});
