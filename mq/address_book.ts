// AddressBook: which peers are said to be where, and how trying them went. Bounded; the least promising goes first.
// Not a dialler, and no source of trust: what stands here was said by anybody.
import type { Clock } from "./clock.ts";
import type { PeerId } from "./transport.ts";

/** Who says that an address is good: this host's owner, the local network, or a peer. */
export type Source = "given" | "found" | "told";

/** A peer, or whoever answers at an address, and what is known of the way there. */
export interface Entry {
  /** Undefined: nobody knows who answers there; it has one address then. */
  readonly peer: PeerId | undefined;
  /** Who answered there the last time. */
  seen: PeerId | undefined;
  /** Addresses as "ip:port", and whether each led to the peer once. */
  readonly addresses: Map<string, { worked: boolean }>;
  source: Source;
  /** Tries in a row that did not end in a connection. */
  failures: number;
  /** When it may be tried again, of `clock.now()`, in milliseconds. */
  dueMs: number;
  trying: boolean;
}

export interface BookLimits {
  knownPeersMax: number;
  addressesPerPeerMax: number;
}

const WORTH: Record<Source, number> = { told: 0, found: 1, given: 2 };

export class AddressBook {
  readonly #clock: Clock;
  readonly #limits: BookLimits;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, limits: BookLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  entries(): Entry[] {
    return [...this.#entries.values()];
  }

  of(peer: PeerId): Entry | undefined {
    return this.#entries.get(peer);
  }

  /**
   * Notes that `peer` (undefined: somebody) may be at `addresses`. A new entry is due in `delayMs` milliseconds.
   * Returns whether something is new.
   */
  learn(peer: PeerId | undefined, addresses: string[], source: Source, delayMs = 0): boolean {
    const key = peer ?? addresses[0];
    if (key === undefined) return false;
    const known = this.#entries.get(key);
    const entry = known ?? this.#add(key, peer, source, delayMs);
    if (entry === undefined) return false;
    if (WORTH[source] > WORTH[entry.source]) entry.source = source;
    const fresh = addresses.filter((address) => !entry.addresses.has(address));
    for (const address of fresh) this.#note(entry, address);
    if (known !== undefined && fresh.length > 0) {
      entry.dueMs = Math.min(entry.dueMs, this.#clock.now() + delayMs);
    }
    return fresh.length > 0;
  }

  /** `peer` itself says that it is at `addresses`, and nowhere else; what led to it stays. Returns whether one is new. */
  replace(peer: PeerId, addresses: string[]): boolean {
    const entry = this.#entries.get(peer);
    for (const [address, { worked }] of entry?.addresses ?? []) {
      if (!worked && !addresses.includes(address)) entry?.addresses.delete(address);
    }
    return this.learn(peer, addresses, "told");
  }

  /** Dialling `address` led to `peer`. */
  worked(peer: PeerId, address: string): void {
    this.learn(peer, [address], "found");
    const entry = this.#entries.get(peer);
    entry?.addresses.delete(address);
    if (entry !== undefined) this.#note(entry, address, true);
  }

  forget(entry: Entry): void {
    const key = entry.peer ?? [...entry.addresses.keys()][0];
    if (key !== undefined && this.#entries.get(key) === entry) this.#entries.delete(key);
  }

  #add(key: string, peer: PeerId | undefined, source: Source, delayMs: number): Entry | undefined {
    if (this.#entries.size >= this.#limits.knownPeersMax) {
      const worst = this.entries().reduce((a, b) => worth(b) < worth(a) ? b : a);
      if (worth(worst) >= WORTH[source]) return undefined;
      this.forget(worst);
    }
    const entry: Entry = {
      peer,
      seen: undefined,
      addresses: new Map(),
      source,
      failures: 0,
      dueMs: this.#clock.now() + delayMs,
      trying: false,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  /** Adds an address in front when it worked, else behind; the last that never worked makes room. */
  #note(entry: Entry, address: string, worked = false): void {
    const before = [...entry.addresses];
    entry.addresses.clear();
    const all = worked
      ? [[address, { worked }] as const, ...before]
      : [...before, [address, { worked }] as const];
    for (const [each, how] of all.slice(0, this.#limits.addressesPerPeerMax)) entry.addresses.set(each, how);
  }
}

/** How much an entry deserves its place: one that worked more than any that did not, then by source, then by failures. */
function worth(entry: Entry): number {
  const worked = [...entry.addresses.values()].some((how) => how.worked);
  return (worked ? 4 : 0) + WORTH[entry.source] - Math.min(entry.failures, 9) / 10;
}
