// Ledger: what is certain in a simulated domain, reckoned from certificates alone and without the product's own rules: which
// entry has which place, who are the keepers, who may write. Small on purpose: it knows what the simulation uses.
import { entries, type EntryRecord } from "../../agent/mod.ts";
import { decode, keyId, open1, toHex, verify1 } from "../../mq/mod.ts";
import { CONTROL, type Domain } from "./domain.ts";

/** An invariant does not hold. */
export class Broken extends Error {
  readonly invariant: string;

  constructor(invariant: string, what: string) {
    super(`${invariant}: ${what}`);
    this.invariant = invariant;
  }
}

interface Certain {
  id: string;
  prev: string;
  term: number;
  author: string;
  origin: string;
  /** The control entry under which it was made. */
  policy: string;
}

export interface KeeperSet {
  hosts: string[];
  quorum: number;
}

/** What the control journal says as of one of its entries. */
interface State {
  seq: number;
  keepers: KeeperSet;
  /** By key: the branches on which it may write. */
  writers: Map<string, Set<string>>;
  /** By revoked key: the last place of each branch that it may have written. */
  cuts: Map<string, Record<string, number>>;
}

export class Ledger {
  readonly #domain: Domain;
  readonly #entries = new Map<string, Certain>();
  readonly #ends = new Map<string, number>();
  /** By the id of the control entry. */
  readonly #states = new Map<string, State>();
  #newest: State | undefined;

  constructor(domain: Domain) {
    this.#domain = domain;
    const table = domain.template.tables.get("entry")!;
    for (const row of table.rows.values()) {
      const id = toHex(row[table.column("id")] as Uint8Array);
      this.#keep(CONTROL, row[table.column("seq")] as number, id, row[table.column("entry")] as Uint8Array);
    }
  }

  at(branch: string, seq: number): Certain | undefined {
    return this.#entries.get(`${branch} ${seq}`);
  }

  end(branch: string): number {
    return this.#ends.get(branch) ?? 0;
  }

  keepersAsOf(policy: string): KeeperSet {
    return this.#states.get(policy)!.keepers;
  }

  get newest(): State {
    return this.#newest!;
  }

  /** Quorums of whom it takes to certify these entries. */
  setsFor(policy: string, branch: string, records: Uint8Array[]): KeeperSet[] {
    const now = this.keepersAsOf(policy);
    if (branch !== CONTROL) return [now];
    const next = records.flatMap((record) => changeOf(entries.readEntry(record).entry) ?? []);
    return [now, ...next];
  }

  /** A host keeps an entry as certain: it is, and the only one of its place. */
  certain(host: string, place: { branch: string; seq: number; id: string }, record: EntryRecord): void {
    const { branch, seq, id } = place;
    const known = this.at(branch, seq);
    if (known?.id === id) return;
    const isCertain = this.#isCertified(branch, record);
    if (!isCertain) throw new Broken("I3", `${host} keeps entry ${seq} of ${branch} without a certificate`);
    if (known !== undefined) throw new Broken("I2", `two entries ${seq} of ${branch} are certified`);
    this.#keep(branch, seq, id, record.entry);
  }

  #isCertified(branch: string, record: EntryRecord): boolean {
    const { entry, id } = entries.readEntry(record.entry);
    const state = this.#states.get(toHex(entry.policy));
    if (state === undefined) return false;
    const context = entries.context(entries.TYPE.vote, this.#domain.id, branch);
    const terms = new Map<number, Set<string>>();
    for (const vote of decode(record.cert) as Uint8Array[]) {
      const { kid, payload } = open1(vote);
      const member = this.#domain.members.find((one) => one.id === kid);
      if (member === undefined) continue;
      verify1(vote, context, member.host.publicKey);
      const words = decode(payload) as unknown as entries.Vote;
      if (words.seq !== entry.seq || toHex(words.id) !== toHex(id)) continue;
      terms.set(words.term, (terms.get(words.term) ?? new Set()).add(kid));
    }
    const sets = this.setsFor(toHex(entry.policy), branch, [record.entry]);
    return [...terms.values()].some((by) =>
      sets.every(({ hosts, quorum }) => hosts.filter((one) => by.has(one)).length >= quorum)
    );
  }

  #keep(branch: string, seq: number, id: string, bytes: Uint8Array): void {
    const { entry } = entries.readEntry(bytes);
    const author = toHex(entry.author);
    const certain = {
      id,
      prev: toHex(entry.prev),
      term: entry.term,
      author,
      origin: toHex(entry.origin),
      policy: toHex(entry.policy),
    };
    const before = this.at(branch, seq - 1);
    const isNext = seq === this.end(branch) + 1 && certain.prev === (before?.id ?? "");
    if (!isNext) {
      throw new Broken("I4", `entry ${seq} of ${branch} does not follow entry ${this.end(branch)}`);
    }
    if (branch !== CONTROL) this.#mustBeAllowed(branch, seq, certain);
    this.#entries.set(`${branch} ${seq}`, certain);
    this.#ends.set(branch, seq);
    if (branch === CONTROL) this.#follow(id, entry);
  }

  /** I10: who wrote an entry had the role under the policy it names, and no revocation ends before it. */
  #mustBeAllowed(branch: string, seq: number, { author, policy }: Certain): void {
    const then = this.#states.get(policy);
    const may = then?.writers.get(author);
    if (!may?.has(branch) && !may?.has("*")) {
      throw new Broken("I10", `entry ${seq} of ${branch} was written by somebody who may not`);
    }
    const cuts = this.newest.cuts.get(author);
    if (cuts !== undefined && seq > (cuts[branch] ?? 0)) {
      throw new Broken("I10", `entry ${seq} of ${branch} was written with a revoked key`);
    }
  }

  #follow(id: string, entry: entries.Entry): void {
    const before = this.#newest;
    const next: State = {
      seq: entry.seq,
      keepers: before?.keepers ?? { hosts: [], quorum: 0 },
      writers: new Map(before?.writers),
      cuts: new Map(before?.cuts),
    };
    for (const op of entry.ops) {
      if (op.op === "grant" && (op.role === "owner" || op.role === "append")) {
        const key = toHex(op.key);
        next.writers.set(key, new Set(next.writers.get(key)).add(op.branch));
      } else if (op.op === "revoke") {
        const key = toHex(op.key);
        next.cuts.set(key, op.cuts);
        // Whoever works on a host that is evicted goes with it.
        const host = this.#domain.members.find((one) => one.id === key);
        if (host !== undefined) next.cuts.set(keyId(host.person.publicKey), op.cuts);
        for (const [branch, cut] of Object.entries(op.cuts)) this.#mustEnd(branch, cut);
      }
    }
    next.keepers = changeOf(entry) ?? next.keepers;
    this.#states.set(id, next);
    this.#newest = next;
  }

  /** A revocation names the ends of all chains: what lies behind one is not taken back by it. */
  #mustEnd(branch: string, cut: number): void {
    if (branch === CONTROL || cut >= this.end(branch)) return;
    throw new Broken(
      "I10",
      `a revocation ends ${branch} at ${cut}, and entry ${this.end(branch)} is certain`,
    );
  }
}

function changeOf({ ops }: entries.Entry): KeeperSet | undefined {
  for (const op of ops) if (op.op === "keepers") return { hosts: op.hosts.map(toHex), quorum: op.quorum };
  return undefined;
}
