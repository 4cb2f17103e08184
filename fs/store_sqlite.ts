// store_sqlite: a store whose bytes are in packs, and what of them there is in a SQLite database: content first, pointer
// last. The same promises as in store.ts; no names, no files.
import { dirname, join } from "node:path";
import { fromHex } from "../mq/mod.ts";
import { compressed, decompressed } from "./compress.ts";
import type { Db, Migration, Reader, Tx } from "./db.ts";
import { openDatabase } from "./db.ts";
import { Holds } from "./holds.ts";
import { Packs, type Spot } from "./packs.ts";
import { CODEC, type Codec, type RecordHead, recordHeadBytes, writeHead } from "./record.ts";
import { shareAll } from "./share.ts";
import type { Id, SharedObjects, SharingStore } from "./store.ts";
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
  name: "objects in packs, roots, what peers may have, what gc has marked",
  sql: `
    CREATE TABLE object (
      n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, codec INTEGER NOT NULL,
      stored INTEGER NOT NULL, pack INTEGER NOT NULL, at INTEGER NOT NULL,
      shared INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX object_dead ON object (dead) WHERE dead = 1;
    CREATE TABLE gc (turn INTEGER NOT NULL, drops INTEGER NOT NULL) STRICT;
    INSERT INTO gc (turn, drops) VALUES (1, 0);
    CREATE TABLE shared_root (id BLOB PRIMARY KEY) STRICT;
    CREATE TABLE root (
      n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, kind TEXT NOT NULL, size INTEGER NOT NULL,
      sha256 BLOB, label TEXT NOT NULL, at_ms INTEGER NOT NULL,
      uid INTEGER NOT NULL, pinned INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX root_id ON root (id);
    CREATE INDEX root_sha256 ON root (sha256);
    CREATE INDEX root_label ON root (label);`,
}];

/** Opens (creates) the store's database at `path`, for {@link SqliteStore} and the catalog. */
export function openStoreDatabase(path: string): Db {
  return openDatabase(path, { migrations: STORE_MIGRATIONS, synchronous: "FULL" });
}

/** A store in a database of {@link openStoreDatabase} and, beside it, the directories `packs` and `holds`. */
export class SqliteStore implements SharingStore {
  readonly db: Db;
  readonly packs: Packs;
  readonly holds: Holds;
  readonly #compresses: boolean;

  /** With `compress`, what is put is kept compressed where that saves room. */
  constructor(db: Db, options: { compress?: boolean } = {}) {
    this.db = db;
    this.packs = new Packs(join(dirname(db.path), "packs"));
    this.holds = new Holds(db, join(dirname(db.path), "holds"));
    this.#compresses = options.compress ?? false;
  }

  /** Lets go of the packs; the database is its opener's. */
  close(): void {
    this.packs.close();
  }

  missing(ids: Id[]): Promise<Id[]> {
    return settle(() => {
      checkIds("store.missing", ids);
      const rows = this.db.read((r) => ids.map((id) => rowOf(r, id)));
      this.#revive(rows);
      return ids.filter((_, i) => rows[i] === undefined);
    });
  }

  async put(objects: Uint8Array[]): Promise<Id[]> {
    checkObjects(objects);
    const keyed = objects.map((bytes): Keyed => [idOf(bytes), bytes]);
    await this.putKeyed(keyed);
    return keyed.map(([id]) => id);
  }

  async putShared(objects: Map<Id, Uint8Array>): Promise<Id[]> {
    checkObjects([...objects.values()]);
    const right = [...objects].filter(([id, bytes]) => idOf(bytes) === id);
    await this.putKeyed(right, 1);
    const kept = new Set(right.map(([id]) => id));
    return [...objects.keys()].filter((id) => !kept.has(id));
  }

