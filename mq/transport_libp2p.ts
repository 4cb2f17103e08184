// Transport over libp2p: TCP, Noise, Yamux, mDNS. Who may talk to us is the gate's decision, made about proved keys;
// everybody else is a stranger, to whom nothing is served but the introduction. Not a DHT: such come in as `services`.
import type { Connection } from "@libp2p/interface";
import { formatAddress, parseAddress, toMultiaddr } from "./address.ts";
import { Bus } from "./bus.ts";
import { keyPairFromSecret } from "./ed25519.ts";
import { Fault } from "./fault.ts";
import { transportLimits } from "./limits.ts";
import { isPeerId, peerIdOf } from "./peer_id.ts";
import type { PeerId, Transport } from "./transport.ts";
import { checkMessage } from "./transport.ts";
import { Contacts } from "./transport_libp2p_contacts.ts";
import { Door } from "./transport_libp2p_door.ts";
import type { Link } from "./transport_libp2p_link.ts";
import { Links } from "./transport_libp2p_links.ts";
import { makeNode, type Node } from "./transport_libp2p_node.ts";
import type {
  ConnectionState,
  KnownAddress,
  Libp2pOptions,
  TransportLimits,
} from "./transport_libp2p_options.ts";

type Heard = {
  message: { from: PeerId; bytes: Uint8Array };
  peer: { peer: PeerId; up: boolean };
};

