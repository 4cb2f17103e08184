// Pending: which entries this host has made of its work and brought to a keeper, until they are seen in the journal. What
// makes a check-in whose answer was lost known again. Not the work itself (wip.ts).
import type { Db, Reader, Tx } from "../fs/mod.ts";

/** An entry as it was sealed, made of the work `n`. */
export interface PendingRow {
  branch: string;
  seq: number;
  id: Uint8Array;
  n: number;
  entry: Uint8Array;
  origin: Uint8Array;
}

export class Pending {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  count(): number {
    return this.#db.read((r: Reader) => r.get<{ n: number }>("SELECT count(*) AS n FROM pending")?.n ?? 0);
  }

  rows(): PendingRow[] {
    return this.#db.read((r: Reader) =>
      r.all<PendingRow>("SELECT branch, seq, id, n, entry, origin FROM pending ORDER BY seq")
    );
  }

  /** Notes a check-in in the place of the one before, which was made of the same work. */
  keep(tx: Tx, rows: readonly PendingRow[]): void {
    this.clear(tx);
    for (const { branch, seq, id, n, entry, origin } of rows) {
      tx.run("INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?)", seq, branch, id, n, entry, origin);
    }
  }

  drop(tx: Tx, seq: number): void {
    tx.run("DELETE FROM pending WHERE seq = ?", seq);
  }

  clear(tx: Tx): void {
    tx.run("DELETE FROM pending");
  }
}
