// store_sqlite: a store whose bytes are in packs, and what of them there is in a SQLite database: content first, pointer
// last. The same promises as in store.ts; no names, no files.
import { dirname, join } from "node:path";
import { fromHex } from "../mq/mod.ts";
import { compressed, decompressed } from "./compress.ts";
import type { Db, Reader, Tx } from "./db.ts";
import { Holds } from "./holds.ts";
import { objectBytesMax, readRoomBytes } from "./limits.ts";
import { Packs, type Spot } from "./packs.ts";
import { CODEC, type Codec, type RecordHead, recordHeadBytes, writeHead } from "./record.ts";
import { shareAll } from "./share.ts";
import type { Id, Keyed, SharedObjects, SharingStore, Store } from "./store.ts";
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

/** A store in a database of `openStoreDatabase` and, beside it, the directories `packs` and `holds`. */
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
      const look = (r: Reader) => ids.map((id) => rowOf(r, id));
      let rows = this.db.read(look);
      // What gc has marked may be dropped until we write: it is looked for again then.
      if (rows.some(isMarked)) {
        rows = this.db.write((tx) => {
          const now = look(tx);
          for (const row of now.filter(isMarked)) tx.run("UPDATE object SET dead = 0 WHERE n = ?", row.n);
          return now;
        });
      }
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
   * the same at the same time may write it twice. `met` hears the number of each, in no order, when it is there. `written` is
   * called when the bytes of the objects are needed no more, which may be before they are durable, or never before the end.
   */
  async putKeyed(
    objects: Keyed[],
    shared: 0 | 1 = 0,
    met: ((n: number) => void) | undefined = undefined,
    written: () => void = () => {},
  ): Promise<void> {
    const rows = this.db.read((r) => objects.map(([id]) => rowOf(r, id)));
    if (rows.every((row) => row !== undefined && row.dead === 0 && row.shared >= shared)) {
      if (met !== undefined) rows.forEach((row) => met(row!.n));
      return;
    }
    const fresh = [...new Map(objects.filter((_, i) => rows[i] === undefined))];
    const records = await Promise.all(fresh.map((object) => this.#record(object)));
    const others = objects.filter((_, i) => rows[i] !== undefined).map(([id]) => id);
    const there: number[] = [];
    const point = (spot?: Spot) =>
      this.db.write((tx) => {
        const isThere = (id: Id) => {
          const sql = "UPDATE object SET dead = 0, shared = max(shared, ?) WHERE id = ? RETURNING n";
          const row = tx.get<{ n: number }>(sql, shared, fromHex(id));
          if (row !== undefined) there.push(row.n);
          return row !== undefined;
        };
        let at = spot?.at ?? 0;
        for (const { head: { id, size, codec, stored }, bytes } of records) {
          at += recordHeadBytes;
          const { changes, lastInsertRowid } = tx.run(
            INSERT,
            fromHex(id),
            size,
            codec,
            stored,
            spot!.pack,
            at,
            shared,
          );
          if (changes === 0) isThere(id); // somebody else was faster
          else there.push(lastInsertRowid);
          at += bytes.length;
        }
        const gone = new Set(others.filter((id) => !isThere(id)));
        return objects.filter(([id]) => gone.has(id));
      });
    const gone = records.length === 0 ? point() : await this.packs.append(
      records.flatMap(({ header, bytes }) => [header, bytes]),
      point,
      others.length === 0 ? written : undefined, // what was here may be gone when we speak of it: then it is written anew
    );
    if (met !== undefined) there.forEach(met);
    if (gone.length > 0) await this.putKeyed(gone, shared, met);
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

  /** Meanwhile gc drops nothing of it, so that what is said to be whole is. */
  async share(root: Id): Promise<void> {
    if (this.isWhole(root)) return;
    const hold = await this.holds.hold();
    try {
      await this.#share(root);
    } finally {
      hold.release();
    }
  }

  /** Whether everything that `root` reaches was here and shared when somebody last looked, and nothing was dropped since. */
  isWhole(root: Id): boolean {
    const sql = "SELECT 1 FROM shared_root WHERE id = ?";
    return this.db.read((r) => r.get(sql, fromHex(root))) !== undefined;
  }

  #share(root: Id): Promise<void> {
    return shareAll(this, {
      isWhole: (id) => this.isWhole(id),
      mark: (ids) => {
        const look = (r: Reader) => ids.map((id) => rowOf(r, id));
        const isNew = (row: Row | undefined): row is Row => row?.shared === 0 || row?.dead === 1;
        let rows = this.db.read(look);
        if (rows.some(isNew)) {
          rows = this.db.write((tx) => {
            const now = look(tx);
            for (const { n } of now.filter(isNew)) {
              tx.run("UPDATE object SET shared = 1, dead = 0 WHERE n = ?", n);
            }
            return now;
          });
        }
        return !rows.includes(undefined);
      },
      drops: () => this.drops(),
      remember: (id, drops) => this.remember(id, drops),
    }, root);
  }

  /** How often something was dropped. */
  drops(): number {
    return this.db.read((r) => r.get<{ drops: number }>("SELECT drops FROM gc")!.drops);
  }

  /** Says that everything that `root` reaches is here and shared; nothing, when something was dropped since `drops`. */
  remember(root: Id, drops: number): void {
    const sql = "INSERT OR IGNORE INTO shared_root (id) SELECT ? FROM gc WHERE drops = ?";
    this.db.write((tx) => void tx.run(sql, fromHex(root), drops));
  }

  /** Shares the objects of these rows, for who has put them (kept.ts). */
  shareRows(first: number, last: number): void {
    const sql = "UPDATE object SET shared = 1, dead = 0 WHERE n BETWEEN ? AND ? AND (shared = 0 OR dead = 1)";
    this.db.write((tx) => void tx.run(sql, first, last));
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
    return settle(() => this.#get(ids));
  }

  /**
   * The same store for who reads one batch after the other, at most `windowBytes` each: what a `get` gives is gone with
   * the second one after it, because they use the same memory in turn.
   */
  reading(): Pick<Store, "get"> {
    const rooms = [new Uint8Array(readRoomBytes), new Uint8Array(readRoomBytes)] as const;
    let turn = 0;
    return { get: (ids) => settle(() => this.#get(ids, rooms[turn ^= 1])) };
  }

  #get(ids: Id[], room?: Uint8Array): Uint8Array[] {
    checkIds("store.get", ids);
    for (;;) {
      const { rows, objects } = this.db.read((r) => {
        const rows = ids.map((id) => this.#needRow(r, id));
        const add = answerSize();
        rows.forEach(({ size }) => add(size));
        return { rows, objects: this.#bytesOf(rows, room) };
      });
      const bad = objects.findIndex((bytes, i) => idOf(bytes) !== ids[i]);
      if (bad < 0) return objects;
      // Damaged, unless it was dropped, and its room given to others, while we read.
      const now = this.db.read((r) => this.#needRow(r, ids[bad]!));
      if (isSamePlace(now, rows[bad]!)) verifyObject(ids[bad]!, objects[bad]!);
    }
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

  /** The bytes of objects, in `room` as far as they fit; fewer, or none, when they are lost. Neighbours are read together. */
  #bytesOf(rows: Row[], room: Uint8Array = new Uint8Array(0)): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (let i = 0; i < rows.length;) {
      const first = rows[i]!;
      if (!isPlausible(first)) {
        out.push(new Uint8Array(0));
        i++;
        continue;
      }
      let end = first.at + first.stored, k = i + 1;
      while (
        k < rows.length && rows[k]!.pack === first.pack && rows[k]!.at === end + recordHeadBytes &&
        isPlausible(rows[k]!)
      ) {
        end = rows[k]!.at + rows[k]!.stored;
        k++;
      }
      const length = end - first.at;
      const bytes = length <= room.length
        ? this.packs.readInto(first.pack, first.at, room.subarray(0, length))
        : this.packs.read(first.pack, first.at, length);
      room = room.subarray(length);
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

/** Whether a row can be true at all: of one that cannot be, nothing is read. */
export function isPlausible({ at, stored, size }: Row): boolean {
  return at >= recordHeadBytes && stored >= 0 && stored <= objectBytesMax && size >= 0 &&
    size <= objectBytesMax;
}

/** Whether two rows speak of the same bytes. */
export function isSamePlace(a: Row, b: Row): boolean {
  return a.n === b.n && a.pack === b.pack && a.at === b.at && a.stored === b.stored && a.size === b.size &&
    a.codec === b.codec;
}

function isMarked(row: Row | undefined): row is Row {
  return row?.dead === 1;
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
