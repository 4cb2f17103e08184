// Transport in memory: a network of any number of peers in one process, with latency, loss, duplicates, reordering,
// corruption and partitions, all from one Clock. What whole fleets are simulated on, and what one host alone runs on.
import { Bus } from "./bus.ts";
import type { Clock } from "./clock.ts";
import { messageBytesMax, queueBytesPerPeerMax } from "./limits.ts";
import type { PeerId, Transport } from "./transport.ts";
import { checkMessage } from "./transport.ts";

/** One direction between two peers. Chances are 0 to 1, times milliseconds. */
export interface Link {
  latencyMs: number;
  /** Up to this much is added to the latency, by chance; order is kept. */
  jitterMs: number;
  /** Chance that a message is lost. */
  loss: number;
  /** Chance that a message arrives twice. */
  duplicate: number;
  /** Chance that a message arrives out of order, up to `reorderMs` late. */
  reorder: number;
  reorderMs: number;
  /** Chance that one bit of a message is flipped. */
  corrupt: number;
  /** Nothing gets through in this direction, and the sender is not told. Both directions: disconnected. */
  cut: boolean;
  /** The receiver does not read: messages wait until it does. */
  stalled: boolean;
}

const PERFECT: Link = {
  latencyMs: 1,
  jitterMs: 0,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderMs: 100,
  corrupt: 0,
  cut: false,
  stalled: false,
};

export interface MemoryNetworkOptions {
  /** How links are until `setLink` says otherwise. */
  link?: Partial<Link>;
  messageBytesMax?: number;
  queueBytesPerPeerMax?: number;
  /** Whether two peers have a connection when both are there and nothing parts them; else each has one with each. */
  neighbours?: (a: PeerId, b: PeerId) => boolean;
}

/** What a memory transport tells its listeners. */
type Heard = {
  message: { from: PeerId; bytes: Uint8Array };
  peer: { peer: PeerId; up: boolean };
};

/** One direction of a link as it is now. */
interface Wire {
  link: Link;
  queuedBytes: number;
  lastArrivalMs: number;
  waiting: Uint8Array[];
}

export class MemoryNetwork {
  readonly #clock: Clock;
  readonly #link: Link;
  readonly #messageBytesMax: number;
  readonly #queueBytesMax: number;
  readonly #neighbours: (a: PeerId, b: PeerId) => boolean;
  readonly #members = new Map<PeerId, MemoryTransport>();
  /** By sender, then by receiver. */
  readonly #wires = new Map<PeerId, Map<PeerId, Wire>>();
  /** With whom each member is connected: what one has of another, the other has of it. */
  readonly #connected = new Map<PeerId, Set<PeerId>>();
  #groupOf: Map<PeerId, number> | undefined;

  constructor(clock: Clock, opts: MemoryNetworkOptions = {}) {
    this.#clock = clock;
    this.#link = { ...PERFECT, ...opts.link };
    this.#messageBytesMax = opts.messageBytesMax ?? messageBytesMax;
    this.#queueBytesMax = opts.queueBytesPerPeerMax ?? queueBytesPerPeerMax;
    this.#neighbours = opts.neighbours ?? (() => true);
  }

