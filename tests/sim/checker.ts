// Checker: what must hold whatever happens: the invariants of a fleet, looked at from outside after each commit of each host.
// It believes nothing that a host believes: certificates, roles and keepers it reckons by itself (ledger.ts).
import { entries, forksPerKeyMax } from "../../agent/mod.ts";
import { decode, open1, toHex } from "../../mq/mod.ts";
import type { Disk } from "./disk.ts";
import { CONTROL, type Domain, type Identity } from "./domain.ts";
import { Broken, Ledger } from "./ledger.ts";
import type { Change, Row, Value } from "./table.ts";

/** A host as the checker sees it. */
export interface Seen {
  identity: Identity;
  disk: Disk;
  /** It says and keeps what it likes: nothing is asked of it. */
  lies: boolean;
}

/** What a host does with a place of its branch. */
interface Begun {
  ended: boolean;
  /** How often a person said that it may be started again. */
  allowed: number;
  times: number;
}

/** Who has signed two things for one place, and what. */
interface Proven {
  kind: string;
  key: string;
}

export class Checker {
  readonly ledger: Ledger;
  /** What each host has begun to apply, by host and place. */
  readonly #begun = new Map<string, Begun>();
  /** The batches that somebody has voted for, whoever that was. */
  readonly #known = new Set<string>();
  readonly #proofs = new Map<string, Proven>();
  /** The batches that have the votes of a quorum, by branch and first place. */
  readonly #chosen = new Map<string, { batch: string; branch: string; seq: number }>();
  /** Who has voted for a batch, by branch, place, term and batch. */
  readonly #voted = new Map<string, Set<string>>();

  constructor(domain: Domain) {
    this.ledger = new Ledger(domain);
  }

  /** A host's commit, durable by now. */
  committed(host: Seen, changes: readonly Change[]): void {
    for (const { table, before, after } of changes) {
      if (host.lies) {
        // What it has voted for others may have to propose again.
        if (table.shape.name === "accepted" && after !== undefined) {
          this.#known.add(toHex(after[table.column("batch")] as Uint8Array));
        }
        continue;
      }
      const field = (row: Row, name: string): Value => row[table.column(name)] ?? null;
      const of = (row: Row) => (name: string) => field(row, name);
      switch (table.shape.name) {
        case "entry":
          if (after === undefined) throw new Broken("I8", `${host.identity.name} has lost an entry`);
          this.#kept(host, of(after));
          break;
        case "promise":
          this.#promised(host, before && of(before), after && of(after));
          break;
        case "accepted":
          if (after !== undefined) this.#votes(host, of(after));
          break;
        case "pending":
          if (after !== undefined && before === undefined) this.#signs(host);
          break;
        case "proof":
          if (after !== undefined) this.#proven(of(after));
          break;
        case "history":
          if (after !== undefined) this.#applied(host, before && of(before), of(after));
          break;
      }
    }
  }

