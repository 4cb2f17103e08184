// Ring: the latest items of a stream that nobody keeps whole, each with a number to ask from again.
// Not a log: what fell out is gone, and the reader is told how much.
import assert from "node:assert/strict";
import { ringItemsMax } from "./limits.ts";

/** What a reader gets: the items from its cursor on, the cursor to ask with next, and how many it came too late for. */
export interface Since<T> {
  items: T[];
  next: number;
  missed: number;
}

export class Ring<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  #next = 0;

  /** `capacity` is the most items held. */
  constructor(capacity: number = ringItemsMax) {
    assert.ok(Number.isSafeInteger(capacity) && capacity > 0, "a ring holds at least one item");
    this.#capacity = capacity;
  }

  /** The cursor that the next item will have. A reader that wants only what is new starts here. */
  get next(): number {
    return this.#next;
  }

  /** The cursor of the oldest item still held. */
  get oldest(): number {
    return Math.max(0, this.#next - this.#capacity);
  }

  /** Adds an item, in place of the oldest when full, and returns its cursor: 0, 1, 2 … */
  push(item: T): number {
    this.#items[this.#next % this.#capacity] = item;
    return this.#next++;
  }

  /**
   * The items with cursors of `cursor` and above. A cursor that this ring never gave out (it comes from before a
   * restart) gets everything held.
   */
  since(cursor: number): Since<T> {
    const known = Number.isSafeInteger(cursor) && cursor >= 0 && cursor <= this.#next;
    const wanted = known ? cursor : 0;
    const first = Math.max(wanted, this.oldest);
    const items: T[] = [];
    for (let i = first; i < this.#next; i++) items.push(this.#items[i % this.#capacity]!);
    return { items, next: this.#next, missed: first - wanted };
  }
}
