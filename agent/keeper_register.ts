// Keeper register: what a keeper does before it says anything in a domain where an etcd cluster decides: it brings itself to
// where that stands, and has each decision of its own compared and swapped there. Etcd decides, the keeper's signature attests:
// other hosts believe that and never etcd, which signs nothing. What etcd says is believed as far as agreement goes: it can
// withhold and go back, but a lock needs its holder's signature and an entry its author's. Not what may be decided
// (keeper_service.ts), and not how it is kept there (register.ts).
import { isDeepStrictEqual } from "node:util";
import type { Db } from "../fs/mod.ts";
import { bytesEqual, type Clock, Fault, sleep, toHex } from "../mq/mod.ts";
import type { Cells } from "./cells.ts";
import { type EntryRecord, type Op, readEntry } from "./entry.ts";
import { takeIn } from "./intake.ts";
import type { Checked, Head, Journal } from "./journal.ts";
import { certified, type Held, type Keeper, type Proposal } from "./keeper.ts";
import { type Asked, changeIn } from "./keeper_turns.ts";
import { claimant, openClaim } from "./keeper_words.ts";
import { etcdPutsMax, registerAgainMs, registerTriesMax } from "./limits.ts";
import { CONTROL, inert } from "./names.ts";
import type { Own } from "./own.ts";
import type { Proof } from "./promises.ts";
import {
  getContents,
  Names,
  putContents,
  readStand,
  type Stand,
  type Stood,
  writeStand,
} from "./register.ts";
import { authorKey, nameOf, type Policy } from "./trust.ts";

export interface KeeperRegisterOptions {
  db: Db;
  journal: Journal;
  keeper: Keeper;
  own: Own;
  clock: Clock;
  cells: Cells;
  /** Brings a chain up to `seq` from other hosts, as far as they have it. */
  fetch(branch: string, seq: number): Promise<void>;
  log(line: string): void;
}

/** A branch as it stands in the register, for one decision that follows from that; each throws {@link Moved}. */
export interface Seen {
  /** Somebody has the lock now, by this claim. */
  lock(held: Held, claim: Uint8Array): Promise<void>;
  /** Nobody has it any more. */
  free(): Promise<void>;
  /** The branch goes on by these entries, and its lock is given back. */
  entries(term: number, batch: readonly Proposal[], proof: Proof): Promise<void>;
}

/** Somebody else was first: what was to be decided has to be looked at again. */
export class Moved extends Fault {
  constructor(branch: string) {
    super("keeper", "refused", `${inert(branch)} has moved on at another keeper`, { hint: "isconf up" });
  }
}

export class KeeperRegister {
  readonly #o: KeeperRegisterOptions;
  /** One decision at a time: what is written down here is what etcd said last. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: KeeperRegisterOptions) {
    this.#o = options;
  }

  /** Answers as the branch stands by now; where an etcd decides, as it stands there. */
  async deciding<T>(asked: Asked, fn: (asked: Asked) => Promise<T>): Promise<T> {
    if (asked.policy.keepers.etcd === undefined) return await fn(asked);
    const policy = () => this.#o.journal.needPolicy("keeper");
    return await this.turn(asked.branch, async (seen) => await fn({ ...asked, policy: policy(), seen }));
  }

  /** Who is about to vote for putting an etcd in charge puts into it first how all branches stand. */
  async begin({ policy, branch }: Asked, entries: readonly Checked[]): Promise<void> {
    if (branch !== CONTROL || policy.keepers.etcd !== undefined) return;
    for (const { entry, id } of entries) {
      for (const op of entry.ops) {
        if (op.op === "register" && op.kind === "etcd") await this.#seed(id, entry.seq, op);
      }
    }
  }

