// Keeper: locks and votes. A lock is a promised term (a fencing token), a vote is durable before it is given.
// On a host that is no keeper: what it last learnt of a lock. Nothing here reads a clock to decide.
import type { Db, Tx } from "../fs/mod.ts";
import { encode, Fault, type KeyPair } from "../mq/mod.ts";
import { type EntryRecord, sealVote } from "./entry.ts";
import { timeMsMax } from "./limits.ts";
import { inert } from "./names.ts";

/** Who asks for a lock: a person's key on a host. */
export interface Claim {
  holder: string;
  holderName: string;
  host: string;
  hostName: string;
  message: string;
}

/** A promised term. `held` false: given back; the term still counts. */
export interface Held extends Claim {
  branch: string;
  term: number;
  held: boolean;
  sinceMs: number;
}

/** An entry that asks for this keeper's vote. */
export interface Proposal {
  branch: string;
  epoch: number;
  seq: number;
  id: Uint8Array;
  entry: Uint8Array;
  origin: Uint8Array;
}

interface Row {
  branch: string;
  term: number;
  held: number;
  holder: string;
  holder_name: string;
  host: string;
  host_name: string;
  message: string;
  since_ms: number;
}

/** The keeper that lives on this host. */
export class SoleKeeper {
  readonly #db: Db;
  readonly #key: () => KeyPair;

  constructor(db: Db, key: () => KeyPair) {
    this.#db = db;
    this.#key = key;
  }

  /** The lock of a branch as this keeper knows it; undefined when it was never locked. */
  holder(branch: string): Held | undefined {
    const row = this.#db.read((r) => r.get<Row>("SELECT * FROM promise WHERE branch = ?", branch));
    return row === undefined ? undefined : {
      branch,
      term: row.term,
      held: row.held === 1,
      holder: row.holder,
      holderName: row.holder_name,
      host: row.host,
      hostName: row.host_name,
      message: row.message,
      sinceMs: row.since_ms,
    };
  }

  /**
   * Promises the branch to a claim: the same holder keeps its term and changes its message, a new one gets a
   * higher term. Throws locked unless `steal`, which raises the term over the holder's head.
   */
  promise(tx: Tx, branch: string, claim: Claim, nowMs: number, steal = false): Held {
    const before = this.holder(branch);
    const own = before?.held === true && before.holder === claim.holder && before.host === claim.host;
    if (before?.held === true && !own && !steal) throw lockedBy("lock", before, nowMs);
    const held: Held = {
      ...claim,
      branch,
      held: true,
      term: own ? before.term : (before?.term ?? 0) + 1,
      sinceMs: own ? before.sinceMs : nowMs,
    };
    this.#write(tx, held);
    return held;
  }

  /** Notes what a keeper has said of a branch's lock, unless something newer is known. */
  learn(tx: Tx, held: Held): void {
    if ((this.holder(held.branch)?.term ?? 0) <= held.term) this.#write(tx, held);
  }

  #write(tx: Tx, held: Held): void {
    tx.run(
      `INSERT INTO promise VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (branch) DO UPDATE SET term = excluded.term, held = excluded.held, holder = excluded.holder,
         holder_name = excluded.holder_name, host = excluded.host, host_name = excluded.host_name,
         message = excluded.message, since_ms = excluded.since_ms`,
      held.branch,
      held.term,
      held.held ? 1 : 0,
      held.holder,
      held.holderName,
      held.host,
      held.hostName,
      held.message,
      held.sinceMs,
    );
  }

  /** Gives a term back; the next lock gets a higher one. */
  release(tx: Tx, branch: string): void {
    tx.run("UPDATE promise SET held = 0 WHERE branch = ?", branch);
  }

  /** Votes for entries of the control journal, which is not locked: their place in the chain says who came first. */
  voteControl(domain: Uint8Array, batch: readonly Proposal[]): EntryRecord[] {
    return batch.map((proposal) => this.#sealed(domain, 0, proposal));
  }

  #sealed(
    domain: Uint8Array,
    term: number,
    { branch, epoch, seq, id, entry, origin }: Proposal,
  ): EntryRecord {
    return { entry, origin, cert: encode([sealVote({ epoch, term, seq, id }, domain, branch, this.#key())]) };
  }

  /**
   * Votes for a batch, all or none. Refuses when the term is no longer the promised one. The votes are durable
   * together with the journal rows, by the caller's one transaction, before anybody sees them.
   */
  vote(tx: Tx, domain: Uint8Array, term: number, batch: readonly Proposal[]): EntryRecord[] {
    void tx;
    return batch.map((proposal) => {
      const now = this.holder(proposal.branch);
      if (now?.held !== true || now.term !== term) throw lockGone(term, now);
      return this.#sealed(domain, term, proposal);
    });
  }
}

/** The fault of a check-in under a term that is not, or no longer, the promised one; names both. */
export function lockGone(term: number, now: Held | undefined): Fault {
  const promised = now === undefined ? "none" : `term ${now.term} to ${inert(now.holderName)}`;
  const text = `the lock with term ${term} is gone: the keeper has promised ${promised}`;
  return new Fault("ci", "notLocked", text, { hint: 'isconf lock "why", then isconf ci' });
}

/** The fault that says who holds a lock, where, why, and since when. */
export function lockedBy(op: string, held: Held, nowMs: number): Fault {
  const minutes = Math.max(0, Math.round((nowMs - held.sinceMs) / 60_000));
  const since = `${new Date(Math.min(held.sinceMs, timeMsMax)).toISOString()} (${minutes} min)`;
  return new Fault(
    op,
    "locked",
    `${held.branch} is locked by ${inert(held.holderName)} on ${inert(held.hostName)} since ${since}: ${
      inert(held.message)
    }`,
    { hint: `isconf status, then ask ${inert(held.holderName)} to isconf ci or isconf unlock` },
  );
}
