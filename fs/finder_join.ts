// finder_join: several finders as one: the next is asked only when those before it take long or know nobody else.
import { type Cancel, type Clock, Fault, type PeerId } from "../mq/mod.ts";
import { emitted } from "./emit.ts";
import type { Finder } from "./finder.ts";
import { finderHeadStartMs } from "./limits.ts";
import type { Id } from "./store.ts";

export interface JoinOptions {
  clock: Clock;
  /** How long a finder is alone until the next one begins, in milliseconds; else `finderHeadStartMs`. */
  headStartMs?: number;
  /** Takes a line when a finder fails; the others go on. */
  log: (line: string) => void;
}

/** All of `finders`, those that are quick and cheap first. Each peer is named once. */
export function joinFinders(finders: Finder[], options: JoinOptions): Finder {
  const { clock, headStartMs = finderHeadStartMs, log } = options;
  const guarded = async (work: Promise<void>) => {
    try {
      await work;
    } catch (thrown) {
      log(`a finder failed: ${Fault.from("find", thrown).message}`);
    }
  };
  return {
    find: (id: Id, signal: AbortSignal) =>
      emitted<PeerId>(signal, async (emit, inner) => {
        const searches: Promise<void>[] = [];
        for (const [i, finder] of finders.entries()) {
          const search = guarded(emitAll(finder.find(id, inner), emit));
          searches.push(search);
          if (i < finders.length - 1) await headStart(search, inner);
          if (inner.aborted) break;
        }
        await Promise.all(searches);
      }),
    announce: async (ids: Id[]) => {
      await Promise.all(finders.map((finder) => guarded(finder.announce(ids))));
    },
  };

  /** Returns when `search` is over, or its time alone. */
  async function headStart(search: Promise<void>, signal: AbortSignal): Promise<void> {
    let cancel: Cancel = () => {};
    let over = () => {};
    await Promise.race([
      search,
      new Promise<void>((resolve) => {
        over = resolve;
        signal.addEventListener("abort", over);
        cancel = clock.after(headStartMs, resolve);
      }),
    ]);
    cancel();
    signal.removeEventListener("abort", over);
  }
}

async function emitAll(found: AsyncIterable<PeerId>, emit: (peer: PeerId) => void): Promise<void> {
  for await (const peer of found) emit(peer);
}
