// Net mesh: the net half's side of the mesh: libp2p, the table of who is let in, questions and rumours passed on to root,
// contents fetched and served. It decides nothing: who belongs to the domain is root's to say.
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { FetchOptions, Id, SqliteStore } from "../fs/mod.ts";
import { Libp2pTransport } from "../mq/libp2p.ts";
import {
  type Cancel,
  type Cbor,
  type Clock,
  Fault,
  type Gate,
  type KeyPair,
  MqNode,
  type PeerId,
  peerIdOf,
  publicKeyOf,
  transportLimits,
} from "../mq/mod.ts";
import { keepAddressesMs, listenAgainMs } from "./limits.ts";
import { NetContents } from "./net_contents.ts";
import { areFree } from "./net_free.ts";
import { NetMemory } from "./net_memory.ts";
import {
  type Answers,
  type Ask,
  HOST_METHODS,
  malformed,
  type MeshSettings,
  type NetRequest,
  type RootRequest,
  RUMOURS,
} from "./seam.ts";

export interface NetMeshOptions {
  clock: Clock;
  ask: Ask<RootRequest>;
  log(line: string): void;
  /** A directory of ours, for what is known of where others are. */
  dir: string;
  key: KeyPair;
  store: SqliteStore;
}

/** What runs while there is a domain to talk in. */
interface Running {
  settings: MeshSettings;
  transport: Libp2pTransport;
  node: MqNode;
  contents: NetContents;
}

type MeshRequest = "mesh" | "listening" | "ask" | "publish" | "introduce";

export class NetMesh {
  readonly #o: NetMeshOptions;
  readonly #memory: NetMemory;
  #running: Running | undefined;
  #hostOf = new Map<PeerId, string>();
  #nameOf = new Map<PeerId, string>();
  #peerOf = new Map<string, PeerId>();
  #cancelKeep: Cancel = () => {};
  /** What root was told of who is connected. */
  readonly #told = new Map<PeerId, string>();
  /** Why this host does not listen where it should; empty when it does. */
  #deaf = "";
  /** Settings are taken one after the other: starting takes a moment. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: NetMeshOptions) {
    this.#o = options;
    this.#memory = new NetMemory(options.dir);
  }

  readonly answers: Pick<Answers<NetRequest>, MeshRequest> = {
    mesh: async (v) => {
      const turn = this.#turn.then(() => v === null ? this.#stopNow() : this.#settle(readSettings(v)));
      this.#turn = turn.catch(() => {}); // root hears of it
      await turn;
      return null;
    },
    listening: async () => {
      await this.#turn;
      return [
        this.#running?.transport.addresses() ?? [],
        this.#deaf,
        this.#running?.contents.isSuspect ?? false,
      ];
    },
    ask: async (v) => {
      const [host, method, value, waitMs] = v as [string, string, Cbor, number];
      const peer = this.#peerOf.get(host);
      if (this.#running === undefined || peer === undefined) throw unreachable();
      return await this.#running.node.ask(peer, method, value, { timeoutMs: waitMs });
    },
    publish: (v) => {
      const [topic, value] = v as [string, Cbor];
      this.#running?.node.publish(topic, value);
      return Promise.resolve(null);
    },
    introduce: async (v) => {
      const [address, question] = v as [string, Uint8Array];
      await this.#turn;
      if (this.#running === undefined) throw unreachable();
      return await this.#running.transport.introduce(
        address,
        async (peer, ask) => [publicKeyOf(peer), await ask(question)],
      );
    },
  };

  /** Brings in all that these roots reach, or some of it. Throws notFound, naming what nobody has and who was asked. */
  async fetch(roots: Id[], options: FetchOptions = {}): Promise<void> {
    if (this.#running === undefined) {
      const missing = await this.#o.store.missing(options.only ?? roots);
      if (missing.length === 0) return;
      throw new Fault("fetch", "notFound", `object ${missing[0]} is not here, and there is nobody to ask`, {
        hint: "isconf status",
      });
    }
    await this.#running.contents.fetch(roots, options);
  }

  /** Resolves when more of what is being fetched is here, or is not fetched any more; undefined when nothing is. */
  get step(): Promise<void> | undefined {
    return this.#running?.contents.step;
  }

  /** Says to others that we have what these roots reach. */
  announce(roots: Id[]): void {
    this.#running?.contents.announce(roots);
  }

  /** Ends it all. Harmless when nothing runs. */
  async stop(): Promise<void> {
    await this.#turn;
    await this.#stopNow();
  }

  async #settle(settings: MeshSettings): Promise<void> {
    const before = this.#running?.settings;
    this.#peerOf = new Map(settings.members.map(({ host, net }) => [host, peerIdOf(net)]));
    this.#hostOf = new Map([...this.#peerOf].map(([host, peer]) => [peer, host]));
    this.#nameOf = new Map(settings.members.map(({ net, name }) => [peerIdOf(net), name]));
    const same = before !== undefined && before.network === settings.network &&
      before.listen.join() === settings.listen.join() && before.discover === settings.discover;
    if (!same) {
      await this.#stopNow();
      await this.#start(settings);
    }
    const { transport, contents } = this.#running as Running;
    (this.#running as Running).settings = settings;
    for (const peer of settings.peers) void this.#lookUp(transport, peer);
    transport.recheck();
    contents.recheck();
    for (const peer of transport.peers()) this.#tell(peer, this.#hostOf.get(peer));
  }

