// Prefetch: a small window of contents read ahead in batches, so that each step of `up` need not cross the seam.
// Not a store of its own: what it lacks it asks for, and what it holds was checked by the store below.
import { type Id, readNode, type Store } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";
import { prefetchBytesMax } from "./limits.ts";

export class Prefetched implements Store {
  readonly #below: Store;
  #held = new Map<Id, Uint8Array>();
  #bytes = 0;

  constructor(below: Store) {
    this.#below = below;
  }

  /** Forgets the last window and reads the next: these trees' roots, and the manifests of those that are files. */
  async warm(trees: Id[]): Promise<void> {
    this.#held = new Map();
    this.#bytes = 0;
    await this.#fetch(trees);
    const manifests: Id[] = [];
    for (const id of trees) {
      if (!this.#held.has(id)) continue;
      const node = await readNode(this, id);
      if (node.kind === "file") manifests.push(node.content);
    }
    await this.#fetch(manifests);
  }

  /** Reads what is there; what is missing or too much stays for the step that needs it, which says so by name. */
  async #fetch(ids: Id[]): Promise<void> {
    const wanted = [...new Set(ids)].filter((id) => !this.#held.has(id));
    if (wanted.length === 0) return;
    const missing = new Set(await this.#below.missing(wanted));
    const present = wanted.filter((id) => !missing.has(id));
    for (const [i, bytes] of (await this.#below.get(present)).entries()) {
      if (this.#bytes + bytes.length > prefetchBytesMax) return;
      this.#held.set(present[i] as Id, bytes);
      this.#bytes += bytes.length;
    }
  }

  missing(ids: Id[]): Promise<Id[]> {
    return this.#below.missing(ids.filter((id) => !this.#held.has(id)));
  }

  put(): Promise<Id[]> {
    throw new Fault("up", "refused", "nothing is stored while replaying", { hint: "isconf doctor" });
  }

  async get(ids: Id[]): Promise<Uint8Array[]> {
    const lacking = ids.filter((id) => !this.#held.has(id));
    if (lacking.length === 0) return ids.map((id) => this.#held.get(id) as Uint8Array);
    if (lacking.length === ids.length) return await this.#below.get(ids);
    const fetched = await this.#below.get(lacking);
    const by = new Map(lacking.map((id, i) => [id, fetched[i] as Uint8Array]));
    return ids.map((id) => this.#held.get(id) ?? by.get(id) as Uint8Array);
  }
}
