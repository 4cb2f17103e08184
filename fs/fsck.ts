// fsck: whether a store is what it says: its database, what its packs hold, and that everything its roots need is there. It
// changes nothing; who mends what it found drops it and brings it anew.
import { Fault, pause, toHex } from "../mq/mod.ts";
import type { Db } from "./db.ts";
import { withSoundDatabase } from "./fsck_database.ts";
import { fsckBatch } from "./limits.ts";
import { type Link, linksOf } from "./objects.ts";
import { Reach } from "./reach.ts";
import { readHead, recordHeadBytes } from "./record.ts";
import type { Id } from "./store.ts";
import { idOf } from "./store.ts";
import { isPlausible, isSamePlace, type Row, rowOf, type SqliteStore, unpacked } from "./store_sqlite.ts";

export interface FsckOptions {
  /** structure: all but the bytes of chunks. bytes: those too; of them only part `n` of `of`, 1 to `of`, when that is given. */
  look: "structure" | "bytes";
  part?: { n: number; of: number };
  /** Called now and then with how many objects have been looked at. */
  progress?: (objects: number) => void;
  signal?: AbortSignal;
}

/** What was looked at, and what is wrong. */
export interface FsckReport {
  objects: number;
  /** Bytes of objects that were read and hashed, as `look` says. */
  bytes: number;
  /**
   * Objects of which the record in the pack is not what the database says, or whose bytes are not theirs; and structure
   * that a root needs and that is none.
   */
  damaged: Id[];
  /** Objects that a root needs and that are not here, and one such root. */
  missing: { id: Id; root: Id }[];
  /** What is wrong with the database; then nothing else was looked at. */
  database: string[];
}

/**
 * Looks at everything that `options` say; the roots whose needs are followed are `roots`, asked for when the database has
 * been found sound. Others run in between; what they drop meanwhile is not reported.
 * @throws {Fault} usage, when there is no such part; environment, when the disk does not give something for another reason
 * than that it is not there
 */
export async function fsck(
  store: SqliteStore,
  roots: () => Promise<Iterable<Id>> | Iterable<Id>,
  options: FsckOptions,
): Promise<FsckReport> {
  checkPart(options.part);
  const report: FsckReport = { objects: 0, bytes: 0, damaged: [], missing: [], database: [] };
  report.database = await withSoundDatabase(store.db.path, async (db) => {
    const damaged = new Set<Id>();
    await lookAtRecords(store, db, options, report, damaged);
    await lookAtRoots(store, db, await roots(), options, report, damaged);
    report.damaged = [...damaged];
  });
  return report;
}

function checkPart(part: FsckOptions["part"]): void {
  if (part === undefined) return;
  const { n, of } = part;
  if (Number.isSafeInteger(of) && Number.isSafeInteger(n) && n >= 1 && n <= of) return;
  throw new Fault("fsck", "usage", `there is no part ${n} of ${of}`, { hint: "isconf fsck --help" });
}

type FullRow = Row & { id: Uint8Array };

async function lookAtRecords(
  store: SqliteStore,
  db: Db,
  { look, part, progress, signal }: FsckOptions,
  report: FsckReport,
  damaged: Set<Id>,
): Promise<void> {
  const sql =
    "SELECT n, id, size, codec, stored, pack, at, shared, dead FROM object WHERE n > ? ORDER BY n LIMIT ?";
  for (let last = 0;;) {
    const rows = db.read((r) => r.all<FullRow>(sql, last, fsckBatch));
    if (rows.length === 0) return;
    for (const row of rows) {
      report.objects++;
      last = row.n;
      const id = toHex(row.id);
      const reads = look === "bytes" && isInPart(row.id, part);
      if (reads) report.bytes += row.size;
      if (!isSound(store, id, row, reads) && isStill(db, id, row)) damaged.add(id);
    }
    progress?.(report.objects);
    signal?.throwIfAborted();
    await pause();
  }
}

/** Each object is in exactly one of `of` parts, in the same one each time. */
function isInPart(id: Uint8Array, part: FsckOptions["part"]): boolean {
  return part === undefined || new DataView(id.buffer, id.byteOffset).getUint32(0) % part.of === part.n - 1;
}

function isSound(store: SqliteStore, id: Id, row: Row, reads: boolean): boolean {
  const { pack, at, stored } = row;
  if (!isPlausible(row)) return false;
  const bytes = store.packs.read(pack, at - recordHeadBytes, recordHeadBytes + (reads ? stored : 0));
  const head = readHead(bytes);
  const isSame = head !== undefined && head.id === id && head.size === row.size && head.codec === row.codec &&
    head.stored === stored;
  if (!isSame) return false;
  return !reads || idOf(unpacked(row, bytes.subarray(recordHeadBytes))) === id;
}

/** Whether everything that `root` reaches is here. Costs nothing when that was found before. */
export async function isComplete(store: SqliteStore, root: Id): Promise<boolean> {
  if (store.isWhole(root)) return true;
  const report: FsckReport = { objects: 0, bytes: 0, damaged: [], missing: [], database: [] };
  await lookAtRoots(store, store.db, [root], { look: "structure" }, report, new Set());
  return report.missing.length === 0;
}

/** Whether an object was not dropped, and its room given to others, while it was read. */
function isStill(db: Db, id: Id, row: Row): boolean {
  const now = db.read((r) => rowOf(r, id));
  return now !== undefined && isSamePlace(now, row);
}

async function lookAtRoots(
  store: SqliteStore,
  db: Db,
  roots: Iterable<Id>,
  { signal }: FsckOptions,
  report: FsckReport,
  damaged: Set<Id>,
): Promise<void> {
  const reach = new Reach(db, {
    signal,
    linksOf: (link) => {
      const { id } = link;
      const row = db.read((r) => rowOf(r, id));
      if (row === undefined || damaged.has(id)) return [];
      const bytes = unpacked(row, isPlausible(row) ? store.packs.read(row.pack, row.at, row.stored) : none);
      const links = idOf(bytes) === id ? linksIn(link, bytes) : undefined;
      if (links === undefined && isStill(db, id, row)) damaged.add(id);
      return links ?? [];
    },
  });
  try {
    await reach.add(roots);
    report.missing = reach.missing();
  } finally {
    reach.forget();
  }
}

const none = new Uint8Array(0);

/** What structure names, or undefined when it is not what its place says. */
function linksIn(link: Link, bytes: Uint8Array): Link[] | undefined {
  try {
    return linksOf(link, bytes);
  } catch (e) {
    if (e instanceof Fault && (e.kind === "corrupt" || e.kind === "refused")) return undefined;
    throw e;
  }
}
