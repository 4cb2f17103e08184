// Recorder: what happened in a run of chaos: operations of clients with their times, and a trace for people. Judges nothing.
import * as fs from "node:fs";
import * as path from "node:path";
import { type Operation, takenBack } from "../../judge/history.ts";

/** What a run leaves in its directory, which stays. */
export class Recorder {
  readonly dir: string;
  readonly operations: Operation[] = [];
  readonly #startMs = performance.now();
  readonly #trace: number;

  constructor(dir: string) {
    this.dir = dir;
    fs.mkdirSync(dir, { recursive: true });
    this.#trace = fs.openSync(path.join(dir, "trace"), "w");
  }

  get nowUs(): number {
    return Math.round((performance.now() - this.#startMs) * 1000);
  }

  /** A line of the trace. */
  say(who: string, text: string): void {
    const seconds = (this.nowUs / 1e6).toFixed(3).padStart(9);
    fs.writeSync(this.#trace, `${seconds} ${who.padEnd(10)} ${text.replace(/\s+/g, " ").slice(0, 500)}\n`);
  }

  /** An operation begins; nobody has been told how it ends until `ended`. */
  begin(client: string, op: Operation["op"], more: Partial<Operation> = {}): Operation {
    const operation: Operation = { client, op, callUs: this.nowUs, returnUs: null, ...more };
    this.operations.push(operation);
    return operation;
  }

  ended(operation: Operation, told: Partial<Operation> = {}): void {
    Object.assign(operation, told, { returnUs: this.nowUs });
  }

  /** It is certain that it did nothing. */
  nothing(operation: Operation): void {
    this.operations.splice(this.operations.indexOf(operation), 1);
  }

  /** A try to steal, called at `callUs`, was not answered by enough: it may have been one for a moment. */
  stoleInVain(client: string, callUs: number): void {
    this.operations.push(...takenBack(`${client}~${this.operations.length}`, callUs));
  }

  file(name: string): string {
    return path.join(this.dir, name);
  }

  close(): void {
    fs.closeSync(this.#trace);
  }
}

/** Numbers of chance from a seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, not including, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** Whether something with this probability happens. */
  is(probability: number): boolean {
    return this.next() < probability;
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  /** From `least` up to `most`. */
  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  shuffled<T>(values: readonly T[]): T[] {
    const all = [...values];
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [all[i], all[j]] = [all[j] as T, all[i] as T];
    }
    return all;
  }

  /** Another sequence that depends on this one's seed. */
  fork(): Dice {
    return new Dice(Math.floor(this.next() * 2 ** 32));
  }
}
