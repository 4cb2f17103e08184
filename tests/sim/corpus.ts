// Corpus: seeds of runs that once broke, and how soon each mutant is noticed. What a seed does changes with the simulator:
// what a run found also has a test of its own, where that was possible.
import type { PlanOptions } from "./plan.ts";

export const CORPUS: (PlanOptions & { why: string })[] = [];

/** In how many seeds of how many hosts each mutant is noticed, and by which invariants. */
export const NOTICED_WITHIN: Record<string, { hosts: number; from: number; seeds: number; by: string[] }> =
  {};
