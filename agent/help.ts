// Help: the words of `isconf help`, made from the list of verbs and the table of faults. Nothing of it is typed twice.
import { KINDS } from "../mq/mod.ts";
import { type Arg, optionName, usageOf, type Verb } from "./verb.ts";

/** The list of verbs. */
export function helpList(verbs: readonly Verb[]): string {
  const width = Math.max(...verbs.map((v) => v.name.length));
  const list = verbs.map((v) => `  ${v.name.padEnd(width)}  ${v.summary}`);
  return [
    "isconf keeps hosts congruent: lock, snap, exec, ci on one; up on every other.",
    "",
    "isconf [-c FILE] [-q|-v] [-m MESSAGE] [--json] [--home DIR] VERB [ARGS…]",
    "",
    ...list,
    "",
    "isconf help VERB explains one, isconf help errors the exit codes.",
  ].join("\n");
}

/** One verb with its arguments and examples. */
export function helpVerb(verb: Verb): string {
  const rows = (Object.entries(verb.args) as [string, Arg][]).filter(([, a]) => !a.hidden).map(
    ([name, a]) => {
      const option = `${a.short === undefined ? "" : `-${a.short}, `}--${optionName(name)}`;
      return [a.positional ? name.toUpperCase() : option, a.about] as const;
    },
  );
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return [
    `${verb.name}: ${verb.summary}`,
    "",
    `  ${usageOf(verb)}`,
    "",
    verb.about,
    ...(rows.length === 0 ? [] : ["", ...rows.map(([left, about]) => `  ${left.padEnd(width)}  ${about}`)]),
    "",
    "Examples",
    ...verb.examples.map((e) => `  ${e}`),
    "",
    "Exit codes: 0 done; others as in isconf help errors.",
  ].join("\n");
}

/** The table of faults. */
export function helpErrors(): string {
  const rows = Object.entries(KINDS).map(([kind, r]) =>
    `  ${String(r.exit).padStart(3)}  ${String(r.http)}  ${kind.padEnd(13)}  ${r.when}`
  );
  return [
    "exit  http kind           when",
    "    0  200  ok             done; also when there was nothing to do",
    ...rows,
  ].join("\n");
}

/** The known word nearest to a misspelt one, if one is near: at most two edits away. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const near = known.map((k) => [edits(word.slice(0, 32), k), k] as const).sort((a, b) => a[0] - b[0])[0];
  return near !== undefined && near[0] <= 2 && near[0] < near[1].length ? near[1] : undefined;
}

/** Levenshtein's distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
