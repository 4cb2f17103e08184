// gc: drops the objects that no root needs, and gives their room back to the disk. What is a root, and whether another host
// has what is to be dropped, its caller knows. Broken off at any point, the next one goes on.
import { dirname } from "node:path";
import { Fault, pause } from "../mq/mod.ts";
import type { Db, Tx } from "./db.ts";
import { withSoundDatabase } from "./fsck_database.ts";
import { gcBatch, gcMarkBatch } from "./limits.ts";
import { lockStore, turnOf } from "./holds.ts";
import { linksOf } from "./objects.ts";
import type { Extent } from "./packs.ts";
import { Reach } from "./reach.ts";
import { recordHeadBytes } from "./record.ts";
import type { Id } from "./store.ts";
import { forgetWhole, type SqliteStore } from "./store_sqlite.ts";

/** What a gc did, or with `isTrial` would do. */
export interface GcReport {
  /** Objects that roots need, and the others with the bytes of their records. */
  kept: number;
  dropped: number;
  droppedBytes: number;
  /** What the disk got back; also of what was dropped before. A trial says 0: it depends on the blocks of the disk. */
  freedBytes: number;
  /** Objects that stay until those who began before have ended: so many turns of `holds` have such. */
  waiting: number;
  waitingFor: number;
}

/**
 * Drops what no root reaches. `roots` is asked twice: what becomes a root in between is kept. What somebody holds
 * (`SqliteStore.holds`) stays for now.
 * @throws {Fault} corrupt, when structure that a root needs or the database is damaged: nothing is dropped then;
 * refused, when another gc is at work; environment
 */
export async function gc(
  store: SqliteStore,
  roots: () => Promise<Iterable<Id>>,
  options: { isTrial?: boolean } = {},
): Promise<GcReport> {
  const lock = lockStore(dirname(store.db.path), "gc");
  try {
    await needSound(store.db);
    const isTrial = options.isTrial ?? false;
    const reach = new Reach(store.db, {
      linksOf: async (link) => linksOf(link, (await store.get([link.id]))[0]!),
      // A mark of a gc before this one is in the way of nobody who needs the object.
      met: (tx, row) => {
        if (row.dead === 1 && !isTrial) tx.run("UPDATE object SET dead = 0 WHERE n = ?", row.n);
      },
    });
    try {
      await reach.add(await roots());
      return isTrial ? trial(store, reach) : await collect(store, reach, roots);
    } finally {
      reach.forget();
    }
  } finally {
    lock.release();
  }
}

function trial(store: SqliteStore, reach: Reach): GcReport {
  const sql = `SELECT count(*) AS count, coalesce(sum(stored + ?), 0) AS bytes FROM object
    WHERE id NOT IN (SELECT id FROM temp.reached)`;
  const { count, bytes } = store.db.read((r) =>
    r.get<{ count: number; bytes: number }>(sql, recordHeadBytes)!
  );
  const waitingFor = store.holds.heldBefore(turnOf(store.db) + 1);
  const [dropped, droppedBytes, waiting] = waitingFor === 0 ? [count, bytes, 0] : [0, 0, count];
  return { kept: reach.size, dropped, droppedBytes, freedBytes: 0, waiting, waitingFor };
}

async function collect(
  store: SqliteStore,
  reach: Reach,
  roots: () => Promise<Iterable<Id>>,
): Promise<GcReport> {
  const { db, holds, packs } = store;
  await mark(db);
  // Who begins from here on, and counts on something that is marked, takes the mark away.
  db.write((tx) => tx.run("UPDATE gc SET turn = turn + 1"));
  const turn = turnOf(db);
  const waitingFor = holds.heldBefore(turn);
  holds.sweepBefore(turn);
  holds.prepare(turn);
  // Those who began before and have ended meanwhile may have made roots of what is marked now.
  await reach.add(await roots());
  const report = { kept: reach.size, dropped: 0, droppedBytes: 0, freedBytes: 0, waiting: 0, waitingFor };
  if (waitingFor > 0) {
    const sql = "SELECT count(*) AS n FROM object WHERE dead = 1";
    report.waiting = db.read((r) => r.get<{ n: number }>(sql)!.n);
  } else {
    for (let count = gcBatch; count === gcBatch;) {
      count = db.write((tx) => dropSome(tx, report));
      await pause();
    }
  }
  for (const { n } of packs.list()) {
    report.freedBytes += await packs.free(n, (after) => extentsOf(store, n, after)) ?? 0;
  }
  return report;
}

/** What a damaged row or index says must not decide what is dropped and given back to the disk. */
async function needSound({ path }: Db): Promise<void> {
  const said = await withSoundDatabase(path, () => Promise.resolve());
  if (said.length === 0) return;
  throw new Fault("gc", "corrupt", `${path}: ${said[0]}; nothing is dropped`, { hint: "isconf fsck" });
}

async function mark(db: Db): Promise<void> {
  const last = lastOf(db);
  const sql = `UPDATE object SET dead = 1
    WHERE n > ? AND n <= ? AND dead = 0 AND id NOT IN (SELECT id FROM temp.reached)`;
  for (let n = 0; n < last; n += gcMarkBatch) {
    db.write((tx) => tx.run(sql, n, n + gcMarkBatch));
    await pause();
  }
}

function lastOf(db: Db): number {
  return db.read((r) => r.get<{ n: number }>("SELECT coalesce(max(n), 0) AS n FROM object")!.n);
}

function dropSome(tx: Tx, report: GcReport): number {
  const rows = tx.all<{ n: number; stored: number }>(
    "SELECT n, stored FROM object WHERE dead = 1 LIMIT ?",
    gcBatch,
  );
  for (const { n, stored } of rows) {
    tx.run("DELETE FROM object WHERE n = ?", n);
    report.droppedBytes += stored + recordHeadBytes;
  }
  report.dropped += rows.length;
  if (rows.length > 0) forgetWhole(tx);
  return rows.length;
}

/** Where in a pack there is something, in order: the next extents that begin behind `after`. */
function extentsOf(store: SqliteStore, pack: number, after: number): Extent[] {
  return store.db.read((r) =>
    r.all<{ at: number; stored: number }>(
      "SELECT at, stored FROM object WHERE pack = ? AND at > ? ORDER BY at LIMIT ?",
      pack,
      after + recordHeadBytes,
      gcBatch,
    )
  ).map(({ at, stored }) => ({ at: at - recordHeadBytes, length: stored + recordHeadBytes }));
}
