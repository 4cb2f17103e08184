// Quorum: several keepers asked at once, and what their answers come to together. Not what is asked, nor how (keepers.ts).
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

/**
 * Asks these keepers, all at once; what quorums of each set answer. Who answers later is not waited for, unless all are wanted who
 * answer at all. Throws what too many of them say against it; noQuorum.
 */
export async function askQuorum<T>(
  op: string,
  policy: Policy,
  keepers: readonly string[],
  ask: (keeper: string) => Promise<T>,
  { sets, wait }: { sets: readonly Policy["keepers"][]; wait: "quorum" | "all" },
): Promise<Map<string, T>> {
  const answers = new Map<string, T>();
  const faults: Fault[] = [];
  const isEnough = () => sets.every((set) => countIn(set, answers) >= set.quorum);
  const done = Promise.withResolvers<void>();
  for (const keeper of keepers) {
    ask(keeper).then((answer) => {
      if (wait === "all" || !isEnough()) answers.set(keeper, answer);
    }, (e) => void faults.push(Fault.from(op, e))).then(() => {
      if ((wait === "quorum" && isEnough()) || answers.size + faults.length === keepers.length) {
        done.resolve();
      }
    });
  }
  await done.promise;
  const set = sets.find((set) => countIn(set, answers) < set.quorum);
  if (set === undefined) return answers;
  // What those say who refuse is told when no others could make up for them, or when nothing else was heard.
  const said = faults.filter(({ kind }) => kind !== "noQuorum" && kind !== "gone");
  if (said.length > set.hosts.length - set.quorum || (said.length > 0 && said.length === faults.length)) {
    throw said[0];
  }
  if (set.hosts.length === 1) throw faults[0];
  throw tooFew(op, policy, set, new Set(answers.keys()), faults[0]?.message);
}

/** Asks one keeper after the other, until one answers: where an etcd decides each of them can say what that was. */
export async function askOne<T>(
  op: string,
  keepers: readonly string[],
  ask: (keeper: string) => Promise<T>,
): Promise<Map<string, T>> {
  const faults: Fault[] = [];
  for (const keeper of keepers) {
    try {
      return new Map([[keeper, await ask(keeper)]]);
    } catch (e) {
      faults.push(Fault.from(op, e));
    }
  }
  throw faults.find(({ kind }) => kind !== "noQuorum" && kind !== "gone") ?? faults[0];
}
