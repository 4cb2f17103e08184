// kept: what one job has put into a store, so that all of it can be shared at once when the job is done, without looking
// for what its root reaches. Its user has a hold on the store, from before the first put until all is shared.
import { pause } from "../mq/mod.ts";
import { gcMarkBatch } from "./limits.ts";
import type { Id, Keyed, KeyedStore } from "./store.ts";
import { idOf } from "./store.ts";
import type { SqliteStore } from "./store_sqlite.ts";

/** Rows of the store from the first to the last of each run: what is put in one go mostly is one. */
type Run = [first: number, last: number];

export class Kept implements KeyedStore {
  readonly #store: SqliteStore;
  readonly #drops: number;
  readonly #runs: Run[] = [];

  constructor(store: SqliteStore) {
    this.#store = store;
    this.#drops = store.drops();
  }

  /** All of them: whoever puts is told there what is here already, and everything of the job has to be put. */
  missing(ids: Id[]): Promise<Id[]> {
    return Promise.resolve(ids);
  }

  get(ids: Id[]): Promise<Uint8Array[]> {
    return this.#store.get(ids);
  }

  async put(objects: Uint8Array[]): Promise<Id[]> {
    const keyed = objects.map((bytes): Keyed => [idOf(bytes), bytes]);
    await this.putKeyed(keyed);
    return keyed.map(([id]) => id);
  }

  async putKeyed(objects: Keyed[]): Promise<void> {
    await this.#store.putKeyed(objects, 0, (n) => this.#add(n));
  }

  /**
   * Shares all that was put, and remembers that `root` is whole: everything that it reaches was put by this job, or is below
   * one of the roots `others`, which are shared as always. Where something was dropped since the job began, only what
   * `share` of the store does is to be believed; so it is left to that.
   */
  async share(root: Id, others: Iterable<Id>): Promise<void> {
    for (const other of others) await this.#store.share(other);
    for (const [first, last] of this.#runs) {
      for (let from = first; from <= last && this.#store.drops() === this.#drops; from += gcMarkBatch) {
        this.#store.shareRows(from, Math.min(last, from + gcMarkBatch - 1));
        await pause();
      }
    }
    for (const other of others) if (!this.#store.isWhole(other)) return;
    this.#store.remember(root, this.#drops);
  }

  #add(n: number): void {
    const run = this.#runs.at(-1);
    if (run !== undefined && n === run[1] + 1) run[1] = n;
    else if (run === undefined || n < run[0] || n > run[1]) this.#runs.push([n, n]);
  }
}
