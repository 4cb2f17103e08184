// Replica: the journal from the other hosts: asked for from where ours ends, checked here, kept in order. Rumours say when
// to ask and are only hints: a look at a random peer now and then brings what they lost.
import { type Cbor, type Clock, Fault, pause, sleep } from "../mq/mod.ts";
import { type Intake, readRecord, takeIn, writeRecord } from "./intake.ts";
import {
  intakeGroupMax,
  pageBytesMax,
  pageEntriesMax,
  pullAskMs,
  settleInMs,
  sweepMs,
  syncPeersMax,
  tellMs,
} from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import { CONTROL, inert } from "./names.ts";
import { members } from "./trust.ts";

export interface ReplicaOptions extends Intake {
  mesh: Mesh;
  /** The branch whose journal this host follows, if it is on one already; a keeper follows all. */
  branch(): string | undefined;
  /** This host's id. */
  self(): string;
  log(line: string): void;
}

/** Who was asked for newer entries, and when. */
export interface Freshness {
  asked: "keeper" | "peer" | "nobody";
  /** Ids of the hosts that answered. */
  hosts: string[];
  atMs: number;
}

export class Replica {
  readonly #o: ReplicaOptions;
  readonly #pulls = new Map<string, Promise<void>>();
  readonly #complained = new Set<string>();
  /** Branches of which a rumour has just gone out, and whether there is something newer to tell. */
  readonly #told = new Map<string, boolean>();
  readonly #startMs: number;
  /** Whether a peer's journal was looked at since this agent began. */
  #compared = false;
  #stopped = false;