  /**
   * The same as `put` for who has hashed the objects himself. Content first, pointer last. Others run meanwhile; who puts
   * the same at the same time may write it twice.
   */
  async putKeyed(objects: Keyed[], shared: 0 | 1 = 0): Promise<void> {
    const rows = this.db.read((r) => objects.map(([id]) => rowOf(r, id)));
    if (rows.every((row) => row !== undefined && row.dead === 0 && row.shared >= shared)) return;
    const fresh = [...new Map(objects.filter((_, i) => rows[i] === undefined))];
    const records = await Promise.all(fresh.map((object) => this.#record(object)));
    const others = objects.filter((_, i) => rows[i] !== undefined).map(([id]) => id);
    const point = (spot?: Spot) =>
      this.db.write((tx) => {
        const isThere = (id: Id) =>
          tx.run("UPDATE object SET dead = 0, shared = max(shared, ?) WHERE id = ?", shared, fromHex(id))
            .changes > 0;
        let at = spot?.at ?? 0;
        for (const { head: { id, size, codec, stored }, bytes } of records) {
          at += recordHeadBytes;
          const { changes } = tx.run(INSERT, fromHex(id), size, codec, stored, spot!.pack, at, shared);
          if (changes === 0) isThere(id); // somebody else was faster
          at += bytes.length;
        }
        const gone = new Set(others.filter((id) => !isThere(id)));
        return objects.filter(([id]) => gone.has(id));
      });
    const gone = records.length === 0
      ? point()
      : await this.packs.append(records.flatMap(({ header, bytes }) => [header, bytes]), point);
    if (gone.length > 0) await this.putKeyed(gone, shared);
  }

  async #record([id, bytes]: Keyed): Promise<Record> {
    const small = this.#compresses ? await compressed(bytes) : undefined;
    const stored = small ?? bytes;
    const head = {
      codec: small === undefined ? CODEC.raw : CODEC.zstd,
      stored: stored.length,
      size: bytes.length,
      id,
    };
    const header = new Uint8Array(recordHeadBytes);
    writeHead(head, header);
    return { head, header, bytes: stored };
  }

  /** Objects that gc has marked and that somebody counts on again. */
  #revive(rows: (Row | undefined)[]): void {
    const dead = rows.filter((row) => row?.dead === 1) as Row[];
    if (dead.length === 0) return;
    this.db.write((tx) => dead.forEach(({ n }) => tx.run("UPDATE object SET dead = 0 WHERE n = ?", n)));
  }

  /** Whether everything that `root` reaches was here and shared when somebody last looked, and nothing was dropped since. */
  isWhole(root: Id): boolean {
    const sql = "SELECT 1 FROM shared_root WHERE id = ?";
    return this.db.read((r) => r.get(sql, fromHex(root))) !== undefined;
  }

  share(root: Id): Promise<void> {
    return shareAll(this, {
      isWhole: (id) => this.isWhole(id),
      mark: (ids) => {
        const rows = this.db.read((r) => ids.map((id) => rowOf(r, id)));
        const isNew = (row: Row | undefined): row is Row => row?.shared === 0;
        if (rows.some(isNew)) {
          this.db.write((tx) =>
            rows.filter(isNew).forEach(({ n }) => tx.run("UPDATE object SET shared = 1 WHERE n = ?", n))
          );
        }
        return !rows.includes(undefined);
      },
      drops: () => this.db.read((r) => r.get<{ drops: number }>("SELECT drops FROM gc")!.drops),
      remember: (id, drops) => {
        const sql = "INSERT OR IGNORE INTO shared_root (id) SELECT ? FROM gc WHERE drops = ?";
        this.db.write((tx) => void tx.run(sql, fromHex(id), drops));
      },
    }, root);
  }

