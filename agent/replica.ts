// Replica: the journal from the other hosts: asked for from where ours ends, checked here, kept in order. Rumours say when
// to ask and are only hints: a look at a random peer now and then brings what they lost.
import { shuffled } from "../fs/mod.ts";
import { bytesEqual, type Cancel, Fault, sleep } from "../mq/mod.ts";
import { Complaints } from "./complaints.ts";
import type { Contact } from "./contact.ts";
import type { EntryRecord } from "./entry.ts";
import { type Intake, readRecord, takeIn } from "./intake.ts";
import { TooNew } from "./journal.ts";
import {
  intakeGroupMax,
  lookAgainMs,
  pageEntriesMax,
  pullAskMs,
  sweepMs,
  syncPeersMax,
  tellMs,
} from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import { CONTROL } from "./names.ts";
import { whereTheyPart } from "./parting.ts";
import { headsOf, pageOf, readHead } from "./replica_words.ts";
import { members } from "./trust.ts";

export interface ReplicaOptions extends Intake {
  mesh: Mesh;
  /** The branch whose journal this host follows, if it is on one already; a keeper follows all. */
  branch(): string | undefined;
  /** This host's id. */
  self(): string;
  /** What is told and heard beside the ends of chains, and taken in before entries are asked for. */
  contact?: Pick<Contact, "ask" | "answer" | "heard">;
  /** How long connections are waited for after the start, in ms. */
  settleMs: number;
  /** Brings chains up to where an etcd says they end; which keepers asked it. Undefined: none decides, or none answers. */
  decided?(branches: string[]): Promise<string[] | undefined>;
  log(line: string): void;
}

/** Who was asked for newer entries, and when. */
export interface Freshness {
  asked: "keeper" | "peer" | "nobody";
  /** Ids of the hosts that answered. */
  hosts: string[];
  atMs: number;
  /** There is an entry that this agent is too old for; those before it are here. */
  tooNew?: Fault;
}

export class Replica {
  readonly #o: ReplicaOptions;
  readonly #pulls = new Map<string, Promise<void>>();
  readonly #complaints: Complaints;
  /** Hosts that are pulled from because of what they told, and whether they told more meanwhile. */
  readonly #rounds = new Map<string, boolean>();
  readonly #looking = new Map<string, Promise<boolean>>();
  /** Hosts of which nothing came, or nothing right: how often in a row, and until when they are not listened to. */
  readonly #failed = new Map<string, { times: number; untilMs: number; cancel: Cancel }>();
  /** Stays until a newer agent runs here. */
  #tooNew: TooNew | undefined;
  /** Branches of which a rumour has just gone out, and whether there is something newer to tell. */
  readonly #told = new Map<string, boolean>();
  readonly #startMs: number;
  /** The hosts whose journal was looked at since this agent began. */
  readonly #compared = new Set<string>();
  readonly #timers = new Set<Cancel>();
  #stopped = false;

  constructor(options: ReplicaOptions) {
    this.#o = options;
    const { mesh, journal, clock } = options;
    this.#startMs = clock.now();
    this.#complaints = new Complaints((line) => this.#stopped || options.log(line));
    mesh.answer("heads", (host, value) => [headsOf(journal), options.contact?.answer(host, value) ?? null]);
    mesh.answer("entries", (_, value) => pageOf(journal, value));
    mesh.onRumour("head", (host, value) => {
      const [branch, seq] = Array.isArray(value) ? value : [];
      if (typeof branch === "string" && typeof seq === "number") this.#hear(host, branch, seq);
    });
    mesh.onPeer((host, up) => {
      if (!up) return;
      this.#forgive(host); // perhaps it could not answer because it was on its way out
      void this.#look(host);
    });
    let epoch = journal.policy()?.epoch;
    journal.onGrown((branch) => {
      this.#tell(branch);
      const now = journal.policy()?.epoch;
      if (now !== epoch) {
        this.#later(lookAgainMs, () => mesh.peers().forEach((host) => void this.#look(host)));
      }
      epoch = now;
    });
    this.#sweep();
  }

