// Clock: the only door to time and chance for mq, fs and agent. Safety never depends on what it says.
// Not a scheduler of jobs, and not a calendar.
import { setImmediate } from "node:timers/promises";

/** Cancels a timer; harmless when the timer has fired. */
export type Cancel = () => void;

export interface Clock {
  /** Monotonic milliseconds since an arbitrary start; never steps back. */
  now(): number;
  /** Wall-clock milliseconds since 1970 (for people to read; may step). */
  wall(): number;
  /** `n` unpredictable bytes (from the seed, under {@link VirtualClock}). */
  random(n: number): Uint8Array;
  /** Calls `fn` once after `ms` milliseconds. */
  after(ms: number, fn: () => void): Cancel;
  /** Resolves when others have had their turn, and asks for no time: for work that would else keep them waiting. */
  pause(): Promise<void>;
}

/** The longest time a runtime's timer can wait, in milliseconds (2^31 - 1, 24 days); a longer one would fire at once. */
const timerMsMax = 2_147_483_647;

/** The real clock of this machine. Its timers do not keep a process alive unless `keepAlive` is set. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  random: (n) => crypto.getRandomValues(new Uint8Array(n)), // at most 65536 bytes; node:crypto would cost start-up time
  after(ms, fn) {
    let timer = setTimeout(ms > timerMsMax ? wait : fn, Math.min(ms, timerMsMax));
    const until = performance.now() + ms;
    function wait(): void {
      const left = until - performance.now();
      timer = setTimeout(left > timerMsMax ? wait : fn, Math.min(left, timerMsMax));
    }
    return () => clearTimeout(timer);
  },
  pause,
};

/** Resolves after `ms` milliseconds of `clock`. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}

/** A number from 0 to 1, 1 excluded, each as likely as any other. */
export function fraction(clock: Clock): number {
  return new DataView(clock.random(4).slice().buffer).getUint32(0) / 2 ** 32;
}

/** Resolves in the next turn of the event loop, when everything else that is ready has run. Asks for no time. */
export function pause(): Promise<void> {
  return setImmediate();
}

interface Timer {
  at: number;
  order: number;
  fn: () => void;
}

/** A clock that moves only when told to, with chance from a seed: the same seed gives the same run. */
export class VirtualClock implements Clock {
  #now = 0;
  #wallOffset: number;
  #order = 0;
  /** In the order in which they fire. */
  readonly #timers: Timer[] = [];
  #state: [number, number, number, number];

  constructor(seed: number, wallStartMs = 1_700_000_000_000) {
    this.#wallOffset = wallStartMs;
    this.#state = [seed >>> 0, 0x9e3779b9, 0x243f6a88, 1];
    for (let i = 0; i < 12; i++) this.u32();
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#wallOffset + this.#now;
  }

  /** Steps the wall clock by `ms`, as an operator or NTP would; monotonic time does not move. */
  stepWall(ms: number): void {
    this.#wallOffset += ms;
  }

  /** The next 32 random bits: sfc32 (Chris Doty-Humphrey, PractRand). */
  u32(): number {
    const s = this.#state;
    const t = (((s[0] + s[1]) >>> 0) + s[3]) >>> 0;
    s[3] = (s[3] + 1) >>> 0;
    s[0] = (s[1] ^ (s[1] >>> 9)) >>> 0;
    s[1] = (s[2] + (s[2] << 3)) >>> 0;
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) >>> 0;
    s[2] = (s[2] + t) >>> 0;
    return t;
  }

  random(n: number): Uint8Array {
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i++) out[i] = this.u32() & 0xff;
    return out;
  }

  after(ms: number, fn: () => void): Cancel {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, fn };
    this.#timers.splice(this.#placeOf(timer), 0, timer);
    return () => {
      const i = this.#placeOf(timer);
      if (this.#timers[i] === timer) this.#timers.splice(i, 1);
    };
  }

  /** Promises have their turn: outside of them nothing happens while this clock stands. */
  pause(): Promise<void> {
    return Promise.resolve();
  }

  /** How many timers are waiting. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Moves time on by `ms`, firing due timers in order of time, then of setting; lets promises run between them. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let due = this.#timers[0]; due !== undefined && due.at <= end; due = this.#timers[0]) {
      this.#timers.shift();
      this.#now = Math.max(this.#now, due.at);
      due.fn();
      await settle();
    }
    this.#now = end;
  }

  /** Where a timer is, or belongs, among those that wait. */
  #placeOf({ at, order }: Timer): number {
    let [from, to] = [0, this.#timers.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const t = this.#timers[middle] as Timer;
      if (t.at < at || (t.at === at && t.order < order)) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** Lets every promise reaction that is already due run. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
