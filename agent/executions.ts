// Executions: every command that was run on this host, or refused to somebody, and by whose word: durable before it starts. It lives
// only here. Not what should be applied (journal.ts), what is applied (history.ts) or waits for ci (wip.ts); these name it.
import type { Db, Reader, Tx } from "../fs/mod.ts";
import { type Cbor, type Clock, decode, encode } from "../mq/mod.ts";
import type { Source } from "./caller.ts";
import { addLink, chainOf, checkChain, type Checked, dropLinks, hasChain, linkOf } from "./chain.ts";
import {
  executionArgvBytesMax,
  executionsPerUidMax,
  executionsPruneEach,
  refusalArgvBytesMax,
  refusalsMax,
  refusalsMs,
  refusalsPerUidMax,
} from "./limits.ts";
import { maskedArgv, maskedBytes } from "./mask.ts";

/** intent: begun, its end is not known (yet). done, failed: its end is. refused: it was not run. */
export type ExecutionState = "intent" | "done" | "failed" | "refused";

/** Who had something run, and what. */
export interface Asked {
  /** The verb: exec, or up for what is replayed. */
  verb: string;
  uid: number;
  user: string;
  /** Where that user called from, as /proc had it; null: the agent itself did it. */
  source: Source | null;
  /** In whose name: the person with the lock, or the author of what is replayed. */
  person: string;
  /** As which user it runs. */
  as: string;
  /** The file that runs, as it was found. */
  file: string;
  argv: readonly string[];
  cwd: string;
  /** The line of the policy that decided, with its place; empty: none had to. */
  rule: string;
}

export interface Execution extends Asked {
  n: number;
  state: ExecutionState;
  /** The entry that it is of: replayed, or made of it by ci. */
  entry: Uint8Array | null;
  seq: number | null;
  startedMs: number;
  endedMs: number | null;
  status: number | null;
  /** Why it was refused, or could not be started. */
  why: string | null;
  output: Uint8Array | null;
}

/** What happened to one. */
export type ExecutionEvent = "begun" | "ended" | "refused";

const COLUMNS =
  "n, state, verb, entry, seq, uid, user, source, person, as_user AS asUser, file, argv, cwd, rule, " +
  "started_ms AS startedMs, ended_ms AS endedMs, status, why";

type Row = Omit<Execution, "argv" | "source" | "as"> & { argv: Uint8Array; source: string; asUser: string };

export class Executions {
  readonly #db: Db;
  readonly #clock: Clock;
  readonly #running = new Set<number>();
  /** Of each uid, and apart of its refusals: how many were added since old ones were looked for. */
  readonly #added = new Map<string, number>();
  /** Of each uid: refusals since when, and how many of them were not written. */
  readonly #refused = new Map<number, { sinceMs: number; count: number; lost: number }>();
  /** Who else is told of what is durable here, and the value of its link in the chain. It must not throw. */
  tell: (event: ExecutionEvent, row: Execution, chain: string) => void = () => {};

  constructor(db: Db, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** What is about to run; it may when this is durable. `of`: the entry that is replayed. Returns its number. */
  begin(tx: Tx, asked: Asked, of?: { seq: number; id: Uint8Array }): number {
    const n = this.#add(tx, asked, executionArgvBytesMax, "intent", null, of);
    tx.onCommit(() => void this.#running.add(n));
    this.#tell(tx, "begun", n);
    return n;
  }

  /** The end of what `begin` began. */
  ended(tx: Tx, n: number, end: { status: number; endedMs: number; output: Uint8Array }): void {
    const state = end.status === 0 ? "done" : "failed";
    tx.run(
      "UPDATE execution SET state = ?, status = ?, ended_ms = ?, output = ? WHERE n = ?",
      ...[state, end.status, end.endedMs, maskedBytes(end.output), n],
    );
    addLink(tx, n, "ended");
    this.#tell(tx, "ended", n);
  }

  /** What `begin` began could not be started: nothing has run. */
  neverStarted(tx: Tx, n: number, why: string): void {
    tx.run(
      "UPDATE execution SET state = 'failed', ended_ms = ?, why = ? WHERE n = ?",
      ...[this.#clock.wall(), why, n],
    );
    addLink(tx, n, "ended");
    this.#tell(tx, "ended", n);
  }

  /** Somebody was refused something. Of one uid no more is written in a while than `refusalsMax`; the rest is counted. */
  refused(asked: Asked, why: string): void {
    const now = this.#clock.now();
    let seen = this.#refused.get(asked.uid);
    if (seen === undefined || now - seen.sinceMs >= refusalsMs) {
      this.#refused.set(asked.uid, seen = { sinceMs: now, count: 0, lost: seen?.lost ?? 0 });
    }
    if (++seen.count > refusalsMax) return void seen.lost++;
    const whole = seen.lost === 0 ? why : `${why} (${seen.lost} more before it are not recorded)`;
    this.#db.write((tx) =>
      this.#tell(tx, "refused", this.#add(tx, asked, refusalArgvBytesMax, "refused", whole))
    );
    seen.lost = 0;
  }

  /** What was work has become an entry. */
  becameEntry(tx: Tx, n: number, of: { seq: number; id: Uint8Array }): void {
    tx.run("UPDATE execution SET entry = ?, seq = ?, kept = 1 WHERE n = ?", of.id, of.seq, n);
    addLink(tx, n, "entry");
  }

  /** The newest, newest last, without their outputs; of one uid, or of all. */
  newest(count: number, uid?: number): Execution[] {
    return this.#db.read((r: Reader) =>
      r.all<Row>(
        `SELECT ${COLUMNS}, NULL AS output FROM execution ${
          uid === undefined ? "" : "WHERE uid = ?"
        } ORDER BY n DESC LIMIT ?`,
        ...uid === undefined ? [count] : [uid, count],
      ).reverse().map(read)
    );
  }

  at(n: number): Execution | undefined {
    return this.#read("output", n);
  }

  /** What an entry last printed here. */
  outputOf(entry: Uint8Array): Uint8Array | null {
    return this.#db.read((r: Reader) =>
      r.get<{ output: Uint8Array | null }>(
        "SELECT output FROM execution WHERE entry = ? ORDER BY n DESC LIMIT 1",
        entry,
      )?.output ?? null
    );
  }

