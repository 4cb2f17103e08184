// Complete: what the word at the cursor could be, for the scripts that shells have (completion.ts): verbs, options and values by
// the list of verbs, the rest asked of the agent. Not the shells' side, and nothing that changes anything.
import * as fs from "node:fs";
import * as os from "node:os";
import { GLOBALS, optionsOf } from "./globals.ts";
import { completionAboutMax, completionsMax } from "./limits.ts";
import { inert } from "./names.ts";
import { typedOptions } from "./parse.ts";
import { shortId } from "./term.ts";
import { type Arg, type Means, optionName, type Verb } from "./verb.ts";

/** The words that could stand there, each with a few words about it; where there are none, what the shell knows itself. */
export interface Completion {
  offers: "words" | "files" | "commands";
  words: [word: string, about: string][];
}

/** Asks the agent for the result of a verb, as GET would when it only reads. It may throw. */
export type AskAgent = (verb: string, args: Record<string, string>) => Promise<unknown>;

/** What is known at the cursor. */
interface Place {
  verbs: readonly Verb[];
  /** Options given so far, by their names in the table. */
  given: ReadonlySet<string>;
  /** Words before it that are no options. */
  before: readonly string[];
  ask: AskAgent;
}

/** What the last of `words` could be; they are what follows `isconf`. */
export async function complete(
  words: readonly string[],
  verbs: readonly Verb[],
  ask: AskAgent,
): Promise<Completion> {
  const globals = optionsOf(GLOBALS);
  const head = walk(words.slice(0, -1), globals, true);
  const last = words.at(-1) ?? "";
  const place = { verbs, given: head.given, before: [], ask };
  const [name] = head.before;
  if (name === undefined) {
    const first: Arg = { kind: "text", is: "verb", about: "" };
    return plain(await wordAt(last, head, globals, first, place), last);
  }
  const verb = verbs.find((v) => v.name === name);
  if (verb === undefined) return { offers: "words", words: [] };
  return plain(await ofVerb(words.slice(head.at + 1), verb, place), last);
}

async function ofVerb(words: readonly string[], verb: Verb, place: Place): Promise<Completion> {
  const options = typedOptions(verb);
  const [last, ends] = [words.at(-1) ?? "", verb.wholeRest === true || verb.inner !== undefined];
  const here = walk(words.slice(0, -1), options, ends);
  const inner = verb.inner?.[here.before[0] ?? ""];
  if (inner !== undefined) return await ofVerb(words.slice(here.at + 1), inner, place);
  const positionals = Object.values(verb.args).filter((arg) => arg.positional);
  const many = positionals.find((arg) => arg.kind === "texts");
  const arg = positionals[here.before.length] ?? many;
  // What follows the command is its own: files, mostly.
  if (arg?.is === "command" && here.before.length > 0) return { offers: "files", words: [] };
  if (ends && here.before.length > 0) here.isOver = true;
  return await wordAt(last, here, options, arg, { ...place, ...here });
}

interface Walked {
  given: Set<string>;
  before: string[];
  /** The index of the first word that is no option. */
  at: number;
  /** The option whose value comes next. */
  wants?: Arg;
  /** Whether no more options can come. */
  isOver: boolean;
}

/** Words before the cursor, as options and others; with `ends` there are no options after the first of the others. */
function walk(words: readonly string[], options: ReturnType<typeof optionsOf>, ends: boolean): Walked {
  const out: Walked = { given: new Set(), before: [], at: words.length, isOver: false };
  for (const [i, word] of words.entries()) {
    if (out.wants !== undefined) delete out.wants;
    else if (out.isOver || word === "-" || !word.startsWith("-")) {
      if (out.before.push(word) === 1) out.at = i;
      out.isOver ||= ends;
    } else if (word === "--") out.isOver = true;
    else {
      const [typed = "", value] = word.slice(word.startsWith("--") ? 2 : 1).split("=", 2);
      const found = word.startsWith("--")
        ? options.get(typed)
        : [...options.values()].find(([, arg]) => arg.short === typed.at(-1));
      if (found === undefined) continue;
      out.given.add(found[0]);
      if (found[1].kind !== "flag" && value === undefined) out.wants = found[1];
    }
  }
  return out;
}

async function wordAt(
  last: string,
  here: Walked,
  options: ReturnType<typeof optionsOf>,
  arg: Arg | undefined,
  place: Place,
): Promise<Completion> {
  if (here.wants !== undefined) return await valueOf(here.wants, place);
  if (here.isOver || !last.startsWith("-")) {
    return arg === undefined ? { offers: "words", words: [] } : await valueOf(arg, place);
  }
  const [, typed] = /^--([^=]*)=/.exec(last) ?? [];
  if (typed !== undefined) {
    const { offers, words } = await valueOf(options.get(typed)?.[1] ?? { kind: "flag", about: "" }, place);
    return { offers, words: words.map(([word, about]) => [`--${typed}=${word}`, about]) };
  }
  const open = [...options].filter(([option, [name, { kind }]]) =>
    option === optionName(name) && (kind === "texts" || !here.given.has(name))
  );
  return { offers: "words", words: open.map(([option, [, { about }]]) => [`--${option}`, about]) };
}

