// Kernel: time, order and chance of one simulation, all from its seed, and the hash of all that happened. It runs one event
// after the other, and every promise that an event has settled before the next. Not what the events are.
import { setImmediate } from "node:timers";
import type { Cancel, Clock } from "../../mq/mod.ts";

/** A stream of chance of its own: sfc32 (Chris Doty-Humphrey, PractRand). Drawing from one changes no other. */
export class Chance {
  #a: number;
  #b: number;
  #c: number;
  #n = 1;

  constructor(seed: number, stream: number) {
    this.#a = seed | 0;
    this.#b = Math.imul(stream, 0x9e3779b9) | 0;
    this.#c = 0x243f6a88 ^ stream;
    for (let i = 0; i < 12; i++) this.u32();
  }

  u32(): number {
    const t = (this.#a + this.#b + this.#n) | 0;
    this.#n = (this.#n + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** Below `n`. */
  below(n: number): number {
    return this.u32() % n;
  }

  /** From `min` to `max`, both possible. */
  from(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  is(p: number): boolean {
    return this.u32() < p * 2 ** 32;
  }

  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T;
  }

  bytes(n: number): Uint8Array {
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i += 4) {
      const word = this.u32();
      for (let k = i; k < Math.min(n, i + 4); k++) out[k] = word >>> (8 * (k - i));
    }
    return out;
  }
}

interface Timer {
  at: number;
  order: number;
  fn: (() => void) | undefined;
}

/** How many events are run between two looks whether all is over: each has its own turn of the event loop. */
const turnsAtOnce = 64;

export class Kernel {
  now = 0;
  /** Everything that happened, as one number of 64 bits in hexadecimal. */
  #high = 0x811c9dc5 | 0;
  #low = 0x1b873593 | 0;
  #order = 0;
  /** A binary heap by time, then by the order in which timers were set. */
  readonly #heap: Timer[] = [];
  pending = 0;
  /** Called after each event. What it throws ends the run. */
  afterEach: () => void = () => {};

  get hash(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** Something happened: it becomes part of the hash. */
  mix(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x5bd1e995);
    this.#high = Math.imul((this.#high ^ this.#low) + ((this.#low >>> 15) | 0), 0x01000193);
    this.#low = (this.#low << 13) | (this.#low >>> 19);
  }

  mixText(text: string): void {
    for (let i = 0; i < text.length; i++) this.mix(text.charCodeAt(i));
  }

  after(ms: number, fn: () => void): Cancel {
    const timer: Timer = { at: this.now + Math.max(0, ms), order: this.#order++, fn };
    this.#push(timer);
    this.pending++;
    return () => {
      if (timer.fn === undefined) return;
      timer.fn = undefined;
      this.pending--;
    };
  }

  /** Runs what is due until `until` (ms of this clock). Rejects with what an event or {@link afterEach} threw. */
  run(until: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let isOver = false;
      const turn = () => {
        if (isOver) return;
        try {
          this.afterEach();
          const timer = this.#nextBefore(until);
          if (timer !== undefined) {
            this.now = Math.max(this.now, timer.at);
            const { fn } = timer;
            timer.fn = undefined;
            this.pending--;
            return fn!();
          }
          isOver = true;
          this.now = until;
          resolve();
        } catch (e) {
          isOver = true;
          reject(e);
        }
      };
      const more = () => {
        for (let i = 0; i < turnsAtOnce && !isOver; i++) setImmediate(turn);
        if (!isOver) setImmediate(more);
      };
      more();
    });
  }

  #nextBefore(until: number): Timer | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.at > until) return undefined;
      this.#pop();
      if (first.fn !== undefined) return first;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let i = heap.push(timer) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!isBefore(timer, heap[up]!)) break;
      heap[i] = heap[up]!;
      i = up;
    }
    heap[i] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && isBefore(heap[down + 1]!, heap[down]!)) down++;
      if (!isBefore(heap[down]!, last)) break;
      heap[i] = heap[down]!;
      i = down;
    }
    heap[i] = last;
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** The clock of one machine: it drifts, and its wall clock may step. */
export class MachineClock {
  readonly #kernel: Kernel;
  readonly #chance: Chance;
  /** How many of its milliseconds pass in one of the kernel's. */
  readonly #rate: number;
  #wallMs: number;
  /** Timers of the present life that wait. */
  pending = 0;
  #life = 0;

  constructor(kernel: Kernel, chance: Chance, { rate = 1, wallMs = 1_700_000_000_000 } = {}) {
    this.#kernel = kernel;
    this.#chance = chance;
    this.#rate = rate;
    this.#wallMs = wallMs;
  }

  stepWall(ms: number): void {
    this.#wallMs = Math.max(0, this.#wallMs + ms);
  }

  /** What a program sees of it as long as it lives: until {@link die}. None of its timers fires after that. */
  live(): Clock {
    const life = this.#life;
    const now = () => this.#kernel.now * this.#rate;
    const after = (ms: number, fn: () => void): Cancel => {
      if (life !== this.#life) return () => {};
      let isWaiting = true;
      this.pending++;
      const isDue = () => {
        if (!isWaiting || life !== this.#life) return false;
        isWaiting = false;
        this.pending--;
        return true;
      };
      const cancel = this.#kernel.after(ms / this.#rate, () => void (isDue() && fn()));
      return () => {
        isDue();
        cancel();
      };
    };
    return {
      now,
      wall: () => Math.floor(this.#wallMs + now()),
      random: (n) => this.#chance.bytes(n),
      after,
      pause: () => new Promise((resolve) => void after(0, resolve)),
    };
  }

  die(): void {
    this.#life++;
    this.pending = 0;
  }
}
