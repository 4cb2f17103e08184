// Moment: answers that many ask for at the same time, made once and given again for a moment, until what they are made of has changed. Who
// knows of that says so (clear); for what nobody hears of, a moment is short.
import type { Clock } from "../mq/mod.ts";

export class Moment<T> {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #max: number;
  readonly #made = new Map<string, { atMs: number; value: Promise<T> }>();

  /** `ms`: how long one is good for; `max`: how many there are. */
  constructor(clock: Clock, ms: number, max: number) {
    this.#clock = clock;
    this.#ms = ms;
    this.#max = max;
  }

  /**
   * The answer to `key`, made by `make` unless there is one; who asks meanwhile gets the same. What fails is made again, and so is an
   * answer that `lasts` says no of.
   */
  get(key: string, make: () => Promise<T>, lasts: (value: T) => boolean = () => true): Promise<T> {
    const now = this.#clock.now();
    const before = this.#made.get(key);
    if (before !== undefined && now - before.atMs < this.#ms) return before.value;
    if (this.#made.size >= this.#max) this.#made.clear();
    const made = { atMs: now, value: make() };
    this.#made.set(key, made);
    const forget = () => void (this.#made.get(key) === made && this.#made.delete(key));
    made.value.then((value) => lasts(value) || forget(), forget);
    return made.value;
  }

  /** Nothing that was made before this is given any more, but to who waits for it already. */
  clear(): void {
    this.#made.clear();
  }
}
