// Wip: work done on this host since `lock` and not yet checked in, as durable rows. Nothing of it is sent.
// Not the verbs that make it (work.ts).
import type { Db, Reader, Tx } from "../fs/mod.ts";
import { type Cbor, decode, encode } from "../mq/mod.ts";
import type { Op } from "./entry.ts";

/** intent: begun, end unknown. done: ready for ci. reboot: waits until the host has restarted. */
export type WipState = "intent" | "done" | "reboot";

export interface WipItem {
  n: number;
  branch: string;
  term: number;
  /** The head of the branch that this work was done on top of. */
  baseSeq: number;
  baseId: Uint8Array;
  author: string;
  uid: number;
  message: string;
  op: Op;
  state: WipState;
  boot: string;
  startedMs: number;
  endedMs: number | null;
  status: number | null;
  /** Of a command: what is recorded of its running here (executions.ts). */
  execution: number | null;
  /** What it changed, where that was recorded. */
  effects: (Op & { op: "effects" }) | null;
}

const SELECT =
  `SELECT n, branch, term, base_seq AS baseSeq, base_id AS baseId, author, uid, message, op, state, boot,
  started_ms AS startedMs, ended_ms AS endedMs, status, execution, effects FROM wip`;

/** What a piece of work says in its entry. */
export function opsOf({ op, effects }: Pick<WipItem, "op" | "effects">): Op[] {
  return effects === null ? [op] : [op, effects];
}

export class Wip {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** All items, oldest first. */
  items(): WipItem[] {
    return this.#db.read((r: Reader) =>
      r.all<Omit<WipItem, "op" | "effects"> & { op: Uint8Array; effects: Uint8Array | null }>(
        `${SELECT} ORDER BY n`,
      ).map((row) => ({
        ...row,
        op: decode(row.op) as unknown as Op,
        effects: row.effects === null ? null : decode(row.effects) as unknown as Op & { op: "effects" },
      }))
    );
  }

  /** How many items of an author there are, and the first of another term than this one, without reading them all. */
  heldBy(
    author: string,
    term: number | undefined,
  ): { count: number; lost?: { term: number; baseSeq: number } } {
    return this.#db.read((r: Reader) => {
      const count = r.get<{ n: number }>("SELECT count(*) AS n FROM wip WHERE author = ?", author)?.n ?? 0;
      const lost = r.get<{ term: number; baseSeq: number }>(
        "SELECT term, base_seq AS baseSeq FROM wip WHERE author = ? AND term IS NOT ? ORDER BY n LIMIT 1",
        author,
        term ?? null,
      );
      return lost === undefined ? { count } : { count, lost };
    });
  }

  count(): number {
    return this.#db.read((r: Reader) => r.get<{ n: number }>("SELECT count(*) AS n FROM wip")?.n ?? 0);
  }

  /** Adds one item and returns its number; durable when the transaction is. */
  add(
    tx: Tx,
    item: Omit<WipItem, "n" | "endedMs" | "status" | "execution" | "effects"> & { execution?: number },
  ): number {
    return tx.run(
      `INSERT INTO wip (branch, term, base_seq, base_id, author, uid, message, op, state, boot, started_ms, execution)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      item.branch,
      item.term,
      item.baseSeq,
      item.baseId,
      item.author,
      item.uid,
      item.message,
      encode(item.op as unknown as Cbor),
      item.state,
      item.boot,
      item.startedMs,
      item.execution ?? null,
    ).lastInsertRowid;
  }

  done(tx: Tx, n: number, end: { endedMs: number; status: number }): void {
    tx.run(
      "UPDATE wip SET state = 'done', ended_ms = ?, status = ? WHERE n = ?",
      end.endedMs,
      end.status,
      n,
    );
  }

  /** What is known of a command only at its end: the bytes it was given to read, and what it changed. */
  complete(tx: Tx, n: number, op: Op, effects: WipItem["effects"]): void {
    const bytes = effects === null ? null : encode(effects as unknown as Cbor);
    tx.run("UPDATE wip SET op = ?, effects = ? WHERE n = ?", encode(op as unknown as Cbor), bytes, n);
  }

  drop(tx: Tx, n: number): void {
    tx.run("DELETE FROM wip WHERE n = ?", n);
  }

  dropAll(tx: Tx): void {
    tx.run("DELETE FROM wip");
  }

  /** The work before it is checked in: what remains was done on top of that entry. */
  rebase(tx: Tx, seq: number, id: Uint8Array): void {
    tx.run("UPDATE wip SET base_seq = ?, base_id = ?", seq, id);
  }

  /** The same work under a lock taken again, nobody having committed in between. */
  moveTo(tx: Tx, term: number): void {
    tx.run("UPDATE wip SET term = ?", term);
  }
}
