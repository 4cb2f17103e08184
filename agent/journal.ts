// Journal: the chains of entries of every branch this host holds, each checked before it is kept.
// Not who votes (keeper.ts), not what this host has applied (history.ts).
import type { Db, Tx } from "../fs/mod.ts";
import { bytesEqual, Fault, toHex } from "../mq/mod.ts";
import { certifiedIn } from "./certificate.ts";
import { checkSeals, type Entry, ENTRY_LEVEL, type EntryRecord, readEntry } from "./entry.ts";
import { type Cut, cutBack, epochIn, isSettled, wrongEpoch } from "./epochs.ts";
import { forkText } from "./fork_proof.ts";
import { Forks } from "./forks.ts";
import { CONTROL, inert } from "./names.ts";
import { getMeta, setMeta } from "./schema.ts";
import {
  authorKey,
  endOfKeepers,
  follow,
  hostKey,
  isCut,
  may,
  nameOf,
  type Policy,
  roleFor,
} from "./trust.ts";
import { termStepMax } from "./limits.ts";

/** Where a branch's chain ends. `seq` 0 and an empty id: nothing there yet. */
export interface Head {
  seq: number;
  id: Uint8Array;
  /** Of what follows it. */
  epoch: number;
}

/** An entry that passed every check that can be made of it, ready to be kept. */
export interface Checked {
  record: EntryRecord;
  entry: Entry;
  id: Uint8Array;
  /** In which term it was certified; of a proposal 0. */
  term: number;
}

interface EntryRow extends EntryRecord {
  branch: string;
  seq: number;
  epoch: number;
  id: Uint8Array;
}

/** The fault of an entry that is right in everything and asks for more than this agent knows: replay stops before it. */
export class TooNew extends Fault {
  constructor(where: string, level: number) {
    super("journal", "refused", `${where} needs an agent of level ${level}; this one has ${ENTRY_LEVEL}`, {
      hint: "isconf version, then copy a newer isconf to this host",
    });
  }
}

const EMPTY: Head = { seq: 0, id: new Uint8Array(0), epoch: 0 };

export class Journal {
  /** What was proven of keys and keepers. */
  readonly forks: Forks;
  readonly #db: Db;
  /** The policy after each control entry, by that entry's id; they share what is the same in them. */
  readonly #policies = new Map<string, Policy>();
  #policy: Policy | undefined;
  readonly #grown = new Set<(branch: string) => void>();
  readonly #kept = new Set<(tx: Tx, checked: Checked) => void>();
  readonly #cut = new Set<(tx: Tx, cut: Cut) => void>();

  /** Opens the journal in agent.db and follows the control journal to its end. */
  constructor(db: Db) {
    this.#db = db;
    this.forks = new Forks(db);
    for (const row of this.#rows(CONTROL, 1, Number.MAX_SAFE_INTEGER)) {
      const { entry, id } = readEntry(row.entry);
      this.#keepPolicy(follow(this.#policy, entry, id));
    }
  }

  /** The domain's policy as of the newest control entry; undefined before there is a domain. */
  policy(): Policy | undefined {
    return this.#policy;
  }

  /** The same, or a fault that says how to get a domain. */
  needPolicy(op: string): Policy {
    const policy = this.policy();
    if (policy === undefined) {
      throw new Fault(op, "refused", "this host belongs to no domain yet", {
        hint: "isconf init, or isconf bundle import FILE --domain ID --branch BRANCH",
      });
    }
    return policy;
  }

  /** The policy as of one control entry, or undefined when we do not hold that entry. */
  policyAt(id: Uint8Array): Policy | undefined {
    return this.#policies.get(toHex(id));
  }

