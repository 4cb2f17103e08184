// content faults: contents when several want something at the same moment, files that are huge and empty, strange or
// changing while they are put, and bits that flip. Not kills and errors of calls (content_inject_test.ts,
// content_errors_test.ts).
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import {
  attachNet,
  faulty,
  needGet,
  needLean,
  needSound,
  netPid,
  randomFile,
  randomTree,
  shelf,
} from "./contents.ts";
import { cannotTrace } from "./strace.ts";
import { type Box, holdersOf, makeBox, type Outcome, skipIf, until } from "./tools.ts";

const MiB = 1024 * 1024;

const at = (box: Box, name: string) => path.join(box.dir, name);

test("two puts of one file at the same moment: one content, and nothing of it twice after gc", async (t) => {
  const box = makeBox(t);
  await box.start();
  const file = randomFile(at(box, "same"), 20 * MiB);
  const ids = await Promise.all([1, 2].map(() => box.ok(["put", file])));
  assert.equal(ids[0], ids[1]);
  await needGet(box, "same", file, "after both");
  await needLean(box, "after both");
});

test("puts and gc at the same moment, again and again: nothing that was acknowledged is lost", async (t) => {
  const box = makeBox(t);
  await box.start();
  let refused = 0;
  for (let round = 0; round < 20; round++) {
    const file = randomFile(at(box, `round-${round}`), 300_000);
    const gone = randomFile(at(box, "gone"), 300_000);
    await box.ok(["put", gone]);
    await box.ok(["rm", "gone"]);
    const [put, gc] = await Promise.all([box.isconf(["put", file]), box.isconf(["gc"])]);
    assert.equal(put.status, 0, put.err);
    if (gc.status !== 0) refused++;
    assert.equal(gc.status, 0, gc.err);
  }
  await needSound(box, "after all rounds");
  for (let round = 0; round < 20; round++) {
    await needGet(box, `round-${round}`, at(box, `round-${round}`), "after all rounds");
  }
  await needLean(box, "after all rounds");
});

test("what was dropped and is put again while gc runs is there", async (t) => {
  const box = makeBox(t);
  await box.start();
  const file = randomFile(at(box, "back"), 300_000);
  for (let round = 0; round < 10; round++) {
    await box.ok(["put", file]);
    await box.ok(["rm", "back"]);
    const [put] = await Promise.all([box.isconf(["put", file]), box.isconf(["gc"])]);
    assert.equal(put.status, 0, put.err);
    await needGet(box, "back", file, `round ${round}`);
    await box.ok(["rm", "back"]);
  }
  await needLean(box, "in the end");
});

test("two gc at the same moment: one does it, the other waits or is refused", async (t) => {
  const box = makeBox(t);
  await box.start();
  await box.ok(["put", randomFile(at(box, "kept"), 5 * MiB)]);
  for (let round = 0; round < 3; round++) {
    await box.ok(["put", randomFile(at(box, "gone"), 5 * MiB)]);
    await box.ok(["rm", "gone"]);
    const ends = await Promise.all([1, 2].map(() => box.isconf(["gc"])));
    assert.ok(ends.some(({ status }) => status === 0), ends[0]!.err);
    for (const { status, err } of ends) assert.ok(status === 0 || (status === 1 && /moment/.test(err)), err);
  }
  await needGet(box, "kept", at(box, "kept"), "after all of them");
  await needLean(box, "after all of them");
});

test("a get while its content is taken off and gc runs: whole, or not there with a word", async (t) => {
  const box = makeBox(t);
  await box.start();
  const seen = new Set<unknown>();
  // Later each time, and on a slow machine until a get has come first.
  for (let round = 0; round < 6 || (!seen.has(0) && round < 12); round++) {
    const file = randomFile(at(box, "file"), 20 * MiB);
    await box.ok(["put", file]);
    const out = at(box, `out-${round}`);
    const getting = box.isconf(["get", "file", out]);
    await new Promise((resolve) => setTimeout(resolve, 40 * round * Math.max(1, round - 4)));
    await box.ok(["rm", "file"]);
    await box.ok(["gc"]);
    const { status, err } = await getting;
    seen.add(status);
    if (status === 0) assert.ok(fs.readFileSync(out).equals(fs.readFileSync(file)), "other bytes");
    else {
      assert.equal(status, 2, err);
      assert.equal(fs.existsSync(out), false, "a target that was not written whole");
    }
    assert.deepEqual(fs.readdirSync(box.dir).filter((name) => name.startsWith(".isconf-")), []);
    fs.rmSync(out, { force: true });
  }
  assert.ok(seen.has(0), "no get came first: the pauses are the wrong ones");
  await needLean(box, "after all of them");
});