  readonly shared: SharedObjects = {
    have: (ids) =>
      settle(() => {
        checkIds("store.have", ids);
        return this.db.read((r) => ids.filter((id) => rowOf(r, id)?.shared === 1));
      }),
    get: (ids, bytesMax) =>
      settle(() => {
        checkIds("store.get", ids);
        return this.db.read((r) => {
          const rows = ids.map((id) => rowOf(r, id));
          const here = rows.map((row) => row?.shared === 1 ? row : undefined);
          const count = countWithin(here.map((row) => row?.size ?? 0), bytesMax);
          return here.slice(0, count).map((row, i) => {
            if (row === undefined) return undefined;
            const bytes = this.#bytesOf([row])[0]!;
            return idOf(bytes) === ids[i] ? bytes : undefined;
          });
        });
      }),
  };

  get(ids: Id[]): Promise<Uint8Array[]> {
    return settle(() => {
      checkIds("store.get", ids);
      const add = answerSize();
      return this.db.read((r) => {
        const rows = ids.map((id) => this.#needRow(r, id));
        rows.forEach(({ size }) => add(size));
        return this.#bytesOf(rows).map((bytes, i) => {
          verifyObject(ids[i]!, bytes);
          return bytes;
        });
      });
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
      return this.db.read((r) => {
        const here: Row[] = [];
        for (const id of ids) {
          const row = rowOf(r, id);
          if (row === undefined) break;
          here.push(row);
        }
        if (ids.length > 0 && here.length === 0) throw notFound(ids[0]!);
        const count = countWithin(here.map(({ size }) => size), bytesMax);
        return this.#bytesOf(here.slice(0, count));
      });
    });
  }

  /** Removes objects, so that a good copy can be put in their place; that copy is shared again when somebody says so. */
  drop(ids: Id[]): void {
    this.db.write((tx) => {
      for (const id of ids) tx.run("DELETE FROM object WHERE id = ?", fromHex(id));
      forgetWhole(tx);
    });
  }

  #needRow(r: Reader, id: Id): Row {
    const row = rowOf(r, id);
    if (row === undefined) throw notFound(id);
    return row;
  }

  /** The bytes of objects; fewer, or none, when they are lost. Neighbours in a pack are read together. */
  #bytesOf(rows: Row[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (let i = 0; i < rows.length;) {
      const first = rows[i]!;
      let end = first.at + first.stored, k = i + 1;
      while (k < rows.length && rows[k]!.pack === first.pack && rows[k]!.at === end + recordHeadBytes) {
        end = rows[k]!.at + rows[k]!.stored;
        k++;
      }
      const bytes = this.packs.read(first.pack, first.at, end - first.at);
      for (; i < k; i++) out.push(unpacked(rows[i]!, bytes.subarray(rows[i]!.at - first.at)));
    }
    return out;
  }
}

/** Something was dropped: no root is known to be whole any more, also not by who is just finding out. */
export function forgetWhole(tx: Tx): void {
  tx.run("DELETE FROM shared_root");
  tx.run("UPDATE gc SET drops = drops + 1");
}

/** What stands in a pack as the object that it is. */
export function unpacked(
  { codec, size, stored }: Pick<Row, "codec" | "size" | "stored">,
  bytes: Uint8Array,
): Uint8Array {
  const own = bytes.subarray(0, stored);
  if (codec === CODEC.raw) return own;
  return decompressed(own, size) ?? own.subarray(0, 0);
}

/** An object and its id. */
export type Keyed = [id: Id, bytes: Uint8Array];

interface Record {
  head: RecordHead;
  header: Uint8Array;
  bytes: Uint8Array;
}

/** Where an object is. */
export interface Row {
  n: number;
  size: number;
  codec: Codec;
  stored: number;
  pack: number;
  at: number;
  shared: 0 | 1;
  dead: 0 | 1;
}

const INSERT =
  "INSERT OR IGNORE INTO object (id, size, codec, stored, pack, at, shared) VALUES (?, ?, ?, ?, ?, ?, ?)";

export function rowOf(r: Reader, id: Id): Row | undefined {
  return r.get<Row>(
    "SELECT n, size, codec, stored, pack, at, shared, dead FROM object WHERE id = ?",
    fromHex(id),
  );
}
