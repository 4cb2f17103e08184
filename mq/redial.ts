// Redial: tries the peers of an address book, again and again, until as many as wanted are connected. Backs off
// from those that fail. Not a connection: how to dial, and who is worth it, is said by its maker.
import type { AddressBook, Entry } from "./address_book.ts";
import type { Cancel, Clock } from "./clock.ts";

/**
 * How a try ended: connected (`up`), nobody there or cut off again (`failed`), somebody there who is not whom we look
 * for or of another network (`foreign`), ourselves (`self`).
 */
export type Outcome = "up" | "failed" | "foreign" | "self";

export interface RedialLimits {
  connectionsWanted: number;
  dialsMax: number;
  redialFirstMs: number;
  redialFactor: number;
  redialMsMax: number;
  foreignTriesMax: number;
}

export interface RedialOptions {
  clock: Clock;
  book: AddressBook;
  limits: RedialLimits;
  /** Tries an entry; settles when it is connected or has failed for good. Never rejects. */
  dial(entry: Entry): Promise<Outcome>;
  /** Whether an entry is worth a try now: not connected, and of use. */
  isWanted(entry: Entry): boolean;
  /** How many peers are connected. */
  connected(): number;
}

export class Redial {
  readonly #opts: RedialOptions;
  #trying = 0;
  #stopped = false;
  #cancel: Cancel = () => {};

  constructor(opts: RedialOptions) {
    this.#opts = opts;
  }

  /** Tries who is due; to be called when anything has changed. */
  kick(): void {
    this.#cancel();
    if (this.#stopped) return;
    const { clock, book, limits } = this.#opts;
    const open = () =>
      Math.min(
        limits.dialsMax - this.#trying,
        limits.connectionsWanted - this.#opts.connected() - this.#trying,
      );
    if (open() <= 0) return;
    const waiting = book.entries()
      .filter((entry) => !entry.trying && this.#opts.isWanted(entry))
      .sort((a, b) => a.failures - b.failures || a.dueMs - b.dueMs);
    for (const entry of waiting.filter(({ dueMs }) => dueMs <= clock.now())) {
      if (open() > 0) void this.#try(entry);
    }
    const nextMs = waiting.reduce(
      (first, { trying, dueMs }) => trying ? first : Math.min(first, dueMs),
      Infinity,
    );
    if (open() > 0 && nextMs < Infinity) {
      this.#cancel = clock.after(Math.max(0, nextMs - clock.now()), () => this.kick());
    }
  }

  /** The entry's connection was lost, or things have changed in its favour: it is tried again almost at once. */
  soon(entry: Entry): void {
    entry.failures = 0;
    entry.dueMs = this.#opts.clock.now() + this.#chance() * this.#opts.limits.redialFirstMs;
    this.kick();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #try(entry: Entry): Promise<void> {
    entry.trying = true;
    this.#trying++;
    const outcome = await this.#opts.dial(entry);
    entry.trying = false;
    this.#trying--;
    if (outcome === "up") entry.failures = 0;
    else this.#failed(entry, outcome);
    this.kick();
  }

  #failed(entry: Entry, outcome: Outcome): void {
    const { clock, book, limits } = this.#opts;
    entry.failures++;
    const hasWorked = [...entry.addresses.values()].some(({ worked }) => worked);
    if (
      outcome === "self" || (outcome === "foreign" && !hasWorked && entry.failures >= limits.foreignTriesMax)
    ) {
      return book.forget(entry);
    }
    const delayMs = Math.min(
      limits.redialMsMax,
      limits.redialFirstMs * limits.redialFactor ** (entry.failures - 1),
    );
    entry.dueMs = clock.now() + delayMs * (0.5 + this.#chance());
  }

  /** A number from 0 to below 1. */
  #chance(): number {
    return this.#opts.clock.random(1)[0]! / 256;
  }
}