  /** What hosts know of who signed two things for one place. */
  #proven(row: (name: string) => Value): void {
    this.#proofs.set(toHex(row("id") as Uint8Array), {
      kind: row("kind") as string,
      key: row("key") as string,
    });
  }

  /** I11: who knows that it was put back from a backup signs nothing more until a person has let it learn the rest. */
  #signs({ identity, disk }: Seen): void {
    if (!disk.tables.get("meta")!.rows.has("ahead")) return;
    throw new Broken(
      "I11",
      `${identity.name} checks in although it knows that it has forgotten what it signed`,
    );
  }

  /** A host goes on from a backup: what it has begun since it begins again. */
  restored({ name }: Identity): void {
    for (const [place, begun] of this.#begun) if (place.startsWith(`${name} `)) begun.allowed++;
  }

  /** I11: what somebody knows of two signatures for one place this host knows too, as far as it keeps such. */
  knowsForks({ identity, disk }: Seen): boolean {
    const table = disk.tables.get("proof")!;
    const [kindAt, keyAt] = [table.column("kind"), table.column("key")];
    const isFull = ({ kind, key }: Proven) =>
      [...table.rows.values()].filter((row) => row[kindAt] === kind && row[keyAt] === key).length >=
        forksPerKeyMax;
    const here = new Set([...table.rows.values()].map((row) => toHex(row[table.column("id")] as Uint8Array)));
    return [...this.#proofs].every(([id, proof]) =>
      here.has(id) || proof.key === identity.id || isFull(proof)
    );
  }

  /** How many places have two signatures that somebody knows of. */
  get forks(): number {
    return this.#proofs.size;
  }

  /** I11: a keeper that knows what an author did votes for nothing new of theirs. Nobody acknowledges anything here. */
  #suspended({ identity, disk }: Seen, branch: string, entry: Uint8Array): void {
    const author = toHex(entries.readEntry(entry).entry.author);
    const table = disk.tables.get("proof")!;
    for (const row of table.rows.values()) {
      if (row[table.column("kind")] !== "author" || row[table.column("key")] !== author) continue;
      throw new Broken(
        "I11",
        `${identity.name} votes in ${branch} for who it knows has signed two entries for one place`,
      );
    }
  }

  /** I2, I3, I4, I10. */
  #kept(host: Seen, row: (name: string) => Value): void {
    const [branch, seq] = [row("branch") as string, row("seq") as number];
    const id = toHex(row("id") as Uint8Array);
    this.ledger.certain(host.identity.name, { branch, seq, id }, {
      entry: row("entry") as Uint8Array,
      origin: row("origin") as Uint8Array,
      cert: row("cert") as Uint8Array,
    });
    if (branch === CONTROL) return;
    // The sole keeper has voted with that: for nothing below what it has promised.
    const { hosts, quorum } = this.ledger.keepersAsOf(this.#policyOf(host));
    if (quorum > 1 || hosts[0] !== host.identity.id) return;
    const { term, policy } = this.ledger.at(branch, seq)!;
    const promised = this.#termOf(host, branch);
    if (term < promised) {
      throw new Broken("I6", `${host.identity.name} voted in term ${term} of ${branch} after ${promised}`);
    }
    if (policy !== this.#policyOf(host)) this.#oldPolicy(host, branch, seq);
    this.#suspended(host, branch, row("entry") as Uint8Array);
  }

  #policyOf({ disk }: Seen): string {
    const table = disk.tables.get("entry")!;
    let [best, id] = [0, ""];
    for (const row of table.rows.values()) {
      const seq = row[table.column("seq")] as number;
      if (row[table.column("branch")] !== CONTROL || seq <= best) continue;
      [best, id] = [seq, toHex(row[table.column("id")] as Uint8Array)];
    }
    return id;
  }

  #termOf({ disk }: Seen, branch: string): number {
    const table = disk.tables.get("promise")!;
    return table.rows.get(branch)?.[table.column("term")] as number ?? 0;
  }

  #oldPolicy(host: Seen, branch: string, seq: number): never {
    throw new Broken(
      "I10",
      `${host.identity.name} voted for entry ${seq} of ${branch}, made under an older policy than its own`,
    );
  }

  /** I8: a promised term never goes down. */
  #promised(
    host: Seen,
    before: ((name: string) => Value) | undefined,
    after: ((name: string) => Value) | undefined,
  ): void {
    const [was, is] = [before?.("term") as number ?? 0, after?.("term") as number ?? 0];
    if (is < was) throw new Broken("I8", `${host.identity.name} forgot term ${was}: ${is}`);
    // Two who both believe that they have been promised one term: the token tells nobody apart.
    // Under a lock that only holds a branch still while keepers are changed nobody votes, and who goes on with that has it.
    const isOther = after?.("change") === 0 && before !== undefined && after !== undefined && is === was &&
      before("held") === 1 &&
      after("held") === 1 && (before("holder") !== after("holder") || before("host") !== after("host"));
    // Who is no keeper only notes what it hears, perhaps of a claim that too few have granted.
    const isKeeper = this.ledger.keepersAsOf(this.#policyOf(host)).hosts.includes(host.identity.id);
    if (isOther && isKeeper) {
      throw new Broken("I6", `${host.identity.name} promised term ${is} of ${after("branch")} twice`);
    }
  }

  /** I2 and I6 at the votes themselves, and that what is new was made under the newest policy. */
  #votes(host: Seen, row: (name: string) => Value): void {
    const [branch, seq, term] = [row("branch") as string, row("seq") as number, row("term") as number];
    const batch = toHex(row("batch") as Uint8Array);
    const promised = this.#termOf(host, branch);
    if (term < promised) {
      throw new Broken("I6", `${host.identity.name} voted in term ${term} of ${branch} after ${promised}`);
    }
    const records = decode(row("records") as Uint8Array) as Uint8Array[][];
    const policy = this.#policyOf(host);
    const isNew = !this.#known.has(batch);
    this.#known.add(batch);
    if (isNew && branch !== CONTROL) {
      for (const [entry] of records) {
        this.#suspended(host, branch, entry!);
        const made = toHex(entries.readEntry(entry!).entry.policy);
        if (made !== policy) this.#oldPolicy(host, branch, seq);
      }
    }
    const name = `${branch} ${seq} ${term} ${batch}`;
    const by = this.#voted.get(name) ?? new Set();
    this.#voted.set(name, by.add(host.identity.id));
    const sets = this.ledger.setsFor(policy, branch, records.map(([entry]) => entry!));
    const isChosen = sets.every(({ hosts, quorum }) => hosts.filter((one) => by.has(one)).length >= quorum);
    if (!isChosen) return;
    const place = `${branch} ${seq}`;
    const first = this.#chosen.get(place);
    if (first !== undefined && first.batch !== batch) {
      throw new Broken("I2", `two check-ins have the votes of a quorum for entry ${seq} of ${branch}`);
    }
    this.#chosen.set(place, { batch, branch, seq });
  }

  /** I1, I3: what a host has begun to apply, or has recorded as its own, is the certain entry of that place. */
  #applied(host: Seen, before: ((name: string) => Value) | undefined, after: (name: string) => Value): void {
    const { name, branch } = host.identity;
    const [seq, state] = [after("seq") as number, after("state") as string];
    const certain = this.ledger.at(branch, seq);
    if (certain === undefined) {
      throw new Broken("I3", `${name} applies entry ${seq} of ${branch}, which nobody certified`);
    }
    if (certain.id !== toHex(after("id") as Uint8Array)) {
      throw new Broken("I1", `${name} applies another entry ${seq} of ${branch} than others`);
    }
    if (before === undefined && seq > 1) {
      const table = host.disk.tables.get("history")!;
      const last = table.rows.get(seq - 1)?.[table.column("state")];
      if (last !== "done") {
        throw new Broken("I4", `${name} goes on to entry ${seq} of ${branch} after one that is ${last}`);
      }
    }
    const begun = this.#begun.get(`${name} ${seq}`);
    const isOwn = certain.origin === host.identity.id;
    if (state === "done" && !isOwn && begun?.ended !== true && !(begun && begun.allowed > 0)) {
      throw new Broken("I5", `${name} records entry ${seq} of ${branch} as done before it has ended`);
    }
  }

  /** A command of an entry is about to run on a host that applies it: I5, I12. */
  starts(host: Seen): () => void {
    const { name, branch } = host.identity;
    const { tables } = host.disk;
    const meta = tables.get("meta")!;
    if (meta.rows.has("diverged")) throw new Broken("I12", `${name} is diverged and applies`);
    const history = tables.get("history")!;
    const seq = Math.max(0, ...[...history.rows.keys()] as number[]);
    const state = history.rows.get(seq)?.[history.column("state")];
    if (state !== "intent") {
      throw new Broken("I5", `${name} starts entry ${seq} of ${branch}, which is ${state}`);
    }
    const begun = this.#begun.get(`${name} ${seq}`) ?? { ended: false, allowed: 0, times: 0 };
    this.#begun.set(`${name} ${seq}`, begun);
    if (++begun.times > 1 + begun.allowed) {
      throw new Broken("I5", `${name} starts entry ${seq} of ${branch} twice`);
    }
    return () => {
      begun.ended = true;
    };
  }

  /** A person looked at an entry that failed or is uncertain, and said how to go on. */
  settled(host: Seen, seq: number): void {
    const name = `${host.identity.name} ${seq}`;
    const begun = this.#begun.get(name) ?? { ended: false, allowed: 0, times: 0 };
    begun.allowed++;
    this.#begun.set(name, begun);
  }

  /** What is certain of a branch now: the highest place. */
  certainOf(branch: string): number {
    const chosen = [...this.#chosen.values()].filter((one) => one.branch === branch).map(({ seq }) => seq);
    return Math.max(this.ledger.end(branch), 0, ...chosen);
  }

  /**
   * Whether keepers have voted for a revocation, others for a check-in, and neither for enough: it says where the branch ends, and
   * neither can be certified while the other might be. What keepers vote who lie is not seen here.
   */
  isSplit(isOneSeen: boolean): boolean {
    const open = [...this.#voted.keys()].map((name) => name.split(" ") as [string, string, string, string])
      .filter(([branch, seq]) =>
        Number(seq) > this.ledger.end(branch) && !this.#chosen.has(`${branch} ${seq}`)
      );
    const sides = new Set(open.map(([branch]) => branch === CONTROL));
    return sides.size === 2 || (isOneSeen && sides.size === 1);
  }

  /** I7: somebody got a lock, and what was certain before he asked is here. */
  locked(host: Seen, branch: string, certainBefore: number): void {
    if (host.lies) return;
    const table = host.disk.tables.get("entry")!;
    for (let seq = 1; seq <= certainBefore; seq++) {
      if (table.rows.has(`${branch}\u0001${seq}`)) continue;
      throw new Broken(
        "I7",
        `${host.identity.name} has the lock of ${branch}, and not its certain entry ${seq}`,
      );
    }
  }

  /** I9: a keeper says something: nothing that it could say may be lost at a power cut. */
  says(host: Seen): void {
    const isLosable = host.disk.unsynced.some((changes) =>
      changes.some(({ table }) => ["promise", "accepted", "entry", "history"].includes(table.shape.name))
    );
    if (isLosable) throw new Broken("I9", `${host.identity.name} speaks of what a power cut would take back`);
  }
}

/** Whose signature something says it has. */
export const signerOf = (bytes: Uint8Array): string => open1(bytes).kid;
