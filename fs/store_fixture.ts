// Stores on a disk for the tests, and damage to them. Not a test by itself.
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Id } from "./store.ts";
import { openStoreDatabase, rowOf, SqliteStore } from "./store_sqlite.ts";

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
