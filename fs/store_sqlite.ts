// store_sqlite: a store whose bytes are in packs, and what of them there is in a SQLite database: content first, pointer
// last. The same promises as in store.ts; no names, no files.
import { dirname, join } from "node:path";
import { bytesEqual, fromHex, pause, sha256, toHex } from "../mq/mod.ts";
import type { Db, Migration, Reader } from "./db.ts";
import { openDatabase } from "./db.ts";
import { fsckBatch } from "./limits.ts";
import { Packs } from "./packs.ts";
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

/** The tables of store.db. What a pack has that no object points to is nothing. */
export const STORE_MIGRATIONS: Migration[] = [{
  version: 1,
  name: "objects in packs, roots, what peers may have",
  sql: `
    CREATE TABLE object (
      n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
      pack INTEGER NOT NULL, at INTEGER NOT NULL, shared INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE shared_root (id BLOB PRIMARY KEY) STRICT;
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

/** A store in a database of {@link openStoreDatabase} and, beside it, the directory `packs`. */
export class SqliteStore implements SharingStore {
  readonly #db: Db;
  readonly #packs: Packs;

  constructor(db: Db) {
    this.#db = db;
    this.#packs = new Packs(join(dirname(db.path), "packs"));
  }

  /** Lets go of the packs; the database is its opener's. */
  close(): void {
    this.#packs.close();
  }

  missing(ids: Id[]): Promise<Id[]> {
    return settle(() => {
      checkIds("store.missing", ids);
      return this.#db.read((r) => ids.filter((id) => rowOf(r, id) === undefined));
    });
  }

  async put(objects: Uint8Array[]): Promise<Id[]> {
    checkObjects(objects);
    const keyed = objects.map((bytes): Keyed => [toHex(sha256(bytes)), bytes]);
    await this.#put(keyed, 0);
    return keyed.map(([id]) => id);
  }

  async putShared(objects: Map<Id, Uint8Array>): Promise<Id[]> {
    checkObjects([...objects.values()]);
    const right = [...objects].filter(([id, bytes]) => idOf(bytes) === id);
    await this.#put(right, 1);
    const kept = new Set(right.map(([id]) => id));
    return [...objects.keys()].filter((id) => !kept.has(id));
  }

  /** Content first, pointer last. Others run meanwhile; who puts the same at the same time may write it twice. */
  async #put(objects: Keyed[], shared: 0 | 1): Promise<void> {
    const isDone = (row: Row | undefined) => row !== undefined && row.shared >= shared;
    const rows = this.#db.read((r) => objects.map(([id]) => rowOf(r, id)));
    if (rows.every(isDone)) return;
    const fresh = [...new Map(objects.filter((_, i) => rows[i] === undefined))];
    const spot = fresh.length > 0 ? await this.#packs.append(fresh.map(([, bytes]) => bytes)) : undefined;
    this.#db.write((tx) => {
      let at = spot?.at ?? 0;
      for (const [id, { length }] of fresh) {
        const sql = "INSERT OR IGNORE INTO object (id, size, pack, at) VALUES (?, ?, ?, ?)";
        tx.run(sql, fromHex(id), length, spot!.pack, at);
        at += length;
      }
      if (shared === 0) return;
      for (const [id] of objects) {
        tx.run("UPDATE object SET shared = 1 WHERE id = ? AND shared = 0", fromHex(id));
      }
    });
  }

  share(root: Id): Promise<void> {
    const isWhole = (r: Reader, id: Id) =>
      r.get("SELECT 1 FROM shared_root WHERE id = ?", fromHex(id)) !== undefined;
    return shareAll(this, {
      isWhole: (id) => this.#db.read((r) => isWhole(r, id)),
      mark: (ids) => {
        const rows = this.#db.read((r) => ids.map((id) => rowOf(r, id)));
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
        return this.#db.read((r) => ids.filter((id) => rowOf(r, id)?.shared === 1));
      }),
    get: (ids, bytesMax) =>
      settle(() => {
        checkIds("store.get", ids);
        return this.#db.read((r) => {
          const rows = ids.map((id) => rowOf(r, id));
          const here = rows.map((row) => row?.shared === 1 ? row : undefined);
          const count = countWithin(here.map((row) => row?.size ?? 0), bytesMax);
          return here.slice(0, count).map((row, i) => {
            if (row === undefined) return undefined;
            const bytes = this.#bytesOf(row);
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
          const row = rowOf(r, id);
          if (row === undefined) throw notFound(id);
          const bytes = this.#bytesOf(row);
          add(bytes);
          verifyObject(id, bytes);
          return bytes;
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
          const row = rowOf(r, id);
          if (row === undefined) break;
          here.push(row);
        }
        if (ids.length > 0 && here.length === 0) throw notFound(ids[0]!);
        const count = countWithin(here.map(({ size }) => size), bytesMax);
        return here.slice(0, count).map((row) => this.#bytesOf(row));
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
        r.all<Row & { id: Uint8Array }>(
          "SELECT n, id, size, pack, at, shared FROM object WHERE n > ? ORDER BY n LIMIT ?",
          last,
          fsckBatch,
        )
      );
      if (rows.length === 0) return report;
      for (const row of rows) {
        report.checked++;
        if (!bytesEqual(sha256(this.#bytesOf(row)), row.id)) report.corrupt.push(toHex(row.id));
        last = row.n;
      }
      await pause();
    }
  }

  /** The bytes of an object; fewer, when they are lost. */
  #bytesOf({ pack, at, size }: Row): Uint8Array {
    return this.#packs.read(pack, at, size);
  }
}

/** An object and its id. */
type Keyed = [id: Id, bytes: Uint8Array];

interface Row {
  n: number;
  size: number;
  pack: number;
  at: number;
  shared: 0 | 1;
}

function rowOf(r: Reader, id: Id): Row | undefined {
  return r.get<Row>("SELECT n, size, pack, at, shared FROM object WHERE id = ?", fromHex(id));
}
