// put_batch: many small puts as few large ones. A store in front of a store, for one job: what was put is durable only
// after `flush`, so its user flushes before anybody is told an id.
import { batchIdsMax, windowBytes } from "./limits.ts";
import type { Id, Keyed, KeyedStore, Store } from "./store.ts";
import { idOf } from "./store.ts";

/**
 * Collects objects in the order given and hands them on when a window is full, while the next is being filled; what
 * `inner` has is not sent again.
 */
export class PutBatch implements KeyedStore {
  readonly #inner: Store | KeyedStore;
  #waiting = new Map<Id, Uint8Array>();
  #bytes = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(inner: Store | KeyedStore) {
    this.#inner = inner;
  }

  async put(objects: Uint8Array[]): Promise<Id[]> {
    const keyed = objects.map((bytes): Keyed => [idOf(bytes), bytes]);
    await this.putKeyed(keyed);
    return keyed.map(([id]) => id);
  }

  async putKeyed(objects: Keyed[]): Promise<void> {
    for (const [id, bytes] of objects) {
      if (this.#bytes + bytes.length > windowBytes || this.#waiting.size === batchIdsMax) await this.#send();
      if (!this.#waiting.has(id)) this.#bytes += bytes.length;
      this.#waiting.set(id, bytes);
    }
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
    await this.#send();
    await this.#sending;
  }

  /** Begins to hand on what waits, when what was handed on before is durable. */
  async #send(): Promise<void> {
    const waiting = this.#waiting;
    [this.#waiting, this.#bytes] = [new Map(), 0];
    await this.#sending;
    if (waiting.size === 0) return;
    this.#sending = this.#give(waiting);
    this.#sending.catch(() => {}); // the next one who waits hears of it
  }

  async #give(waiting: Map<Id, Uint8Array>): Promise<void> {
    const missing = await this.#inner.missing([...waiting.keys()]);
    if (missing.length === 0) return;
    const objects = missing.map((id): Keyed => [id, waiting.get(id)!]);
    if ("putKeyed" in this.#inner) await this.#inner.putKeyed(objects);
    else await this.#inner.put(objects.map(([, bytes]) => bytes));
  }
}