  /** The end of a branch's chain; of a branch forked off without entries of its own: the fork point. */
  head(branch: string): Head {
    const row = this.#db.read((r) =>
      r.get<Omit<Head, "epoch">>(
        "SELECT seq, id FROM entry WHERE branch = ? ORDER BY seq DESC LIMIT 1",
        branch,
      )
    );
    const policy = this.policy();
    const from = policy?.branches.get(branch);
    const { seq, id } = row ?? from ?? EMPTY;
    return { seq, id, epoch: policy?.epoch ?? 0 };
  }

  /** The stored entry at a place of a branch's chain, which may lie in the branch it was forked from. */
  at(branch: string, seq: number): EntryRow | undefined {
    const owner = this.#ownerOf(branch, seq);
    return this.#db.read((r) =>
      r.get<EntryRow>("SELECT * FROM entry WHERE branch = ? AND seq = ?", owner, seq)
    );
  }

  /** The entries `from` to `to` of a branch's chain, in order, read a few hundred at a time. */
  *range(branch: string, from: number, to: number): IterableIterator<EntryRow> {
    const fork = this.policy()?.branches.get(branch);
    if (fork && from <= fork.seq) yield* this.range(fork.branch, from, Math.min(to, fork.seq));
    yield* this.#rows(branch, Math.max(from, (fork?.seq ?? 0) + 1), to);
  }

  /** The bytes of all entries that are here, of every branch, in no order that means anything. */
  *everything(): IterableIterator<Uint8Array> {
    for (let last = 0;;) {
      const sql = "SELECT rowid AS n, entry FROM entry WHERE rowid > ? ORDER BY rowid LIMIT 256";
      const rows = this.#db.read((r) => r.all<{ n: number; entry: Uint8Array }>(sql, last));
      if (rows.length === 0) return;
      for (const { entry } of rows) yield entry;
      last = rows.at(-1)!.n;
    }
  }

  *#rows(branch: string, from: number, to: number): IterableIterator<EntryRow> {
    const page = 256;
    for (let next = from; next <= to;) {
      const rows = this.#db.read((r) =>
        r.all<EntryRow>(
          "SELECT * FROM entry WHERE branch = ? AND seq >= ? AND seq <= ? ORDER BY seq LIMIT ?",
          branch,
          next,
          to,
          page,
        )
      );
      yield* rows;
      if (rows.length < page) return;
      next = (rows.at(-1) as EntryRow).seq + 1;
    }
  }

  #ownerOf(branch: string, seq: number): string {
    const fork = this.policy()?.branches.get(branch);
    return fork && seq <= fork.seq ? this.#ownerOf(fork.branch, seq) : branch;
  }

  /**
   * Checks everything that can be checked of one entry that is to follow `head` on its branch: place, chain,
   * policy, role, revocation, both signatures, certificate. Nothing is kept. Throws corrupt, denied or refused.
   * A keeper that is asked for its vote checks a `proposal`: all but the certificate, which is not there yet. `head.now`: the
   * policy that is to be the newest, where what is held beyond it does not count.
   */
  check(
    record: EntryRecord,
    head: Head & { policySeq?: number; now?: Policy },
    as: "certified" | "proposal" = "certified",
  ): Checked & { policySeq: number } {
    const read = readEntry(record.entry);
    const { entry, id, kid } = read;
    const where = `entry ${entry.seq} of ${entry.branch}`;
    const bad = (why: string) =>
      new Fault("journal", "corrupt", `${where} ${why}`, { hint: "isconf verify, then ask another host" });
    if (entry.seq !== head.seq + 1) throw bad(`does not follow entry ${head.seq}`);
    if (!bytesEqual(entry.prev, head.id)) throw bad("names another predecessor: the chain is broken there");
    const genesis = entry.branch === CONTROL && entry.seq === 1;
    const now = genesis ? follow(undefined, entry, id) : head.now ?? this.needPolicy("journal");
    const then = genesis ? now : this.policyAt(entry.policy);
    if (!genesis && !bytesEqual(entry.domain, now.domain)) throw bad("belongs to another domain");
    if (then === undefined) {
      throw new Fault("journal", "refused", `${where} was made under a policy this host does not hold yet`, {
        hint: "isconf up when a keeper can be reached, or isconf bundle import a newer bundle",
      });
    }
    const wrong = wrongEpoch(now, then, entry, id);
    if (wrong !== undefined) throw bad(wrong);
    const before = head.policySeq ?? this.#policySeqOf(this.at(entry.branch, head.seq));
    if (then.seq < before) throw bad("names a policy older than the entry before it");
    if (!now.branches.has(entry.branch) && entry.branch !== CONTROL) throw bad("is of a branch nobody made");
    const isNewer = entry.level > ENTRY_LEVEL; // then its operations say nothing to us
    const role = isNewer ? "append" : roleFor(entry.ops);
    if (entry.branch !== CONTROL && !may(then, kid, role, entry.branch)) {
      throw new Fault("journal", "denied", `${nameOf(then, kid)} had no right to write ${where}`, {
        hint: "isconf status: shows who may write to this branch",
      });
    }
    for (const key of [kid, toHex(entry.origin)]) {
      if (!isCut(now, key, entry.branch, entry.seq)) continue;
      throw new Fault("journal", "denied", `the key of ${nameOf(now, key)} was revoked before ${where}`, {
        hint: "isconf log --branch @domain: shows what was revoked",
      });
    }
    const end = endOfKeepers(now, then, entry.branch);
    if (end !== undefined && entry.seq > end) throw bad("names keepers that were replaced before it");
    if (entry.term > termStepMax && entry.term > this.#termBefore(entry) + termStepMax) {
      throw bad("jumps in its term");
    }
    checkSeals(record, read, authorKey(then, kid, entry.ops), hostKey(then, toHex(entry.origin)));
    const term = as === "certified" ? certifiedIn({ record, entry, id }, then, now, bad) : 0;
    if (isNewer) throw new TooNew(where, entry.level);
    if (entry.branch === CONTROL && !genesis) {
      if (!bytesEqual(entry.policy, entry.prev)) throw bad("does not follow the policy it names");
      follow(then, entry, id);
    }
    return { record, entry, id, term, policySeq: then.seq };
  }

  /** Which policy an entry that is held was made under; 0 where there is none. */
  #policySeqOf(row: EntryRow | undefined): number {
    return row === undefined ? 0 : this.policyAt(readEntry(row.entry).entry.policy)?.seq ?? 0;
  }

  #termBefore(entry: Entry): number {
    const before = this.at(entry.branch, entry.seq - 1);
    return before === undefined ? 0 : readEntry(before.entry).entry.term;
  }

  /**
   * Keeps checked entries, in order. The policy follows when the transaction commits. With the beginning of an epoch goes what
   * it leaves behind.
   */
  append(tx: Tx, checked: readonly Checked[]): void {
    for (const one of checked) {
      const { record, entry, id } = one;
      const cut = epochIn(entry) === undefined ? [] : cutBack(tx, this.#policy, entry);
      tx.run(
        "INSERT INTO entry (branch, seq, epoch, id, entry, origin, cert) VALUES (?, ?, ?, ?, ?, ?, ?)",
        entry.branch,
        entry.seq,
        entry.epoch,
        id,
        record.entry,
        record.origin,
        record.cert,
      );
      for (const fn of this.#kept) fn(tx, one);
      for (const back of cut) this.#cut.forEach((fn) => fn(tx, back));
      if (entry.branch !== CONTROL) continue;
      if (entry.seq === 1) setMeta(tx, "domain", toHex(id));
      tx.onCommit(() => this.#keepPolicy(follow(this.#before(entry), entry, id)));
    }
    const branches = new Set(checked.map(({ entry }) => entry.branch));
    tx.onCommit(() => branches.forEach((branch) => this.#grown.forEach((fn) => fn(branch))));
  }

  /** The policy that a control entry follows. With the beginning of an epoch, what was held in its place is forgotten. */
  #before(entry: Entry): Policy | undefined {
    if (epochIn(entry) === undefined) return this.#policy;
    for (const [id, { seq }] of this.#policies) if (seq >= entry.seq) this.#policies.delete(id);
    return this.policyAt(entry.prev);
  }

  #keepPolicy(policy: Policy): void {
    this.#policies.set(toHex(policy.head), policy);
    this.#policy = policy;
  }

  /** Drops everything: for a host that has not come into any domain. */
  forget(tx: Tx): void {
    tx.run("DELETE FROM entry");
    this.forks.forget(tx);
    setMeta(tx, "domain", undefined);
    tx.onCommit(() => {
      this.#policies.clear();
      this.#policy = undefined;
    });
  }

  /** Calls `fn` with the branch each time a chain has become longer, durably. A hint: who hears it reads the chain. */
  onGrown(fn: (branch: string) => void): void {
    this.#grown.add(fn);
  }

  /** Calls `fn` in the transaction that keeps an entry. */
  onKept(fn: (tx: Tx, checked: Checked) => void): void {
    this.#kept.add(fn);
  }

  /** Calls `fn` in the transaction that takes entries out of a chain, after that. */
  onCut(fn: (tx: Tx, cut: Cut) => void): void {
    this.#cut.add(fn);
  }

  /**
   * Whether a control entry begins an epoch in the place of what is held there: the root keys go on from its predecessor, and
   * have not spoken of this epoch in what is held.
   */
  endsHere(entry: Entry): boolean {
    const { seq, epoch, prev } = entry;
    if (epochIn(entry) === undefined || epoch <= this.needPolicy("journal").epoch) return false;
    const before = this.at(CONTROL, seq - 1)?.id;
    return before !== undefined && bytesEqual(before, prev);
  }

  /** A branch and those it was forked from, the oldest first. */
  lineage(branch: string): string[] {
    const from = this.policy()?.branches.get(branch);
    return from ? [...this.lineage(from.branch), branch] : [branch];
  }

  /**
   * Checks that `other`, for a place that is taken, is a second certified entry of that place, whatever it follows: the two
   * prove that agreement was broken. What is merely signed a second time, or wrong, proves nothing against the certified
   * one that is held. Throws corrupt, denied or refused then.
   */
  checkFork(other: EntryRecord): Checked {
    const { entry: { branch, seq, epoch, prev } } = readEntry(other.entry);
    if (branch === CONTROL && seq === 1) throw notProof(); // the beginning of another domain, which is none of ours
    return this.check(other, { seq: seq - 1, epoch, id: prev, policySeq: 0 });
  }

  /** The place at which a branch was forked, if that is proven and the root keys have not said since what counts. */
  forkOf(branch: string): { seq: number; foundMs: number } | undefined {
    const proof = this.forkProof(branch);
    return proof && { seq: proof.seq, foundMs: proof.foundMs };
  }

  /** The same with the two entries. */
  forkProof(
    branch: string,
  ): { seq: number; foundMs: number; first: Uint8Array; second: Uint8Array } | undefined {
    const idAt = (seq: number) => this.at(branch, seq)?.id;
    for (const { id, seq, foundMs } of this.forks.certified(branch)) {
      const [first, second] = this.forks.entriesOf(id);
      const ids = [first, second].map((bytes) => readEntry(bytes).id);
      if (!isSettled(this.policy(), { branch, seq, ids }, idAt)) return { seq, foundMs, first, second };
    }
    return undefined;
  }

  /** Throws a forked fault when a proof is held that somebody signed two entries for one place of the branch. */
  needUnforked(op: string, branch: string): void {
    const fork = this.forkOf(branch);
    if (fork === undefined) return;
    throw new Fault(
      op,
      "forked",
      `${branch} is frozen: two different entries ${fork.seq} were certified`,
      {
        hint: `isconf resolve ${branch}, with the root keys of the domain`,
      },
    );
  }

  /** Throws a denied fault when a key was proven to have signed two entries for one place, and no owner has acknowledged it. */
  needNotSuspended(op: string, author: string): void {
    const policy = this.needPolicy(op);
    const proof = this.forks.suspends(policy, author);
    if (proof === undefined) return;
    const name = nameOf(policy, author);
    throw new Fault(
      op,
      "denied",
      `${forkText(policy, proof)}: nothing of it is certified until that is acknowledged`,
      {
        hint: `isconf acknowledge ${inert(name)}, by an owner of the domain`,
      },
    );
  }

  /** The id of the domain, in hex, or undefined. */
  domain(): string | undefined {
    return getMeta(this.#db, "domain");
  }
}

function notProof(): Fault {
  return new Fault("journal", "corrupt", "an entry for a place that is taken, and no proof of anything", {
    hint: "isconf verify, then ask another host",
  });
}
