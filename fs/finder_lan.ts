// finder_lan: asks the peers that are connected now whether they have an object. It looks no further than that.
import { type Clock, Fault, type PeerId, sleep } from "../mq/mod.ts";
import { emitted } from "./emit.ts";
import type { Finder } from "./finder.ts";
import { lanAskMs, lanAsksMax, lanWaveMs, lanWaveMsMax, lanWavePeers } from "./limits.ts";
import { type Asker, askHave } from "./questions.ts";
import { shuffled } from "./shuffle.ts";
import type { Id } from "./store.ts";

/**
 * Asks few peers at a time, and then some more: what is new spreads, and who asks a moment later need not ask many. So
 * what a search costs hardly grows with the number of neighbours. First comes the one of whom something new was heard last,
 * then again with the last few, because it may be just getting it itself; the others in an order by chance.
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
      const found = new Set<PeerId>();
      for (const [i, wave] of this.#waves().entries()) {
        if (i > 0) await sleep(this.#clock, Math.min(lanWaveMs * 2 ** (i - 1), lanWaveMsMax));
        for (const peer of wave.filter((peer) => !found.has(peer))) {
          while (asking.size >= lanAsksMax) await Promise.race(asking);
          if (inner.aborted) return;
          const one = this.#has(peer, id).then((has) => {
            asking.delete(one);
            if (!has) return;
            found.add(peer);
            emit(peer);
          });
          asking.add(one);
        }
      }
      await Promise.all(asking);
    });
  }

  /** Who is asked at the same time. */
  #waves(): PeerId[][] {
    const first = this.#node.tellers().slice(0, lanWavePeers);
    const others = shuffled(this.#node.peers().filter((peer) => !first.includes(peer)), this.#clock);
    const waves = first.length > 0 ? [first.slice(0, 1), first] : [];
    for (let i = 0; i < others.length; i += lanWavePeers) waves.push(others.slice(i, i + lanWavePeers));
    return waves;
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
