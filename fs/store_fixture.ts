// Stores on a disk for the tests, and damage to them. Not a test by itself.
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { VirtualClock } from "../mq/mod.ts";
import { fixedCutter } from "./cutter.ts";
import type { Db } from "./db.ts";
import { putFile } from "./manifest.ts";
import { objectsOf } from "./objects.ts";
import type { Id, Store } from "./store.ts";
import { openStoreDatabase } from "./store_db.ts";
import { rowOf, SqliteStore } from "./store_sqlite.ts";

/** Calls `fn` with a new store in a directory that is removed afterwards. */
export async function withStore(
  fn: (store: SqliteStore, dir: string) => Promise<void>,
  options: { compress?: boolean } = {},
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "isconf-store-"));
  const store = new SqliteStore(openStoreDatabase(join(dir, "store.db")), options);
  try {
    await fn(store, dir);
  } finally {
    store.close();
    store.db.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Flips a bit of the first byte that a store keeps of an object. */
export function flipObject(store: SqliteStore, id: Id): void {
  const { pack, at } = store.db.read((r) => rowOf(r, id))!;
  flipByte(join(dirname(store.db.path), `packs/${pack}.pack`), at);
}

/** Flips a bit of the byte at `at`. */
export function flipByte(file: string, at: number): void {
  const fd = openSync(file, "r+");
  const byte = new Uint8Array(1);
  readSync(fd, byte, 0, 1, at);
  writeSync(fd, Uint8Array.of(byte[0]! ^ 1), 0, 1, at);
  closeSync(fd);
}

/** `length` bytes that nothing makes shorter, the same for the same seed. */
export function noise(seed: number, length: number): Uint8Array {
  const clock = new VirtualClock(seed);
  return new Uint8Array(
    Uint32Array.from({ length: Math.ceil(length / 4) }, () => clock.u32()).buffer,
    0,
    length,
  );
}

/** Puts a file of `bytes` in chunks of `chunkBytes`; its root. */
export async function putNoise(store: Store, bytes: Uint8Array, chunkBytes = 4096): Promise<Id> {
  async function* source() {
    yield await Promise.resolve(bytes);
  }
  return (await putFile(store, source(), fixedCutter(chunkBytes))).id;
}

/** All ids that some roots need, sorted. */
export async function idsOf(store: Store, ...roots: Id[]): Promise<Id[]> {
  const ids = new Set<Id>();
  for (const root of roots) for await (const id of objectsOf(store, root)) ids.add(id);
  return [...ids].sort();
}

/** All ids that a store has, sorted. */
export function idsIn(store: SqliteStore): Id[] {
  const rows = store.db.read((r) =>
    r.all<{ id: string }>("SELECT lower(hex(id)) AS id FROM object ORDER BY 1")
  );
  return rows.map(({ id }) => id);
}

/** How many bytes of disk the packs of a store take, and their numbers. */
export function roomOf(dir: string): { bytes: number; packs: number[] } {
  const names = readdirSync(join(dir, "packs"));
  const bytes = names.reduce((sum, name) => sum + statSync(join(dir, "packs", name)).blocks * 512, 0);
  return { bytes, packs: names.map((name) => parseInt(name)).sort((a, b) => a - b) };
}

/** The same database, that calls `before` before each read and write. */
export function hooked(db: Db, before: (what: "read" | "write") => void): Db {
  const own = {
    read: (fn: Parameters<Db["read"]>[0]) => {
      before("read");
      return db.read(fn);
    },
    write: (fn: Parameters<Db["write"]>[0]) => {
      before("write");
      return db.write(fn);
    },
  };
  return Object.assign(Object.create(db), own) as Db;
}
