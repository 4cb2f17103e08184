// finder: who may have an object. It moves no bytes and proves nothing: who is named is asked.
import type { PeerId } from "../mq/mod.ts";
import { directoryIdsMax } from "./limits.ts";
import type { Id } from "./store.ts";

export interface Finder {
  /**
   * Peers that may have the object `id`, the likeliest first, without ourselves; ends when nobody else is known or
   * `signal` aborts. Never believed: who is named is asked.
   */
  find(id: Id, signal: AbortSignal): AsyncIterable<PeerId>;
  /** Says to the others that we have what `ids` name: roots, trees and manifests, never single chunks. Best effort. */
  announce(ids: Id[]): Promise<void>;
}

/** A list given once: the peers that a configuration names. */
export class StaticFinder implements Finder {
  readonly #peers: PeerId[];

  constructor(peers: PeerId[]) {
    this.#peers = [...new Set(peers)];
  }

  async *find(_: Id, signal: AbortSignal): AsyncGenerator<PeerId> {
    for (const peer of this.#peers) {
      if (signal.aborted) return;
      yield await Promise.resolve(peer);
    }
  }

  announce(): Promise<void> {
    return Promise.resolve();
  }
}

/** What a network of {@link MemoryFinder}s knows in common; what was announced first is forgotten first. */
export class MemoryDirectory {
  readonly #holders = new Map<Id, Set<PeerId>>();

  add(id: Id, peer: PeerId): void {
    const holders = this.#holders.get(id) ?? new Set();
    if (!this.#holders.has(id) && this.#holders.size >= directoryIdsMax) {
      this.#holders.delete(this.#holders.keys().next().value!);
    }
    this.#holders.set(id, holders.add(peer));
  }

  holders(id: Id): PeerId[] {
    return [...this.#holders.get(id) ?? []];
  }
}

/** The DHT's twin in memory. */
export class MemoryFinder implements Finder {
  readonly #self: PeerId;
  readonly #directory: MemoryDirectory;

  constructor(self: PeerId, directory: MemoryDirectory) {
    this.#self = self;
    this.#directory = directory;
  }

  find(id: Id, signal: AbortSignal): AsyncIterable<PeerId> {
    const holders = this.#directory.holders(id).filter((peer) => peer !== this.#self);
    return new StaticFinder(holders).find(id, signal);
  }

  announce(ids: Id[]): Promise<void> {
    for (const id of ids) this.#directory.add(id, this.#self);
    return Promise.resolve();
  }
}
