// Image diff: what is different between two roots, as lines: for people and as JSON. Not how it is found out (fs/tree_diff.ts), and not of which two.
import { showPath, type TreeDifference } from "../fs/mod.ts";
import { imageDiffMax } from "./limits_images.ts";
import type { Term } from "./term.ts";

/** One different path, as JSON has it. */
export interface DiffLine {
  path: string;
  change: "added" | "removed" | "changed";
  what: string[];
}

/** At most `imageDiffMax` of them, and whether there are more. */
export interface Differences {
  differences: DiffLine[];
  isMore: boolean;
}

/** How a path of a root is shown. */
export const shownPath = (path: Uint8Array): string => `/${showPath(path)}`;

export async function linesOf(all: AsyncIterable<TreeDifference>): Promise<Differences> {
  const differences: DiffLine[] = [];
  for await (const { path, before, after, what } of all) {
    if (differences.length === imageDiffMax) return { differences, isMore: true };
    const change = before === undefined ? "added" : after === undefined ? "removed" : "changed";
    differences.push({ path: shownPath(path), change, what });
  }
  return { differences, isMore: false };
}

const SIGNS = { added: "+", removed: "-", changed: "~" };

export function sayDifferences(term: Term, { differences, isMore }: Differences): void {
  for (const { path, change, what } of differences) {
    term.line(`${SIGNS[change]} ${path}${what.length === 0 ? "" : `  ${what.join(", ")}`}`);
  }
  if (isMore) term.say(`there are more than ${imageDiffMax}`);
}
