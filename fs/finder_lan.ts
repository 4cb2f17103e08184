// finder_lan: asks the peers that are connected now whether they have an object. It looks no further than that.
import { type Clock, Fault, type PeerId } from "../mq/mod.ts";
import { emitted } from "./emit.ts";
import type { Finder } from "./finder.ts";
import { lanAskMs, lanAsksMax } from "./limits.ts";
import { type Asker, askHave } from "./questions.ts";
import { shuffled } from "./shuffle.ts";
import type { Id } from "./store.ts";

/** Who answers first comes first; `lanAsksMax` are asked at the same time, in an order by chance. */
export class LanFinder implements Finder {
  readonly #node: Asker;
  readonly #clock: Clock;

  constructor(node: Asker, clock: Clock) {
    this.#node = node;
    this.#clock = clock;
  }

  find(id: Id, signal: AbortSignal): AsyncIterable<PeerId> {
    return emitted(signal, async (emit, inner) => {
      const peers = shuffled(this.#node.peers(), this.#clock);
      const askOn = async () => {
        for (let peer = peers.pop(); peer !== undefined && !inner.aborted; peer = peers.pop()) {
          if (await this.#has(peer, id)) emit(peer);
        }
      };
      await Promise.all(Array.from({ length: lanAsksMax }, askOn));
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
