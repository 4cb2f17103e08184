// content operations: put, get, gc and fsck as tests put faults into them: what each is done on, and what has to hold when it
// was cut off. Not the faults (content_inject_test.ts, content_errors_test.ts), and not a test.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  digestOf,
  Kept,
  needGet,
  needLean,
  needSound,
  netDir,
  randomFile,
  randomTree,
  shelf,
  verb,
} from "./contents.ts";
import type { Box } from "./tools.ts";

/** One operation, done again and again in one home, each time on something new. */
export interface Operation {
  /** Whether what it is about is damaged before it begins. */
  damages?: boolean;
  /** Makes what the n-th time is about. */
  prepare(box: Box, n: number): Promise<string>;
  /** What is typed. */
  words(box: Box, made: string): string[];
  /** What has to hold when it was cut off, or not: `done` when it said that all went well. */
  after(box: Box, made: string, done: boolean, where: string): Promise<void>;
}

const labelOf = (made: string) => path.basename(made);

/** Put: listed and whole, or not listed; and the second time it is. */
const putOf = (make: (file: string) => string): Operation => ({
  prepare: (box, n) => Promise.resolve(make(path.join(box.dir, `${labelOf(box.home)}-put-${n}`))),
  words: (_box, made) => ["put", made],
  async after(box, made, done, where) {
    const rows = await shelf(box, labelOf(made));
    if (done) assert.equal(rows.length, 1, `${where}: it was told that it is there`);
    if (rows.length > 0) await needGet(box, labelOf(made), made, where);
    await box.ok(["put", made]);
    await needGet(box, labelOf(made), made, `${where}, the second time`);
    await verb(box, "rm", { name: labelOf(made) });
    fs.rmSync(made, { recursive: true });
  },
});

/** Get: the target is whole or not there (of a tree: each file of it), and the second time it is whole. */
const getOf = (source: string): Operation => ({
  prepare: (box, n) => {
    const dir = path.join(box.dir, `${labelOf(box.home)}-get-${n}`);
    fs.mkdirSync(dir);
    return Promise.resolve(path.join(dir, "out"));
  },
  words: (_box, made) => ["get", source, made],
  async after(box, made, done, where) {
    const original = path.join(box.dir, source);
    if (done) assert.equal(digestFree(made), digestFree(original), `${where}: it was told that it is there`);
    needPart(original, made, where);
    await box.ok(["get", source, made]);
    needPart(original, made, where, true);
    const left = fs.readdirSync(path.dirname(made)).filter((name) => name !== "out");
    // What a killed process leaves has a name by which it is known and goes when it is older than an hour (fs/leftovers.ts).
    for (const name of left) assert.match(name, /^\.isconf-[0-9a-f]{32}$/, where);
    assert.ok(left.length <= 1, `${where}: ${left}`);
    fs.rmSync(path.dirname(made), { recursive: true });
  },
});

/** The bytes of a file, or all there is of a tree. */
const digestFree = (file: string) =>
  fs.statSync(file).isDirectory() ? digestOf(file) : fs.readFileSync(file).toString("latin1");

/** Every name that is there has its whole content; with `isAll` every name is there. */
function needPart(original: string, made: string, where: string, isAll = false): void {
  const stat = fs.lstatSync(made, { throwIfNoEntry: false });
  if (stat === undefined) return assert.ok(!isAll, `${where}: ${made} is not there`);
  if (stat.isDirectory()) {
    const names = fs.readdirSync(original);
    for (const name of names) needPart(path.join(original, name), path.join(made, name), where, isAll);
    const strange = fs.readdirSync(made).filter((name) =>
      !names.includes(name) && !/^\.isconf-[0-9a-f]{32}$/.test(name)
    );
    assert.deepEqual(strange, [], where);
  } else if (stat.isFile()) {
    assert.ok(fs.readFileSync(made).equals(fs.readFileSync(original)), `${where}: ${made} is half`);
  }
}

const gcOf: Operation = {
  prepare: async (box, n) => {
    const file = randomFile(path.join(box.dir, `${labelOf(box.home)}-gc-${n}`));
    await box.ok(["put", file]);
    await verb(box, "rm", { name: labelOf(file) });
    return file;
  },
  words: () => ["gc"],
  async after(box, made, _done, where) {
    await needLean(box, where);
    await box.ok(["put", made]); // what was dropped comes again, also where its room was given back half
    await needGet(box, labelOf(made), made, where);
    await verb(box, "rm", { name: labelOf(made) });
    fs.rmSync(made);
  },
};

const fsckOf: Operation = {
  prepare: () => Promise.resolve(""),
  words: () => ["fsck", "--data"],
  after: (box, _made, _done, where) => needSound(box, where).then(() => {}),
};

const mendOf: Operation = {
  damages: true,
  prepare: async (box, n) => {
    const file = randomFile(path.join(box.dir, `${labelOf(box.home)}-mend-${n}`));
    await box.ok(["put", file]);
    flip(box, fs.readFileSync(file).subarray(0, 32));
    return file;
  },
  words: () => ["fsck", "--data", "--mend"],
  async after(box, made, _done, where) {
    const { status, out } = await box.isconf(["fsck", "--data", "--mend"]);
    assert.equal(status, 226, `${where}: nobody else has it, so that something is still wrong: ${out}`);
    await box.ok(["put", made]);
    await needGet(box, labelOf(made), made, where);
    await verb(box, "rm", { name: labelOf(made) });
    fs.rmSync(made);
  },
};

/** Flips a bit of the object in the packs that begins with these bytes. */
export function flip(box: Box, bytes: Uint8Array): void {
  const dir = path.join(netDir(box), "packs");
  for (const name of fs.readdirSync(dir)) {
    const file = path.join(dir, name);
    const at = fs.readFileSync(file).indexOf(Buffer.from(bytes));
    if (at < 0) continue;
    const fd = fs.openSync(file, "r+");
    fs.writeSync(fd, Buffer.from([bytes[0]! ^ 4]), 0, 1, at);
    fs.closeSync(fd);
    return;
  }
  throw new Error("no pack has these bytes");
}

/** A home with a file and a tree in it; both have been acknowledged. */
export async function begunHome(box: Box): Promise<Kept> {
  const kept = new Kept();
  await box.start();
  await kept.put(box, randomFile(path.join(box.dir, "kept")));
  await kept.put(box, randomTree(path.join(box.dir, "kept-tree")));
  return kept;
}

/** What faults are tried on, and how many places for them there are at the least. */
export const OPERATIONS: { title: string; operation: Operation; least: number }[] = [
  { title: "put of a file of three chunks", operation: putOf((file) => randomFile(file)), least: 5 },
  { title: "put of a directory", operation: putOf(randomTree), least: 5 },
  { title: "get of a file", operation: getOf("kept"), least: 3 },
  { title: "get of a directory", operation: getOf("kept-tree"), least: 3 },
  { title: "gc of what was taken off", operation: gcOf, least: 5 },
  { title: "fsck of all bytes", operation: fsckOf, least: 2 },
  { title: "fsck that mends a flipped object", operation: mendOf, least: 5 },
];
