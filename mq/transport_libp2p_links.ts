// Links: all connections of a transport. Puts the gate's decisions into effect: who is let in gets a line for messages,
// who is not stays a stranger for a while and is cut off. Not dialling: that is transport_libp2p_contacts.ts.
import type { Connection, Stream } from "@libp2p/interface";
import type { Cancel, Clock } from "./clock.ts";
import { Fault } from "./fault.ts";
import { queueBytesPerPeerMax } from "./limits.ts";
import type { Gate, PeerId } from "./transport.ts";
import { ask, serve } from "./transport_libp2p_introduction.ts";
import { Line } from "./transport_libp2p_line.ts";
import { Link, surplus } from "./transport_libp2p_link.ts";
import type { TransportLimits } from "./transport_libp2p_options.ts";

export interface LinksOptions {
  self: PeerId;
  clock: Clock;
  limits: TransportLimits;
  gate: Gate;
  protocols: { message: string; introduction: string };
  log(line: string): void;
  onMessage(from: PeerId, bytes: Uint8Array): void;
  /** A peer is connected now, or no longer. */
  onPeer(peer: PeerId, up: boolean): void;
  /** Messages flow on this link, perhaps not the first with its peer. */
  onUp(link: Link): void;
  onAddresses(link: Link, body: Uint8Array): void;
  onClosed(link: Link): void;
  /** Called every so often, with the pulse of the links. */
  onPulse(): void;
}

export class Links {
  /** The links of each peer on which messages flow, the oldest first. */
  readonly up = new Map<PeerId, Link[]>();
  readonly #opts: LinksOptions;
  readonly #all = new Map<string, Link>();
  readonly #logged = new Set<string>();
  #cancelPulse: Cancel = () => {};

  constructor(opts: LinksOptions) {
    this.#opts = opts;
  }

  all(): Iterable<Link> {
    return this.#all.values();
  }

  of(connection: Connection): Link | undefined {
    return this.#all.get(connection.id);
  }

  start(): void {
    const { clock, limits } = this.#opts;
    const startMs = clock.now();
    this.#cancelPulse = clock.after(limits.pulseMs, () => {
      const isLate = clock.now() - startMs > 2 * limits.pulseMs; // who was stopped himself has heard nobody
      if (!isLate) { for (const link of this.all()) link.line?.pulse(); }
      this.#opts.onPulse();
      this.start();
    });
  }

  /** Forgets all connections, which are closed by who stops us; nobody is told. */
  stop(): void {
    this.#cancelPulse();
    this.up.clear();
    const links = [...this.#all.values()];
    this.#all.clear();
    for (const link of links) link.isGone();
  }

  /** Takes a new connection. `introducing`: we opened it to ask to be let in. */
  opened(connection: Connection, introducing: boolean): void {
    const link = new Link(connection);
    const same = [...this.all()].filter(({ peer }) => peer === link.peer);
    const oldest = same.length >= this.#opts.limits.connectionsPerPeerMax ? same[0] : undefined;
    if (oldest !== undefined) this.cut(oldest, "has too many connections");
    this.#all.set(connection.id, link);
    connection.addEventListener("close", () => this.#closed(link));
    this.limitTime(link);
    if (this.#opts.gate.admits(link.peer)) this.#admit(link);
    else if (!introducing) void this.#meet(link);
  }

  /** Cuts a connection off unless messages come to flow on it in time. */
  limitTime(link: Link): void {
    const { clock, limits } = this.#opts;
    link.cancelDeadline();
    link.cancelDeadline = clock.after(limits.strangerMs, () => {
      if (link.line?.up !== true) this.cut(link, link.isStranger ? "is not let in" : "does not let us in");
    });
  }

  /** Puts into effect what the gate says of this peer now. */
  reconsider(link: Link): void {
    if (this.of(link.connection) !== link) return;
    const admitted = this.#opts.gate.admits(link.peer);
    if (admitted && link.isStranger) this.#admit(link);
    else if (!admitted && !link.isStranger) this.cut(link, "is no longer let in");
  }

  cut(link: Link, reason: string): void {
    if (this.of(link.connection) === link) this.log(link, reason);
    link.connection.abort(new Error(reason));
  }

  /** Takes a stream on which a peer sends messages. */
  messages(stream: Stream, connection: Connection): void {
    const link = this.of(connection);
    if (link?.line === undefined) throw new Error("refused");
    link.line.accept(stream);
  }

  /** Takes a stream on which somebody asks a question. */
  async answer(stream: Stream, connection: Connection): Promise<void> {
    const { gate, clock, limits } = this.#opts;
    const link = this.of(connection);
    if (link === undefined || ++link.answered > limits.questionsMax) throw new Error("refused");
    await serve(stream, (question) => gate.answer(link.peer, question), clock, limits);
    this.reconsider(link);
  }

  /** Asks the peer of a link a question. @throws {Fault} gone, when it does not answer; usage, when it was asked a lot */
  async ask(link: Link, question: Uint8Array): Promise<Uint8Array> {
    const { protocols, clock, limits } = this.#opts;
    if (++link.asked > limits.questionsMax) {
      throw new Fault("introduction", "usage", "too many questions on one connection", {
        hint: "isconf doctor",
      });
    }
    return await ask(link.connection, protocols.introduction, question, clock, limits);
  }

  /** Writes one line for each peer and reason. */
  log(link: Link, reason: string): void {
    const line = `peer ${link.peer} at ${link.host}: ${reason}`;
    if (this.#logged.has(line)) return;
    if (this.#logged.size >= this.#opts.limits.knownPeersMax) this.#logged.clear();
    this.#logged.add(line);
    this.#opts.log(line);
  }

  async #meet(link: Link): Promise<void> {
    try {
      await this.#opts.gate.meet(link.peer, (question) => this.ask(link, question));
    } catch (thrown) {
      this.log(link, thrown instanceof Fault ? thrown.message : "could not be met");
    }
    this.reconsider(link);
  }

  #admit(link: Link): void {
    const { clock, limits, protocols } = this.#opts;
    link.line = new Line({
      connection: link.connection,
      protocol: protocols.message,
      clock,
      limits: { ...limits, queueBytesPerPeerMax },
      onUp: () => this.#flows(link),
      onMessage: (bytes) => this.#opts.onMessage(link.peer, bytes),
      onAddresses: (body) => this.#opts.onAddresses(link, body),
      onEnd: (reason) => this.#ended(link, reason),
    });
  }

  #flows(link: Link): void {
    const links = [...this.up.get(link.peer) ?? [], link];
    this.up.set(link.peer, links);
    link.isUp();
    this.#opts.onUp(link);
    if (links.length === 1) this.#opts.onPeer(link.peer, true);
    for (const extra of surplus(this.#opts.self, links)) extra.line?.retire();
  }

  #ended(link: Link, reason: string | undefined): void {
    const links = this.up.get(link.peer);
    if (links?.includes(link)) {
      const rest = links.filter((other) => other !== link);
      if (rest.length > 0) this.up.set(link.peer, rest);
      else {
        this.up.delete(link.peer);
        this.#opts.onPeer(link.peer, false);
      }
    }
    if (reason !== undefined) return this.cut(link, reason);
    link.connection.close().catch((error) => link.connection.abort(error));
  }

  #closed(link: Link): void {
    const isOurs = this.#all.delete(link.connection.id); // not so after stop
    link.isGone();
    link.line?.end("is gone");
    if (isOurs) this.#opts.onClosed(link);
  }
}
