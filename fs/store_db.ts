// store_db: store.db, the database beside the packs: its tables, what in their rows says whether they are what was
// written, and how it is opened. What the rows mean, store_sqlite.ts and catalog.ts know.
import { existsSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../mq/mod.ts";
import type { Db, Migration } from "./db.ts";
import { openDatabase } from "./db.ts";
import { lockStore } from "./holds.ts";
import { syncDirectory } from "./packs.ts";

/** A prime, and for each checked column of an object another: no flipped bit of one leaves the sum as it was. */
const PRIME = 2_147_483_647;
const FACTORS = Object.entries({
  n: 67_108_859,
  size: 67_108_837,
  codec: 67_108_819,
  stored: 67_108_777,
  pack: 67_108_763,
  at: 67_108_757,
  shared: 67_108_753,
  dead: 67_108_747,
});

/** What the column `sum` of an object has to be, in SQL. Its id is not in it: index and record have that too. */
export const objectSum = `(${
  FACTORS.map(([column, factor]) => `(${column} % ${PRIME}) * ${factor}`).join(" + ")
}) % ${PRIME}`;

/** The same of the columns n, size, codec, stored, pack, at, shared and dead, where no SQL can be asked. */
export function objectSumOf(columns: number[]): number {
  const sum = FACTORS.reduce((sum, [, factor], i) => sum + BigInt(columns[i]! % PRIME) * BigInt(factor), 0n);
  return Number(sum % BigInt(PRIME));
}

/** The same of the row of `gc`. */
export const turnSum = `((turn % ${PRIME}) * 67108859 + (drops % ${PRIME}) * 67108837) % ${PRIME}`;

/** The tables of store.db. What a pack has that no object points to is nothing. */
export const STORE_MIGRATIONS: Migration[] = [{
  version: 1,
  name: "objects in packs, roots, what peers may have, what gc has marked",
  sql: `
    CREATE TABLE object (
      n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, codec INTEGER NOT NULL,
      stored INTEGER NOT NULL, pack INTEGER NOT NULL, at INTEGER NOT NULL,
      shared INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,
      sum INTEGER NOT NULL GENERATED ALWAYS AS (${objectSum}) STORED
    ) STRICT;
    CREATE INDEX object_place ON object (pack, at);
    CREATE INDEX object_dead ON object (dead) WHERE dead = 1;
    CREATE TABLE gc (
      turn INTEGER NOT NULL, drops INTEGER NOT NULL,
      sum INTEGER NOT NULL GENERATED ALWAYS AS (${turnSum}) STORED
    ) STRICT;
    INSERT INTO gc (turn, drops) VALUES (1, 0);
    CREATE TABLE shared_root (id BLOB PRIMARY KEY) STRICT;
    CREATE TABLE root (
      n INTEGER PRIMARY KEY, id BLOB NOT NULL, kind TEXT NOT NULL, size INTEGER NOT NULL,
      sha256 BLOB, label TEXT NOT NULL, uid INTEGER NOT NULL,
      pinned INTEGER NOT NULL, at_ms INTEGER NOT NULL, sum BLOB NOT NULL
    ) STRICT;
    CREATE INDEX root_id ON root (id);
    CREATE INDEX root_sha256 ON root (sha256);
    CREATE INDEX root_label ON root (label);`,
}];

/**
 * Opens (creates) the store's database at `path`, for `SqliteStore` and the catalog. A rebuild that was killed when only
 * the names were left to be changed is finished first.
 * @throws {Fault} what `openDatabase` throws; refused, when a rebuild is being finished by somebody else
 */
export function openStoreDatabase(path: string): Db {
  if (existsSync(rebuiltPath(path))) {
    const lock = lockStore(dirname(path), "db.open");
    try {
      finishRebuild(path);
    } finally {
      lock.release();
    }
  }
  return openDatabase(path, { migrations: STORE_MIGRATIONS, synchronous: "FULL" });
}

/** A whole new database has this name, until the old one has made way. */
export function rebuiltPath(path: string): string {
  return `${path}.rebuilt`;
}

/** The old one is kept under this name. */
export function damagedPath(path: string): string {
  return `${path}.damaged`;
}

/**
 * Puts the rebuilt database in the place of the old one, if there is one. Broken off anywhere, the next call goes on: the
 * old log must be away before the new database has the name to which it belongs. Its caller has locked the store.
 */
export function finishRebuild(path: string): void {
  if (!existsSync(rebuiltPath(path))) return;
  try {
    for (const end of ["-wal", ""]) {
      if (existsSync(path + end)) renameSync(path + end, damagedPath(path) + end);
    }
    rmSync(`${path}-shm`, { force: true });
    rmSync(`${damagedPath(path)}-shm`, { force: true });
    syncDirectory(dirname(path));
    renameSync(rebuiltPath(path), path);
    syncDirectory(dirname(path));
  } catch (e) {
    throw Fault.from("rebuild", e);
  }
}
