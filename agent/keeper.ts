// Keeper: locks and votes as they stand in this host's database. A lock is a promised term (a fencing token), a vote is
// durable before it is given. On a host that is no keeper: what it last learnt of a lock. Nothing here reads a clock to
// decide, and nothing knows who asks (keeper_service.ts).
import type { Db, Tx } from "../fs/mod.ts";
import { bytesEqual, type Cbor, concat, decode, encode, Fault, type KeyPair } from "../mq/mod.ts";
import { type EntryRecord, sealVote } from "./entry.ts";
import { acceptedLimits, timeMsMax } from "./limits.ts";
import { inert } from "./names.ts";
import { batchId, decodeProof, encodeProof, type Proof, type Voted } from "./promises.ts";

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
  /** Nothing is checked in under it: it holds the branch still while the keepers of the domain are changed. */
  change: boolean;
}

const ID_BYTES = 32;

/** Why a branch stands still under a lock of that kind. */
export const CHANGING = "the keepers are being changed";

/** An entry that asks for this keeper's vote. */
export interface Proposal {
  branch: string;
  epoch: number;
  seq: number;
  id: Uint8Array;
  entry: Uint8Array;
  origin: Uint8Array;
}

/** A batch that this keeper has voted for and that is not known to be certified. */
export interface Accepted extends Voted {
  /** The place of its first entry. */
  seq: number;
  /** Of each entry the bytes of entry and origin. */
  records: Uint8Array[][];
  /** Why it could be proposed in that term. */
  proof: Proof;
}

/** How a lock is asked for. */
export interface How {
  steal?: boolean;
  after?: number | undefined;
  change?: boolean;
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
  said: Uint8Array | null;
  change: number;
  freed: Uint8Array | null;
}

/** The keeper that lives on this host. */
export class Keeper {
  readonly #db: Db;
  readonly #key: () => KeyPair;

  constructor(db: Db, key: () => KeyPair) {
    this.#db = db;
    this.#key = key;
  }

