// Transport over libp2p: TCP, Noise, Yamux, mDNS. Who may talk to us is the gate's decision, made about proved keys;
// everybody else is a stranger, to whom nothing is served but the introduction. Not a DHT: such come in as `services`.
import type { Connection } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { formatAddress, parseAddress, toMultiaddr } from "./address.ts";
import { Bus } from "./bus.ts";
import type { Clock } from "./clock.ts";
import { keyPairFromSecret } from "./ed25519.ts";
import { Fault } from "./fault.ts";
import { transportLimits } from "./limits.ts";
import { peerIdOf } from "./peer_id.ts";
import type { Gate, PeerId, Transport } from "./transport.ts";
import { checkMessage } from "./transport.ts";
import type { Told } from "./transport_libp2p_addresses.ts";
import { Contacts } from "./transport_libp2p_contacts.ts";
import { Door } from "./transport_libp2p_door.ts";
import type { Link } from "./transport_libp2p_link.ts";
import { Links } from "./transport_libp2p_links.ts";
import { makeNode, type Node, type TransportLimits } from "./transport_libp2p_node.ts";
import { within } from "./transport_libp2p_streams.ts";

export type { TransportLimits } from "./transport_libp2p_node.ts";

export interface Libp2pOptions {
  clock: Clock;
  /** 32 bytes, the Ed25519 secret (seed) of the transport's own key. */
  secretKey: Uint8Array;
  /** What separates networks, 1 to 64 of a-z and 0-9: peers of another network never get connected. */
  network: string;
  /** Where to listen, for example "0.0.0.0:4726", "[::]:4726", "127.0.0.1:0"; empty: dials only. */
  listen: string[];
  /** Announce ourselves and look for peers on the local network by mDNS. */
  discover: boolean;
  gate: Gate;
  /** Further services of libp2p by name, each a factory; their protocols are as closed to strangers as ours. */
  services?: Record<string, (components: never) => unknown>;
  limits?: Partial<TransportLimits>;
  /** Takes lines for the log of this host; one for each peer and reason. */
  log?: (line: string) => void;
}

/** An address that may lead to a peer, or to somebody. */
export interface KnownAddress {
  peer?: PeerId;
  address: string;
}

/** A connection, for people. */
export interface ConnectionState {
  peer: PeerId;
  /** The remote IP address. */
  host: string;
  /** Whether we dialled. */
  dialled: boolean;
  /** Messages flow (`up`), or only we have let the other in, or not even that. */
  state: "stranger" | "let in" | "up";
}

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
  #toldAddresses = "";
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
      onAddresses: (link, body) => this.#told(link, body),
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
   * @throws {Fault} usage, when one is no address
   */
  remember(known: KnownAddress[]): void {
    for (const { peer, address } of known) {
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
    });
    const { libp2p } = node;
    libp2p.addEventListener("connection:open", ({ detail }) => this.#opened(detail));
    const few = { maxInboundStreams: 4, maxOutboundStreams: 4 };
    await libp2p.handle(
      this.#protocols.message,
      (stream, connection) => links.messages(stream, connection),
      few,
    );
    await libp2p.handle(
      this.#protocols.introduction,
      (stream, connection) => links.answer(stream, connection),
      few,
    );
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
    this.#toldAddresses = this.addresses().join();
    links.start();
    this.#contacts.start();
  }

  async #stop(node: Node): Promise<void> {
    this.#node = undefined;
    this.#contacts.stop();
    this.#links.stop();
    this.#gone.clear();
    await node.libp2p.stop();
  }

  #opened(connection: Connection): void {
    if (this.#node === undefined) return connection.abort(new Error("stopped"));
    const target = connection.remoteAddr.toString().replace(/\/p2p\/.*/, "");
    this.#links.opened(connection, connection.direction === "outbound" && this.#introducing.has(target));
  }

  #flows(link: Link): void {
    this.#contacts.connected(link);
    this.#contacts.tell(link, [{ peer: this.self, addresses: this.addresses() }, ...this.#contacts.proven()]);
    void this.#identify(link);
  }

  /** A peer tells addresses; others hear of its own from us, because we may have been told after we told them. */
  #told(link: Link, body: Uint8Array): void {
    const news = this.#contacts.told(link, body);
    if (news === undefined) return this.#links.cut(link, "tells addresses that are none");
    if (news.length > 0) this.#tellAll(news);
  }

  #tellAll(about: Told[]): void {
    for (const link of this.#links.all()) if (link.line?.up === true) this.#contacts.tell(link, about);
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
    const addresses = this.addresses();
    if (addresses.join() !== this.#toldAddresses) this.#tellAll([{ peer: this.self, addresses }]);
    this.#toldAddresses = addresses.join();
    for (const link of this.#links.all()) if (link.line?.up === true) void this.#identify(link);
    const here = new Set([...this.#links.all()].map(({ peer }) => peer));
    for (const peer of this.#gone) {
      if (!here.has(peer) && !this.#opts.gate.admits(peer)) void this.#node?.forget(peer); // its store has no limit
    }
    this.#gone.clear();
  }

  /** Dials addresses of one peer, in libp2p's notation. */
  async #dial(targets: string[]): Promise<Link> {
    const node = this.#node;
    if (node === undefined) {
      throw new Fault("transport", "notRunning", "the transport is not started", { hint: "isconf status" });
    }
    const connection = await within(
      this.#opts.clock,
      2 * this.#limits.dialMs,
      undefined,
      (signal) => node.libp2p.dial(targets.map((target) => multiaddr(target)), { signal }),
    );
    const link = this.#links.of(connection);
    if (link === undefined) throw new Error("cut off");
    return link;
  }
}

function usage(message: string): Fault {
  return new Fault("transport", "usage", message, { hint: "isconf help" });
}