  /** Asks nobody any more. */
  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#timers) cancel();
  }

  /** The answer takes it back. */
  #later(ms: number, fn: () => void): Cancel {
    if (this.#stopped) return () => {};
    const stop = this.#o.clock.after(ms, () => {
      this.#timers.delete(cancel);
      fn();
    });
    const cancel = () => {
      this.#timers.delete(cancel);
      stop();
    };
    this.#timers.add(cancel);
    return cancel;
  }

  /** The chains this host keeps up with, in the order in which they must come. */
  wanted(extra?: string): string[] {
    const { journal, branch } = this.#o;
    const policy = journal.policy();
    if (policy === undefined) return [CONTROL];
    if (policy.keepers.hosts.includes(this.#o.self())) return [CONTROL, ...policy.branches.keys()];
    const own = [branch(), extra].flatMap((one) => one === undefined ? [] : journal.lineage(one));
    return [...new Set([CONTROL, ...own])];
  }

  /**
   * Brings the chains up to what a quorum of keepers has, or, when they cannot be reached, to what some peers have. `extra` names a
   * branch that is wanted beside this host's own. Never throws for the sake of a peer: says who could be asked.
   */
  async sync(extra?: string): Promise<Freshness> {
    const { journal, mesh, clock } = this.#o;
    const atMs = clock.wall();
    await this.settled();
    const decided = await this.#o.decided?.(this.wanted(extra));
    if (decided !== undefined) return { asked: "keeper", hosts: decided, atMs };
    const { hosts: keepers = [], etcd, quorum = 1 } = journal.policy()?.keepers ?? {};
    const needed = etcd === undefined ? quorum : Infinity; // without it no keeper knows where anything ends
    const known = keepers.filter((k) => k === this.#o.self());
    for (const keeper of keepers.filter((k) => mesh.peers().includes(k))) {
      if (known.length >= needed) break;
      if (await this.#pullAll(keeper, extra)) known.push(keeper);
    }
    if (known.length >= needed) return { asked: "keeper", hosts: known, atMs };
    const others = shuffled(mesh.peers().filter((p) => !keepers.includes(p)), clock).slice(0, syncPeersMax);
    const answered: string[] = known.filter((k) => k !== this.#o.self());
    await Promise.all(others.map(async (host) => {
      if (await this.#pullAll(host, extra)) answered.push(host);
    }));
    const asked = answered.length > 0 ? "peer" : "nobody";
    return { asked, hosts: answered, atMs, ...(this.#tooNew && { tooNew: this.#tooNew }) };
  }

  /**
   * Brings one chain up to what `host` has, or to `until` when that is known to be enough. Throws its fault, or what was
   * wrong with what it sent.
   */
  async pull(host: string, branch: string, until = Infinity, isResolving = false): Promise<void> {
    const before = this.#pulls.get(branch);
    const mine = (async () => {
      if (before !== undefined) await this.#ended(before);
      await this.#pullNow(host, branch, until, isResolving);
    })();
    this.#pulls.set(branch, mine);
    try {
      await mine;
    } finally {
      if (this.#pulls.get(branch) === mine) this.#pulls.delete(branch);
    }
  }

  /** Waits for a pull, so that the next has less to ask for; not for one that goes on for long: its host may be slow. */
  #ended(pull: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#o.clock.after(pullAskMs, resolve);
      const done = () => {
        cancel();
        resolve();
      };
      pull.then(done, done); // who began it hears of it
    });
  }

  /** Each answer must bring the chain further, else the host is not asked again. */
  async #pullNow(host: string, branch: string, until: number, isResolving = false): Promise<void> {
    const { journal, mesh, clock } = this.#o;
    while (!this.#stopped && journal.head(branch).seq < until) {
      const after = journal.head(branch).seq;
      const answer = await mesh.ask(host, "entries", [branch, after], pullAskMs);
      if (this.#stopped) return;
      const records = (Array.isArray(answer) ? answer : []).slice(0, pageEntriesMax).map(readRecord);
      if (records.length === 0) return;
      const size = branch === CONTROL ? 1 : intakeGroupMax; // each control entry is checked under the one before
      for (let i = 0; i < records.length && !this.#stopped; i += size) {
        const epoch = journal.policy()?.epoch;
        await this.#take(host, branch, records.slice(i, i + size), { from: after + 1 + i, isResolving });
        if (journal.policy()?.epoch !== epoch) break; // what was asked for may follow something else now
        await clock.pause();
      }
    }
  }

  async #take(
    host: string,
    branch: string,
    records: EntryRecord[],
    must: { from: number; isResolving: boolean },
  ): Promise<void> {
    const { journal } = this.#o;
    const epoch = journal.policy()?.epoch;
    try {
      takeIn(this.#o, records, { branch, ...must });
    } catch (e) {
      const fault = Fault.from("journal", e);
      if (fault.kind === "corrupt") {
        await this.#findFork(host, branch, journal.head(branch).seq).catch((found) => {
          throw Fault.from("journal", found).kind === "forked" ? found : e;
        });
        if (journal.policy()?.epoch !== epoch) return; // where the chains part, an epoch begins
      }
      if (fault.kind !== "refused" || e instanceof TooNew || branch === CONTROL) throw e;
      // Made under a policy that has come up since we asked for the control journal: once we have that, all is well.
      const policy = journal.head(CONTROL).seq;
      await this.#pullNow(host, CONTROL, Infinity);
      if (journal.head(CONTROL).seq === policy) throw e;
      takeIn(this.#o, records, { branch, ...must });
    }
  }

  /** Does this host have another entry than we at a place? Then the first in which the chains differ is a proof, or an epoch. */
  async #findFork(host: string, branch: string, seq: number): Promise<void> {
    const { journal, mesh } = this.#o;
    const found = await whereTheyPart(journal, mesh, { host, branch, seq });
    if (found !== undefined && !this.#stopped) takeIn(this.#o, [found.record], { branch, from: found.seq });
  }

  async #pullAll(host: string, extra?: string): Promise<boolean> {
    try {
      await this.pull(host, CONTROL);
      for (const branch of this.wanted(extra).slice(1)) await this.pull(host, branch);
      return true;
    } catch (e) {
      if (e instanceof TooNew) this.#tooNew = e;
      this.#complaints.note(host, e);
      return false;
    }
  }

  /** Somebody says how long a chain is. Who says so and does not give it is not listened to for a while. */
  #hear(host: string, branch: string, seq: number): void {
    const { journal, mesh, clock } = this.#o;
    if (this.#stopped || clock.now() < (this.#failed.get(host)?.untilMs ?? 0)) return;
    if (!mesh.peers().includes(host) || !this.wanted().includes(branch)) return;
    if (seq <= journal.head(branch).seq) return;
    if (this.#rounds.has(host)) return void this.#rounds.set(host, true);
    this.#rounds.set(host, false);
    void this.#pullHeard(host, branch, seq).then(() => {
      const again = this.#rounds.get(host);
      this.#rounds.delete(host);
      if (this.#stopped) return;
      if (journal.head(branch).seq < seq) return this.#lookAgain(host);
      this.#forgive(host);
      if (again) void this.#look(host);
    });
  }

  /** What was heard of costs one question, unless it needs what comes before it: a policy, or what it was forked off. */
  async #pullHeard(host: string, branch: string, seq: number): Promise<void> {
    const { journal } = this.#o;
    const head = journal.head(branch).seq;
    if (head > 0 && journal.at(branch, head) === undefined) return void await this.#pullAll(host);
    try {
      await this.pull(host, branch, seq);
    } catch (e) {
      if (Fault.from("journal", e).kind === "refused") await this.#pullAll(host);
      else this.#complaints.note(host, e);
    }
  }

  /** A question may be lost with a connection that was one too many: is repeated soon, and less and less often. */
  #lookAgain(host: string): void {
    const { clock } = this.#o;
    const { times, untilMs } = this.#failed.get(host) ?? { times: 0, untilMs: 0 };
    if (clock.now() < untilMs) return;
    const waitMs = Math.min(lookAgainMs * 2 ** Math.min(times, 10), sweepMs);
    const cancel = this.#later(waitMs, () => void this.#look(host));
    this.#failed.set(host, { times: times + 1, untilMs: clock.now() + waitMs, cancel });
  }

  /** Listens to a host again, whatever came of it before. */
  #forgive(host: string): void {
    this.#failed.get(host)?.cancel();
    this.#failed.delete(host);
  }

  /** Compares with every connected host; those of which that came to an end. */
  async compareAll(): Promise<string[]> {
    const hosts = this.#o.mesh.peers();
    const done = await Promise.all(hosts.map((host) => this.#look(host)));
    return hosts.filter((_, i) => done[i]);
  }

  /** Compares heads with a peer: pulls what it has more, finds where it has something else. Whether that came to an end. */
  async #look(host: string): Promise<boolean> {
    if (this.#stopped || !this.#o.mesh.peers().includes(host)) return false;
    const looking = this.#looking.get(host) ?? this.#lookNow(host);
    this.#looking.set(host, looking);
    return await looking;
  }

  async #lookNow(host: string): Promise<boolean> {
    try {
      const answer = await this.#o.mesh.ask(host, "heads", this.#o.contact?.ask() ?? null, pullAskMs);
      if (this.#stopped) return false;
      const [theirs, beside] = Array.isArray(answer) ? answer : [];
      const heads = new Map((Array.isArray(theirs) ? theirs : []).map(readHead));
      await this.#o.contact?.heard(host, beside ?? null).catch((e) => this.#complaints.note(host, e));
      const { journal, clock } = this.#o;
      const isBehind = () => this.wanted().some((b) => (heads.get(b)?.seq ?? 0) > journal.head(b).seq);
      if (!this.#stopped && isBehind() && clock.now() >= (this.#failed.get(host)?.untilMs ?? 0)) {
        await this.#pullAll(host);
        if (isBehind()) this.#lookAgain(host);
        else this.#forgive(host);
      }
      for (const branch of this.#stopped ? [] : this.wanted()) {
        const head = heads.get(branch);
        const ours = head && journal.at(branch, head.seq)?.id;
        if (ours !== undefined && !bytesEqual(ours, head!.id)) await this.#findFork(host, branch, head!.seq);
      }
      if (!this.#stopped) this.#compared.add(host);
      return !this.#stopped;
    } catch (e) {
      this.#complaints.note(host, e);
      this.#lookAgain(host);
      return false;
    } finally {
      this.#looking.delete(host);
    }
  }

  /** Tells others how long a chain is: at once, and while it goes on growing not too often. */
  #tell(branch: string): void {
    if (this.#stopped) return;
    if (this.#told.has(branch)) return void this.#told.set(branch, true);
    this.#o.mesh.publish("head", [branch, this.#o.journal.head(branch).seq]);
    this.#told.set(branch, false);
    this.#later(tellMs, () => {
      const again = this.#told.get(branch);
      this.#told.delete(branch);
      if (again) this.#tell(branch);
    });
  }

  #sweep(): void {
    this.#later(sweepMs, () => {
      const host = shuffled([...this.#o.mesh.peers()], this.#o.clock)[0];
      if (host !== undefined) void this.#look(host);
      this.#sweep();
    });
  }

  /**
   * In the first moments of an agent's life connections are still being made: waits for a keeper's a little. A keeper
   * waits until it has compared its journal with those who know more if this keeper was put back from a backup.
   */
  async settled(): Promise<void> {
    const { clock, mesh, journal, settleMs } = this.#o;
    const policy = journal.policy();
    const keepers = policy?.keepers.hosts ?? [];
    const isKeeper = keepers.includes(this.#o.self());
    const isAlone = policy === undefined || members(policy).size < 2;
    while (!isAlone && !this.#stopped && clock.now() - this.#startMs < settleMs) {
      const isDone = isKeeper
        ? this.#compared.size > 0 && this.hasHeardEnough()
        : keepers.some((k) => mesh.peers().includes(k));
      if (isDone) return;
      await sleep(clock, 50);
    }
  }

  /**
   * Whether this host, if it is one of several keepers, has compared with so many others that they and it are a quorum. It
   * costs nothing to wait for them: without them nothing is certain. One that is alone has nobody that must be there.
   */
  hasHeardEnough(): boolean {
    const { hosts, quorum } = this.#o.journal.policy()?.keepers ?? { hosts: [], quorum: 1 };
    if (!hosts.includes(this.#o.self())) return true;
    const others = hosts.filter((k) => k !== this.#o.self() && this.#compared.has(k));
    return others.length >= quorum - 1;
  }

  /** The same, when it has compared with those keepers that are there now and with which it has not yet. */
  async hearEnough(): Promise<boolean> {
    const { hosts = [] } = this.#o.journal.policy()?.keepers ?? {};
    const others = hosts.filter((k) => k !== this.#o.self() && !this.#compared.has(k));
    if (!this.hasHeardEnough()) await Promise.all(others.map((k) => this.#look(k)));
    return this.hasHeardEnough();
  }
}