  /** The lock of a branch as this keeper knows it; undefined when it was never locked. */
  holder(branch: string): Held | undefined {
    const row = this.#row(branch);
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
      change: row.change === 1,
    };
  }

  #row(branch: string): Row | undefined {
    return this.#db.read((r) => r.get<Row>("SELECT * FROM promise WHERE branch = ?", branch));
  }

  /** The signed words in which the term of {@link holder} was promised; undefined where this host has promised nothing. */
  said(branch: string): Uint8Array | undefined {
    return this.#row(branch)?.said ?? undefined;
  }

  /** The signed words in which that term was given back; undefined when it was not, or not in words. */
  freed(branch: string): Uint8Array | undefined {
    return this.#row(branch)?.freed ?? undefined;
  }

  /**
   * What there is to be promised to a claim: the same holder keeps its term and changes its message, a new one gets a higher
   * one; who names a term in `after` gets one above that. Throws locked unless `steal`, which raises the term over the
   * holder's head.
   */
  next(
    branch: string,
    claim: Claim,
    nowMs: number,
    { steal = false, after, change = false }: How = {},
  ): Held {
    const before = this.holder(branch);
    const isTheirs = before?.held === true && before.holder === claim.holder && before.host === claim.host;
    if (before?.held === true && !isTheirs && !steal) throw lockedBy("lock", before, nowMs);
    const own = isTheirs && before.change === change && (after === undefined || after < before.term);
    return {
      ...claim,
      branch,
      held: true,
      change,
      term: own ? before.term : Math.max(before?.term ?? 0, after ?? 0) + 1,
      sinceMs: own ? before.sinceMs : nowMs,
    };
  }

  /** Keeps the words in which the newest term was promised, which are said again whenever that is asked for again. */
  keepSaid(tx: Tx, branch: string, said: Uint8Array): void {
    tx.run("UPDATE promise SET said = ? WHERE branch = ?", said, branch);
  }

  /** Notes what a keeper has said of a branch's lock, unless something newer is known. What is given back stays so. */
  learn(tx: Tx, held: Held): void {
    const now = this.holder(held.branch);
    if (now === undefined || now.term < held.term) return this.#write(tx, held);
    if (now.term === held.term) {
      this.#write(tx, { ...held, held: held.held && now.held }, this.said(held.branch));
    }
  }

  /** Writes down a lock as it has been decided; of the same term the words in which it was promised stay. */
  follow(tx: Tx, held: Held): Held {
    this.#write(tx, held, this.holder(held.branch)?.term === held.term ? this.said(held.branch) : undefined);
    return held;
  }

  #write(tx: Tx, held: Held, said: Uint8Array | undefined = undefined): void {
    tx.run(
      `INSERT INTO promise VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)
       ON CONFLICT (branch) DO UPDATE SET term = excluded.term, held = excluded.held, holder = excluded.holder,
         holder_name = excluded.holder_name, host = excluded.host, host_name = excluded.host_name,
         message = excluded.message, since_ms = excluded.since_ms, said = excluded.said,
         change = excluded.change, freed = NULL`,
      held.branch,
      held.term,
      held.held ? 1 : 0,
      held.holder,
      held.holderName,
      held.host,
      held.hostName,
      held.message,
      held.sinceMs,
      said ?? null,
      held.change ? 1 : 0,
    );
  }

  /** Gives a term back, by these words; the next lock gets a higher one. */
  release(tx: Tx, branch: string, claim: Uint8Array | null = null): void {
    tx.run("UPDATE promise SET held = 0, freed = ? WHERE branch = ?", claim, branch);
  }

  /** The keepers have changed: no branch stands still for that any more. */
  changed(tx: Tx): void {
    tx.run("UPDATE promise SET held = 0 WHERE change = 1");
  }

  /** A new epoch has begun: terms start anew, and what was promised or voted for before is worth nothing any more. */
  begin(tx: Tx): void {
    for (const table of ["promise", "accepted"]) tx.run(`DELETE FROM ${table}`);
  }

  /** What this keeper has voted for and does not know to be certified. */
  accepted(branch: string): Accepted | undefined {
    const row = this.#db.read((r) =>
      r.get<{ term: number; seq: number; batch: Uint8Array; records: Uint8Array; proof: Uint8Array }>(
        "SELECT term, seq, batch, records, proof FROM accepted WHERE branch = ?",
        branch,
      )
    );
    return row && {
      ...row,
      records: decode(row.records, acceptedLimits) as Uint8Array[][],
      proof: decodeProof(row.proof),
    };
  }

  /** In which term, and from which place on, {@link accepted} is, and the ids of its entries; without its records. */
  voted(branch: string): { term: number; seq: number; ids: Uint8Array } | undefined {
    const sql = "SELECT term, seq, ids FROM accepted WHERE branch = ?";
    return this.#db.read((r) => r.get<{ term: number; seq: number; ids: Uint8Array }>(sql, branch));
  }

  /** Notes for what it is about to vote: before the vote is given, by the caller's one transaction. */
  accept(tx: Tx, branch: string, term: number, batch: readonly Proposal[], proof: Proof): void {
    tx.run(
      `INSERT INTO accepted VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (branch) DO UPDATE SET term = excluded.term, seq = excluded.seq, batch = excluded.batch,
         records = excluded.records, proof = excluded.proof, ids = excluded.ids`,
      branch,
      term,
      batch[0]!.seq,
      batchId(batch.map(({ id }) => id)),
      encode(batch.map(({ entry, origin }): Cbor => [entry, origin])),
      encodeProof(proof),
      concat(...batch.map(({ id }) => id)),
    );
  }

  /**
   * A chain ends with this entry now, by votes of this term: the lock is done with, and what was voted for when this is the last
   * of it, or something else in its place. Of a check-in that has come in part the rest is certified, too: until it has
   * come this keeper must not forget it, and has nothing to promise.
   */
  settle(tx: Tx, branch: string, { seq, id }: { seq: number; id: Uint8Array }, term: number): void {
    tx.run("UPDATE promise SET held = 0 WHERE branch = ? AND term <= ?", branch, term);
    const voted = this.voted(branch);
    if (voted === undefined || seq < voted.seq) return;
    const at = ID_BYTES * (seq - voted.seq);
    const isPart = at + ID_BYTES < voted.ids.length && bytesEqual(voted.ids.subarray(at, at + ID_BYTES), id);
    if (!isPart) tx.run("DELETE FROM accepted WHERE branch = ?", branch);
  }

  /** Its vote for each entry, signed. Who asks has made them durable, or does so before anybody sees these. */
  votes(domain: Uint8Array, term: number, batch: readonly Proposal[]): Uint8Array[] {
    return batch.map(({ branch, epoch, seq, id }) =>
      sealVote({ epoch, term, seq, id }, domain, branch, this.#key())
    );
  }
}

/** Entries with the votes for each: what a journal keeps. */
export function certified(
  batch: readonly Pick<Proposal, "entry" | "origin">[],
  votes: readonly (readonly Uint8Array[])[],
): EntryRecord[] {
  return batch.map(({ entry, origin }, i) => ({
    entry,
    origin,
    cert: encode(votes.map((of) => of[i] as Uint8Array)),
  }));
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
