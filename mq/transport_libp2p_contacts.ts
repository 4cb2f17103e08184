// Contacts: where peers are, and the dialling that keeps enough of them connected. Peers tell each other what they know.
// Not who is let in: strangers' addresses may stand here too, and the handshake proves who answers.
import { AddressBook, type Entry, type Source } from "./address_book.ts";
import { isLoopback, isName, parseAddress, toMultiaddr } from "./address.ts";
import type { Clock } from "./clock.ts";
import { type Outcome, Redial } from "./redial.ts";
import type { PeerId } from "./transport.ts";
import { readAddresses, type Told, writeAddresses } from "./transport_libp2p_addresses.ts";
import type { Link } from "./transport_libp2p_link.ts";
import type { TransportLimits } from "./transport_libp2p_options.ts";

export interface ContactsOptions {
  self: PeerId;
  clock: Clock;
  limits: TransportLimits;
  admits(peer: PeerId): boolean;
  /** Where we can be dialled. */
  addresses(): string[];
  links(): Iterable<Link>;
  /** The peers with which messages flow. */
  up(): { has(peer: PeerId): boolean; readonly size: number };
  /** Dials addresses of one peer, in libp2p's notation. @throws {Error} of libp2p, when none leads to it */
  dial(targets: string[]): Promise<Link>;
}

export class Contacts {
  readonly #opts: ContactsOptions;
  readonly #book: AddressBook;
  readonly #dialling = new Set<PeerId>();
  #redial: Redial | undefined;
  /** Our own addresses when they were told the last time. */
  #own = "";

  constructor(opts: ContactsOptions) {
    this.#opts = opts;
    this.#book = new AddressBook(opts.clock, opts.limits);
  }

  start(): void {
    const { clock, limits, up } = this.#opts;
    this.#redial = new Redial({
      clock,
      book: this.#book,
      limits,
      dial: (entry) => this.#try(entry),
      isWanted: (entry) => this.#isWanted(entry),
      connected: () => up().size,
    });
    this.#own = this.#opts.addresses().join();
    this.#redial.kick();
  }

  stop(): void {
    this.#redial?.stop();
    this.#redial = undefined;
  }

  /** Notes that `peer`, or whoever answers there, may be at `addresses` ("ip:port", in the one form). */
  learn(peer: PeerId | undefined, addresses: string[], source: Source): void {
    if (peer === this.#opts.self) return;
    // Of two peers that find each other at the same time, one waits a little for the other to dial.
    const delayMs = peer !== undefined && peer < this.#opts.self ? this.#opts.limits.redialFirstMs : 0;
    if (this.#book.learn(peer, addresses, source, delayMs)) this.#redial?.kick();
  }

  /** Messages flow on `link`: its peer is told where we are, and where others are that are let in. */
  connected(link: Link): void {
    const isPlain = link.dialled !== undefined && !isName(parseAddress(link.dialled)); // names stay with who gave them
    if (isPlain) this.#book.worked(link.peer, link.dialled);
    this.#tell(link, [this.#ourselves(), ...this.proven()]);
  }

  /** A connection has ended. */
  lost({ peer, wasUp }: Link): void {
    const entry = this.#book.of(peer);
    if (entry !== undefined && wasUp && this.#opts.admits(peer)) this.#redial?.soon(entry);
    else this.#redial?.kick();
  }

  /** The gate has changed its mind: peers that are let in now are dialled. */
  recheck(): void {
    for (const entry of this.#book.entries()) {
      if (entry.peer !== undefined && this.#opts.admits(entry.peer)) entry.dueMs = this.#opts.clock.now();
    }
    this.#redial?.kick();
  }

  /** Whether we are dialling `peer` ourselves, let in or not. */
  isDialling(peer: PeerId): boolean {
    return this.#dialling.has(peer);
  }

  /** Peers that are let in, and addresses of theirs that worked or that they told us themselves. */
  proven(): Told[] {
    const { admits, up } = this.#opts;
    return this.#book.entries().flatMap(({ peer, addresses }) => {
      if (peer === undefined || !admits(peer)) return [];
      const good = [...addresses].filter(([, { worked }]) => worked || up().has(peer)).map(([address]) =>
        address
      );
      return good.length > 0 ? [{ peer, addresses: good }] : [];
    });
  }

  /**
   * Notes what the peer of a link told. What is new of itself is told to others, because it may come after we told them
   * of everybody. False: that was not in the form it should have.
   */
  told(link: Link, body: Uint8Array): boolean {
    const told = readAddresses(body, this.#opts.limits);
    for (const one of told ?? []) {
      if (one.peer !== link.peer) this.learn(one.peer, one.addresses, "told");
      else if (this.#book.replace(one.peer, one.addresses)) this.#tellAll(one);
    }
    return told !== undefined;
  }

  /** Tells everybody where we are now, if that has changed. */
  tellIfMoved(): void {
    const ourselves = this.#ourselves();
    if (ourselves.addresses.join() !== this.#own) this.#tellAll(ourselves);
    this.#own = ourselves.addresses.join();
  }

  #ourselves(): Told {
    return { peer: this.#opts.self, addresses: this.#opts.addresses() };
  }

  #tellAll(about: Told): void {
    for (const link of this.#opts.links()) if (link.line?.up === true) this.#tell(link, [about]);
  }

  /** Tells the peer of a link where peers are. Addresses of this very machine are for peers on it only. */
  #tell(link: Link, about: Told[]): void {
    const { limits } = this.#opts;
    const isNear = isLoopback({ host: link.host, port: 0 });
    const others = about.filter(({ peer }) => peer !== link.peer).slice(0, limits.peersToldMax);
    link.line?.tellAddresses(writeAddresses(others.map(({ peer, addresses }) => ({
      peer,
      addresses: addresses.filter((address) => isNear || !isLoopback(parseAddress(address)))
        .slice(0, limits.addressesPerPeerMax),
    }))));
  }

  async #try(entry: Entry): Promise<Outcome> {
    const { peer, addresses } = entry;
    const suffix = peer === undefined ? "" : `/p2p/${peer}`;
    if (peer !== undefined) this.#dialling.add(peer);
    try {
      const targets = [...addresses.keys()].map((text) => toMultiaddr(parseAddress(text)) + suffix);
      const link = await this.#opts.dial(targets);
      entry.seen = link.peer;
      if (!await link.outcome) return "failed";
      if (peer === undefined) { for (const how of addresses.values()) how.worked = true; }
      return "up";
    } catch (thrown) {
      return outcomeOf(thrown);
    } finally {
      if (peer !== undefined) this.#dialling.delete(peer);
    }
  }

  /** Whether an entry of the book is not connected and worth a try: not so hearsay about peers that are not let in. */
  #isWanted({ peer, seen, source }: Entry): boolean {
    const who = peer ?? seen;
    if (who !== undefined && this.#opts.up().has(who)) return false;
    return source !== "told" || peer === undefined || this.#opts.admits(peer);
  }
}

/** Why a dial of libp2p failed. */
function outcomeOf(thrown: unknown): Outcome {
  const errors = thrown instanceof AggregateError ? thrown.errors : [thrown];
  const names = errors.map((error) => error instanceof Error ? error.name : "");
  if (names.includes("InvalidPeerIdError")) return "self";
  return names.every((name) => name === "EncryptionFailedError") ? "foreign" : "failed";
}
