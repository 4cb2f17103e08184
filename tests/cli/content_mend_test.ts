// content_mend: a store whose database was damaged while the agent was away is whole again, from what its packs say.
// Not damage to the packs themselves, which other hosts mend (agent/upkeep_test.ts).
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { type Box, makeBox } from "./tools.ts";

/** A home with a file and a tree on the shelf, its agent stopped; its database, and whether everything is there. */
async function withStore(box: Box) {
  const dir = path.join(box.dir, "tree");
  const file = path.join(box.dir, "file");
  fs.mkdirSync(path.join(dir, "sub"), { recursive: true });
  fs.writeFileSync(path.join(dir, "sub", "name"), "content");
  fs.writeFileSync(file, randomBytes(3_000_000));
  await box.start();
  await box.ok(["put", dir]);
  await box.ok(["put", file]);
  await box.stop();
  const check = async () => {
    const copy = path.join(box.dir, "copy");
    await box.ok(["get", "file", copy]);
    assert.ok(fs.readFileSync(copy).equals(fs.readFileSync(file)));
    await box.ok(["get", "tree", path.join(box.dir, "copies")]);
    assert.equal(fs.readFileSync(path.join(box.dir, "copies", "sub", "name"), "utf8"), "content");
    await box.ok(["fsck", "--data"]);
  };
  return { database: path.join(box.home, "var", "store", "store.db"), check };
}

/** Writes over bytes of a file. */
function spoil(file: string, bytes: Uint8Array, at: number): void {
  const fd = fs.openSync(file, "r+");
  fs.writeSync(fd, bytes, 0, bytes.length, at);
  fs.closeSync(fd);
}

test("a database that is none any more is made anew at the next start", async (t) => {
  const box = await makeBox(t);
  const { database, check } = await withStore(box);
  spoil(database, randomBytes(4096), 0);
  await box.start();
  await check();
  assert.ok(fs.existsSync(`${database}.damaged`));
});

test("a damaged row is found by fsck, and mended when that is wanted", async (t) => {
  const box = await makeBox(t);
  const { database, check } = await withStore(box);
  const bytes = fs.readFileSync(database);
  const label = bytes.lastIndexOf("tree"); // in a row of the shelf
  spoil(database, Buffer.from("trae"), label);
  await box.start();
  const found = await box.isconf(["fsck"]);
  assert.equal(found.status, 226, found.err);
  assert.match(found.out, /database: /);
  await box.ok(["fsck", "--mend"]);
  await box.ok(["get", "file", path.join(box.dir, "copy")]);
  await box.ok(["put", path.join(box.dir, "tree")]);
  await check();
});
