// search: looks for peers of the roots that a swarm works on: at once for what nobody has, now and then for more.
import { type Clock, Fault, type PeerId } from "../mq/mod.ts";
import type { Finder } from "./finder.ts";
import { fetchFindMs, fetchFindMsMax, fetchSearchesMax } from "./limits.ts";
import type { Id } from "./store.ts";

/** One root: the search that runs, and when the next may begin. */
interface Search {
  running: AbortController | undefined;
  nextMs: number;
  waitMs: number;
}

export class Searches {
  readonly #parts: { finder: Finder; clock: Clock; log: (line: string) => void };
  /** Takes a peer that was found; false: no more. */
  readonly #found: (peer: PeerId) => boolean;
  readonly #searches = new Map<Id, Search>();

  constructor(
    parts: { finder: Finder; clock: Clock; log: (line: string) => void },
    found: (peer: PeerId) => boolean,
  ) {
    this.#parts = parts;
    this.#found = found;
  }

  /**
   * Begins what is due and ends what is not needed any more. `roots` are those of which something is missing; true:
   * nobody is known to have it.
   */
  look(roots: Map<Id, boolean>): void {
    const now = this.#parts.clock.now();
    let running = 0;
    for (const [root, search] of this.#searches) {
      if (!roots.get(root)) search.running?.abort();
      if (!roots.has(root)) this.#searches.delete(root);
      else if (search.running !== undefined) running++;
    }
    for (const [root, isNeeded] of roots) {
      if (running >= (isNeeded ? fetchSearchesMax : 1)) continue;
      const search = this.#searches.get(root) ?? { running: undefined, nextMs: now, waitMs: fetchFindMs };
      this.#searches.set(root, search);
      if (search.running !== undefined || now < search.nextMs) continue;
      running++;
      void this.#run(root, search);
    }
  }

  /** Ends all of them and forgets when they were. */
  stop(): void {
    for (const { running } of this.#searches.values()) running?.abort();
    this.#searches.clear();
  }

  async #run(root: Id, search: Search): Promise<void> {
    const { finder, clock, log } = this.#parts;
    const { signal } = search.running = new AbortController();
    try {
      for await (const peer of finder.find(root, signal)) {
        if (signal.aborted || !this.#found(peer)) break;
      }
    } catch (thrown) {
      log(`looking for peers that have ${root} failed: ${Fault.from("fetch", thrown).message}`);
    }
    search.running = undefined;
    search.nextMs = clock.now() + search.waitMs;
    search.waitMs = Math.min(fetchFindMsMax, 2 * search.waitMs);
  }
}