export class Libp2pTransport implements Transport {
  readonly self: PeerId;
  readonly #opts: Libp2pOptions;
  readonly #limits: TransportLimits;
  readonly #protocols: { message: string; introduction: string };
  /** A listener that throws is a bug of the listener: it ends the process. */
  readonly #bus = new Bus<Heard>((thrown) =>
    queueMicrotask(() => {
      throw thrown;
    })
  );
  readonly #links: Links;
  readonly #contacts: Contacts;
  readonly #introducing = new Set<string>();
  /** Peers of connections that have ended since the last pulse. */
  readonly #gone = new Set<PeerId>();
  #node: Node | undefined;
  #changing: Promise<void> = Promise.resolve();

  /** @throws {Fault} usage or corrupt, when an option is not what it should be */
  constructor(opts: Libp2pOptions) {
    if (!/^[a-z0-9]{1,64}$/.test(opts.network)) {
      throw usage(`no network is named ${JSON.stringify(opts.network)}`);
    }
    opts.listen.forEach(parseAddress);
    const { clock, gate, network } = opts;
    this.#opts = opts;
    const limits = this.#limits = { ...transportLimits, ...opts.limits };
    const self = this.self = peerIdOf(keyPairFromSecret(opts.secretKey).publicKey);
    const protocols = this.#protocols = {
      message: `/isconf/${network}/message/1`,
      introduction: `/isconf/${network}/introduction/1`,
    };
    this.#links = new Links({
      self,
      clock,
      limits,
      gate,
      protocols,
      log: opts.log ?? (() => {}),
      onMessage: (from, bytes) => this.#bus.emit("message", { from, bytes }),
      onPeer: (peer, up) => this.#bus.emit("peer", { peer, up }),
      onUp: (link) => this.#flows(link),
      onAddresses: (link, body) => {
        if (!this.#contacts.told(link, body)) this.#links.cut(link, "tells addresses that are none");
      },
      onClosed: (link) => {
        this.#gone.add(link.peer);
        this.#contacts.lost(link);
      },
      onPulse: () => this.#tend(),
    });
    this.#contacts = new Contacts({
      self,
      clock,
      limits,
      admits: (peer) => gate.admits(peer),
      addresses: () => this.addresses(),
      links: () => this.#links.all(),
      up: () => this.#links.up,
      dial: (targets) => this.#dial(targets),
    });
  }

  /** Where we can be dialled now, as "ip:port"; none when not started. */
  addresses(): string[] {
    return this.#node?.addresses() ?? [];
  }

  /**
   * Notes addresses to try: of a certain peer, or of whoever answers there.
   * @throws {Fault} usage, when one is no address or no peer's name
   */
  remember(known: KnownAddress[]): void {
    for (const { peer, address } of known) {
      if (peer !== undefined && !isPeerId(peer)) throw usage(`no peer is named ${JSON.stringify(peer)}`);
      this.#contacts.learn(peer, [formatAddress(parseAddress(address))], "given");
    }
  }

  /** Addresses of peers that are let in which worked, or which these peers told us: to be kept, and given to others. */
  known(): { peer: PeerId; address: string }[] {
    return this.#contacts.proven()
      .flatMap(({ peer, addresses }) => addresses.map((address) => ({ peer, address })));
  }

  /** The gate has changed its mind: who is no longer let in is cut off at once, who is let in now gets connected. */
  recheck(): void {
    for (const link of this.#links.all()) this.#links.reconsider(link);
    this.#contacts.recheck();
  }

  /**
   * Dials `address` to ask its peer questions, also when it does not let us in or we not it; lets the connection go
   * afterwards unless the peer is let in by then.
   * @throws {Fault} notRunning, before start; gone, when nobody of our network answers there or an answer fails to
   *   come; and what `questions` throws
   */
  async introduce<T>(
    address: string,
    questions: (peer: PeerId, ask: (question: Uint8Array) => Promise<Uint8Array>) => Promise<T>,
  ): Promise<T> {
    const target = toMultiaddr(parseAddress(address));
    this.#introducing.add(target);
    let link: Link;
    try {
      link = await this.#dial([target]);
    } catch (cause) {
      if (cause instanceof Fault) throw cause;
      throw new Fault("introduction", "gone", `nobody of this network answers at ${address}`, {
        hint: "isconf status",
        cause,
      });
    } finally {
      this.#introducing.delete(target);
    }
    try {
      return await questions(link.peer, (question) => this.#links.ask(link, question));
    } finally {
      this.#links.reconsider(link);
      if (link.isStranger) await link.connection.close().catch((error) => link.connection.abort(error));
    }
  }

  /** The service of libp2p that the constructor was given under this name; undefined when not started. */
  service(name: string): unknown {
    return this.#node?.service(name);
  }

  /** The connections there are, with strangers: for people. */
  connections(): ConnectionState[] {
    return [...this.#links.all()].map(({ peer, host, dialled, isStranger, line }) => ({
      peer,
      host,
      dialled: dialled !== undefined,
      state: isStranger ? "stranger" : line?.up === true ? "up" : "let in",
    }));
  }

  /** Stops reading what `peer` sends, until the result is called: for who cannot keep up. The peer's queue fills. */
  hold(peer: PeerId): () => void {
    const releases = this.#links.up.get(peer)?.map((link) => link.line?.hold());
    return () => releases?.forEach((release) => release?.());
  }

  peers(): PeerId[] {
    return [...this.#links.up.keys()];
  }

  send(to: PeerId, bytes: Uint8Array): boolean {
    checkMessage(bytes);
    return this.#links.up.get(to)?.findLast((link) => link.line?.usable)?.line?.send(bytes) ?? false;
  }

  onMessage(fn: (from: PeerId, bytes: Uint8Array) => void): () => void {
    return this.#bus.on("message", ({ from, bytes }) => fn(from, bytes));
  }

  onPeer(fn: (peer: PeerId, up: boolean) => void): () => void {
    return this.#bus.on("peer", ({ peer, up }) => fn(peer, up));
  }

  /** @throws {Fault} environment, when it cannot listen where it should */
  start(): Promise<void> {
    return this.#change(async () => {
      if (this.#node === undefined) await this.#start();
    });
  }

  stop(): Promise<void> {
    return this.#change(async () => {
      if (this.#node !== undefined) await this.#stop(this.#node);
    });
  }

  /** Starts and stops one after the other. */
  #change(work: () => Promise<void>): Promise<void> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => {}); // whoever asked for it is told
    return done;
  }

  async #start(): Promise<void> {
    const { gate, listen, services = {} } = this.#opts;
    const links = this.#links;
    const door = new Door(this.#limits, () => links.all());
    const node = await makeNode({
      ...this.#opts,
      services,
      limits: this.#limits,
      refusesHandshake: (incoming) => door.isFullFor(incoming),
      refusesPeer: (peer, connection) => {
        if (gate.admits(peer)) return false;
        door.meter(connection, () => !gate.admits(peer));
        return door.isFullForStranger(connection);
      },
      handshakeOver: (connection) => door.shaken(connection),
      mayUse: (protocol, connection) => {
        const link = links.of(connection);
        return link !== undefined && (protocol === this.#protocols.introduction || !link.isStranger);
      },
      refusesDial: (peer) => !gate.admits(peer) && !this.#contacts.isDialling(peer),
      onFound: (peer, addresses) => this.#contacts.learn(peer, addresses, "found"),
      onOpened: (connection) => this.#opened(connection),
      handlers: {
        [this.#protocols.message]: (stream, connection) => links.messages(stream, connection),
        [this.#protocols.introduction]: (stream, connection) => links.answer(stream, connection),
      },
    });
    this.#node = node;
    try {
      await node.start();
    } catch (cause) {
      await this.#stop(node);
      const code = /\bE[A-Z]{4,}\b/.exec(String(cause))?.[0] ?? "error";
      throw new Fault("transport", "environment", `cannot listen on ${listen.join(", ")}: ${code}`, {
        hint: "isconf doctor",
        cause,
      });
    }
    links.start();
    this.#contacts.start();
  }

  async #stop(node: Node): Promise<void> {
    this.#node = undefined;
    this.#contacts.stop();
    this.#links.stop();
    this.#gone.clear();
    await node.stop();
  }

  #opened(connection: Connection): void {
    if (this.#node === undefined) return connection.abort(new Error("stopped"));
    const target = connection.remoteAddr.toString().replace(/\/p2p\/.*/, "");
    this.#links.opened(connection, connection.direction === "outbound" && this.#introducing.has(target));
  }

  #flows(link: Link): void {
    this.#contacts.connected(link);
    void this.#identify(link);
  }

  /** Only from here do the services of libp2p hear of a peer. */
  async #identify(link: Link): Promise<void> {
    if (this.#node === undefined || link.isIdentified) return;
    link.isIdentified = true;
    try {
      await this.#node.identify(link.connection);
    } catch {
      link.isIdentified = false; // tried again at the next pulse
    }
  }

  /** What is done every so often: tells of new addresses of ours, identifies who failed to be, forgets strangers. */
  #tend(): void {
    this.#contacts.tellIfMoved();
    for (const link of this.#links.all()) if (link.line?.up === true) void this.#identify(link);
    const here = new Set([...this.#links.all()].map(({ peer }) => peer));
    for (const peer of this.#gone) {
      if (!here.has(peer) && !this.#opts.gate.admits(peer)) void this.#node?.forget(peer);
    }
    this.#gone.clear();
  }

  /** Dials addresses of one peer, in libp2p's notation. */
  async #dial(targets: string[]): Promise<Link> {
    const node = this.#node;
    if (node === undefined) {
      throw new Fault("transport", "notRunning", "the transport is not started", { hint: "isconf status" });
    }
    const link = this.#links.of(await node.dial(targets));
    if (link === undefined) throw new Error("cut off");
    return link;
  }
}

function usage(message: string): Fault {
  return new Fault("transport", "usage", message, { hint: "isconf help" });
}
