// rebuild: a new store.db from the records in the packs, for when the old one is damaged beyond use; of the old one what
// still can be read and checks out. It mends no object and asks no peer; what it did not find, fsck names.
import { Buffer } from "node:buffer";
import { closeSync, existsSync, fsyncSync, openSync, readSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Fault, fromHex, pause } from "../mq/mod.ts";
import { insertRoot, isSoundRoot, type RawRoot } from "./catalog.ts";
import { type Db, openDatabase, type Tx } from "./db.ts";
import { lockStore, turnsHeld } from "./holds.ts";
import { objectBytesMax, rebuildBatch, rebuildReadBytes } from "./limits.ts";
import { Packs, syncDirectory } from "./packs.ts";
import { MAGIC, readHead, type RecordHead, recordHeadBytes } from "./record.ts";
import { salvage, type SalvagedRow } from "./salvage.ts";
import { idOf } from "./store.ts";
import { finishRebuild, objectSumOf, rebuiltPath, STORE_MIGRATIONS } from "./store_db.ts";
import { unpacked } from "./store_sqlite.ts";

export interface RebuildOptions {
  /** Called now and then with how many bytes of packs have been looked at. */
  progress?: (bytes: number) => void;
  signal?: AbortSignal;
}

/** What was found. */
export interface RebuildReport {
  /** Objects that are there again, and their bytes; of these, peers may have `shared`. */
  objects: number;
  bytes: number;
  shared: number;
  /** Records of an object that another record has as well, and records that are torn or damaged. */
  duplicates: number;
  damaged: number;
  /** Remembered roots that were carried over, and rows of roots that are not what was written. */
  rootsKept: number;
  rootsLost: number;
}

/**
 * Makes a new store.db in `dir` from the packs beside it; the old one is kept as store.db.damaged, in the place of one that
 * was kept before. Nobody else may have the store open. Killed at any moment, the old one is still there or the new one
 * whole; call it again. What gc dropped may be there again until the next gc, and roots that were removed. Rows of roots
 * in pages that cannot be read at all are lost and not counted. What `share` remembers of whole roots is found out anew.
 * @throws {Fault} refused, when objects are being dropped at this moment; environment
 */
export async function rebuildDatabase(dir: string, options: RebuildOptions = {}): Promise<RebuildReport> {
  const path = join(dir, "store.db"), fresh = `${path}.new`;
  const lock = lockStore(dir, "rebuild");
  try {
    finishRebuild(path);
    for (const end of ["", "-wal", "-shm"]) rmSync(fresh + end, { force: true });
    const db = openDatabase(fresh, { migrations: STORE_MIGRATIONS, synchronous: "NORMAL" });
    const report = { objects: 0, bytes: 0, shared: 0, duplicates: 0, damaged: 0, rootsKept: 0, rootsLost: 0 };
    try {
      await carryOver(db, path, report);
      await scanAll(db, join(dir, "packs"), report, options);
      const turn = Math.max(0, ...turnsHeld(join(dir, "holds"))) + 1;
      db.write((tx) => tx.run("UPDATE gc SET turn = ?", turn));
    } finally {
      db.close();
    }
    publish(fresh, path, dir);
    return report;
  } catch (e) {
    throw e instanceof Fault || options.signal?.aborted ? e : Fault.from("rebuild", e);
  } finally {
    lock.release();
  }
}

function publish(fresh: string, path: string, dir: string): void {
  if (existsSync(`${fresh}-wal`)) {
    throw new Fault("rebuild", "environment", `${fresh}: its log could not be written into it`, {
      hint: "isconf doctor",
    });
  }
  const fd = openSync(fresh, "r+");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(fresh, rebuiltPath(path));
  syncDirectory(dir);
  finishRebuild(path);
}

async function carryOver(db: Db, path: string, report: RebuildReport): Promise<void> {
  db.write((tx) => tx.run("CREATE TEMP TABLE was_shared (id BLOB PRIMARY KEY) WITHOUT ROWID, STRICT"));
  for (const rows of salvage(path)) {
    db.write((tx) => {
      for (const row of rows) {
        if (isSharedObject(row)) tx.run("INSERT OR IGNORE INTO was_shared (id) VALUES (?)", row.columns[1]!);
        const root = rootOf(row);
        if (root === undefined) continue;
        if (!isSoundRoot(root)) report.rootsLost++;
        else if (keepRoot(tx, row.n, root)) report.rootsKept++;
      }
    });
    await pause();
  }
}

