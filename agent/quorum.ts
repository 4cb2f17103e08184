// Quorum: what answers of several keepers come to together. Not how they are asked (keepers.ts).
import { Fault } from "../mq/mod.ts";
import type { Held } from "./keeper.ts";
import { inert } from "./names.ts";
import { nameOf, type Policy } from "./trust.ts";

/** How many of a set of keepers are among these. */
export const countIn = ({ hosts }: Policy["keepers"], some: { has(key: string): boolean }): number =>
  hosts.filter((host) => some.has(host)).length;

/**
 * Who holds a lock, as keepers know it together: the newest term counts, and of that a word that it was given back. Who has
 * the promises of too few, also if all others had promised him, does not hold it; of two who have one term the one with more.
 */
export function lockOf(answers: readonly { lock: Held | null }[], { keepers }: Policy): Held | null {
  const locks = answers.flatMap(({ lock }) => lock ?? []);
  const term = Math.max(...locks.map((lock) => lock.term));
  const newest = locks.filter((lock) => lock.term === term);
  const sameAs = (a: Held) =>
    newest.filter((b) => b.holder === a.holder && b.host === a.host && b.change === a.change);
  const [first] = [...newest].sort((a, b) => sameAs(b).length - sameAs(a).length);
  if (first === undefined) return null;
  const promises = sameAs(first);
  const others = keepers.hosts.length - answers.length;
  return { ...first, held: promises.every(({ held }) => held) && promises.length + others >= keepers.quorum };
}

/** The fault of too few answers, naming who is missing. */
export function tooFew(
  op: string,
  policy: Policy,
  set: Policy["keepers"],
  answered: ReadonlySet<string>,
  why = "",
): Fault {
  const { hosts } = set;
  const missing = hosts.filter((k) => !answered.has(k)).map((k) => inert(nameOf(policy, k)));
  const text = `${countIn(set, answered)} of ${hosts.length} keepers reachable from here; missing: ${
    missing.join(", ")
  }`;
  return new Fault(op, "noQuorum", `${text}${why === "" ? "" : `: ${why}`}`, {
    hint: `isconf status, then isconf ${op} again`,
  });
}