test("a sparse file of 1 TiB: put, stat, get and cat take moments, and its holes stay", async (t) => {
  const box = makeBox(t);
  await box.start();
  const file = at(box, "sparse");
  const size = 1024 ** 4;
  const places = [4096, size / 2, size - 2 * MiB];
  const data = places.map((_, i) => Buffer.alloc(MiB, `data ${i} `));
  const fd = fs.openSync(file, "w");
  try {
    fs.ftruncateSync(fd, size);
  } catch (e) {
    fs.closeSync(fd);
    return void skipIf("a sparse file of 1 TiB", `this disk has no such files: ${(e as Error).message}`);
  }
  for (const [i, place] of places.entries()) fs.writeSync(fd, data[i]!, 0, MiB, place);
  fs.closeSync(fd);
  const began = performance.now();
  await box.ok(["put", file]);
  assert.match(await box.ok(["stat", "sparse"]), /kind +tree[^]*3145728 bytes|3\.0 MiB/);
  const out = at(box, "out");
  await box.ok(["get", "sparse", out]);
  const stat = fs.statSync(out);
  assert.deepEqual([stat.size, stat.blocks * 512 < 4 * MiB], [size, true], `${stat.blocks} blocks`);
  const back = fs.openSync(out, "r");
  for (const [i, place] of places.entries()) {
    const bytes = Buffer.alloc(MiB);
    fs.readSync(back, bytes, 0, MiB, place);
    assert.ok(bytes.equals(data[i]!), `other bytes at ${place}`);
  }
  fs.closeSync(back);
  const cat = async (offset: number, length: number) =>
    (await box.isconf(["cat", "--offset", String(offset), "--length", String(length), "sparse"])).outBytes;
  assert.ok((await cat(size / 4, 5 * MiB)).equals(Buffer.alloc(5 * MiB)), "a hole is no zeros");
  assert.ok(
    (await cat(size / 2 - 10, 20)).equals(Buffer.concat([Buffer.alloc(10), data[1]!.subarray(0, 10)])),
  );
  assert.ok((await cat(size - 2 * MiB, MiB)).equals(data[2]!));
  assert.equal((await cat(size - 3, 100)).length, 3);
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `a sparse file of 1 TiB: ${seconds.toFixed(1)} s, the root half has ${box.rssMiB().toFixed(0)} MiB`,
  );
  assert.ok(seconds < 30, `${seconds} s`);
  await needSound(box, "in the end");
});

test("names with newlines, no UTF-8, 255 bytes, leading dashes, and 300 directories deep come back", async (t) => {
  const box = makeBox(t);
  await box.start();
  const dir = at(box, "-strange");
  fs.mkdirSync(dir);
  const names = [
    Buffer.from("new\nline"),
    Buffer.from([0xff, 0xfe, 0x80]),
    Buffer.alloc(255, "x"),
    Buffer.from("-rf"),
    Buffer.from("--help"),
    Buffer.from(" "),
    Buffer.from("\\x41\x1b[31m"),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from("a:b"),
  ];
  const below = (name: Buffer) => Buffer.concat([Buffer.from(`${dir}/`), name]);
  names.forEach((name, i) => fs.writeFileSync(below(name), `content ${i}`));
  names.forEach((name, i) => fs.symlinkSync(name, below(Buffer.from(`link-${i}`))));
  fs.mkdirSync(path.join(dir, ...Array.from({ length: 300 }, () => "d")), { recursive: true });
  fs.writeFileSync(path.join(dir, ...Array.from({ length: 300 }, () => "d"), "-"), "deep");
  await box.ok(["put", dir, "--label", "strange"]);
  await needGet(box, "strange", dir, "a strange tree");
  assert.equal(await box.ok(["cat", "strange:-rf"]), "content 3");
  assert.equal(await box.ok(["cat", "strange:a:b"]), "content 8");
  const [{ id } = { id: "" }] = await shelf(box, "strange");
  assert.doesNotMatch(await box.ok(["tree", id]), /\x1b/);
  // The same names typed.
  for (const [i, name] of ["new\nline", "--help", "x".repeat(255), "\\x41\x1b[31m"].entries()) {
    const { status, err } = await box.isconf(["put", path.join(dir, name)]);
    assert.ok(status === 0 || (status === 22 && /label/.test(err)), `${JSON.stringify(name)}: ${err}`);
    await box.ok(["put", path.join(dir, name), "--label", `typed-${i}`]);
  }
  await box.ok(["put", "--", "-rf"], { cwd: dir });
  assert.equal(await box.ok(["cat", "--", "-rf"]), "content 3");
  const out = at(box, "--out");
  await box.ok(["get", "--", "-rf", "--out"], { cwd: box.dir });
  assert.equal(fs.readFileSync(out, "utf8"), "content 3");
});

