// finder_lan: asks the peers that are connected now whether they have an object. It looks no further than that.
import { type Clock, Fault, type PeerId, sleep } from "../mq/mod.ts";
import { emitted } from "./emit.ts";
import type { Finder } from "./finder.ts";
import { lanAskMs, lanAsksMax, lanWaveMs, lanWaveMsMax, lanWavePeers } from "./limits.ts";
import { type Asker, askHave } from "./questions.ts";
import { shuffled } from "./shuffle.ts";
import type { Id } from "./store.ts";

/**
 * Asks few peers at a time, in an order by chance, and then some more: what is new spreads, and who asks a moment later
 * need not ask many. So what a search costs does not grow with the number of neighbours.
 */
export class LanFinder implements Finder {
  readonly #node: Asker;
  readonly #clock: Clock;

  constructor(node: Asker, clock: Clock) {
    this.#node = node;
    this.#clock = clock;
  }

  find(id: Id, signal: AbortSignal): AsyncIterable<PeerId> {
    return emitted(signal, async (emit, inner) => {
      const asking = new Set<Promise<void>>();
      for (const [i, peer] of shuffled(this.#node.peers(), this.#clock).entries()) {
        if (i > 0 && i % lanWavePeers === 0) {
          await sleep(this.#clock, Math.min(lanWaveMs * 2 ** (i / lanWavePeers - 1), lanWaveMsMax));
        }
        while (asking.size >= lanAsksMax) await Promise.race(asking);
        if (inner.aborted) break;
        const one = this.#has(peer, id).then((has) => {
          asking.delete(one);
          if (has) emit(peer);
        });
        asking.add(one);
      }
      await Promise.all(asking);
    });
  }

  announce(): Promise<void> {
    return Promise.resolve();
  }

  async #has(peer: PeerId, id: Id): Promise<boolean> {
    try {
      return (await askHave(this.#node, peer, [id], lanAskMs)).has(id);
    } catch (thrown) {
      if (thrown instanceof Fault) return false; // who does not answer is no help
      throw thrown;
    }
  }
}