/** Whether this is a row of an object that peers may have, and what was written. */
function isSharedObject({ n, columns }: SalvagedRow): boolean {
  const [own, id, ...rest] = columns;
  if (own !== null || !(id instanceof Uint8Array) || id.length !== 32 || rest.length !== 8) return false;
  const numbers = rest.filter((value) => Number.isSafeInteger(value)) as number[];
  return numbers.length === 8 && numbers[5] === 1 && objectSumOf([n, ...numbers.slice(0, 7)]) === numbers[7];
}

/** A row of `root`, whether it is what was written or not. */
function rootOf({ columns }: SalvagedRow): RawRoot | undefined {
  const [own, id, kind, size, sha256, label, uid, pinned, at_ms, sum] = columns;
  const isRoot = columns.length === 10 && own === null && id instanceof Uint8Array &&
    typeof kind === "string" && typeof label === "string" && sum instanceof Uint8Array &&
    (sha256 === null || sha256 instanceof Uint8Array) &&
    [size, uid, pinned, at_ms].every(Number.isSafeInteger);
  return isRoot ? { id, kind, size, sha256, label, uid, pinned, at_ms, sum } as RawRoot : undefined;
}

/** Keeps a root under its number, or as the newest if another has that; false when it is there already. */
function keepRoot(tx: Tx, n: number, root: RawRoot): boolean {
  const there = tx.get<{ isSame: number }>("SELECT sum IS ? AS isSame FROM root WHERE n = ?", root.sum, n);
  if (there?.isSame === 1) return false;
  insertRoot(tx, root, there === undefined ? n : null);
  return true;
}

async function scanAll(db: Db, dir: string, report: RebuildReport, options: RebuildOptions): Promise<void> {
  const packs = new Packs(dir);
  let seen = 0, waiting: Found[] = [];
  const flush = async () => {
    db.write((tx) => waiting.forEach((found) => keepObject(tx, found, report)));
    waiting = [];
    options.progress?.(seen);
    options.signal?.throwIfAborted();
    await pause();
  };
  for (const { n, size } of packs.list()) {
    for (const found of recordsIn(join(dir, `${n}.pack`), n)) {
      if (found === "damaged") report.damaged++;
      else if (found !== "nothing") waiting.push(found);
      if (found === "nothing" || waiting.length >= rebuildBatch) await flush();
    }
    seen += size;
    await flush();
  }
}

interface Found extends RecordHead {
  pack: number;
  at: number;
}

function keepObject(tx: Tx, { id, size, codec, stored, pack, at }: Found, report: RebuildReport): void {
  const key = fromHex(id);
  const shared = tx.get("SELECT 1 FROM temp.was_shared WHERE id = ?", key) === undefined ? 0 : 1;
  const { changes } = tx.run(
    "INSERT OR IGNORE INTO object (id, size, codec, stored, pack, at, shared) VALUES (?, ?, ?, ?, ?, ?, ?)",
    ...[key, size, codec, stored, pack, at, shared],
  );
  if (changes === 0) {
    report.duplicates++;
    return;
  }
  report.objects++;
  report.bytes += size;
  report.shared += shared;
}

/**
 * The records of a pack whose bytes are those of their object, in order. Where there is none, the next is looked for from
 * byte to byte; "nothing" is said for each `rebuildReadBytes` without one.
 */
function* recordsIn(path: string, pack: number): Generator<Found | "damaged" | "nothing"> {
  const fd = openSync(path, "r");
  try {
    const window = Buffer.alloc(rebuildReadBytes);
    for (let at = 0;;) {
      const bytes = window.subarray(0, readSync(fd, window, 0, window.length, at));
      let next = 0;
      for (;;) {
        const start = bytes.indexOf(MAGIC, next);
        if (start < 0 || (bytes.length === window.length && start > window.length - recordBytesMax)) {
          // What could begin here and end behind the window is read again.
          next = start < 0 ? Math.max(next, bytes.length - MAGIC.length + 1) : start;
          break;
        }
        const head = readHead(bytes.subarray(start));
        const body = head === undefined ? undefined : bytes.subarray(start + recordHeadBytes);
        const isWhole = head !== undefined && body!.length >= head.stored &&
          idOf(unpacked(head, body!)) === head.id;
        if (isWhole) yield { ...head, pack, at: at + start + recordHeadBytes };
        else yield "damaged";
        next = start + (isWhole ? recordHeadBytes + head.stored : 1);
      }
      if (bytes.length < window.length) return;
      at += next;
      yield "nothing";
    }
  } finally {
    closeSync(fd);
  }
}

const recordBytesMax = recordHeadBytes + objectBytesMax;
