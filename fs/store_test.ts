// store: both implementations under the one contract, and what is special to SQLite.
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { storeContract } from "../tests/contract/store.ts";
import { fromHex } from "../mq/mod.ts";
import type { Db } from "./db.ts";
import { idOf, isId, MemoryStore } from "./store.ts";
import { openStoreDatabase, SqliteStore } from "./store_sqlite.ts";

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

/** Changes the first byte of an object where it is kept. */
function flip(db: Db, id: string): void {
  const sql = "SELECT pack, at FROM object WHERE id = ?";
  const { pack, at } = db.read((r) => r.get<{ pack: number; at: number }>(sql, fromHex(id)))!;
  const fd = openSync(join(dirname(db.path), `packs/${pack}.pack`), "r+");
  const byte = new Uint8Array(1);
  readSync(fd, byte, 0, 1, at);
  writeSync(fd, Uint8Array.of(byte[0]! ^ 1), 0, 1, at);
  closeSync(fd);
}

storeContract("SqliteStore", () => {
  const dir = mkdtempSync(join(tmpdir(), "isconf-store-"));
  const open: Db[] = [];
  const connect = () => {
    open.push(openStoreDatabase(join(dir, "store.db")));
    return open.at(-1)!;
  };
  const db = connect();
  const watcher = connect();
  const store = new SqliteStore(db);
  return {
    store,
    drop: (ids) => store.drop(ids),
    flip: (id) => flip(db, id),
    writes: () => watcher.read((r) => r.get<{ data_version: number }>("PRAGMA data_version")!.data_version),
    reopen: () => new SqliteStore(connect()),
    close() {
      open.forEach((d) => d.close());
      rmSync(dir, { recursive: true, force: true });
    },
  };
});

test("fsck finds every flipped object and only those; drop and put mend them", async () => {
  const dir = mkdtempSync(join(tmpdir(), "isconf-store-"));
  const db = openStoreDatabase(join(dir, "store.db"));
  const store = new SqliteStore(db);
  const objects = Array.from({ length: 300 }, (_, i) => new Uint8Array([i, i >> 8, 7]));
  const ids = await store.put(objects);
  assert.deepEqual(await store.fsck(), { checked: 300, corrupt: [] });
  const bad = [ids[0]!, ids[150]!, ids[299]!];
  bad.forEach((id) => flip(db, id));
  assert.deepEqual(await store.fsck(), { checked: 300, corrupt: bad });
  store.drop(bad);
  assert.deepEqual(await store.missing(ids), bad);
  await store.put(objects);
  assert.deepEqual(await store.fsck(), { checked: 300, corrupt: [] });
  db.close();
  rmSync(dir, { recursive: true, force: true });
});

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
  assert.deepEqual(await b.fsck(), { checked: 50, corrupt: [] });
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