  /** Whether its end is still to come, rather than unknown. */
  isRunning(n: number): boolean {
    return this.#running.has(n);
  }

  /** What of one uid's record, or of all, is not as it was written. */
  check(uid?: number): Checked {
    return this.#db.read((r: Reader) => checkChain(r, uid));
  }

  /** Whether something has that value of the chain. */
  hasChain(chain: Uint8Array): boolean {
    return this.#db.read((r: Reader) => hasChain(r, chain));
  }

  #add(
    tx: Tx,
    asked: Asked,
    argvBytesMax: number,
    state: "intent" | "refused",
    why: string | null,
    of?: { seq: number; id: Uint8Array },
  ): number {
    const { verb, uid, user, source, person, as, file, cwd, rule } = asked;
    const argv = cut(maskedArgv(asked.argv), argvBytesMax);
    if (of !== undefined) tx.run("UPDATE execution SET kept = 0 WHERE entry = ?", of.id);
    const { lastInsertRowid: n } = tx.run(
      `INSERT INTO execution (state, verb, entry, seq, uid, user, source, person, as_user, file, argv, cwd, rule, started_ms,
         why, kept) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[state, verb, of?.id ?? null, of?.seq ?? null, uid, user, JSON.stringify(source), person, as],
      ...[file, encode([...argv] as Cbor), cwd, rule, this.#clock.wall(), why, of === undefined ? 0 : 1],
    );
    addLink(tx, n, state === "refused" ? "refused" : "begun");
    this.#prune(tx, uid, state === "refused");
    return n;
  }

  /**
   * Takes away the oldest of one uid, but what an entry last did here, and what ended after one of those that stay had begun: so
   * the chain is cut where it is old. Nobody's commands push out those of others.
   */
  #prune(tx: Tx, uid: number, isRefused: boolean): void {
    const key = `${uid} ${isRefused}`;
    const added = (this.#added.get(key) ?? executionsPruneEach) + 1;
    this.#added.set(key, added);
    if (added <= executionsPruneEach) return;
    const [keep, which] = isRefused
      ? [refusalsPerUidMax, "uid = ? AND kept = 0 AND state = 'refused'"]
      : [executionsPerUidMax, "uid = ? AND kept = 0 AND state <> 'refused'"];
    const newest = tx.all<{ n: number }>(
      `SELECT n FROM execution WHERE ${which} ORDER BY n DESC LIMIT ?`,
      ...[uid, keep + 1],
    );
    if (newest.length > keep) {
      const since = linkOf(tx, newest[keep - 1]!.n, "first");
      const old = tx.all<{ n: number }>(
        `SELECT n FROM execution WHERE ${which} AND n <= ?`,
        ...[uid, newest[keep]!.n],
      );
      for (const { n } of old) {
        if (linkOf(tx, n, "last") >= since) continue;
        tx.run("DELETE FROM execution WHERE n = ?", n);
        dropLinks(tx, n);
      }
    }
    this.#added.set(key, 0);
  }

  #read(output: string, n: number): Execution | undefined {
    const row = this.#db.read((r: Reader) =>
      r.get<Row>(`SELECT ${COLUMNS}, ${output} FROM execution WHERE n = ?`, n)
    );
    return row && read(row);
  }

  #tell(tx: Tx, event: ExecutionEvent, n: number): void {
    tx.onCommit(() => {
      if (event === "ended") this.#running.delete(n);
      const row = this.#read("NULL AS output", n);
      if (row !== undefined) this.tell(event, row, this.#db.read((r: Reader) => chainOf(r, n)));
    });
  }
}

function read({ asUser, ...row }: Row): Execution {
  return {
    ...row,
    as: asUser,
    argv: decode(row.argv) as string[],
    source: JSON.parse(row.source) as Source | null,
  };
}

/** The first of these arguments that have so many bytes together, and a word on the rest. */
function cut(argv: readonly string[], bytesMax: number): readonly string[] {
  const kept: string[] = [];
  let bytes = 0;
  for (const [i, arg] of argv.entries()) {
    const room = bytesMax - bytes;
    bytes += Buffer.byteLength(arg) + 1;
    if (bytes <= bytesMax) {
      kept.push(arg);
      continue;
    }
    const whole = Buffer.byteLength(arg);
    kept.push(arg.slice(0, Math.max(0, room / 4)).toWellFormed());
    kept.push(`[… ${whole} bytes in this argument, ${argv.length - i - 1} arguments after it …]`);
    return kept;
  }
  return argv;
}
