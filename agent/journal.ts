// Journal: the chains of entries of every branch this host holds, each checked before it is kept.
// Not who votes (keeper.ts), not what this host has applied (history.ts).
import type { Db, Tx } from "../fs/mod.ts";
import { bytesEqual, Fault, toHex } from "../mq/mod.ts";
import {
  checkSeals,
  type Entry,
  ENTRY_LEVEL,
  type EntryRecord,
  openVote,
  readEntry,
  votesOf,
} from "./entry.ts";
import { CONTROL } from "./names.ts";
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
  readonly #db: Db;
  /** The policy after each control entry, by that entry's id; they share what is the same in them. */
  readonly #policies = new Map<string, Policy>();
  #policy: Policy | undefined;
  readonly #grown = new Set<(branch: string) => void>();
  readonly #kept = new Set<(tx: Tx, entry: Entry, term: number) => void>();

  /** Opens the journal in agent.db and follows the control journal to its end. */
  constructor(db: Db) {
    this.#db = db;
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
      r.get<Head>("SELECT seq, id, epoch FROM entry WHERE branch = ? ORDER BY seq DESC LIMIT 1", branch)
    );
    if (row !== undefined) return row;
    const from = this.policy()?.branches.get(branch);
    return from ? { seq: from.seq, id: from.id, epoch: 0 } : EMPTY;
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
   * A keeper that is asked for its vote checks a `proposal`: all but the certificate, which is not there yet.
   */
  check(
    record: EntryRecord,
    head: Head & { policySeq?: number },
    as: "certified" | "proposal" = "certified",
  ): Checked & { policySeq: number } {
    const read = readEntry(record.entry);
    const { entry, id, kid } = read;
    const where = `entry ${entry.seq} of ${entry.branch}`;
    const bad = (why: string) =>
      new Fault("journal", "corrupt", `${where} ${why}`, { hint: "isconf verify, then ask another host" });
    if (entry.seq !== head.seq + 1) throw bad(`does not follow entry ${head.seq}`);
    if (entry.epoch !== head.epoch) throw bad(`is of another epoch, ${entry.epoch}`);
    if (!bytesEqual(entry.prev, head.id)) throw bad("names another predecessor: the chain is broken there");
    const genesis = entry.branch === CONTROL && entry.seq === 1;
    const now = genesis ? follow(undefined, entry, id) : this.needPolicy("journal");
    const then = genesis ? now : this.policyAt(entry.policy);
    if (!genesis && !bytesEqual(entry.domain, now.domain)) throw bad("belongs to another domain");
    if (then === undefined) {
      throw new Fault("journal", "refused", `${where} was made under a policy this host does not hold yet`, {
        hint: "isconf up when a keeper can be reached, or isconf bundle import a newer bundle",
      });
    }
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
    checkSeals(record, read, authorKey(then, kid), hostKey(then, toHex(entry.origin)));
    const term = as === "certified" ? this.#certifiedIn(record, entry, id, then, now, bad) : 0;
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

  /** The term of the votes that certify an entry. Throws when they are too few. */
  #certifiedIn(
    record: EntryRecord,
    entry: Entry,
    id: Uint8Array,
    policy: Policy,
    now: Policy,
    bad: (why: string) => Fault,
  ): number {
    const sets = keepersFor(policy, entry, id);
    const known = new Set(sets.flatMap(({ hosts }) => hosts));
    const votes = new Map<number, Set<string>>();
    for (const { kid, bytes } of votesOf(record.cert)) {
      if (!known.has(kid) || isCut(now, kid, entry.branch, entry.seq)) continue;
      const vote = openVote(bytes, entry.domain, entry.branch, hostKey(policy, kid));
      const same = vote.seq === entry.seq && vote.epoch === entry.epoch && bytesEqual(vote.id, id);
      if (!same || vote.term < entry.term) continue;
      votes.set(vote.term, (votes.get(vote.term) ?? new Set()).add(kid));
    }
    let most = 0;
    for (const [term, by] of votes) {
      const missing = sets.find(({ hosts, quorum }) => hosts.filter((host) => by.has(host)).length < quorum);
      if (missing === undefined) return term;
      most = Math.max(most, by.size);
    }
    const { quorum } = sets.at(-1) as Policy["keepers"];
    throw bad(`has the votes of ${most} keepers and needs ${quorum}: it was never certain`);
  }

  /** Keeps checked entries, in order. The policy follows when the transaction commits. */
  append(tx: Tx, checked: readonly Checked[]): void {
    for (const { record, entry, id, term } of checked) {
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
      for (const fn of this.#kept) fn(tx, entry, term);
      if (entry.branch !== CONTROL) continue;
      if (entry.seq === 1) setMeta(tx, "domain", toHex(id));
      tx.onCommit(() => this.#keepPolicy(follow(this.#policy, entry, id)));
    }
    const branches = new Set(checked.map(({ entry }) => entry.branch));
    tx.onCommit(() => branches.forEach((branch) => this.#grown.forEach((fn) => fn(branch))));
  }

  #keepPolicy(policy: Policy): void {
    this.#policies.set(toHex(policy.head), policy);
    this.#policy = policy;
  }

  /** Drops everything: for a host that has not come into any domain. */
  forget(tx: Tx): void {
    for (const table of ["entry", "fork_proof"]) tx.run(`DELETE FROM ${table}`);
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

  /** Calls `fn` in the transaction that keeps an entry, with the term of its votes. */
  onKept(fn: (tx: Tx, entry: Entry, term: number) => void): void {
    this.#kept.add(fn);
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
  checkFork(other: EntryRecord): void {
    const { entry: { branch, seq, epoch, prev } } = readEntry(other.entry);
    if (branch === CONTROL && seq === 1) throw notProof(); // the beginning of another domain, which is none of ours
    this.check(other, { seq: seq - 1, epoch, id: prev, policySeq: 0 });
  }

  /** Keeps the proof that one key signed two entries for one place; the branch is frozen from then on. */
  keepForkProof(
    tx: Tx,
    branch: string,
    seq: number,
    first: Uint8Array,
    second: Uint8Array,
    atMs: number,
  ): void {
    tx.run("INSERT OR IGNORE INTO fork_proof VALUES (?, ?, ?, ?, ?)", branch, seq, first, second, atMs);
  }

  /** The place at which a branch was forked, if a proof of that is held. */
  forkOf(branch: string): { seq: number; foundMs: number } | undefined {
    return this.#db.read((r) =>
      r.get<{ seq: number; foundMs: number }>(
        "SELECT seq, found_ms AS foundMs FROM fork_proof WHERE branch = ? ORDER BY seq LIMIT 1",
        branch,
      )
    );
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
        hint: "isconf status: shows the proof; an owner has to resolve it",
      },
    );
  }

  /** The id of the domain, in hex, or undefined. */
  domain(): string | undefined {
    return getMeta(this.#db, "domain");
  }
}

/** Whose votes an entry needs that is made under a policy: of those who are keepers then, and of those whom it makes so. */
export function keepersFor(policy: Policy, entry: Entry, id: Uint8Array): Policy["keepers"][] {
  const isChange = entry.level <= ENTRY_LEVEL && entry.seq > 1 &&
    entry.ops.some(({ op }) => op === "keepers" || op === "register");
  return isChange ? [policy.keepers, follow(policy, entry, id).keepers] : [policy.keepers];
}

function notProof(): Fault {
  return new Fault("journal", "corrupt", "an entry for a place that is taken, and no proof of anything", {
    hint: "isconf verify, then ask another host",
  });
}
