// put_batch: many small puts as few large ones. A store in front of a store, for one job: what was put is durable only
// after `flush`, so its user flushes before anybody is told an id.
import { batchIdsMax, windowBytes } from "./limits.ts";
import type { Id, Store } from "./store.ts";
import { idOf } from "./store.ts";

/** Collects objects in the order given and hands them on when a window is full; what `inner` has is not sent again. */
export class PutBatch implements Store {
  #inner: Store;
  #waiting = new Map<Id, Uint8Array>();
  #bytes = 0;

  constructor(inner: Store) {
    this.#inner = inner;
  }

  async put(objects: Uint8Array[]): Promise<Id[]> {
    const ids: Id[] = [];
    for (const bytes of objects) {
      if (this.#bytes + bytes.length > windowBytes || this.#waiting.size === batchIdsMax) await this.flush();
      const id = idOf(bytes);
      if (!this.#waiting.has(id)) this.#bytes += bytes.length;
      this.#waiting.set(id, bytes);
      ids.push(id);
    }
    return ids;
  }

  async get(ids: Id[]): Promise<Uint8Array[]> {
    await this.flush();
    return await this.#inner.get(ids);
  }

  async missing(ids: Id[]): Promise<Id[]> {
    await this.flush();
    return await this.#inner.missing(ids);
  }

  /** Returns when everything put so far is durable. */
  async flush(): Promise<void> {
    const waiting = this.#waiting;
    [this.#waiting, this.#bytes] = [new Map(), 0];
    const missing = await this.#inner.missing([...waiting.keys()]);
    if (missing.length > 0) await this.#inner.put(missing.map((id) => waiting.get(id)!));
  }
}
