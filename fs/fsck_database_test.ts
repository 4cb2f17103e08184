// fsck_database: of 1,000 flipped bits of store.db none is missed that means something. What "means something" is, a dump of
// every row by table and by index says, not fsck.
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Fault, fromHex, VirtualClock } from "../mq/mod.ts";
import { Catalog } from "./catalog.ts";
import { type Db, openDatabase } from "./db.ts";
import { fsck } from "./fsck.ts";
import { noise, putNoise, withStore } from "./store_fixture.ts";
import { openStoreDatabase, STORE_MIGRATIONS } from "./store_db.ts";
import { SqliteStore } from "./store_sqlite.ts";

const flips = 1000;

/** Everything that anybody can read out of a database, by table and by each index. */
function dump(db: Db): string {
  return db.read((r) => {
    const all = (from: string) =>
      JSON.stringify(
        r.all<Record<string, unknown>>(`SELECT * FROM ${from}`),
        (_, v) => v instanceof Uint8Array ? Buffer.from(v).toString("hex") : v,
      );
    const indexes = r.all<{ name: string; tbl_name: string }>(
      "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index' AND name NOT LIKE '%_dead' AND sql IS NOT NULL",
    );
    return [
      ...["object", "gc", "shared_root", "root"].map((table) => all(`${table} NOT INDEXED`)),
      ...indexes.map(({ name, tbl_name }) => all(`${tbl_name} INDEXED BY ${name}`)),
      all("object INDEXED BY object_dead WHERE dead = 1"),
      all("object INDEXED BY sqlite_autoindex_object_1 WHERE id > x''"),
      all("shared_root INDEXED BY sqlite_autoindex_shared_root_1 WHERE id > x''"),
      JSON.stringify(r.all("SELECT type, name, tbl_name, sql FROM sqlite_schema")),
    ].join("\n");
  });
}

test(`${flips} flipped bits of store.db: each is reported, or lies where nothing is`, async () => {
  await withStore(async (store, dir) => {
    const path = join(dir, "store.db");
    const root = await putNoise(store, noise(1, 30_000), 200);
    await putNoise(store, noise(2, 20_000), 200);
    await store.share(root);
    const catalog = new Catalog(store.db);
    for (let i = 0; i < 60; i++) {
      const sha256 = i % 2 === 0 ? { sha256: `${i % 10}`.repeat(64) } : {};
      catalog.add(
        {
          id: root,
          kind: "tree",
          size: i * 1000,
          ...sha256,
          label: `label ${i}`,
          uid: i,
          pinned: i % 2 === 0,
        },
        1_700_000_000_000 + i,
      );
    }
    store.db.write((tx) => {
      tx.run("UPDATE object SET dead = 1 WHERE n % 7 = 0");
      for (let i = 0; i < 30; i++) {
        tx.run("INSERT OR IGNORE INTO shared_root (id) VALUES (?)", fromHex(`${i % 10}`.repeat(64)));
      }
    });
    const before = dump(store.db);
    store.close();
    store.db.close();
    const good = readFileSync(path);
    const clock = new VirtualClock(1);
    let reported = 0, meant = 0;
    for (let i = 0; i < flips; i++) {
      const at = clock.u32() % good.length, bit = clock.u32() % 8;
      for (const end of ["-wal", "-shm"]) rmSync(path + end, { force: true });
      const bad = Uint8Array.from(good);
      bad[at]! ^= 1 << bit;
      writeFileSync(path, bad);
      if (await isReported(path, root)) reported++;
      else {
        const db = openDatabase(path, { migrations: STORE_MIGRATIONS, synchronous: "FULL" });
        const now = dump(db);
        db.close();
        if (now !== before) assert.fail(`byte ${at} of page ${1 + (at >> 12)}, bit ${bit}: not reported`);
        meant++;
      }
    }
    assert.ok(reported > flips / 3 && meant > 10, `reported ${reported}, meaningless ${meant}`);
    writeFileSync(path, good);
    assert.equal(await isReported(path, root), false);
  });
});

/** Whether it cannot be opened, or fsck says something is wrong. */
async function isReported(path: string, root: string): Promise<boolean> {
  let db: Db;
  try {
    db = openStoreDatabase(path);
  } catch (e) {
    assert.ok(e instanceof Fault && ["corrupt", "refused"].includes(e.kind), String(e));
    return true;
  }
  try {
    const roots = () => [root, ...new Catalog(db).list().map(({ id }) => id)];
    const { database, damaged, missing } = await fsck(new SqliteStore(db), roots, { look: "structure" });
    return database.length + damaged.length + missing.length > 0;
  } finally {
    db.close();
  }
}