/** What an argument can be. */
async function valueOf({ values, is: told }: Arg, place: Place): Promise<Completion> {
  const is = typeof told === "object" ? told[place.before[0] ?? ""] : told;
  if (values !== undefined) return { offers: "words", words: values.map((value) => [value, ""]) };
  if (is === "file") return { offers: "files", words: [] };
  if (is === "command") return { offers: "commands", words: [] };
  if (is === undefined) return { offers: "words", words: [] };
  const known = await KNOWN[is](place).catch(() => []);
  return { offers: "words", words: known.filter(([word]) => PLAIN.test(word)) };
}

type Known = (place: Place) => Promise<Completion["words"]>;
type Rows = Record<string, string | number>[];

/** Where it is known what there is. */
const KNOWN: Record<Exclude<Means, "file" | "command">, Known> = {
  verb: ({ verbs }) => Promise.resolve(verbs.map(({ name, summary }) => [name, summary])),
  topic: ({ verbs }) =>
    Promise.resolve([...verbs.map(({ name, summary }): [string, string] => [name, summary]), [
      "errors",
      "the exit codes",
    ]]),
  user: () =>
    Promise.resolve(
      fs.readFileSync("/etc/passwd", "utf8").split("\n").map((line) => [line.split(":")[0] ?? "", ""]),
    ),
  interface: () =>
    Promise.resolve(
      Object.entries(os.networkInterfaces()).filter(([name]) => name !== "lo").map(([name, at]) => [
        name,
        at?.[0]?.address ?? "",
      ]),
    ),
  host: async ({ ask }) => {
    const { hosts } = await ask("hosts", {}) as { hosts: Rows };
    return hosts.filter(({ state }) => state !== "evicted").map((h) => [`${h.name}`, `${h.state}`]);
  },
  waiting: async ({ ask }) => {
    const { waiting } = await ask("hosts", {}) as { waiting: Rows };
    return waiting.map((h) => [`${h.name}`, `${h.fingerprint}`]);
  },
  person: async ({ ask }) => {
    const { entries } = await ask("log", { last: "1000" }) as { entries: Rows };
    return entries.map(({ author }) => [`${author}`, ""]);
  },
  branch: async ({ ask }) => {
    const { branches } = await ask("status", { offline: "true" }) as { branches: Rows };
    return branches.map((b) => [`${b.name}`, `${b.entries} entries`]);
  },
  content: async ({ ask }) => {
    const [{ rows }, { names }] = await Promise.all([ask("ls", {}), ask("names", {})]) as [
      { rows: Rows },
      { names: Rows },
    ];
    return [
      ...names.filter(({ id }) => id !== "").map((
        n,
      ): [string, string] => [`${n.name}`, shortId(`${n.id}`)]),
      ...rows.map((r): [string, string] => [`${r.label}`, shortId(`${r.id}`)]),
      ...rows.map((r): [string, string] => [shortId(`${r.id}`), `${r.label}`]),
    ];
  },
  name: async ({ ask }) => {
    const { names } = await ask("names", {}) as { names: Rows };
    return names.map((n) => [`${n.name}`, shortId(`${n.id}`)]);
  },
  seq: async ({ ask, given }) => {
    if (given.has("here")) {
      const { executions } = await ask("log", { last: "50", here: "true" }) as { executions: Rows };
      return executions.map((e) => [`${e.n}`, `${e.verb} ${e.argv}`]).reverse() as [string, string][];
    }
    const { entries } = await ask("log", { last: "50" }) as { entries: Rows };
    return entries.map((e) => [`${e.seq}`, `${e.message}`]).reverse() as [string, string][];
  },
  work: async ({ ask }) => {
    const { items } = await ask("wip", {}) as { items: Rows };
    return items.map((i) => [`${i.n}`, `${i.text}`]);
  },
  token: async ({ ask }) => {
    const { tokens } = await ask("tokens", {}) as { tokens: Rows };
    return tokens.map((one) => [`${one.id}`, `${one.note}`]);
  },
  confirmation: async ({ ask }) => {
    const waiting = await ask("confirm", {}) as Rows;
    return waiting.map((one) => [`${one.id}`, `${one.act}`]);
  },
  machine: async ({ ask }) => {
    const { machines } = await ask("vm", {}) as { machines: Rows };
    return machines.map((one) => [`${one.name}`, ""]);
  },
};

/** What needs no quotes in any shell and is no option: what hosts and people call their things goes onto a command line. */
const PLAIN = /^[A-Za-z0-9_./][A-Za-z0-9_./@:+,-]*$/;

/** Each word once, of those that begin as it was typed; what is said of it can do nothing to a terminal. */
function plain({ offers, words }: Completion, typed: string): Completion {
  const fitting = new Map(words.filter(([word]) => word.startsWith(typed)));
  const told = [...fitting].slice(0, completionsMax);
  return { offers, words: told.map(([word, about]) => [word, inert(about.slice(0, completionAboutMax))]) };
}
