// Rate: how often something may be done: so many times at once, and so many times a second. Not who does it.
import type { Clock } from "../../mq/mod.ts";

export class Rate {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #atOnce: number;
  #left: number;
  #lastMs: number;

  constructor(clock: Clock, perSecond: number, atOnce: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#atOnce = atOnce;
    this.#left = atOnce;
    this.#lastMs = clock.now();
  }

  /** Whether it may be done now; then that counts. */
  take(): boolean {
    const now = this.#clock.now();
    this.#left = Math.min(this.#atOnce, this.#left + (now - this.#lastMs) * this.#perSecond / 1000);
    this.#lastMs = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
