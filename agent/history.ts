// History: what this host has started and finished applying. It lives only here and is never sent as truth.
// Not the journal, which says what should be applied.
import type { Db, Reader, Tx } from "../fs/mod.ts";
import type { Compared, Differs } from "./effects.ts";

/**
 * intent: started, end unknown (after a crash: uncertain). done: applied. failed: ended with another status
 * than 0. reboot: this host was told to restart and has not been seen to.
 */
export type State = "intent" | "done" | "failed" | "reboot";

export interface HistoryRow {
  seq: number;
  id: Uint8Array;
  state: State;
  boot: string;
  startedMs: number;
  endedMs: number | null;
  status: number | null;
  reason: string | null;
  /** In how many paths this host differed from the origin after it; null: not compared. */
  differs: number | null;
}

const COLUMNS = "seq, id, state, boot, started_ms AS startedMs, ended_ms AS endedMs, status, reason, differs";

export class History {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** The last entry this host has begun to apply; undefined on a host that has applied nothing. */
  last(): HistoryRow | undefined {
    return this.#db.read((r: Reader) =>
      r.get<HistoryRow>(`SELECT ${COLUMNS} FROM history ORDER BY seq DESC LIMIT 1`)
    );
  }

  /** The first entry this host has begun to apply, or with which the image ends that it was installed from. */
  first(): number | undefined {
    return this.#db.read((r: Reader) => r.get<{ seq: number | null }>("SELECT min(seq) AS seq FROM history"))
      ?.seq ??
      undefined;
  }

  at(seq: number): HistoryRow | undefined {
    return this.#db.read((r: Reader) =>
      r.get<HistoryRow>(`SELECT ${COLUMNS} FROM history WHERE seq = ?`, seq)
    );
  }

  /** Rows from `from` to `to`. */
  range(from: number, to: number): HistoryRow[] {
    return this.#db.read((r: Reader) =>
      r.all<HistoryRow>(
        `SELECT ${COLUMNS} FROM history WHERE seq >= ? AND seq <= ? ORDER BY seq`,
        from,
        to,
      )
    );
  }

  /** The highest seq that is applied; 0 when none is. */
  applied(): number {
    const last = this.last();
    if (last === undefined) return 0;
    return last.state === "done" ? last.seq : last.seq - 1;
  }

  /** Durable before anything of the entry happens. */
  intent(tx: Tx, row: { seq: number; id: Uint8Array; boot: string; startedMs: number; state?: State }): void {
    tx.run(
      `INSERT INTO history (seq, id, state, boot, started_ms) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (seq) DO UPDATE SET state = excluded.state, boot = excluded.boot, started_ms = excluded.started_ms,
         ended_ms = NULL, status = NULL, reason = NULL, differs = NULL, differences = NULL`,
      row.seq,
      row.id,
      row.state ?? "intent",
      row.boot,
      row.startedMs,
    );
  }

  /** The end of what `intent` began; `done` when the status is 0. */
  ended(
    tx: Tx,
    seq: number,
    end: { status: number; endedMs: number; reason?: string },
  ): void {
    tx.run(
      "UPDATE history SET state = ?, status = ?, ended_ms = ?, reason = ? WHERE seq = ?",
      end.status === 0 ? "done" : "failed",
      end.status,
      end.endedMs,
      end.reason ?? null,
      seq,
    );
  }

  /** How this host compared with the origin after an entry. */
  compared(tx: Tx, { seq, differs, first }: Compared): void {
    const text = differs === 0 ? null : JSON.stringify(first);
    tx.run("UPDATE history SET differs = ?, differences = ? WHERE seq = ?", differs, text, seq);
  }

  /** What was different first after an entry; as many as are kept by name. */
  differences(seq: number): Differs[] {
    return this.#db.read((r: Reader) =>
      JSON.parse(
        r.get<{ text: string | null }>("SELECT differences AS text FROM history WHERE seq = ?", seq)?.text ??
          "[]",
      )
    );
  }

  /** The entries after which this host differed: how many, and the last of them. */
  differing(): { entries: number; last: number } {
    const sql = "SELECT count(*) AS entries, coalesce(max(seq), 0) AS last FROM history WHERE differs > 0";
    return this.#db.read((r: Reader) => r.get<{ entries: number; last: number }>(sql)!);
  }

  /** Takes an intent back whose command was never started. */
  neverStarted(tx: Tx, seq: number): void {
    tx.run("DELETE FROM history WHERE seq = ? AND state IN ('intent', 'reboot')", seq);
  }

  /** Forgets what was applied after an entry: somebody has put it right by hand. */
  forget(tx: Tx, after: number): void {
    tx.run("DELETE FROM history WHERE seq > ?", after);
  }
}
