// Rate: how often something may be done, so many times at once and so many times a second; and how long an answer is waited for. Not who does it.
import { type Clock, Fault } from "../../mq/mod.ts";
import { booterMs } from "./limits.ts";

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

/** What a Booter answers, unless it takes too long: then a gone fault, so that what waits for it does not wait for ever. */
export function inTime<T>(clock: Clock, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = new Fault("netboot", "gone", "what is to be booted was not said in time", {
      hint: "isconf doctor",
    });
    const cancel = clock.after(booterMs, () => reject(late));
    answer.then(resolve, reject).finally(cancel);
  });
}