  /**
   * Runs `fn` when this keeper stands where the register does, and again when another keeper was first.
   * @throws {Fault} noQuorum, when etcd cannot be asked, or what it says was decided is not to be had; refused, when it has
   *   gone back or forgotten
   */
  turn<T>(branch: string, fn: (seen: Seen) => Promise<T>): Promise<T> {
    const mine = this.#tail.then(async () => {
      for (let tries = 1;; tries++) {
        try {
          const seen = await this.#catchUp(branch);
          this.#o.own.need("keeper"); // what has just come may show that it does not remember its own votes
          return await fn(seen);
        } catch (e) {
          if (!(e instanceof Moved) || tries === registerTriesMax) throw e;
          await sleep(this.#o.clock, registerAgainMs * this.#o.clock.random(1)[0]! / 256);
        }
      }
    });
    this.#tail = mine.catch(() => {}); // who asked hears of it
    return mine;
  }

  /** Throws unless etcd can be asked, and answers. */
  async reach(): Promise<void> {
    await this.#o.cells.read([new Names(this.#o.journal.needPolicy("keeper").domain, "none").stands]);
  }

  /** How every branch stands before the first decision there; whoever comes first is it. */
  async #seed(id: Uint8Array, seq: number, op: Op & { op: "register" }): Promise<void> {
    const { journal, cells } = this.#o;
    const policy = journal.needPolicy("keeper");
    const names = new Names(policy.domain, toHex(id));
    const begin = (head: Pick<Head, "seq" | "id">, term: number) =>
      writeStand({ ...beginning(head.seq, head.id), term, control: seq });
    const puts = [...policy.branches.keys()].map((branch): [string, Uint8Array] => {
      const head = journal.head(branch);
      if (head.seq !== (op.cuts[branch] ?? 0)) throw new Moved(branch);
      return [names.stand(branch), begin(head, op.terms[branch] ?? 0)];
    });
    const term = this.#o.keeper.holder(CONTROL)?.term ?? 0;
    for (let i = 0; i < puts.length; i += etcdPutsMax) {
      const some = puts.slice(i, i + etcdPutsMax);
      await cells.swap(some.map(([name]) => [name, 0]), some, []);
    }
    const last = names.stand(CONTROL); // who finds this finds all others
    await cells.swap([[last, 0]], [[last, begin({ seq, id }, term)]], []);
  }

  /** Brings this keeper to where the register stands. */
  async #catchUp(branch: string): Promise<Seen> {
    const { journal, cells } = this.#o;
    for (let tries = 0; tries < registerTriesMax; tries++) {
      const policy = journal.needPolicy("keeper");
      const names = Names.of(policy);
      if (names === undefined) throw over();
      const branches = new Set(branch === CONTROL ? [CONTROL, ...policy.branches.keys()] : [CONTROL, branch]);
      const heads = new Map([...branches].map((one) => [one, journal.head(one)]));
      const wanted = branch === CONTROL ? [names.stands] : [...branches].map((one) => names.stand(one));
      const found = new Map(
        (await cells.read(wanted)).map((cell) => [names.branchOf(cell.name), readStand(cell)]),
      );
      const stands = new Map(
        [...branches].map((one) => [one, needStand(one, found.get(one), heads.get(one)!)]),
      );
      const behind = [...stands].find((one) =>
        one[1].seq > heads.get(one[0])!.seq && !(tries > 0 && this.#isOpen(...one))
      );
      if (behind !== undefined) {
        await this.#bring(policy, names, ...behind);
        continue;
      }
      for (const [one, stand] of stands) this.#follow(policy, one, stand);
      return this.#seen(names, branch, stands);
    }
    throw new Fault(
      "keeper",
      "noQuorum",
      `etcd says that ${inert(branch)} went on, and nobody here has what came`,
      {
        hint: "isconf status, then the same again when other keepers are connected",
      },
    );
  }

  /** Whether this is a change of the keepers that is decided, and that too few of those to come have voted for. */
  #isOpen(branch: string, { id }: Stand): boolean {
    const last = this.#o.keeper.accepted(branch)?.records.at(-1);
    return branch === CONTROL && last !== undefined && bytesEqual(readEntry(last[0]!).id, id);
  }

  /** Brings what was decided elsewhere: from who has it certified, or out of the register, attested here then. */
  async #bring(policy: Policy, names: Names, branch: string, stand: Stood): Promise<void> {
    const { db, journal, keeper, own } = this.#o;
    const isNext = (head: Head) => stand.parts > 0 && stand.from === head.seq + 1;
    if (branch === CONTROL || !isNext(journal.head(branch))) await this.#o.fetch(branch, stand.seq);
    const head = journal.head(branch);
    if (!isNext(head)) return;
    const contents = await getContents(this.#o.cells, names.batch(branch, stand.id), stand.parts);
    if (contents === undefined || journal.head(branch).seq !== head.seq) return;
    const { term, proof } = contents;
    const checked = this.#check(contents.records, head, stand);
    const batch = checked.map(({ record, entry, id }): Proposal => ({
      ...record,
      branch,
      epoch: entry.epoch,
      seq: entry.seq,
      id,
    }));
    if (checked.some(({ entry }) => changeIn(entry.ops) !== undefined)) {
      // Of this others have to be asked for their votes: whoever wants to go on does that (control.ts).
      return db.write((tx) => keeper.accept(tx, branch, term, batch, proof));
    }
    own.need("keeper"); // what has just come may show that it does not remember its own votes
    const { epoch, seq } = batch.at(-1) as Proposal;
    db.write((tx) => own.sign(tx, "vote", branch, { epoch, seq, term }));
    takeIn(this.#o, certified(batch, [keeper.votes(policy.domain, term, batch)]), { branch });
    this.#o.log(
      `keeper: ${inert(branch)}: entries ${stand.from} to ${stand.seq}, decided elsewhere, are attested here`,
    );
  }

  /** Entries out of the register: they lead from where this keeper stands to what was decided, each one right in itself. */
  #check(records: readonly Uint8Array[][], base: Head, { seq, id }: Stand): Checked[] {
    let head: Head & { policySeq?: number } = base;
    const checked = records.map(([entry, origin]) => {
      const record: EntryRecord = { entry: entry!, origin: origin!, cert: new Uint8Array(0) };
      const one = this.#o.journal.check(record, head, "proposal");
      head = { seq: one.entry.seq, id: one.id, epoch: one.entry.epoch, policySeq: one.policySeq };
      return one;
    });
    if (head.seq === seq && bytesEqual(head.id, id)) return checked;
    throw new Fault("keeper", "corrupt", "the entries in etcd are not those that it says were decided", {
      hint: "isconf keeper",
    });
  }

  /** Writes down here who has a lock. */
  #follow(policy: Policy, branch: string, stand: Stood): void {
    const { db, keeper } = this.#o;
    const now = keeper.holder(branch);
    const known = now?.term === stand.term
      ? { ...now, held: false }
      : { ...NOBODY, branch, term: stand.term };
    const held = stand.claim === null ? known : heldBy(policy, branch, stand, stand.claim);
    if ((now === undefined && stand.term === 0) || isDeepStrictEqual(now, held)) return;
    db.write((tx) => keeper.follow(tx, held));
  }

  #seen(names: Names, branch: string, stands: ReadonlyMap<string, Stood>): Seen {
    const { journal, cells } = this.#o;
    const stand = stands.get(branch)!;
    const control = journal.head(CONTROL).seq;
    // A branch goes on under the policy that its keeper knows, a revocation only while all branches stand where it says.
    const isStill = [...new Set([CONTROL, branch])].map((one): [string, number] => [
      names.stand(one),
      stands.get(one)!.revision,
    ]);
    const allStill: [string, number] = [
      names.stands,
      Math.max(...[...stands.values()].map((s) => s.revision)),
    ];
    const swap = async (
      next: Stand,
      unchanged: [string, number][] = isStill,
      ...[put = [], remove = []]: [[string, Uint8Array][]?, ReturnType<Names["others"]>?]
    ) => {
      const name = names.stand(branch);
      const bytes = writeStand(next);
      if (await cells.swap(unchanged, [[name, bytes], ...put], remove)) return;
      const [cell] = await cells.read([name]);
      // Perhaps it was done, and the answer was lost on the way.
      if (cell === undefined || !bytesEqual(cell.bytes, bytes)) throw new Moved(branch);
    };
    return {
      lock: (held, claim) => {
        const { term, sinceMs } = held;
        return swap({ ...stand, term, held: true, claim, sinceMs, control });
      },
      free: () => swap({ ...stand, held: false }),
      entries: async (term, batch, proof) => {
        const [first, last] = [batch[0]!, batch.at(-1)!];
        if (bytesEqual(last.id, stand.id)) return; // it was decided before
        if (first.seq !== stand.seq + 1) throw new Moved(branch);
        const ops = branch === CONTROL ? batch.flatMap(({ entry }) => readEntry(entry).entry.ops) : [];
        const parts = await putContents(cells, names.batch(branch, last.id), term, batch, proof);
        const next = { ...stand, from: first.seq, parts, seq: last.seq, id: last.id, held: false };
        const put = ops.flatMap((op): [string, Uint8Array][] => {
          if (op.op !== "branch") return [];
          const { seq, id } = op.from ?? { seq: 0, id: new Uint8Array(0) };
          return [[names.stand(op.name), writeStand(beginning(seq, id))]];
        });
        const unchanged = ops.some((op) => "cuts" in op) ? [allStill] : isStill;
        await swap(next, unchanged, put, names.others(branch, last.id));
      },
    };
  }
}

