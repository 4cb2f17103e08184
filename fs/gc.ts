// gc: drops the objects that no root needs, and gives their room back to the disk. What is a root, and whether another host
// has what is to be dropped, its caller knows. Broken off at any point, the next one goes on.
import { pause } from "../mq/mod.ts";
import type { Tx } from "./db.ts";
import { gcBatch } from "./limits.ts";
import { turnOf } from "./holds.ts";
import { type Link, linksOf } from "./objects.ts";
import { recordHeadBytes } from "./record.ts";
import type { Id } from "./store.ts";
import { forgetWhole, rowOf, type SqliteStore } from "./store_sqlite.ts";

/** What a gc did, or with `isTrial` would do. */
export interface GcReport {
  /** Objects that roots need, and the bytes of the others' records. */
  kept: number;
  dropped: number;
  droppedBytes: number;
  /** What the disk got back; also of what was dropped before. */
  freedBytes: number;
  /** Objects that stay until those who began before have ended: so many of them. */
  waiting: number;
  waitingFor: number;
}

/**
 * Drops what no root reaches. `roots` is asked twice: what becomes a root in between is kept. What somebody holds
 * (`SqliteStore.holds`) stays for now.
 */
export async function gc(
  store: SqliteStore,
  roots: () => Promise<Iterable<Id>>,
  options: { isTrial?: boolean } = {},
): Promise<GcReport> {
  const { db } = store;
  const live = new Live(store);
  await live.reach(await roots());
  if (options.isTrial) {
    const { count, bytes } = live.others("SELECT count(*) AS count, coalesce(sum(stored + ?), 0) AS bytes");
    return { kept: live.size, dropped: count, droppedBytes: bytes, freedBytes: 0, waiting: 0, waitingFor: 0 };
  }
  // Who begins from here on, and counts on something that is marked, takes the mark away.
  db.write((tx) => {
    tx.run(`UPDATE object SET dead = 1 WHERE dead = 0 AND n NOT IN (SELECT n FROM temp.live)`);
    tx.run("UPDATE gc SET turn = turn + 1");
  });
  const waitingFor = store.holds.heldBefore(turnOf(db));
  // Those who began before and have ended meanwhile may have made roots of what is marked now.
  await live.reach(await roots());
  db.write((tx) => tx.run("UPDATE object SET dead = 0 WHERE dead = 1 AND n IN (SELECT n FROM temp.live)"));
  const report = { kept: live.size, dropped: 0, droppedBytes: 0, freedBytes: 0, waiting: 0, waitingFor };
  if (waitingFor > 0) {
    report.waiting = db.read((r) =>
      r.get<{ n: number }>("SELECT count(*) AS n FROM object WHERE dead = 1")!.n
    );
  } else {
    for (let count = gcBatch; count === gcBatch;) {
      count = db.write((tx) => dropSome(tx, report));
      await pause();
    }
  }
  live.forget();
  for (const { n } of store.packs.list()) {
    report.freedBytes += store.packs.free(n, () => extentsOf(store, n)) ?? 0;
    await pause();
  }
  return report;
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

/** Where in a pack there is something, in order. */
function extentsOf(store: SqliteStore, pack: number): { at: number; length: number }[] {
  return store.db.read((r) =>
    r.all<{ at: number; stored: number }>("SELECT at, stored FROM object WHERE pack = ? ORDER BY at", pack)
  ).map(({ at, stored }) => ({ at: at - recordHeadBytes, length: stored + recordHeadBytes }));
}

/** The numbers of the objects that roots reach, in a table of SQLite's own that no other process sees. */
class Live {
  readonly #store: SqliteStore;

  constructor(store: SqliteStore) {
    this.#store = store;
    store.db.write((tx) => tx.run("CREATE TABLE IF NOT EXISTS temp.live (n INTEGER PRIMARY KEY) STRICT"));
    this.forget();
  }

  get size(): number {
    return this.#store.db.read((r) => r.get<{ n: number }>("SELECT count(*) AS n FROM temp.live")!.n);
  }

  others(select: string): { count: number; bytes: number } {
    const sql = `${select} FROM object WHERE n NOT IN (SELECT n FROM temp.live)`;
    return this.#store.db.read((r) => r.get<{ count: number; bytes: number }>(sql, recordHeadBytes)!);
  }

  forget(): void {
    this.#store.db.write((tx) => tx.run("DELETE FROM temp.live"));
  }

  /** Adds what these roots reach; what is not here is passed over. */
  async reach(roots: Iterable<Id>): Promise<void> {
    const { db } = this.#store;
    for (const root of roots) {
      const stack: Link[] = [{ as: "root", id: root }];
      while (stack.length > 0) {
        const links = stack.splice(-gcBatch);
        const fresh = db.write((tx) => links.filter(({ id }) => isNew(tx, id)));
        for (const link of fresh) {
          if (link.as !== "chunk") stack.push(...await this.#below(link));
        }
        await pause();
      }
    }
  }

  async #below(link: Link): Promise<Link[]> {
    const [bytes] = await this.#store.get([link.id]);
    return linksOf(link, bytes!);
  }
}

/** Whether this is here and was not met before; then it is met now. */
function isNew(tx: Tx, id: Id): boolean {
  const n = rowOf(tx, id)?.n;
  return n !== undefined && tx.run("INSERT OR IGNORE INTO temp.live (n) VALUES (?)", n).changes > 0;
}