  /** A transport named `id` on this network; not started. The same name again is the same machine, replaced. */
  attach(id: PeerId): Transport {
    const port: Port = {
      isUp: (member) => this.#members.get(id) === member,
      up: (member) => {
        this.#remove(id);
        this.#members.set(id, member);
        this.#connected.set(id, new Set());
        for (const peer of this.#members.keys()) this.#settle(id, peer);
      },
      down: () => this.#remove(id),
      peers: () => [...this.#connected.get(id) ?? []],
      post: (to, bytes) => this.#post(id, to, bytes),
    };
    return new MemoryTransport(id, port);
  }

  /** Changes the direction from `a` to `b` only. What is not named stays as it is. */
  setLink(a: PeerId, b: PeerId, link: Partial<Link>): void {
    const wire = this.#wire(a, b);
    wire.link = { ...wire.link, ...link };
    if (link.cut !== undefined) this.#settle(a, b);
    if (link.stalled !== false) return;
    for (const bytes of this.#wire(a, b).waiting.splice(0)) this.#arrive(a, b, bytes);
  }

  /** Only peers in the same group hear each other; a peer in no group hears nobody. */
  partition(groups: PeerId[][]): void {
    this.#groupOf = new Map(groups.flatMap((group, i) => group.map((peer) => [peer, i] as const)));
    this.#settleAll();
  }

  /** Ends the partition and every cut; latency, loss and the rest stay. */
  heal(): void {
    this.#groupOf = undefined;
    for (const wires of this.#wires.values()) {
      for (const wire of wires.values()) wire.link = { ...wire.link, cut: false };
    }
    this.#settleAll();
  }

  #remove(id: PeerId): void {
    this.#members.delete(id);
    for (const peer of this.#connected.get(id) ?? []) this.#settle(id, peer);
    this.#connected.delete(id);
  }

  #wire(from: PeerId, to: PeerId): Wire {
    return this.#wires.get(from)?.get(to) ?? this.#newWire(from, to, this.#link);
  }

  #newWire(from: PeerId, to: PeerId, link: Link): Wire {
    const wire = { link, queuedBytes: 0, lastArrivalMs: 0, waiting: [] };
    const wires = this.#wires.get(from) ?? new Map<PeerId, Wire>();
    this.#wires.set(from, wires.set(to, wire));
    return wire;
  }

  #passes(from: PeerId, to: PeerId): boolean {
    const sameGroup = this.#groupOf === undefined ||
      (this.#groupOf.has(from) && this.#groupOf.get(from) === this.#groupOf.get(to));
    return sameGroup && !this.#wire(from, to).link.cut;
  }

  #settleAll(): void {
    const members = [...this.#members.keys()];
    for (const [i, a] of members.entries()) for (const b of members.slice(i + 1)) this.#settle(a, b);
  }

  /** Connects two peers, or parts them, and tells both, when it is not so already. */
  #settle(a: PeerId, b: PeerId): void {
    const up = a !== b && this.#members.has(a) && this.#members.has(b) && this.#neighbours(a, b) &&
      (this.#passes(a, b) || this.#passes(b, a));
    if (up === (this.#connected.get(a)?.has(b) ?? false)) return;
    for (const [self, peer] of [[a, b], [b, a]] as const) {
      if (up) this.#connected.get(self)?.add(peer);
      else this.#disconnect(self, peer);
      const member = this.#members.get(self);
      this.#clock.after(0, () => {
        if (member !== undefined && this.#members.get(self) === member) member.bus.emit("peer", { peer, up });
      });
    }
  }

  /** A lost connection takes what was on its way with it: the wire that replaces it is a new one. */
  #disconnect(from: PeerId, to: PeerId): void {
    this.#connected.get(from)?.delete(to);
    this.#newWire(from, to, this.#wire(from, to).link);
  }

  /** Puts a copy of the message on the wire; false when not connected or the queue is full. */
  #post(from: PeerId, to: PeerId, bytes: Uint8Array): boolean {
    checkMessage(bytes, this.#messageBytesMax);
    if (!this.#connected.get(from)?.has(to)) return false;
    const wire = this.#wire(from, to);
    if (wire.queuedBytes + bytes.length > this.#queueBytesMax) return false;
    const { link } = wire;
    if (this.#chance(link.loss)) return true;
    const copies = this.#chance(link.duplicate) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      this.#carry(from, to, this.#damaged(bytes, link));
    }
    return true;
  }

  #carry(from: PeerId, to: PeerId, bytes: Uint8Array): void {
    const wire = this.#wire(from, to);
    const { link } = wire;
    wire.queuedBytes += bytes.length;
    let arrivalMs = this.#clock.now() + link.latencyMs + this.#fraction(link.jitterMs) * link.jitterMs;
    if (this.#chance(link.reorder)) arrivalMs += this.#fraction(link.reorderMs) * link.reorderMs;
    else wire.lastArrivalMs = arrivalMs = Math.max(arrivalMs, wire.lastArrivalMs);
    this.#clock.after(arrivalMs - this.#clock.now(), () => {
      if (this.#wire(from, to) !== wire) return;
      if (wire.link.stalled) wire.waiting.push(bytes);
      else this.#arrive(from, to, bytes);
    });
  }

  #arrive(from: PeerId, to: PeerId, bytes: Uint8Array): void {
    this.#wire(from, to).queuedBytes -= bytes.length;
    const member = this.#members.get(to);
    if (member === undefined || !this.#passes(from, to)) return;
    member.bus.emit("message", { from, bytes });
  }

  #damaged(bytes: Uint8Array, link: Link): Uint8Array {
    const copy = bytes.slice();
    if (copy.length > 0 && this.#chance(link.corrupt)) {
      const bit = Math.floor(this.#fraction(1) * copy.length * 8);
      copy[bit >> 3]! ^= 1 << (bit & 7);
    }
    return copy;
  }

  #chance(p: number): boolean {
    return this.#fraction(p) < p;
  }

  /** A number from 0 to below 1; draws nothing when it cannot matter, so that a perfect link costs no chance. */
  #fraction(span: number): number {
    if (span <= 0) return 0;
    return this.#clock.random(4).reduce((value, byte) => (value + byte) / 256, 0);
  }
}

/** What a memory transport needs of its network. */
interface Port {
  isUp(member: MemoryTransport): boolean;
  up(member: MemoryTransport): void;
  down(): void;
  peers(): PeerId[];
  post(to: PeerId, bytes: Uint8Array): boolean;
}

class MemoryTransport implements Transport {
  readonly self: PeerId;
  /** A listener that throws is a bug of the listener: it ends the process, as it would on a real socket. */
  readonly bus = new Bus<Heard>((thrown) => {
    throw thrown;
  });
  readonly #port: Port;

  constructor(self: PeerId, port: Port) {
    this.self = self;
    this.#port = port;
  }

  peers(): PeerId[] {
    return this.#port.isUp(this) ? this.#port.peers() : [];
  }

  send(to: PeerId, bytes: Uint8Array): boolean {
    checkMessage(bytes);
    return this.#port.isUp(this) && this.#port.post(to, bytes);
  }

  onMessage(fn: (from: PeerId, bytes: Uint8Array) => void): () => void {
    return this.bus.on("message", ({ from, bytes }) => fn(from, bytes));
  }

  onPeer(fn: (peer: PeerId, up: boolean) => void): () => void {
    return this.bus.on("peer", ({ peer, up }) => fn(peer, up));
  }

  start(): Promise<void> {
    if (!this.#port.isUp(this)) this.#port.up(this);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    if (this.#port.isUp(this)) this.#port.down();
    return Promise.resolve();
  }
}
