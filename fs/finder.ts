// finder: who may have an object. It moves no bytes and proves nothing: who is named is asked.
import type { PeerId } from "../mq/mod.ts";
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
