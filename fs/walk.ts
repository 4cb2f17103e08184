// walk: one fetch from its roots down: what is here is looked into, what is not is wanted, what comes is looked into.
// Memory is bounded however large a tree is; nothing that a root says about itself is believed beyond its limits.
import { type Clock, Fault, pause, type PeerId } from "../mq/mod.ts";
import {
  fetchLookBatch,
  fetchLooksMax,
  fetchSeenMax,
  fetchStackMax,
  fetchWantedMax,
  walkReadBatch,
} from "./limits.ts";
import { type Link, linksOf } from "./objects.ts";
import type { Kept, Wanter } from "./source.ts";
import type { Id, Store } from "./store.ts";

/** What came so far: objects, their bytes, and how many bytes each peer gave. */
export interface Fetched {
  objects: number;
  bytes: number;
  /** How many bytes there will be at the end; undefined, as long as not everything has been found that is missing. */
  of?: number;
  peers: Map<PeerId, number>;
}

/** What a walk needs, its limits, and whom it tells. */
export interface WalkParts {
  /** All that is wanted, of the first root; undefined: everything that the roots reach. */
  only?: Id[] | undefined;
  store: Pick<Store, "missing" | "get">;
  clock: Clock;
  patienceMs: number;
  bytesMax: number;
  /** Throws when so many more bytes are too many for this host. */
  checkRoom: (bytes: number) => void;
  want: (wanter: Wanter, id: Id, size: number | undefined, root: Id) => void;
  isComing: (ids: Iterable<Id>) => boolean;
  /** The fault of an object that does not come. */
  nobodyHas: (id: Id) => Fault;
  kept: (done: Fetched, objects: Kept[]) => void;
}

interface Step {
  link: Link;
  root: Id;
}

export class Walk implements Wanter {
  readonly done: Fetched = { objects: 0, bytes: 0, peers: new Map() };
  readonly #parts: WalkParts;
  /** To be looked at; what was found last comes first, so that it stays short. */
  readonly #stack: Step[];
  /** Wanted, and what they are. */
  readonly #waiting = new Map<Id, Step[]>();
  readonly #seen = new Set<Id>();
  /** Of what waits: chunks, by their bytes, and all else, which may name more. */
  #chunkBytes = 0;
  #structures = 0;
  #isLooking = false;
  #looks = 0;
  #missingBytes = 0;
  #progressMs: number;
  #failure: { thrown: unknown } | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(roots: Id[], parts: WalkParts) {
    this.#parts = parts;
    this.#progressMs = parts.clock.now();
    const { only } = parts;
    this.#stack = [...new Set(only ?? roots)].map((id) => ({
      link: { as: "root", id },
      root: only === undefined ? id : roots[0]!,
    }));
  }

  /** Returns when everything is here. */
  async run(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.thrown;
      if (this.#stack.length > 0 && this.#waiting.size < fetchWantedMax) {
        this.#isLooking = true;
        await this.#look(this.#stack.splice(-fetchLookBatch).reverse());
        this.#isLooking = false;
      } else if (this.#waiting.size > 0) {
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      } else return;
    }
  }

  came(id: Id, bytes: Uint8Array): void {
    try {
      for (const step of this.#waiting.get(id) ?? []) this.#expand(step, bytes);
    } catch (thrown) {
      this.failed(thrown);
    }
    this.#wake.resolve();
  }

  kept(objects: Kept[]): void {
    const { done } = this;
    for (const { id, size, from } of objects) {
      this.#count(this.#waiting.get(id)?.[0]?.link, -1);
      this.#waiting.delete(id);
      done.objects++;
      done.bytes += size;
      done.peers.set(from, (done.peers.get(from) ?? 0) + size);
    }
    const isAllFound = this.#stack.length === 0 && this.#structures === 0 && !this.#isLooking;
    if (isAllFound) done.of = done.bytes + this.#chunkBytes;
    this.#progressMs = this.#parts.clock.now();
    this.#parts.kept(done, objects);
    this.#wake.resolve();
  }

  failed(thrown: unknown): void {
    this.#failure ??= { thrown };
    this.#wake.resolve();
  }

  ticked(): void {
    const { clock, patienceMs, isComing, nobodyHas } = this.#parts;
    const [id] = this.#waiting.keys();
    if (id === undefined || clock.now() - this.#progressMs < patienceMs) return;
    if (!isComing(this.#waiting.keys())) this.failed(nobodyHas(id));
  }

  async #look(steps: Step[]): Promise<void> {
    this.#looks += steps.length;
    if (this.#looks > fetchLooksMax) throw refused(`more than ${fetchLooksMax} objects`);
    const { store } = this.#parts;
    const ids = [...new Set(steps.map(({ link }) => link.id))];
    const missing = new Set(await store.missing(ids));
    this.#want(steps.filter(({ link }) => missing.has(link.id)));
    const here = steps.filter(({ link }) => link.as !== "chunk" && !missing.has(link.id));
    for (let i = 0; i < here.length; i += walkReadBatch) {
      const some = here.slice(i, i + walkReadBatch);
      const objects = await store.get(some.map(({ link }) => link.id));
      for (const [k, step] of some.entries()) this.#expand(step, objects[k]!);
      await pause();
    }
  }

  #want(steps: Step[]): void {
    const isNew = new Map<Id, Step>();
    for (const step of steps) {
      const known = this.#waiting.get(step.link.id);
      if (known === undefined) isNew.set(step.link.id, step);
      this.#waiting.set(step.link.id, [...known ?? [], step]);
    }
    let bytes = 0;
    for (const { link } of isNew.values()) {
      bytes += sizeOf(link) ?? 0;
      this.#count(link, 1);
    }
    this.#missingBytes += bytes;
    const { bytesMax, clock, checkRoom, want } = this.#parts;
    if (this.#missingBytes > bytesMax) throw refused(`more than ${bytesMax} bytes that are not here`);
    checkRoom(bytes);
    if (this.#waiting.size === isNew.size) this.#progressMs = clock.now();
    for (const [id, { link, root }] of isNew) want(this, id, sizeOf(link), root);
  }

  /** Counts what waits: `by` is 1 for one more, -1 for one less. */
  #count(link: Link | undefined, by: 1 | -1): void {
    if (link === undefined) return;
    const size = sizeOf(link);
    if (size === undefined) this.#structures += by;
    else this.#chunkBytes += by * size;
  }

  #expand({ link, root }: Step, bytes: Uint8Array): void {
    if (this.#parts.only !== undefined) return;
    const links = linksOf(link, bytes);
    let claimed = 0;
    for (const below of links) claimed += "size" in below ? below.size : 0;
    const { bytesMax } = this.#parts;
    if (claimed > bytesMax) throw refused(`a file of ${claimed} bytes; the limit is ${bytesMax}`);
    for (const below of links.reverse()) {
      if (below.as === "chunk" || this.#isNew(below.id)) this.#stack.push({ link: below, root });
    }
    if (this.#stack.length > fetchStackMax) throw refused(`more than ${fetchStackMax} names at once`);
  }

  /** Whether this structure was not seen lately; remembers it. */
  #isNew(id: Id): boolean {
    if (this.#seen.has(id)) return false;
    if (this.#seen.size >= fetchSeenMax) this.#seen.delete(this.#seen.values().next().value!);
    this.#seen.add(id);
    return true;
  }
}

/** Length in bytes of an object, where who names it says so. */
function sizeOf(link: Link): number | undefined {
  return link.as === "chunk" ? link.size : undefined;
}

function refused(what: string): Fault {
  return new Fault("fetch", "refused", `a root needs ${what}`, { hint: "isconf log" });
}
