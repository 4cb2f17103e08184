// fetch: everything that roots need and that is not here, from peers: what its caller says, and what he is told. How a
// root is walked walk.ts knows, how objects come swarm.ts. It decides nothing about what is worth fetching.
import { Fault, type PeerId } from "../mq/mod.ts";
import { fetchNamesMax, fetchPatienceMs } from "./limits.ts";
import type { Id, SharingStore } from "./store.ts";
import { Swarm, type SwarmParts } from "./swarm.ts";
import { type Fetched, Walk } from "./walk.ts";

export interface FetchOptions {
  /** Longest time for all of it, in milliseconds; without it, a fetch goes on as long as anything comes. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Called after each batch that is durable. */
  progress?: (done: Fetched) => void;
  /** Most bytes that may be missing here; a file that claims more is refused before any of it is fetched. */
  bytesMax?: number;
  /** Brings these objects alone, which a root reaches and its holders have: not what they name. */
  only?: Id[];
}

export interface FetcherOptions extends SwarmParts {
  store: SharingStore;
  /** Bytes free on the disk of the store. */
  freeBytes?: () => number;
  /** Bytes that stay free there. */
  reserveBytes?: number;
  /** What people call a peer. */
  nameOf?: (peer: PeerId) => string;
  /** How long nothing may come until a fetch gives up, in milliseconds; else `fetchPatienceMs`. */
  patienceMs?: number;
}

/** Brings objects here: one for each store, so that what two calls both want comes once. */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #swarm: Swarm;
  #fetches = 0;
  #step = Promise.withResolvers<void>();

  constructor(options: FetcherOptions) {
    this.#options = options;
    const { store } = options;
    const putShared = async (objects: Map<Id, Uint8Array>) => {
      let bytes = 0;
      for (const object of objects.values()) bytes += object.length;
      this.#checkRoom(bytes);
      return await store.putShared(objects);
    };
    this.#swarm = new Swarm({ ...options, store: { putShared } });
  }

  /** Resolves when more is here, or a fetch has ended; undefined when nothing is being fetched. */
  get step(): Promise<void> | undefined {
    return this.#fetches > 0 ? this.#step.promise : undefined;
  }

  /**
   * Returns when everything reachable from `roots`, or what is wanted alone, is here, durable and, as far as it was fetched, shared. Broken off
   * at any point, the next call asks only for the rest.
   * @throws {Fault} notFound, naming an object and who was asked, when nothing comes any more; refused, when it is more
   *   than `bytesMax` or too deep; environment, when the disk has no room; corrupt, when a root is no tree and no file;
   *   gone, after `timeoutMs` or when `signal` aborts
   */
  async fetch(roots: Id[], options: FetchOptions = {}): Promise<Fetched> {
    const { store, clock, patienceMs = fetchPatienceMs } = this.#options;
    const { timeoutMs, signal, progress, bytesMax = Infinity, only } = options;
    const isRoot = new Set(only === undefined ? roots : []);
    const walk = new Walk(roots, {
      only,
      store,
      clock,
      patienceMs,
      bytesMax,
      checkRoom: (bytes) => this.#checkRoom(bytes + this.#swarm.wantedBytes),
      want: (wanter, id, size, root) => this.#swarm.want(wanter, id, size, root),
      isComing: (ids) => this.#swarm.isComing(ids),
      nobodyHas: (id) => this.#nobodyHas(id),
      kept: (done, objects) => {
        this.#announce(objects.map(({ id }) => id).filter((id) => isRoot.has(id)));
        progress?.(done);
        this.#stepped();
      },
    });
    const abort = () => walk.failed(ended("it was broken off"));
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
    const cancel = timeoutMs === undefined ? undefined : clock.after(
      timeoutMs,
      () => walk.failed(ended(`it was not done within ${timeoutMs} ms`)),
    );
    this.#swarm.join(walk);
    this.#fetches++;
    try {
      await walk.run();
      return walk.done;
    } finally {
      this.#fetches--;
      this.#stepped();
      this.#swarm.leave(walk);
      signal?.removeEventListener("abort", abort);
      cancel?.();
    }
  }

  #stepped(): void {
    this.#step.resolve();
    this.#step = Promise.withResolvers();
  }

  /** Others may ask us for a root from the moment on that we have begun with it. */
  #announce(roots: Id[]): void {
    const { finder, log } = this.#options;
    if (roots.length === 0) return;
    finder.announce(roots).catch((e) => log(`announcing failed: ${Fault.from("fetch", e).message}`));
  }

  /** Asked before anything is wanted, and before it is stored: of some objects the length is not known before. */
  #checkRoom(bytes: number): void {
    const { freeBytes, reserveBytes = 0 } = this.#options;
    if (freeBytes === undefined) return;
    const left = freeBytes() - bytes;
    if (left >= reserveBytes) return;
    throw new Fault(
      "fetch",
      "environment",
      `the disk has no room: ${reserveBytes - left} bytes more are needed to keep ${reserveBytes} free`,
      { hint: "isconf doctor" },
    );
  }

  #nobodyHas(id: Id): Fault {
    const { nameOf = (peer: PeerId) => peer } = this.#options;
    const asked = this.#swarm.asked().map(([peer, what]) => `${nameOf(peer)} (${what})`);
    const names = asked.slice(0, fetchNamesMax).join(", ");
    const more = asked.length > fetchNamesMax ? ` and ${asked.length - fetchNamesMax} more` : "";
    const whom = asked.length > 0 ? `asked ${names}${more}` : "no other host is known to ask";
    return new Fault("fetch", "notFound", `object ${id}: nobody has it; ${whom}`, { hint: "isconf status" });
  }
}

function ended(why: string): Fault {
  return new Fault("fetch", "gone", why, { hint: "isconf up; what came already is kept" });
}
