// Mesh: any number of hosts in one process, each with a real replica, journal and node over a network in memory, in
// virtual time, from one seed. Journals only: no contents, no commands. The policy names the first host alone, because a
// replica asks whoever is connected: who may connect is the net half's to know.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Journal, type Mesh, openAgentDb, Replica, takeIn } from "../../agent/mod.ts";
import type { Db } from "../../fs/mod.ts";
import { type Link, MemoryNetwork, MqNode, pause, type Transport, VirtualClock } from "../../mq/mod.ts";
import type { Records } from "./records.ts";

export interface MeshOptions {
  hosts: number;
  seed: number;
  /** About how many others each host is connected with; else `neighboursMean`. */
  neighbours?: number;
  /** Whether rumours arrive; else they do. */
  rumours?: boolean;
  link?: Partial<Link>;
}

/** What one host has sent and received since the last {@link SimMesh.resetCounts}. */
export interface Count {
  messages: number;
  bytes: number;
}

/** As many connections as an agent keeps dialling for. */
const neighboursMean = 32;
/** Between the starts of two hosts, and how long all of them have to get to know each other, in milliseconds. */
const startEveryMs = 5;
const settleMs = 2_000;

interface SimHost {
  name: string;
  db: Db;
  journal: Journal;
  replica: Replica;
  node: MqNode;
  transport: Transport;
  count: Count;
}

export class SimMesh implements AsyncDisposable {
  readonly clock: VirtualClock;
  readonly hosts: SimHost[] = [];
  readonly logged: string[] = [];
  readonly network: MemoryNetwork;
  readonly #options: MeshOptions;
  readonly #records: Records;
  readonly #dir: string;

  private constructor(options: MeshOptions, records: Records) {
    const { seed, hosts, neighbours = neighboursMean, link = {} } = options;
    this.#options = options;
    this.#records = records;
    this.clock = new VirtualClock(seed);
    const names = Array.from({ length: hosts }, (_, i) => i === 0 ? records.first : `host${i + 1}`);
    const near = overlay(names, neighbours, this.clock);
    this.network = new MemoryNetwork(this.clock, {
      link,
      neighbours: (a, b) => near.get(a)?.has(b) ?? false,
    });
    const memory = "/dev/shm";
    this.#dir = fs.mkdtempSync(path.join(fs.existsSync(memory) ? memory : os.tmpdir(), "isconf-sim-"));
    const domain = path.join(this.#dir, "domain.db");
    const db = openAgentDb(domain);
    takeIn({ db, journal: new Journal(db), clock: this.clock }, records.control, { domain: records.domain });
    db.close();
    for (const name of names) this.hosts.push(this.#make(name, domain));
  }

  /** Starts all hosts of a domain, which have its control journal and nothing else, and lets them find each other. */
  static async begin(options: MeshOptions, records: Records): Promise<SimMesh> {
    const mesh = new SimMesh(options, records);
    for (const { transport } of mesh.hosts) {
      await transport.start();
      await mesh.advance(startEveryMs);
    }
    await mesh.advance(settleMs);
    mesh.resetCounts();
    return mesh;
  }

  /** The first host has checked in: the entries are certified and in its journal, and no other host knows. */
  checkIn(): void {
    const { db, journal } = this.hosts[0] as SimHost;
    takeIn({ db, journal, clock: this.clock }, this.#records.work);
  }

  /** Whether a host has all that was checked in. */
  isCurrent({ journal }: SimHost): boolean {
    return journal.head("main").seq === this.#records.work.length;
  }

  /**
   * Lets time pass until all but `but` hosts are current, `stepMs` at a time; returns how many milliseconds that took.
   * Throws when it takes longer than `ms`.
   */
  async converge(ms: number, { but = 0, stepMs = 1 } = {}): Promise<number> {
    const began = this.clock.now();
    const behind = new Set(this.hosts.filter((host) => !this.isCurrent(host)));
    for (const host of behind) host.journal.onGrown(() => void (this.isCurrent(host) && behind.delete(host)));
    while (behind.size > but) {
      if (this.clock.now() - began >= ms) {
        throw new Error(`${behind.size} hosts are not current after ${ms} ms`);
      }
      await this.advance(stepMs, stepMs);
    }
    return this.clock.now() - began;
  }

  /**
   * Lets time pass. Now and then a replica waits for the real event loop, which has its turn every `stepMs`: with a long
   * step, what it does then is late by up to that.
   */
  async advance(ms: number, stepMs = 1): Promise<void> {
    for (const end = this.clock.now() + ms; this.clock.now() < end;) {
      await this.clock.advance(Math.min(stepMs, end - this.clock.now()));
      await pause();
    }
  }

  resetCounts(): void {
    for (const { count } of this.hosts) Object.assign(count, { messages: 0, bytes: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { replica, node } of this.hosts) {
      replica.stop();
      node.stop();
    }
    await this.advance(1);
    for (const { db } of this.hosts) db.close();
    fs.rmSync(this.#dir, { recursive: true });
  }

  #make(name: string, domain: string): SimHost {
    const file = path.join(this.#dir, `${name}.db`);
    fs.copyFileSync(domain, file);
    const db = openAgentDb(file);
    const journal = new Journal(db);
    const count = { messages: 0, bytes: 0 };
    const transport = counted(this.network.attach(name), count);
    const log = (line: string) => void this.logged.push(`${name}: ${line}`);
    const node = new MqNode(transport, this.clock, { log });
    const mesh = meshOf(node, transport, this.#options.rumours ?? true);
    const replica = new Replica({
      db,
      journal,
      mesh,
      clock: this.clock,
      branch: () => "main",
      self: () => name,
      settleMs: 0,
      log,
    });
    return { name, db, journal, replica, node, transport, count };
  }
}

/** What root sees of a node, without the seam between them. */
function meshOf(node: MqNode, transport: Transport, rumours: boolean): Mesh {
  return {
    peers: () => transport.peers(),
    ask: (host, method, value, timeoutMs = 10_000) => node.ask(host, method, value, { timeoutMs }),
    publish: (topic, value) => void (rumours && node.publish(topic, value)),
    answer: (method, fn) => node.answer(method, fn),
    onRumour: (topic, fn) => void node.subscribe(topic, fn),
    onPeer: (fn) => void transport.onPeer(fn),
  };
}

/** A transport of which is counted what it sends and what it receives. */
function counted(transport: Transport, count: Count): Transport {
  const add = (bytes: Uint8Array) => {
    count.messages++;
    count.bytes += bytes.length;
  };
  return {
    self: transport.self,
    peers: () => transport.peers(),
    send(to, bytes) {
      const isSent = transport.send(to, bytes);
      if (isSent) add(bytes);
      return isSent;
    },
    onMessage: (fn) =>
      transport.onMessage((from, bytes) => {
        add(bytes);
        fn(from, bytes);
      }),
    onPeer: (fn) => transport.onPeer(fn),
    start: () => transport.start(),
    stop: () => transport.stop(),
  };
}

/** Who is connected with whom: a ring, so that it hangs together, and others by chance. */
function overlay(names: string[], mean: number, chance: VirtualClock): Map<string, Set<string>> {
  const near = new Map(names.map((name) => [name, new Set<string>()]));
  const join = (i: number, j: number) => {
    const [a, b] = [names[i % names.length] as string, names[j % names.length] as string];
    if (a === b) return;
    near.get(a)?.add(b);
    near.get(b)?.add(a);
  };
  for (let i = 0; i < names.length; i++) {
    join(i, i + 1);
    for (let n = 1; n < mean / 2; n++) join(i, chance.u32() % names.length);
  }
  return near;
}
