// store: objects by the SHA-256 of their bytes, in memory or in SQLite. It knows no files, no names and no peers.
import { bytesEqual, Fault, fromHex, pause, sha256, toHex } from "../mq/mod.ts";
import type { Db, Migration, Reader } from "./db.ts";
import { openDatabase } from "./db.ts";
import { batchBytesMax, batchIdsMax, fsckBatch, objectBytesMax } from "./limits.ts";

/** The name of an object: SHA-256 of its bytes as 64 lowercase hex digits. */
export type Id = string;

/** Whether `text` is written like an {@link Id}. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** The id of `bytes`. */
export function idOf(bytes: Uint8Array): Id {
  return toHex(sha256(bytes));
}

/**
 * Objects by id. In batches, because it is also spoken across a process seam: at most `batchIdsMax` ids a call,
 * `objectBytesMax` an object, `batchBytesMax` a call or an answer; more is a usage fault.
 */
export interface Store {
  /** Those of `ids` that are not here, in the same order. */
  missing(ids: Id[]): Promise<Id[]>;
  /** Keeps all objects or none, durable when it returns; gives their ids in order. What is here already writes nothing. */
  put(objects: Uint8Array[]): Promise<Id[]>;
  /**
   * The objects of `ids` in the same order, each checked against its id.
   * @throws {Fault} notFound or corrupt, naming the id
   */
  get(ids: Id[]): Promise<Uint8Array[]>;
}

/** What a full look at every object found. */
export interface FsckReport {
  checked: number;
  corrupt: Id[];
}

/** Returns when `bytes` are the object `id`; for every store, and for whoever has objects from somewhere else. */
export function verifyObject(id: Id, bytes: Uint8Array): void {
  if (idOf(bytes) === id) return;
  throw new Fault("store.get", "corrupt", `object ${id} does not match its hash`, { hint: "isconf fsck" });
}

function notFound(id: Id): Fault {
  return new Fault("store.get", "notFound", `object ${id} is not here`, { hint: "isconf status" });
}

function tooMuch(op: string, message: string): Fault {
  return new Fault(op, "usage", message, { hint: "isconf doctor" });
}

function checkIds(op: string, ids: Id[]): void {
  if (ids.length > batchIdsMax) throw tooMuch(op, `${ids.length} ids in one call, at most ${batchIdsMax}`);
  const bad = ids.find((id) => !isId(id));
  if (bad !== undefined) throw tooMuch(op, `not an id: ${JSON.stringify(bad)}`);
}

function checkObjects(objects: Uint8Array[]): void {
  if (objects.length > batchIdsMax) {
    throw tooMuch("store.put", `more than ${batchIdsMax} objects in one call`);
  }
  let bytes = 0;
  for (const object of objects) {
    bytes += object.length;
    if (object.length > objectBytesMax) {
      throw tooMuch("store.put", `an object of ${object.length} bytes, at most ${objectBytesMax}`);
    }
  }
  if (bytes > batchBytesMax) {
    throw tooMuch("store.put", `${bytes} bytes in one call, at most ${batchBytesMax}`);
  }
}

/** Adds up an answer of `get` and refuses to let it grow beyond a batch. */
function answerSize(): (bytes: Uint8Array) => void {
  let sum = 0;
  return (bytes) => {
    sum += bytes.length;
    if (sum > batchBytesMax) {
      throw tooMuch("store.get", `an answer of more than ${batchBytesMax} bytes: ask for fewer`);
    }
  };
}

/** A store in memory, for tests and for work that needs no disk. */
export class MemoryStore implements Store {
  readonly objects = new Map<Id, Uint8Array>();

  missing(ids: Id[]): Promise<Id[]> {
    return settle(() => {
      checkIds("store.missing", ids);
      return ids.filter((id) => !this.objects.has(id));
    });
  }

  put(objects: Uint8Array[]): Promise<Id[]> {
    return settle(() => {
      checkObjects(objects);
      return objects.map((bytes) => {
        const id = idOf(bytes);
        if (!this.objects.has(id)) this.objects.set(id, new Uint8Array(bytes));
        return id;
      });
    });
  }

  get(ids: Id[]): Promise<Uint8Array[]> {
    return settle(() => {
      checkIds("store.get", ids);
      const add = answerSize();
      return ids.map((id) => {
        const bytes = this.objects.get(id);
        if (bytes === undefined) throw notFound(id);
        add(bytes);
        verifyObject(id, bytes);
        return new Uint8Array(bytes);
      });
    });
  }

