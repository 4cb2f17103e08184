// ahead: objects of a store read before they are asked for, many at once, so that a step need not cross to the store for each.
// Not a store of its own: what it lacks it asks for, and what it holds was checked by the store below.
import { aheadBytesMax } from "./limits.ts";
import type { Id, Store } from "./store.ts";

/** A store that may have objects on their way here which have not been asked for yet. */
export interface Expecting extends Pick<Store, "get" | "missing"> {
  /** Those of `ids`, which are needed next, that have come. */
  ahead?(ids: Id[]): Promise<Map<Id, Uint8Array>>;
}

export class Ahead implements Pick<Store, "get" | "missing"> {
  readonly #below: Expecting;
  #held = new Map<Id, Uint8Array>();
  #bytes = 0;

  constructor(below: Expecting) {
    this.#below = below;
  }

  /** Lets go of what it holds. */
  forget(): void {
    [this.#held, this.#bytes] = [new Map(), 0];
  }

  /**
   * Reads what is there of `ids`, together at most `batchBytesMax` bytes as far as the caller knows; what is missing or too
   * much stays for the step that needs it, which says so by name.
   */
  async expect(ids: Id[]): Promise<void> {
    let wanted = [...new Set(ids)].filter((id) => !this.#held.has(id));
    const come = await this.#below.ahead?.(wanted);
    if (come !== undefined) {
      for (const [id, bytes] of come) this.#hold(id, bytes);
      wanted = wanted.filter((id) => !come.has(id));
    }
    if (wanted.length === 0) return;
    const missing = new Set(await this.#below.missing(wanted));
    const present = wanted.filter((id) => !missing.has(id));
    let objects: Uint8Array[];
    try {
      objects = await this.#below.get(present);
    } catch {
      return; // who needs the one that cannot be had hears why
    }
    for (const [i, bytes] of objects.entries()) this.#hold(present[i]!, bytes);
  }

  #hold(id: Id, bytes: Uint8Array): void {
    if (this.#bytes + bytes.length > aheadBytesMax) return;
    this.#held.set(id, bytes);
    this.#bytes += bytes.length;
  }

  /** The same store for who reads structure, which is always expected when it is needed. */
  readonly structure: Pick<Store, "get"> = {
    get: async (ids) => {
      await this.expect(ids);
      return await this.get(ids);
    },
  };

  /** The object, if it is held. */
  held(id: Id): Uint8Array | undefined {
    return this.#held.get(id);
  }

  missing(ids: Id[]): Promise<Id[]> {
    return this.#below.missing(ids.filter((id) => !this.#held.has(id)));
  }

  async get(ids: Id[]): Promise<Uint8Array[]> {
    const lacking = ids.filter((id) => !this.#held.has(id));
    if (lacking.length === 0) return ids.map((id) => this.#held.get(id)!);
    if (lacking.length === ids.length) return await this.#below.get(ids);
    const fetched = await this.#below.get(lacking);
    const by = new Map(lacking.map((id, i) => [id, fetched[i]!]));
    return ids.map((id) => this.#held.get(id) ?? by.get(id)!);
  }
}
