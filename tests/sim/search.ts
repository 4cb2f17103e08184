// Search: many runs, one after the other, and of one that broke the smallest that still does. Not what a run is
// (simulate.ts) and not what is printed of it (scripts/sim.ts).
import type * as Simulator from "./simulate.ts";
import type { Lists, Outcome, PlanOptions } from "./simulate.ts";

export interface SearchOptions {
  from: number;
  count: number;
  hosts?: number;
  /** The same with real hashes and signatures, for some of the seeds. */
  real?: typeof Simulator;
  /** Is told of each run; what it returns ends the search. */
  each?(outcome: Outcome): boolean | void;
}

/** One run in so many is made with real signatures, and one in so many is made twice. */
const realEvery = 100;
const twiceEvery = 1_000;

/** Runs seeds in order until one breaks; that one, or undefined. Throws when the same seed does not give the same run. */
export async function search(
  simulator: typeof Simulator,
  { from, count, hosts, real, each }: SearchOptions,
): Promise<Outcome | undefined> {
  for (let seed = from; seed < from + count; seed++) {
    const options = { seed, ...(hosts === undefined ? {} : { hosts }) };
    const isReal = real !== undefined && seed % realEvery === 0;
    const { simulate } = isReal ? real : simulator;
    const outcome = await simulate(options);
    if (seed % twiceEvery === 0) {
      const { hash } = await simulate(options);
      if (hash !== outcome.hash) throw new Error(`seed ${seed} ran as ${outcome.hash}, and then as ${hash}`);
    }
    if (each?.(outcome) === true || outcome.broken !== undefined) return outcome;
  }
  return undefined;
}

const LISTS: (keyof Lists)[] = [
  "crashes",
  "cuts",
  "disks",
  "steps",
  "ambushes",
  "restores",
  "liars",
  "tasks",
];

/** Fewer people, power cuts, liars … with which the same invariant breaks: each list is halved as long as it does. */
export async function shrink(
  { simulate }: typeof Simulator,
  options: PlanOptions,
  { plan, invariant }: Outcome,
): Promise<PlanOptions> {
  const keep: Partial<Record<keyof Lists, number>> = {};
  for (const list of LISTS) {
    for (let left = plan[list].length, less = Math.floor(left / 2); left > 0; less = Math.floor(left / 2)) {
      const outcome = await simulate({ ...options, keep: { ...keep, [list]: less } });
      if (outcome.invariant !== invariant) break;
      keep[list] = left = less;
    }
  }
  return { ...options, keep };
}