  /** Removes objects, so that a good copy can be put in their place. */
  drop(ids: Id[]): void {
    for (const id of ids) this.objects.delete(id);
  }

  /** Hashes every object. */
  fsck(): Promise<FsckReport> {
    const corrupt = [...this.objects].filter(([id, bytes]) => idOf(bytes) !== id).map(([id]) => id);
    return Promise.resolve({ checked: this.objects.size, corrupt });
  }
}

/** A value or a throw as a promise, without an async function around work that does not wait. */
function settle<T>(fn: () => T): Promise<T> {
  try {
    return Promise.resolve(fn());
  } catch (e) {
    return Promise.reject(e);
  }
}

/** The tables of store.db. Blobs stand alone, so that looking for an id never walks over their pages. */
export const STORE_MIGRATIONS: Migration[] = [{
  version: 1,
  name: "objects and roots",
  sql: `
    CREATE TABLE object (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL) STRICT;
    CREATE TABLE blob (n INTEGER PRIMARY KEY REFERENCES object (n) ON DELETE CASCADE, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE root (
      n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, kind TEXT NOT NULL, size INTEGER NOT NULL,
      sha256 BLOB, label TEXT NOT NULL, at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX root_id ON root (id);
    CREATE INDEX root_sha256 ON root (sha256);
    CREATE INDEX root_label ON root (label);`,
}];

/** Opens (creates) the store's database at `path`, for {@link SqliteStore} and the catalog. */
export function openStoreDatabase(path: string): Db {
  return openDatabase(path, { migrations: STORE_MIGRATIONS, synchronous: "FULL" });
}

/** A store in a database of {@link openStoreDatabase}. */
export class SqliteStore implements Store {
  #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  missing(ids: Id[]): Promise<Id[]> {
    return settle(() => {
      checkIds("store.missing", ids);
      return this.#db.read((r) => ids.filter((id) => numberOf(r, fromHex(id)) === undefined));
    });
  }

  put(objects: Uint8Array[]): Promise<Id[]> {
    return settle(() => {
      checkObjects(objects);
      const keys = objects.map((bytes) => sha256(bytes));
      const isNew = (r: Reader, key: Uint8Array) => numberOf(r, key) === undefined;
      if (this.#db.read((r) => keys.some((key) => isNew(r, key)))) {
        this.#db.write((tx) => {
          for (const [i, key] of keys.entries()) {
            if (!isNew(tx, key)) continue;
            const bytes = objects[i]!;
            const { lastInsertRowid: n } = tx.run(
              "INSERT INTO object (id, size) VALUES (?, ?)",
              key,
              bytes.length,
            );
            tx.run("INSERT INTO blob (n, bytes) VALUES (?, ?)", n, bytes);
          }
        });
      }
      return keys.map(toHex);
    });
  }

  get(ids: Id[]): Promise<Uint8Array[]> {
    return settle(() => {
      checkIds("store.get", ids);
      const add = answerSize();
      return this.#db.read((r) =>
        ids.map((id) => {
          const row = r.get<{ bytes: Uint8Array }>(
            "SELECT bytes FROM object JOIN blob USING (n) WHERE id = ?",
            fromHex(id),
          );
          if (row === undefined) throw notFound(id);
          add(row.bytes);
          verifyObject(id, row.bytes);
          return row.bytes;
        })
      );
    });
  }

  /** Removes objects, so that a good copy can be put in their place. */
  drop(ids: Id[]): void {
    this.#db.write((tx) => ids.forEach((id) => tx.run("DELETE FROM object WHERE id = ?", fromHex(id))));
  }

  /** Hashes every object, letting others run in between. */
  async fsck(): Promise<FsckReport> {
    const report: FsckReport = { checked: 0, corrupt: [] };
    let last = 0;
    for (;;) {
      const rows = this.#db.read((r) =>
        r.all<{ n: number; id: Uint8Array; bytes: Uint8Array | null }>(
          "SELECT n, id, bytes FROM object LEFT JOIN blob USING (n) WHERE n > ? ORDER BY n LIMIT ?",
          last,
          fsckBatch,
        )
      );
      if (rows.length === 0) return report;
      for (const { n, id, bytes } of rows) {
        report.checked++;
        if (bytes === null || !bytesEqual(sha256(bytes), id)) report.corrupt.push(toHex(id));
        last = n;
      }
      await pause();
    }
  }
}

function numberOf(r: Reader, id: Uint8Array): number | undefined {
  return r.get<{ n: number }>("SELECT n FROM object WHERE id = ?", id)?.n;
}