  constructor(options: ReplicaOptions) {
    this.#o = options;
    const { mesh, journal, clock } = options;
    this.#startMs = clock.now();
    mesh.answer("heads", () => this.#heads());
    mesh.answer("entries", (_, value) => this.#page(value));
    mesh.onRumour("head", (host, value) => {
      const [branch, seq] = Array.isArray(value) ? value : [];
      if (typeof branch === "string" && typeof seq === "number") void this.#hear(host, branch, seq);
    });
    mesh.onPeer((host, up) => void (up && this.#look(host)));
    journal.onGrown((branch) => this.#tell(branch));
    this.#sweep(clock);
  }

  /** Asks nobody any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** The chains this host keeps up with, in the order in which they must come. */
  wanted(): string[] {
    const policy = this.#o.journal.policy();
    if (policy === undefined) return [CONTROL];
    if (policy.keepers.hosts.includes(this.#o.self())) return [CONTROL, ...policy.branches.keys()];
    const branch = this.#o.branch();
    return branch === undefined ? [CONTROL] : [CONTROL, ...this.#o.journal.lineage(branch)];
  }

  /**
   * Brings the chains up to what the keeper has, or, when it cannot be reached, to what some peers have. `extra` names a
   * branch that is wanted beside this host's own. Never throws for the sake of a peer: says who could be asked.
   */
  async sync(extra?: string): Promise<Freshness> {
    const { journal, mesh, clock } = this.#o;
    const atMs = clock.wall();
    const keepers = journal.policy()?.keepers.hosts ?? [];
    await this.settled();
    if (keepers.includes(this.#o.self())) return { asked: "keeper", hosts: [this.#o.self()], atMs };
    for (const keeper of keepers.filter((k) => mesh.peers().includes(k))) {
      if (await this.#pullAll(keeper, extra)) return { asked: "keeper", hosts: [keeper], atMs };
    }
    const others = this.#shuffled(mesh.peers().filter((p) => !keepers.includes(p))).slice(0, syncPeersMax);
    const answered: string[] = [];
    await Promise.all(others.map(async (host) => {
      if (await this.#pullAll(host, extra)) answered.push(host);
    }));
    return { asked: answered.length > 0 ? "peer" : "nobody", hosts: answered, atMs };
  }

  /**
   * Brings one chain up to what `host` has, or to `until` when that is known to be enough. Throws its fault, or what was
   * wrong with what it sent.
   */
  async pull(host: string, branch: string, until = Infinity): Promise<void> {
    const running = this.#pulls.get(branch);
    const mine = (async () => {
      await running?.catch(() => {}); // whoever began that pull hears of it
      await this.#pullNow(host, branch, until);
    })();
    this.#pulls.set(branch, mine);
    try {
      await mine;
    } finally {
      if (this.#pulls.get(branch) === mine) this.#pulls.delete(branch);
    }
  }

  async #pullNow(host: string, branch: string, until: number): Promise<void> {
    const { journal, mesh } = this.#o;
    for (let more = journal.head(branch).seq < until; more && !this.#stopped;) {
      const after = journal.head(branch).seq;
      const answer = await mesh.ask(host, "entries", [branch, after], pullAskMs);
      const records = (Array.isArray(answer) ? answer : []).slice(0, pageEntriesMax).map(readRecord);
      const size = branch === CONTROL ? 1 : intakeGroupMax; // each control entry is checked under the one before
      for (let i = 0; i < records.length; i += size) {
        await this.#take(host, branch, records.slice(i, i + size));
        await pause();
      }
      more = records.length > 0 && journal.head(branch).seq < until;
      if (records.length > 0 && journal.head(branch).seq === after) {
        throw new Fault("journal", "corrupt", "it sends entries that were not asked for", {
          hint: "isconf status",
        });
      }
    }
  }

  async #take(host: string, branch: string, records: ReturnType<typeof readRecord>[]): Promise<void> {
    const { journal } = this.#o;
    try {
      takeIn(this.#o, records);
    } catch (e) {
      const fault = Fault.from("journal", e);
      const { seq } = journal.head(branch);
      if (fault.kind === "corrupt" && seq > 0) await this.#findFork(host, branch, seq);
      throw fault;
    }
  }

  /** Their chain does not follow ours: what do they have at the place of our last entry? */
  async #findFork(host: string, branch: string, seq: number): Promise<void> {
    const answer = await this.#o.mesh.ask(host, "entries", [branch, seq - 1], pullAskMs);
    const first = Array.isArray(answer) ? answer[0] : undefined;
    if (first !== undefined) takeIn(this.#o, [readRecord(first)]);
  }

  async #pullAll(host: string, extra?: string): Promise<boolean> {
    try {
      await this.pull(host, CONTROL);
      const more = extra === undefined ? [] : this.#o.journal.lineage(extra);
      for (const branch of new Set([...this.wanted().slice(1), ...more])) await this.pull(host, branch);
      return true;
    } catch (e) {
      this.#complain(host, e);
      return false;
    }
  }

  async #hear(host: string, branch: string, seq: number): Promise<void> {
    const { journal } = this.#o;
    const head = journal.head(branch).seq;
    if (!this.wanted().includes(branch) || seq <= head) return;
    // A branch that was forked off begins with another's entries, which come first.
    if (head > 0 && journal.at(branch, head) === undefined) return void await this.#pullAll(host);
    try {
      await this.pull(host, branch, seq);
    } catch (e) {
      if (Fault.from("journal", e).kind !== "refused") return this.#complain(host, e);
      await this.#pullAll(host); // made under a policy that is not here yet
    }
  }

  /** Compares heads with a peer and pulls what it has more. */
  async #look(host: string): Promise<void> {
    try {
      const answer = await this.#o.mesh.ask(host, "heads", null, pullAskMs);
      for (const head of Array.isArray(answer) ? answer : []) {
        const [branch, seq] = Array.isArray(head) ? head : [];
        if (typeof branch === "string" && typeof seq === "number") await this.#hear(host, branch, seq);
      }
      this.#compared = true;
    } catch (e) {
      this.#complain(host, e);
    }
  }

  /** Tells others how long a chain is: at once, and while it goes on growing not too often. */
  #tell(branch: string): void {
    if (this.#stopped) return;
    if (this.#told.has(branch)) return void this.#told.set(branch, true);
    this.#o.mesh.publish("head", [branch, this.#o.journal.head(branch).seq]);
    this.#told.set(branch, false);
    this.#o.clock.after(tellMs, () => {
      const again = this.#told.get(branch);
      this.#told.delete(branch);
      if (again) this.#tell(branch);
    });
  }

  #sweep(clock: Clock): void {
    clock.after(sweepMs, () => {
      if (this.#stopped) return;
      const host = this.#shuffled(this.#o.mesh.peers())[0];
      if (host !== undefined) void this.#look(host);
      this.#sweep(clock);
    });
  }

  #heads(): Cbor {
    const { journal } = this.#o;
    const branches = [CONTROL, ...journal.policy()?.branches.keys() ?? []];
    return branches.map((branch) => [branch, journal.head(branch).seq]);
  }

  /** The entries of a chain after a place, as many as fit into one message. */
  #page(value: Cbor): Cbor {
    const [branch, after] = Array.isArray(value) ? value : [];
    if (typeof branch !== "string" || typeof after !== "number" || after < 0) {
      throw new Fault("entries", "usage", "entries are asked for by branch and place", {
        hint: "isconf version",
      });
    }
    const page: Uint8Array[][] = [];
    let bytes = 0;
    for (const row of this.#o.journal.range(branch, after + 1, after + pageEntriesMax)) {
      const record = writeRecord(row);
      bytes += record.reduce((sum, part) => sum + part.length + 8, 0);
      if (page.length > 0 && bytes > pageBytesMax) break;
      page.push(record);
    }
    return page;
  }

  /**
   * In the first moments of an agent's life connections are still being made: waits for a keeper's a little. A keeper
   * waits until it has compared its journal with some peer, which knows more if this keeper was put back from a backup.
   */
  async settled(): Promise<void> {
    const { clock, mesh, journal } = this.#o;
    const policy = journal.policy();
    const keepers = policy?.keepers.hosts ?? [];
    const isKeeper = keepers.includes(this.#o.self());
    const isAlone = policy === undefined || members(policy).size < 2;
    while (!isAlone && !this.#stopped && clock.now() - this.#startMs < settleInMs) {
      if (isKeeper ? this.#compared : keepers.some((k) => mesh.peers().includes(k))) return;
      await sleep(clock, 50);
    }
  }

  #shuffled(hosts: string[]): string[] {
    const chance = this.#o.clock.random(4 * Math.max(1, hosts.length));
    const view = new DataView(chance.buffer, chance.byteOffset);
    return hosts.map((host, i) => ({ host, by: view.getUint32(4 * i) })).sort((a, b) => a.by - b.by)
      .map(({ host }) => host);
  }

  /** Once for each peer and reason: a peer that goes away is nothing to complain about. */
  #complain(host: string, e: unknown): void {
    const fault = Fault.from("journal", e);
    if (fault.kind === "gone") return;
    const line = `what ${host.slice(0, 12)} sends is not taken: ${inert(fault.message)}`;
    if (this.#complained.has(line) || this.#complained.size >= 1000) return;
    this.#complained.add(line);
    this.#o.log(line);
  }
}
