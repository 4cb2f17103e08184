// Corpus: seeds of runs that once broke, and how soon each mutant is noticed. What a seed does changes with the simulator:
// what a run found also belongs into a test of its own, where that is possible.
import type { PlanOptions } from "./plan.ts";

export const CORPUS: (PlanOptions & { why: string })[] = [
  { seed: 412, why: "two had been promised one term, and neither could ever take a higher one" },
  {
    seed: 461,
    why: "a check-in that one keeper had voted for, under a policy that changed before the others did",
  },
  {
    seed: 826,
    why: "a change of the keepers that failed could not be made later: its promise was for an older end",
  },
  {
    seed: 427,
    hosts: 5,
    why: "a vote for what a key made that was revoked since stood in the way of everybody",
  },
  {
    seed: 167,
    hosts: 5,
    why:
      "a keeper's own promise spoke of a vote that came to nothing, and it refused what a quorum had promised",
  },
  {
    seed: 575,
    hosts: 2,
    why: "a check-in that one keeper had refused for its old policy was sent again for ever",
  },
  { seed: 496, hosts: 5, why: "a vote for a change that says where a chain ends, which had moved on" },
];

/** In how many seeds, from which on, of how many hosts each mutant is noticed, and by which invariants. */
export const NOTICED_WITHIN: Record<string, { hosts: number; from: number; seeds: number; by: string[] }> = {
  "small-quorum": { hosts: 4, from: 561, seeds: 40, by: ["I2", "I6", "I7", "I10"] },
  "forget-accepted": { hosts: 5, from: 1, seeds: 40, by: ["I2", "I7"] },
  "same-term": { hosts: 5, from: 1, seeds: 10, by: ["I6"] },
  "unsynced": { hosts: 5, from: 1, seeds: 5, by: ["I9"] },
  "unchecked-lock": { hosts: 4, from: 1, seeds: 40, by: ["I6"] },
  "kept-partial-lock": { hosts: 4, from: 321, seeds: 40, by: ["L2"] },
  "no-certificate": { hosts: 5, from: 1, seeds: 15, by: ["I3"] },
  "skip-failed": { hosts: 5, from: 1, seeds: 40, by: ["I4"] },
  "early-done": { hosts: 5, from: 1, seeds: 5, by: ["I5"] },
  "ignored-revocation": { hosts: 5, from: 1, seeds: 40, by: ["I10"] },
  "old-policy": { hosts: 4, from: 651, seeds: 40, by: ["I10"] },
  "new-quorum-only": { hosts: 5, from: 1, seeds: 20, by: ["I3"] },
  "untold-forks": { hosts: 4, from: 1, seeds: 40, by: ["I11"] },
  "not-suspended": { hosts: 4, from: 221, seeds: 40, by: ["I11"] },
  "restored-signs": { hosts: 5, from: 161, seeds: 40, by: ["I11"] },
};
