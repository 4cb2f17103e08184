// Host: one simulated machine: the real engine and the real verbs over a disk, a clock and a network that are not real. It
// can lose its power at any commit and be started again. Not what people do on it (workload.ts), not what fails (faults.ts).
import {
  apply,
  type Call,
  checkin,
  type Engine,
  type Host,
  makeEngine,
  type Mesh,
  openAgentDb,
  type Runner,
  work,
} from "../../agent/mod.ts";
import { Fault, type MemoryNetwork, MqNode, type Transport } from "../../mq/mod.ts";
import type { Disk } from "./disk.ts";
import { insert } from "./disk.ts";
import { DATABASE, type Identity } from "./domain.ts";
import type { MachineClock } from "./kernel.ts";

/** What a host stands in. */
export interface Surroundings {
  network: MemoryNetwork;
  disk: Disk;
  clock: MachineClock;
  runner: Runner;
  /** Whether it applies what has come by itself. */
  follows: boolean;
  log(line: string): void;
  /** Something came over the network. */
  received(from: string, bytes: Uint8Array): void;
  /** Something is about to be sent; what comes back is sent instead. */
  sending(to: string, bytes: Uint8Array): void;
  /** Changes what this host says and hears, if it lies. */
  disguise?(mesh: Mesh): Mesh;
}

/** As long as an agent waits for its first connections: settleInMs of agent/limits.ts. */
const settleMs = 3_000;

export class SimHost {
  readonly identity: Identity;
  readonly around: Surroundings;
  /** How often it has been started. */
  boots = 0;
  #life: { engine: Engine; host: Host; node: MqNode; transport: Transport } | undefined;

  constructor(identity: Identity, around: Surroundings) {
    this.identity = identity;
    this.around = around;
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  /** The host as the verbs see it. */
  get host(): Host {
    if (this.#life === undefined) throw new Error(`${this.identity.name} is off`);
    return this.#life.host;
  }

  get journal(): Engine["journal"] {
    return this.host.journal;
  }

  /** A verb called by the person of this host. */
  call(): Call {
    return { host: this.host, acts: undefined as never, actor: { uid: 0, name: "root" }, emit: () => {} };
  }

  boot(): void {
    const { identity, around } = this;
    const { disk, log } = around;
    const clock = around.clock.live();
    this.boots++;
    insert(disk);
    const db = openAgentDb(DATABASE);
    const transport = watched(around.network.attach(identity.id), around);
    const node = new MqNode(transport, clock, { log });
    const plain = meshOf(node, transport);
    const mesh = around.disguise?.(plain) ?? plain;
    const key = () => identity.host;
    const engine = makeEngine({ db, key, clock, mesh, settleMs, log });
    const host = {
      ...engine,
      home: { config: "/nowhere" },
      config: { path: "/bin", rebootCommand: ["/sbin/reboot"], peers: [], noEffects: [] },
      clock,
      db,
      mesh,
      keys: {
        obtain: (name: string) => name === "host" ? identity.host : identity.person,
        prepared: () => [],
      },
      reports: { tell: () => {}, tellKeepers: () => {} },
      store: { fetch: () => Promise.resolve() },
      runner: around.runner,
      effects: { begin: () => undefined },
      disks: { sync: () => Promise.resolve() }, // what commands do here is done at once
      settleMesh: () => Promise.resolve(),
      log,
      boot: `boot-${this.boots}`,
    } as unknown as Host;
    this.#life = { engine, host, node, transport };
    work.settleReboot({ host });
    checkin.settlePending(host);
    engine.journal.onGrown((grown) => {
      if (grown !== identity.branch) return;
      checkin.settlePending(host);
      if (around.follows) void this.#follow();
    });
    void transport.start();
    if (around.follows) void this.#follow();
  }

  /** As the daemon does when isconf.conf says so. */
  async #follow(): Promise<void> {
    const call = this.call();
    const { host } = call;
    if (host.turn.isWaiting("follow")) return;
    try {
      await host.turn.take("follow", async () => {
        if (host.history.applied() >= host.journal.head(this.identity.branch).seq) return;
        await apply.up(call, { reboot: false, step: false, dryRun: false, offline: true });
      });
    } catch (e) {
      host.log(`follow: ${Fault.from("follow", e).message}`);
    }
  }

  /**
   * The power is gone, and with it whatever was not on the disk: `lost` of the commits that were not synced. `isHeard`: its
   * peers notice at once, as when only the process died.
   */
  crash(lost: number): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    this.around.disk.cut(lost);
    this.around.clock.die();
    life.engine.replica.stop();
    life.node.stop();
    void life.transport.stop();
  }
}

/** What root sees of a node, without the seam between them. */
function meshOf(node: MqNode, transport: Transport): Mesh {
  return {
    peers: () => transport.peers(),
    ask: (host, method, value, timeoutMs = 10_000) => node.ask(host, method, value, { timeoutMs }),
    publish: (topic, value) => node.publish(topic, value),
    answer: (method, fn) => node.answer(method, fn),
    onRumour: (topic, fn) => void node.subscribe(topic, fn),
    onPeer: (fn) => void transport.onPeer(fn),
  };
}

/** A transport of which is told what it sends and receives. */
function watched(transport: Transport, { received, sending }: Surroundings): Transport {
  return {
    self: transport.self,
    peers: () => transport.peers(),
    send(to, bytes) {
      sending(to, bytes);
      return transport.send(to, bytes);
    },
    onMessage: (fn) =>
      transport.onMessage((from, bytes) => {
        received(from, bytes);
        fn(from, bytes);
      }),
    onPeer: (fn) => transport.onPeer(fn),
    start: () => transport.start(),
    stop: () => transport.stop(),
  };
}
