// Machines: notes of the boot log put together by machine. Plain data in and out; not how it is shown (machines.tsx).
import type { BootNote } from "./answers.ts";
import type { Tone } from "./fleet.ts";

export interface Machine {
  mac: string;
  /** What it is called as a host; "" before it joined. */
  name: string;
  notes: BootNote[];
  last: BootNote;
}

/** The machines of a log, the one heard of last first. */
export function machinesOf(notes: readonly BootNote[]): Machine[] {
  const found = new Map<string, Machine>();
  for (const note of notes) {
    const machine = found.get(note.mac) ?? { mac: note.mac, name: "", notes: [], last: note };
    machine.notes.push(note);
    machine.last = note;
    if (note.step === "joined" || note.step === "up") machine.name = note.text;
    found.delete(note.mac);
    found.set(note.mac, machine);
  }
  return [...found.values()].reverse();
}

/** How much a step asks of people: nothing when it is up, an approval when it asks. */
export function toneOfStep(step: string): Tone {
  return step === "up" ? "ok" : step === "failed" ? "bad" : step === "asks" ? "unknown" : "moving";
}