  async #stopNow(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    this.#deaf = "";
    if (running === undefined) return;
    this.#cancelKeep();
    this.#memory.keep({ known: running.transport.known() });
    running.node.stop();
    await running.transport.stop();
    running.contents.stop();
    for (const peer of [...this.#told.keys()]) this.#tell(peer, undefined);
  }

  /** Starts listening where it should; when it cannot, it goes on without being called by others, and tries again. */
  async #start(settings: MeshSettings): Promise<void> {
    const before = this.#memory.ports(settings.listen);
    const places = [...before.join() === settings.listen.join() ? [] : [before], settings.listen];
    for (const listen of places) {
      try {
        await this.#begin(settings, listen);
        this.#deaf = "";
        this.#memory.keep({ listen: settings.listen, addresses: this.#running?.transport.addresses() ?? [] });
        return;
      } catch (e) {
        const fault = Fault.from("mesh", e);
        if (fault.kind !== "environment") throw e;
        this.#o.log(`mesh: ${fault.message}`);
        this.#deaf = fault.message;
      }
    }
    await this.#begin(settings, []);
    this.#listenLater();
  }

  /** Listens as soon as it is possible: perhaps who is there is only about to go. */
  #listenLater(): void {
    const running = this.#running;
    this.#o.clock.after(listenAgainMs, async () => {
      if (running === undefined || this.#running !== running) return;
      if (!await areFree(running.settings.listen)) return this.#listenLater();
      if (this.#running !== running) return;
      this.#turn = this.#turn.then(async () => {
        await this.#stopNow();
        await this.#settle(running.settings);
        this.#o.log(`mesh: ${this.#deaf || `listening on ${running.settings.listen.join(", ")} now`}`);
      }).catch((e) => this.#o.log(`mesh: ${Fault.from("mesh", e).message}`));
    });
  }

  async #begin(settings: MeshSettings, listen: string[]): Promise<void> {
    const { clock, log, store, ask, key } = this.#o;
    const admits = (peer: PeerId) => this.#hostOf.has(peer);
    const gate: Gate = {
      admits,
      answer: async (peer, question) => bytesOf(await ask("question", [publicKeyOf(peer), question])),
      meet: async (peer, put) => {
        for (let answer: Uint8Array | null = null;;) {
          const question: Cbor = await ask("meet", [publicKeyOf(peer), answer]);
          if (question === null) return;
          answer = await put(bytesOf(question));
        }
      },
    };
    const nameOf = (peer: PeerId) => this.#nameOf.get(peer) ?? "a stranger";
    const { network } = settings;
    const isSmall = () => this.#hostOf.size <= transportLimits.connectionsWanted;
    const contents = new NetContents({
      clock,
      log,
      dir: this.#o.dir,
      store,
      network,
      admits,
      isSmall,
      nameOf,
    });
    const transport = new Libp2pTransport({
      clock,
      secretKey: key.secretKey,
      network,
      listen,
      discover: settings.discover,
      gate,
      services: contents.services,
      log,
    });
    const node = new MqNode(transport, clock, { log });
    for (const method of HOST_METHODS) {
      node.answer(method, async (peer, value) => await ask("answer", [this.#hostNamed(peer), method, value]));
    }
    for (const topic of RUMOURS) {
      node.subscribe(topic, (peer, value) => this.#pass("rumour", [this.#hostNamed(peer), topic, value]));
    }
    transport.onPeer((peer, up) => this.#tell(peer, up ? this.#hostOf.get(peer) : undefined));
    contents.start(transport, node);
    try {
      await transport.start();
    } catch (e) {
      node.stop();
      contents.stop();
      throw e;
    }
    this.#running = { settings, transport, node, contents };
    transport.remember(this.#memory.known());
    this.#keepLater();
  }

  /** Notes where a peer of the configuration is; a name is looked up each time the settings come. */
  async #lookUp(transport: Libp2pTransport, peer: string): Promise<void> {
    const at = peer.lastIndexOf(":");
    const [host, port] = [peer.slice(0, at), peer.slice(at + 1)];
    try {
      const isName = !host.startsWith("[") && isIP(host) === 0;
      const found = isName ? await lookup(host, { all: true }) : [];
      const addresses = found.map(({ address, family }) =>
        `${family === 6 ? `[${address}]` : address}:${port}`
      );
      transport.remember((isName ? addresses : [peer]).map((address) => ({ address })));
    } catch (e) {
      this.#o.log(`peers names ${peer}: ${Fault.from("mesh", e).message}`);
    }
  }

  /** Where others are is written down now and then, so that it is known after a crash too. */
  #keepLater(): void {
    const running = this.#running;
    this.#cancelKeep = this.#o.clock.after(keepAddressesMs, () => {
      if (running === undefined || this.#running !== running) return;
      this.#memory.keep({ known: running.transport.known() });
      this.#keepLater();
    });
  }

  /** Tells root whom it is connected with: a peer may go, or be another host than before when its key was rotated. */
  #tell(peer: PeerId, host: string | undefined): void {
    const before = this.#told.get(peer);
    if (before === host) return;
    if (before !== undefined) this.#pass("peer", [before, false]);
    this.#told.delete(peer);
    if (host === undefined) return;
    this.#told.set(peer, host);
    this.#pass("peer", [host, true]);
  }

  #hostNamed(peer: PeerId): string {
    const host = this.#hostOf.get(peer);
    if (host === undefined) throw unreachable();
    return host;
  }

  #pass(request: "rumour" | "peer", value: Cbor): void {
    this.#o.ask(request, value).catch((e) => {
      const fault = Fault.from("seam", e);
      if (fault.kind !== "gone") this.#o.log(`${request}: ${fault.message}`); // root that ends need not hear it
    });
  }
}

function bytesOf(v: Cbor): Uint8Array {
  if (!(v instanceof Uint8Array)) throw malformed();
  return v;
}

function readSettings(v: Cbor): MeshSettings {
  return v as unknown as MeshSettings;
}

function unreachable(): Fault {
  return new Fault("ask", "gone", "that host is not connected", { hint: "isconf status" });
}
