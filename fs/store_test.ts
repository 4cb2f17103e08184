// store: both implementations under the one contract, and what is special to SQLite.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { storeContract, type StoreUnderTest } from "../tests/contract/store.ts";
import type { Db } from "./db.ts";
import { fsck } from "./fsck.ts";
import { idOf, isId, MemoryStore } from "./store.ts";
import { flipObject } from "./store_fixture.ts";
import { openStoreDatabase } from "./store_db.ts";
import { SqliteStore } from "./store_sqlite.ts";

storeContract("MemoryStore", () => {
  const store = new MemoryStore();
  return {
    store,
    drop: (ids) => store.drop(ids),
    flip: (id) => void (store.objects.get(id)![0]! ^= 1),
    writes: () => store.objects.size,
    reopen: () => store,
    close: () => undefined,
  };
});

for (const compress of [false, true]) {
  storeContract(compress ? "SqliteStore with compression" : "SqliteStore", () => onDisk(compress));
}

function onDisk(compress: boolean): StoreUnderTest {
  const dir = mkdtempSync(join(tmpdir(), "isconf-store-"));
  const open: Db[] = [];
  const connect = () => {
    open.push(openStoreDatabase(join(dir, "store.db")));
    return open.at(-1)!;
  };
  const db = connect();
  const watcher = connect();
  const store = new SqliteStore(db, { compress });
  return {
    store,
    drop: (ids) => store.drop(ids),
    flip: (id) => flipObject(store, id),
    writes: () => watcher.read((r) => r.get<{ data_version: number }>("PRAGMA data_version")!.data_version),
    reopen: () => new SqliteStore(connect()),
    close() {
      open.forEach((d) => d.close());
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

test("two stores on one file: both put, both see all", async () => {
  const dir = mkdtempSync(join(tmpdir(), "isconf-store-"));
  const dbs = [openStoreDatabase(join(dir, "store.db")), openStoreDatabase(join(dir, "store.db"))];
  const [a, b] = dbs.map((db) => new SqliteStore(db)) as [SqliteStore, SqliteStore];
  const ids: string[] = [];
  for (let i = 0; i < 50; i++) {
    const object = new Uint8Array([i]);
    ids.push(...await (i % 2 === 0 ? a : b).put([object]));
    await b.put([object]);
  }
  assert.deepEqual(await a.missing(ids), []);
  const { objects, damaged } = await fsck(b, () => [], { look: "bytes" });
  assert.deepEqual([objects, damaged], [50, []]);
  dbs.forEach((db) => db.close());
  rmSync(dir, { recursive: true, force: true });
});

test("isId", () => {
  const id = idOf(new Uint8Array(0));
  assert.equal(id, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert.deepEqual([id, id.toUpperCase(), id.slice(1), id + "\n", ""].map(isId), [
    true,
    false,
    false,
    false,
    false,
  ]);
});
