// Content turn: what is asked of each program that keeps contents, ours and the peers alike, and what is measured of it.
// How each does it is in content_isconf.ts and content_peers.ts.
import type { Meter } from "./meter.ts";
import { withPeak } from "./pss.ts";
import type { Ran } from "./run.ts";
import type { Took } from "./turns.ts";

/** The two versions of what is kept; each is called `content` in a directory of this name. */
export type Version = "v1" | "v2";

/** A program's turn in one round: a store that begins empty and is removed at the end of the turn. */
export interface Turn extends AsyncDisposable {
  /** The directories whose size is the store's. */
  readonly store: readonly string[];
  /** Keeps a version under a new name. */
  put(version: Version, name: string): Promise<Spent>;
  /** Makes `content` in an empty directory what was put under a name. Absent: it does not give anything back. */
  get?(name: string, into: string): Promise<Spent>;
}

export interface Program {
  readonly name: string;
  /** Whether it can put the same again and a second version beside the first; if not, it is asked neither. */
  readonly isStore: boolean;
  /** Begins a turn in an empty directory; `data` has the versions. */
  begin(dir: string, data: string): Promise<Turn>;
}

/** CPU and wall seconds and the peak of memory of one command, with everybody who worked for it. */
export interface Spent extends Took {
  peakKib: number;
}

/** Measures a command that runs in the meter. */
export async function spent<R extends Ran & { cpuS: number }>(
  meter: Meter,
  command: () => Promise<R>,
): Promise<Spent & { stdout: string }> {
  const { of: { cpuS, wallS, stdout }, peakKib } = await withPeak(meter, command);
  return { cpuS, wallS, peakKib, stdout };
}
