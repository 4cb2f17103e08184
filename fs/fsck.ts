// fsck: whether a store is what it says: its database, what its packs hold, and that everything its roots need is there. It
// changes nothing; who mends what it found drops it and brings it anew.
import { Fault, pause, toHex } from "../mq/mod.ts";
import type { Db } from "./db.ts";
import { databaseComplaintsMax, fsckBatch } from "./limits.ts";
import { type Link, linksOf } from "./objects.ts";
import { readHead, recordHeadBytes } from "./record.ts";
import type { Id } from "./store.ts";
import { idOf } from "./store.ts";
import { type Row, rowOf, type SqliteStore, unpacked } from "./store_sqlite.ts";

export interface FsckOptions {
  /** structure: all but the bytes of objects. bytes: those too; of them only part `n` of `of`, when that is given. */
  look: "structure" | "bytes";
  part?: { n: number; of: number };
  /** Called now and then with how many objects have been looked at. */
  progress?: (objects: number) => void;
  signal?: AbortSignal;
}

/** What was looked at, and what is wrong. */
export interface FsckReport {
  objects: number;
  /** Bytes of objects that were read and hashed. */
  bytes: number;
  /** Objects of which the record in the pack is not what the database says, or whose bytes are not theirs. */
  damaged: Id[];
  /** Objects that a root needs and that are not here, and one such root. */
  missing: { id: Id; root: Id }[];
  /** What SQLite says of its database. */
  database: string[];
}

/**
 * Looks at everything that `options` say; the roots whose needs are followed are `roots`. Others run in between.
 * @throws {Fault} environment, when the disk does not give something for another reason than that it is not there
 */
export async function fsck(
  store: SqliteStore,
  roots: Iterable<Id>,
  options: FsckOptions,
): Promise<FsckReport> {
  const report: FsckReport = { objects: 0, bytes: 0, damaged: [], missing: [], database: saidOf(store.db) };
  if (report.database.length > 0) return report;
  for (let last = 0;;) {
    const rows = rowsAfter(store, last);
    if (rows.length === 0) break;
    for (const row of rows) {
      report.objects++;
      last = row.n;
      const id = toHex(row.id);
      const reads = options.look === "bytes" && isInPart(row.id, options.part);
      if (reads) report.bytes += row.size;
      if (!isSound(store, id, row, reads)) report.damaged.push(id);
    }
    options.progress?.(report.objects);
    options.signal?.throwIfAborted();
    await pause();
  }
  const damaged = new Set(report.damaged);
  for (const root of roots) report.missing.push(...await missingOf(store, root, damaged, options.signal));
  return report;
}

/** What is wrong with a database, at most `databaseComplaintsMax` things. */
function saidOf(db: Db): string[] {
  const sql = `PRAGMA integrity_check(${databaseComplaintsMax})`;
  try {
    const said = db.read((r) => r.all<{ integrity_check: string }>(sql)).map((row) => row.integrity_check);
    return said.length === 1 && said[0] === "ok" ? [] : said;
  } catch (e) {
    const fault = Fault.from("fsck", e);
    if (fault.kind === "corrupt") return [fault.message];
    throw fault;
  }
}

type FullRow = Row & { id: Uint8Array };

function rowsAfter(store: SqliteStore, n: number): FullRow[] {
  const sql =
    "SELECT n, id, size, codec, stored, pack, at, shared, dead FROM object WHERE n > ? ORDER BY n LIMIT ?";
  return store.db.read((r) => r.all<FullRow>(sql, n, fsckBatch));
}

/** Each object is in exactly one of `of` parts, in the same one each time. */
function isInPart(id: Uint8Array, part: FsckOptions["part"]): boolean {
  return part === undefined || new DataView(id.buffer, id.byteOffset).getUint32(0) % part.of === part.n - 1;
}

function isSound(store: SqliteStore, id: Id, row: Row, reads: boolean): boolean {
  const { pack, at, stored } = row;
  if (at < recordHeadBytes) return false;
  const bytes = store.packs.read(pack, at - recordHeadBytes, recordHeadBytes + (reads ? stored : 0));
  const head = readHead(bytes);
  const isSame = head !== undefined && head.id === id && head.size === row.size && head.codec === row.codec &&
    head.stored === stored;
  if (!isSame) return false;
  return !reads || idOf(unpacked(row, bytes.subarray(recordHeadBytes))) === id;
}

/** Whether everything that `root` reaches is here. Costs nothing when that was found before. */
export async function isComplete(store: SqliteStore, root: Id): Promise<boolean> {
  return store.isWhole(root) || (await missingOf(store, root, new Set())).length === 0;
}

async function missingOf(
  store: SqliteStore,
  root: Id,
  damaged: Set<Id>,
  signal?: AbortSignal,
): Promise<{ id: Id; root: Id }[]> {
  const missing: { id: Id; root: Id }[] = [];
  const seen = new Set<Id>();
  const stack: Link[] = [{ as: "root", id: root }];
  for (let link = stack.pop(), count = 0; link !== undefined; link = stack.pop()) {
    const { id } = link;
    if (seen.has(id)) continue;
    seen.add(id);
    if (store.db.read((r) => rowOf(r, id)) === undefined) missing.push({ id, root });
    else if (link.as !== "chunk" && !damaged.has(id)) {
      const [bytes] = await store.read([id], 0);
      if (idOf(bytes!) === id) stack.push(...linksOf(link, bytes!));
      else {
        damaged.add(id);
        missing.push({ id, root });
      }
    }
    if (++count % fsckBatch === 0) {
      signal?.throwIfAborted();
      await pause();
    }
  }
  return missing;
}
