// Forks: the fork proofs that this host holds, for ever, and what follows from them: a branch that is stopped, an author whose
// entries get no votes until an owner has acknowledged it. Not what a proof is (fork_proof.ts), not how it came (fork_spread.ts).
import type { Db, Tx } from "../fs/mod.ts";
import { concat, fromHex, sha256, toHex } from "../mq/mod.ts";
import { forkId, type ForkPlace, type ForkProof, readHalf } from "./fork_proof.ts";
import { forksPerKeyMax } from "./limits.ts";
import type { Policy } from "./trust.ts";

/** A proof without its evidence. */
export interface ForkRow extends ForkPlace {
  id: Uint8Array;
  foundMs: number;
}

const COLUMNS = "id, kind, key, branch, epoch, term, seq, found_ms AS foundMs";

export class Forks {
  readonly #db: Db;
  readonly #kept = new Set<(row: ForkRow) => void>();
  /** All proofs there are: they are few, and asked for often. */
  #rows: ForkRow[] | undefined;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Calls `fn` when a proof is here that was not, durably. */
  onKept(fn: (row: ForkRow) => void): void {
    this.#kept.add(fn);
  }

  /** Every proof, in the order in which they were found. */
  all(): readonly ForkRow[] {
    return this.#rows ??= this.#db.read((r) => r.all<ForkRow>(`SELECT ${COLUMNS} FROM proof ORDER BY rowid`));
  }

  has(id: Uint8Array): boolean {
    const hex = toHex(id);
    return this.all().some((row) => toHex(row.id) === hex);
  }

  /** One proof with its evidence. */
  proof(id: Uint8Array): ForkProof | undefined {
    return this.#db.read((r) => r.get<ForkProof>("SELECT * FROM proof WHERE id = ?", id));
  }

  /** A digest of which proofs are here. */
  digest(): Uint8Array {
    const ids = this.all().map(({ id }) => toHex(id)).sort();
    return sha256(concat(...ids.map(fromHex)));
  }

  /**
   * Keeps a proof that was checked; returns whether it was news. Of one key that goes on and on the first
   * {@link forksPerKeyMax} are enough: who has not acknowledged those needs no more.
   */
  keep(tx: Tx, policy: Policy, proof: ForkProof, foundMs: number): boolean {
    const { kind, key, branch, epoch, term, seq, first, second } = proof;
    const id = forkId(proof);
    if (this.has(id)) return false;
    const like = this.all().filter((row) =>
      row.kind === kind && row.key === key && (key !== "" || row.branch === branch) &&
      !policy.acknowledged.has(toHex(row.id))
    );
    if (like.length >= forksPerKeyMax) return false;
    tx.run(
      "INSERT OR IGNORE INTO proof VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      id,
      kind,
      key,
      branch,
      epoch,
      term,
      seq,
      first,
      second,
      foundMs,
    );
    tx.onCommit(() => {
      this.#rows = undefined;
      this.#kept.forEach((fn) => fn({ id, kind, key, branch, epoch, term, seq, foundMs }));
    });
    return true;
  }

  /** Drops everything: for a host that has not come into any domain. */
  forget(tx: Tx): void {
    tx.run("DELETE FROM proof");
    tx.onCommit(() => this.#rows = undefined);
  }

  /** What is proven about one place of a branch. */
  at(branch: string, seq: number): ForkRow[] {
    return this.all().filter((row) => row.branch === branch && row.seq === seq);
  }

  /** Where two certified entries stand in one place of a branch, in order of these places. */
  certified(branch: string): ForkRow[] {
    return this.all().filter((row) => row.kind === "certified" && row.branch === branch)
      .sort((a, b) => a.seq - b.seq);
  }

  /** The two entries of such a proof. */
  entriesOf(id: Uint8Array): [Uint8Array, Uint8Array] {
    const { first, second } = this.proof(id) as ForkProof;
    return [readHalf(first).entry, readHalf(second).entry];
  }

  /** What a key was proven to have done and no owner has acknowledged. */
  openOf(policy: Policy, key: string, kind?: ForkPlace["kind"]): ForkRow[] {
    return this.all().filter((row) =>
      row.key === key && (kind ?? row.kind) === row.kind && isOpen(policy, row)
    );
  }

  /** The proof for which an author's key is suspended: no keeper votes for anything new of it. */
  suspends(policy: Policy, key: string): ForkRow | undefined {
    return this.openOf(policy, key, "author")[0];
  }

  /** Whether this keeper has voted for two entries at a place in one term. */
  hasVotedTwice(key: string, { branch, epoch, term, seq }: Omit<ForkPlace, "kind" | "key">): boolean {
    return this.all().some((row) =>
      row.kind === "keeper" && row.key === key && row.branch === branch && row.epoch === epoch &&
      row.term === term && row.seq === seq
    );
  }
}

/** Whether nobody has acknowledged a proof, and its key still counts. */
export function isOpen(policy: Policy, { id, key }: ForkRow): boolean {
  return key !== "" && !policy.revoked.has(key) && !policy.acknowledged.has(toHex(id));
}
