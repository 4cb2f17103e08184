// content flips: single bits that flip in packs and in store.db while the agent is stopped, as fsck, get and put show them.
// That every bit is found is shown in fs/fsck_test.ts; here a few are, through the executable.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { needGet, needLean, needSound, netDir, randomFile, randomTree } from "./contents.ts";
import { each } from "./strace.ts";
import { type Box, makeBox } from "./tools.ts";

/** Flips one bit of a file; the same again undoes it. */
function flipBit(file: string, at: number, bit = 0): void {
  const fd = fs.openSync(file, "r+");
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  fs.writeSync(fd, Buffer.from([byte[0]! ^ (1 << bit)]), 0, 1, at);
  fs.closeSync(fd);
}

/** A home with a file and a tree, its agent stopped; where in its only pack the file's first chunk begins. */
async function stopped(box: Box): Promise<{ file: string; tree: string; pack: string; at: number }> {
  await box.start();
  const file = randomFile(path.join(box.dir, "file"));
  const tree = randomTree(path.join(box.dir, "tree"));
  await box.ok(["put", file]);
  await box.ok(["put", tree]);
  await box.stop();
  const pack = path.join(netDir(box), "packs/1.pack");
  const at = fs.readFileSync(pack).indexOf(fs.readFileSync(file).subarray(0, 64));
  assert.ok(at > 0, "the pack does not have the file");
  return { file, tree, pack, at };
}

/** Gets what may be damaged: as it was, or a word and nothing beside the place for it; which of both. */
async function getsOrSaysSo(box: Box, label: string, file: string, where: string): Promise<boolean> {
  const dir = path.join(box.dir, "to");
  fs.mkdirSync(dir);
  const { status, err } = await box.isconf(["get", label, path.join(dir, "out")]);
  if (status === 0) {
    assert.ok(fs.readFileSync(path.join(dir, "out")).equals(fs.readFileSync(file)), `${where}: other bytes`);
  } else {
    assert.ok([226, 125, 104, 2].includes(Number(status)), `${where}: ${status} ${err}`);
    assert.deepEqual(fs.readdirSync(dir), [], `${where}: a file was left`);
  }
  fs.rmSync(dir, { recursive: true });
  return status === 0;
}

test("a bit that flips in a pack: fsck names it, get ends 226 and leaves nothing, and a second put makes it whole", async (t) => {
  const box = makeBox(t);
  const { file, tree, pack, at } = await stopped(box);
  const size = fs.statSync(pack).size;
  const places: [what: string, at: number, isRead: boolean][] = [
    ["the first byte of a chunk", at, true],
    ["the middle of a chunk", at + 5_000, true],
    ["the id in a header", at - 10, false],
    ["a length in a header", at - 38, false],
    ["the last byte of the pack", size - 1, false],
  ];
  for (const [i, [what, place, isRead]] of places.entries()) {
    flipBit(pack, place, i);
    await box.start();
    const found = await box.isconf(["fsck", "--data"]);
    assert.equal(found.status, 226, `${what}: ${found.out}`);
    assert.match(found.err + found.out, /1 damaged/, what);
    const came = await getsOrSaysSo(box, "file", file, what);
    if (isRead) assert.equal(came, false, `${what}: it came all the same`);
    const mending = await box.isconf(["fsck", "--data", "--mend"]);
    assert.equal(mending.status, 226, `${what}: nobody else has it: ${mending.out}`);
    await box.ok(["put", file]);
    await box.ok(["put", tree]);
    await needSound(box, what);
    await needGet(box, "file", file, what);
    await needGet(box, "tree", tree, what);
    await needLean(box, what);
    const again = await box.isconf(["put", file]);
    assert.equal(again.status, 0, again.err);
    await box.stop();
    if (fs.readFileSync(pack).indexOf(fs.readFileSync(file).subarray(0, 64)) !== at) break; // it stands elsewhere now
  }
});

test("a bit that flips in store.db: fsck or the start says so, and nothing ever comes out with other bytes", async (t) => {
  const golden = makeBox(t);
  const { file } = await stopped(golden);
  const db = path.join(netDir(golden), "store.db");
  assert.equal(
    fs.existsSync(`${db}-wal`),
    false,
    "the log is still there: the database is not whole by itself",
  );
  const bytes = fs.readFileSync(db);
  const page = 4096;
  const pages = Array.from({ length: bytes.length / page }, (_, i) => i);
  const inUse = pages.filter((i) => bytes.subarray(i * page, (i + 1) * page).some((byte) => byte !== 0));
  const seen = { found: 0, harmless: 0 };
  await each(inUse, 1, async (number) => {
    // The last byte that is not zero: cells fill a page from its end.
    let place = (number + 1) * page - 1;
    while (bytes[place] === 0) place--;
    place -= 3;
    flipBit(db, place, 2);
    const where = `bit 2 of byte ${place} of store.db`;
    await golden.start();
    const { status, out, err } = await golden.isconf(["fsck", "--data"]);
    if (status === 0) seen.harmless++;
    else {
      seen.found++;
      assert.ok([226, 104, 125].includes(Number(status)), `${where}: ${status} ${out}${err}`);
      assert.doesNotMatch(err, /\bat .*:[0-9]+:[0-9]+/, where);
    }
    const { status: gc } = await golden.isconf(["gc"]);
    if (gc !== 0) assert.ok([226, 104, 125].includes(Number(gc)), `${where}: gc ended ${gc}`);
    await getsOrSaysSo(golden, "file", file, where);
    await golden.stop("SIGKILL");
    for (const end of ["-wal", "-shm"]) fs.rmSync(db + end, { force: true });
    fs.writeFileSync(db, bytes);
  });
  console.log(`store.db: ${inUse.length} pages, ${seen.found} flips told, ${seen.harmless} of no effect`);
  assert.ok(seen.found >= inUse.length / 2);
  await golden.start();
  await needGet(golden, "file", file, "with the old database");
  await needSound(golden, "with the old database");
});
