// Checker: what must hold whatever happens: the invariants of a fleet, looked at from outside after each commit of each host.
// It believes nothing that a host believes: certificates, roles and keepers it reckons by itself (ledger.ts).
import { entries } from "../../agent/mod.ts";
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

export class Checker {
  readonly ledger: Ledger;
  /** What each host has begun to apply, by host and place. */
  readonly #begun = new Map<string, Begun>();
  /** The batches that have the votes of a quorum, by branch and first place. */
  readonly #chosen = new Map<string, { batch: string; branch: string; seq: number }>();
  /** Who has voted for a batch, by branch, place, term and batch. */
  readonly #voted = new Map<string, Set<string>>();

  constructor(domain: Domain) {
    this.ledger = new Ledger(domain);
  }

  /** A host's commit, durable by now. */
  committed(host: Seen, changes: readonly Change[]): void {
    if (host.lies) return;
    for (const { table, before, after } of changes) {
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
        case "history":
          if (after !== undefined) this.#applied(host, before && of(before), of(after));
          break;
      }
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
    const isNew = ![...this.#voted.keys()].some((name) => name.endsWith(` ${batch}`));
    if (isNew && branch !== CONTROL) {
      for (const [entry] of records) {
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

  /** I7: somebody got a lock, and what was certain before he asked is here. */
  locked(host: Seen, branch: string, certainBefore: number): void {
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