/** Refused with a word about `what`, and nothing of it is listed. */
async function needRefused(box: Box, { status, err }: Outcome, exit: number, what: RegExp): Promise<void> {
  assert.equal(status, exit, err);
  assert.match(err, what);
  assert.deepEqual(await shelf(box), []);
}

test("a fifo, a socket or a device in a directory is refused by name", async (t) => {
  const box = makeBox(t);
  await box.start();
  const kinds: [string, string[]][] = [["fifo", ["mkfifo"]], ["socket", []], ["device", ["mknod"]]];
  for (const [kind, program] of kinds) {
    if (kind === "device" && process.getuid?.() !== 0) {
      skipIf("a device in a directory", "needs root");
      continue;
    }
    const dir = randomTree(at(box, `with-${kind}`));
    const special = path.join(dir, "sub/special");
    if (kind === "fifo") assert.equal(spawnSync(program[0]!, [special]).status, 0);
    if (kind === "device") assert.equal(spawnSync(program[0]!, [special, "c", "1", "3"]).status, 0);
    const server = net.createServer();
    if (kind === "socket") await new Promise<void>((resolve) => server.listen(special, () => resolve()));
    try {
      await needRefused(box, await box.isconf(["put", dir]), 22, new RegExp(`sub/special is a .*${kind}`));
    } finally {
      server.close();
    }
  }
});

test(
  "a file that changed while it was put came out as bytes that it never had",
  skipIf("a file that changes while it is put", cannotTrace()),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    await box.ok(["put", "-"], { stdin: "the thread runs" });
    await box.ok(["rm", (await shelf(box))[0]!.id]);
    const change = {
      "written to": (file: string) => fs.writeFileSync(file, "X", { flag: "r+" }),
      "made longer": (file: string) => fs.appendFileSync(file, "X"),
      truncated: (file: string) => fs.truncateSync(file, 5 * MiB),
    };
    for (const [what, how] of Object.entries(change)) {
      const file = randomFile(at(box, "changes"), 20 * MiB);
      // Each time that the net half reads from the file, it waits for a moment before.
      const delay = ["-P", file, "-e", "trace=pread64", "-e", "inject=pread64:delay_enter=300000"];
      const tracer = await attachNet(box, delay, "WorkerThread");
      const putting = box.isconf(["put", file]);
      const pid = await netPid(box);
      await until("the net half to have the file", () => holdersOf(file).includes(pid));
      await new Promise((resolve) => setTimeout(resolve, 400));
      how(file);
      const got = await putting;
      await tracer.detach("SIGTERM");
      await needRefused(box, got, 1, /changed while it was read/);
      await box.ok(["put", file]);
      await needGet(box, "changes", file, `${what} before, and not any more`);
      await box.ok(["rm", "changes"]);
    }
  },
);

test(
  "a file of a tree that changes all the time is refused, by name",
  skipIf("a tree that changes while it is put", lacks({ programs: ["sh"] })),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    const dir = randomTree(at(box, "changing"));
    const file = randomFile(path.join(dir, "sub/log"), 8 * MiB);
    const writer = spawn("sh", ["-c", 'while :; do echo >> "$0"; done', file], { stdio: "ignore" });
    try {
      const before = fs.statSync(file).size;
      await until("the writer", () => fs.statSync(file).size > before);
      await needRefused(box, await box.isconf(["put", dir]), 1, /sub\/log changed while it was read/);
    } finally {
      writer.kill("SIGKILL");
    }
    await until("the writer to end", () => writer.signalCode !== null);
    await box.ok(["put", dir]);
    await needGet(box, "changing", dir, "when nobody writes any more");
  },
);

test(
  "a get that was killed left a file beside under a name that nothing ever removes",
  skipIf("what a killed get leaves", cannotTrace()),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    await box.ok(["put", randomFile(at(box, "file"))]);
    const dir = at(box, "to");
    fs.mkdirSync(dir);
    const out = path.join(dir, "out");
    await faulty(box, "rename:signal=KILL:when=1", ["get", "file", out]);
    const [left, ...more] = fs.readdirSync(dir);
    assert.deepEqual([/^\.isconf-[0-9a-f]{32}$/.test(left ?? ""), more], [true, []]);
    await box.ok(["get", "file", out]);
    assert.deepEqual(fs.readdirSync(dir).sort(), [left, "out"], "it is younger than an hour, and stays");
    assert.ok(fs.readFileSync(out).equals(fs.readFileSync(at(box, "file"))));
  },
);
