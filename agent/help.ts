// Help: the words of `isconf help`, made from the list of verbs and the table of faults. Nothing of it is typed twice.
import { KINDS } from "../mq/mod.ts";
import { GLOBALS } from "./globals.ts";
import { type Arg, optionName, usageOf, type Verb } from "./verb.ts";

/** The list of verbs. */
export function helpList(verbs: readonly Verb[]): string {
  const width = Math.max(...verbs.map((v) => v.name.length));
  const list = verbs.map((v) => `  ${v.name.padEnd(width)}  ${v.summary}`);
  return [
    "isconf keeps hosts congruent: lock, snap, exec, ci on one; up on every other.",
    "",
    "isconf [OPTIONS] VERB [ARGS…]",
    "",
    ...list,
    "",
    "Options before the verb are isconf's, those after it the verb's.",
    "",
    ...table(rowsOf(GLOBALS)),
    "",
    "isconf help VERB explains one, isconf help errors the exit codes.",
  ].join("\n");
}

/** One verb with its arguments and examples. */
export function helpVerb(verb: Verb): string {
  const rows = rowsOf(verb.args);
  return [
    `${verb.name}: ${verb.summary}`,
    "",
    `  ${usageOf(verb)}`,
    "",
    verb.about,
    ...(rows.length === 0 ? [] : ["", ...table(rows)]),
    "",
    "Examples",
    ...verb.examples.map((e) => `  ${e}`),
    "",
    "Exit codes: 0 done; others as in isconf help errors.",
  ].join("\n");
}

/** What may be typed after a verb, or before it, each with what is to be said of it. */
export function rowsOf(args: Record<string, Arg>): [typed: string, about: string][] {
  return Object.entries(args).filter(([, a]) => !a.hidden).map(([name, a]) => {
    if (a.positional) return [name.toUpperCase(), a.about];
    const also = a.aliases === undefined ? "" : `; also ${a.aliases.map((word) => `--${word}`).join(", ")}`;
    return [`${a.short === undefined ? "" : `-${a.short}, `}--${optionName(name)}`, `${a.about}${also}`];
  });
}

function table(rows: [typed: string, about: string][]): string[] {
  const width = Math.max(0, ...rows.map(([typed]) => typed.length));
  return rows.map(([typed, about]) => `  ${typed.padEnd(width)}  ${about}`);
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
