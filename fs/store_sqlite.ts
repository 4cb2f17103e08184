// store_sqlite: a store in a SQLite database, blobs inside. The same promises as in store.ts; no names, no files.
import { bytesEqual, fromHex, pause, sha256, toHex } from "../mq/mod.ts";
import type { Db, Migration, Reader, Tx } from "./db.ts";
import { openDatabase } from "./db.ts";
import { fsckBatch } from "./limits.ts";
import { shareAll } from "./share.ts";
import type { FsckReport, Id, SharedObjects, SharingStore } from "./store.ts";
import {
  answerSize,
  checkIds,
  checkObjects,
  countWithin,
  idOf,
  notFound,
  settle,
  verifyObject,
} from "./store.ts";

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
}, {
  version: 2,
  name: "what peers may have",
  sql: `
    ALTER TABLE object ADD COLUMN shared INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE shared_root (id BLOB PRIMARY KEY) STRICT;`,
}];

/** Opens (creates) the store's database at `path`, for {@link SqliteStore} and the catalog. */
export function openStoreDatabase(path: string): Db {
  return openDatabase(path, { migrations: STORE_MIGRATIONS, synchronous: "FULL", holds: "blobs" });
}

/** A store in a database of {@link openStoreDatabase}. */
export class SqliteStore implements SharingStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  missing(ids: Id[]): Promise<Id[]> {
    return settle(() => {
      checkIds("store.missing", ids);
      return this.#db.read((r) => ids.filter((id) => rowOf(r, fromHex(id)) === undefined));
    });
  }

  put(objects: Uint8Array[]): Promise<Id[]> {
    return settle(() => {
      checkObjects(objects);
      const keyed = objects.map((bytes): Keyed => [sha256(bytes), bytes]);
      this.#put(keyed, 0);
      return keyed.map(([key]) => toHex(key));
    });
  }

  putShared(objects: Map<Id, Uint8Array>): Promise<Id[]> {
    return settle(() => {
      checkObjects([...objects.values()]);
      const wrong: Id[] = [];
      const right: Keyed[] = [];
      for (const [id, bytes] of objects) {
        const key = sha256(bytes);
        if (toHex(key) === id) right.push([key, bytes]);
        else wrong.push(id);
      }
      this.#put(right, 1);
      return wrong;
    });
  }

  #put(objects: Keyed[], shared: 0 | 1): void {
    const isDone = (row: Row | undefined) => row !== undefined && row.shared >= shared;
    if (this.#db.read((r) => objects.every(([key]) => isDone(rowOf(r, key))))) return;
    this.#db.write((tx) => {
      for (const [key, bytes] of objects) {
        const row = rowOf(tx, key);
        if (row === undefined) insert(tx, key, bytes, shared);
        else if (!isDone(row)) tx.run("UPDATE object SET shared = 1 WHERE n = ?", row.n);
      }
    });
  }

  share(root: Id): Promise<void> {
    const isWhole = (r: Reader, id: Id) =>
      r.get("SELECT 1 FROM shared_root WHERE id = ?", fromHex(id)) !== undefined;
    return shareAll(this, {
      isWhole: (id) => this.#db.read((r) => isWhole(r, id)),
      mark: (ids) => {
        const rows = this.#db.read((r) => ids.map((id) => rowOf(r, fromHex(id))));
        const isNew = (row: Row | undefined): row is Row => row?.shared === 0;
        if (rows.some(isNew)) {
          this.#db.write((tx) =>
            rows.filter(isNew).forEach(({ n }) => tx.run("UPDATE object SET shared = 1 WHERE n = ?", n))
          );
        }
        return !rows.includes(undefined);
      },
      remember: (id) =>
        this.#db.write((tx) => void tx.run("INSERT OR IGNORE INTO shared_root (id) VALUES (?)", fromHex(id))),
    }, root);
  }

  readonly shared: SharedObjects = {
    have: (ids) =>
      settle(() => {
        checkIds("store.have", ids);
        return this.#db.read((r) => ids.filter((id) => rowOf(r, fromHex(id))?.shared === 1));
      }),
    get: (ids, bytesMax) =>
      settle(() => {
        checkIds("store.get", ids);
        return this.#db.read((r) => {
          const rows = ids.map((id) => rowOf(r, fromHex(id)));
          const here = rows.map((row) => row?.shared === 1 ? row : undefined);
          const count = countWithin(here.map((row) => row?.size ?? 0), bytesMax);
          return here.slice(0, count).map((row, i) => {
            if (row === undefined) return undefined;
            const bytes = bytesOf(r, row.n);
            return idOf(bytes) === ids[i] ? bytes : undefined;
          });
        });
      }),
  };

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

  /**
   * The objects of the first of `ids` in order, one at least: as many as are here one after the other and at most
   * `bytesMax` bytes together. Not checked: this is for who hashes them himself.
   * @throws {Fault} notFound, when the first is not here
   */
  read(ids: Id[], bytesMax: number): Promise<Uint8Array[]> {
    return settle(() => {
      checkIds("store.read", ids);
      return this.#db.read((r) => {
        const here: Row[] = [];
        for (const id of ids) {
          const row = rowOf(r, fromHex(id));
          if (row === undefined) break;
          here.push(row);
        }
        if (ids.length > 0 && here.length === 0) throw notFound(ids[0]!);
        const count = countWithin(here.map(({ size }) => size), bytesMax);
        return here.slice(0, count).map(({ n }) => bytesOf(r, n));
      });
    });
  }

  /** Removes objects, so that a good copy can be put in their place; that copy is shared again when somebody says so. */
  drop(ids: Id[]): void {
    this.#db.write((tx) => {
      for (const id of ids) tx.run("DELETE FROM object WHERE id = ?", fromHex(id));
      tx.run("DELETE FROM shared_root");
    });
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

/** An object and its SHA-256. */
type Keyed = [key: Uint8Array, bytes: Uint8Array];

interface Row {
  n: number;
  size: number;
  shared: 0 | 1;
}

function rowOf(r: Reader, key: Uint8Array): Row | undefined {
  return r.get<Row>("SELECT n, size, shared FROM object WHERE id = ?", key);
}

/** The bytes of an object; none, when its blob is lost. */
function bytesOf(r: Reader, n: number): Uint8Array {
  const row = r.get<{ bytes: Uint8Array }>("SELECT bytes FROM blob WHERE n = ?", n);
  return row?.bytes ?? new Uint8Array(0);
}

function insert(tx: Tx, key: Uint8Array, bytes: Uint8Array, shared: 0 | 1): void {
  const sql = "INSERT INTO object (id, size, shared) VALUES (?, ?, ?)";
  const { lastInsertRowid: n } = tx.run(sql, key, bytes.length, shared);
  tx.run("INSERT INTO blob (n, bytes) VALUES (?, ?)", n, bytes);
}