const beginning = (seq: number, id: Uint8Array): Stand => ({
  seq,
  id,
  from: seq + 1,
  parts: 0,
  term: 0,
  held: false,
  claim: null,
  sinceMs: 0,
  control: 0,
});

const NOBODY = {
  held: false,
  change: false,
  holder: "",
  holderName: "",
  host: "",
  hostName: "",
  message: "",
  sinceMs: 0,
};

/** The lock that a person got by a claim. Throws corrupt when it is not by the claim that etcd says. */
function heldBy(policy: Policy, branch: string, stand: Stand, bytes: Uint8Array): Held {
  const { term, sinceMs, control } = stand;
  const holder = claimant(bytes);
  const claim = openClaim(bytes, policy.domain, branch, authorKey(policy, holder));
  const change = claim.what === "change";
  if (claim.what === "unlock" || claim.after + 1 !== term) {
    throw new Fault(
      "keeper",
      "corrupt",
      `etcd says that ${inert(branch)} is locked, by a claim of something else`,
      {
        hint: "isconf keeper",
      },
    );
  }
  const host = toHex(claim.host);
  const isOver = change && policy.changes.some(({ seq }) => seq > control);
  return {
    branch,
    term,
    held: stand.held && !isOver,
    change,
    holder,
    holderName: nameOf(policy, holder),
    host,
    hostName: nameOf(policy, host),
    message: claim.message,
    sinceMs,
  };
}

/** How a branch stands in the register, which is never behind what was certified. */
function needStand(branch: string, stand: Stood | undefined, head: Head): Stood {
  const name = inert(branch);
  if (stand === undefined) throw back(`etcd knows nothing of ${name}`);
  if (stand.seq < head.seq) {
    throw back(
      `etcd has gone back: ${name} ends at entry ${stand.seq} there, and entry ${head.seq} is certified`,
    );
  }
  if (stand.seq === head.seq && !bytesEqual(stand.id, head.id)) {
    throw back(
      `etcd has decided otherwise: entry ${head.seq} of ${name} is certified, and is another one there`,
    );
  }
  return stand;
}

/** Nothing goes on then: what was certified could be certified otherwise. */
const back = (why: string) =>
  new Fault("keeper", "refused", `${why}: nothing is decided until that is mended`, {
    hint: "etcdctl snapshot restore, with a newer snapshot; if there is none, isconf keeper recover",
  });
const over = () =>
  new Fault("keeper", "refused", "etcd does not decide any more in this domain", { hint: "isconf up" });
