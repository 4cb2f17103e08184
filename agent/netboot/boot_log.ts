// Boot log: how far each machine has come, in memory. What is noted comes from whoever is on the wire, so that it is bounded, and inert when shown.
// Not the journal, and nothing here proves that a machine is what it says.
import type { Cancel, Clock } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { readMac } from "./address.ts";
import { logFollowersMax, logMachinesMax, logQueueMax, logStepsMax, logTextMax } from "./limits.ts";

/** The steps of a machine, in the order in which they are usual. */
export const BOOT_STEPS = [
  "offered",
  "loader",
  "script",
  "kernel",
  "initrd",
  "image",
  "installed",
  "joined",
  "up",
] as const;
export type BootStep = typeof BOOT_STEPS[number];

export interface BootNote {
  mac: string;
  step: BootStep;
  /** When, in milliseconds since 1970. */
  at: number;
  /** How much of it is done, 0 to 100. */
  percent?: number;
  /** What was said with it, as it came: only {@link noteText} shows it. */
  text?: string;
}

export class BootLog {
  readonly #clock: Clock;
  /** The machine that was heard of last stands last. */
  readonly #machines = new Map<string, BootNote[]>();
  readonly #listeners = new Set<(note: BootNote) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes a step. The same step again, further on, is the same note; an address that is none of one machine is passed over. */
  note(mac: string, step: BootStep, more: { percent?: number; text?: string } = {}): void {
    const name = readMac(mac);
    if (name === undefined) return;
    const percent = more.percent === undefined
      ? undefined
      : Math.min(100, Math.max(0, Math.floor(more.percent)));
    const note: BootNote = {
      mac: name,
      step,
      at: this.#clock.wall(),
      ...(percent !== undefined && { percent }),
      ...(more.text !== undefined && { text: more.text.slice(0, logTextMax) }),
    };
    const notes = this.#machines.get(name) ?? [];
    const last = notes.at(-1);
    if (last?.step === step && last.percent === note.percent && last.text === note.text) return;
    if (last?.step === step) notes.pop();
    notes.push(note);
    if (notes.length > logStepsMax) notes.shift();
    this.#machines.delete(name);
    this.#machines.set(name, notes);
    if (this.#machines.size > logMachinesMax) this.#machines.delete(this.#machines.keys().next().value!);
    for (const listener of this.#listeners) listener(note);
  }

  /** The machines that are remembered, the last heard of first. */
  machines(): string[] {
    return [...this.#machines.keys()].reverse();
  }

  /** What is remembered of a machine, in order. */
  notesOf(mac: string): BootNote[] {
    return [...this.#machines.get(readMac(mac) ?? "") ?? []];
  }

  /** Calls `fn` with each note from now on. False when too many listen already. */
  listen(fn: (note: BootNote) => void): Cancel | false {
    if (this.#listeners.size >= logFollowersMax) return false;
    const listener = (note: BootNote) => fn(note);
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Notes from now on, until its `return`. Who reads slowly loses the oldest, and is told how many by a number. */
  async *follow(): AsyncGenerator<BootNote | { missed: number }> {
    const queue: BootNote[] = [];
    let missed = 0, wake = () => {};
    const stop = this.listen((note) => {
      queue.push(note);
      if (queue.length > logQueueMax) {
        queue.shift();
        missed++;
      }
      wake();
    });
    if (stop === false) return;
    try {
      for (;;) {
        if (missed > 0) {
          const lost = missed;
          missed = 0;
          yield { missed: lost };
        }
        const note = queue.shift();
        if (note !== undefined) yield note;
        else await new Promise<void>((resolve) => wake = resolve);
      }
    } finally {
      stop();
    }
  }
}

/** A note as a line for a terminal. */
export function noteText({ mac, step, percent, text }: BootNote): string {
  const words = [
    mac,
    step,
    ...(percent === undefined ? [] : [`${percent}%`]),
    ...(text === undefined ? [] : [inert(text)]),
  ];
  return words.join(" ");
}
