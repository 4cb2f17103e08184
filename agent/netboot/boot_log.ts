// Boot log: how far each machine has come, in memory. What is noted comes from whoever is on the wire, so that it is bounded, and inert when shown.
// Not the journal, and nothing here proves that a machine is what it says.
import type { Clock } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { readMac } from "./address.ts";
import { logMachinesMax, logStepsMax, logTextMax } from "./limits.ts";

/** The steps of a machine, in the order in which they are usual. */
export const BOOT_STEPS = [
  "offered",
  "loader",
  "script",
  "kernel",
  "initrd",
  "asks",
  "joined",
  "image",
  "installed",
  "up",
  "failed",
] as const;
export type BootStep = typeof BOOT_STEPS[number];

/** What a machine says of itself once its kernel runs; the rest is what this server has given it. */
export const SAID_STEPS: readonly BootStep[] = ["asks", "joined", "image", "installed", "up", "failed"];

export interface BootNote {
  /** Which one it is of all that were ever noted, from 1. */
  n: number;
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
  #noted = 0;

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
    const note = {
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
    notes.push({ n: ++this.#noted, ...note });
    if (notes.length > logStepsMax) notes.shift();
    this.#machines.delete(name);
    this.#machines.set(name, notes);
    if (this.#machines.size > logMachinesMax) this.#machines.delete(this.#machines.keys().next().value!);
  }

  /** The machines that are remembered, the last heard of first. */
  machines(): string[] {
    return [...this.#machines.keys()].reverse();
  }

  /** What is remembered of a machine, in order. */
  notesOf(mac: string): BootNote[] {
    return [...this.#machines.get(readMac(mac) ?? "") ?? []];
  }

  /** What was noted after the note `after`, as far as it is remembered, in order; the newest `most` of it. `last` is the number of the last note. */
  since(after: number, most = Infinity): { last: number; notes: BootNote[] } {
    const notes = [...this.#machines.values()].flat().filter(({ n }) => n > after).sort((a, b) => a.n - b.n);
    return { last: this.#noted, notes: notes.slice(-most) };
  }
}

/** What a machine has said: "STEP", "STEP 40%", "STEP some words"; undefined for what is none of these. */
export function readSaid(
  text: string,
): { step: BootStep; more: { percent?: number; text?: string } } | undefined {
  const [, word, percent, rest] = /^([a-z]{1,16})(?: ([0-9]{1,3})%)?(?: ([^\n]+))?\n?$/u.exec(text) ?? [];
  const step = SAID_STEPS.find((one) => one === word);
  if (step === undefined) return undefined;
  return {
    step,
    more: {
      ...(percent !== undefined && { percent: Number(percent) }),
      ...(rest !== undefined && { text: rest }),
    },
  };
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
