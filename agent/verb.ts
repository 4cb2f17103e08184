// Verb: what a verb is: one object from which command line, HTTP route and help come. Not the verbs themselves.
// Loaded by the thin command line: imports nothing heavy.
import { Fault } from "../mq/mod.ts";
import type { Call } from "./host.ts";
import type { Wish } from "./rules.ts";
import { inert } from "./names.ts";
import type { Term } from "./term.ts";

type CommandWish = NonNullable<Wish["command"]>;

/** What a text or number stands for, so that a shell can complete it (complete.ts). */
export type Means =
  | "file"
  | "command"
  | "verb"
  | "topic"
  | "host"
  | "waiting"
  | "person"
  | "user"
  | "branch"
  | "content"
  | "name"
  | "seq"
  | "work"
  | "token"
  | "confirmation"
  | "interface"
  | "machine";

/** One argument: on the command line an option or a positional, in JSON a field of the same name. */
export interface Arg {
  /** text; count: a whole number from 0; flag; texts: a list; map: names to text. */
  kind: "text" | "count" | "flag" | "texts" | "map";
  about: string;
  /** Taken from the words that are no options: `texts` takes all that are left. */
  positional?: boolean;
  required?: boolean;
  /** One-letter option. */
  short?: string;
  /** Other words for the same option, for hands that know other tools. */
  aliases?: readonly string[];
  /** What it stands for; of `texts` each of them. Where that hangs on the word before all others: by that word. */
  is?: Means | Readonly<Record<string, Means>>;
  /** Words that it may be, to be offered; who takes it says whether it may be others. */
  values?: readonly string[];
  /** Filled in by the command line itself, not by people. */
  hidden?: boolean;
  /** Of the command line alone: the agent is not told, and takes none. */
  own?: boolean;
}

/** Says only what would be done. Each verb that has it has it by these names. */
export function dryRun(about: string): Arg {
  const aliases = ["simulate", "just-print", "what-if", "no-act", "recon"];
  return { kind: "flag", short: "n", aliases, about };
}

/** The exit code that says so, where it was asked for. */
export const SOMETHING = 2;

/** Ends 2 where there is something to do or something was done, as terraform and puppet do. */
export const detailedExitcode: Arg = {
  kind: "flag",
  own: true,
  aliases: ["detailed-exitcodes"],
  about: "end 2 when something differs, is to be done, or was done; 0 when nothing is",
};

/** One verb. `A` are its arguments, `R` is its result: what HTTP answers and `--json` prints. */
export interface Verb<A extends object = Record<string, unknown>, R = unknown> {
  name: string;
  /** One line, for the list of verbs. */
  summary: string;
  /** A few lines: what it promises and what it refuses. */
  about: string;
  examples: string[];
  args: { [K in keyof A]-?: Arg };
  /** reads: changes nothing, GET too. changes: takes the host's turn. control: neither. here: no agent involved. */
  kind: "reads" | "changes" | "control" | "here";
  /** What it answers is made of the journal and of what other hosts say: over HTTP it may be given again for a moment (moment.ts). */
  lasts?: boolean;
  /** Whoever has a way in may, unless a line denies it. Of what only reads that is so without saying. */
  forAll?: boolean;
  /** Everything after the first positional belongs to the command that is named there. */
  wholeRest?: boolean;
  /** On the command line: what follows its first word is read as the words of another verb. */
  inner?: Record<string, Verb>;
  /** The verb that this would be if anything of it stayed: lines of the policy about that one are about this, too. */
  like?(args: A): string;
  /** In the agent. */
  run?(call: Call, args: A): R | Promise<R>;
  /** In the agent: the command that it would run, if one, by which the policy judges, too. */
  command?(call: Call, args: A): CommandWish | undefined;
  /** In the agent: whether what it runs has this host's network; undefined of a verb that runs nothing. */
  network?(args: A): boolean;
  /** On the command line: prints the result for people. */
  show?(result: R, term: Term, args: A): void;
  /** On the command line: the exit code of a result, when it is not always 0. */
  exit?(result: R, args: A): number;
  /** On the command line: the result is long, and a pager may show it. */
  isLong?: boolean;
}

/**
 * The arguments of a verb out of JSON from outside, each checked against the verb's table; `isOwn`: out of words that were typed, so
 * that those of the command line alone are among them. Throws usage.
 */
export function checkArgs<A extends object>(verb: Verb<A>, value: unknown, isOwn = false): A {
  const bad = (why: string) => new Fault(verb.name, "usage", why, { hint: `isconf help ${verb.name}` });
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw bad("arguments are a JSON object");
  }
  const given = value as Record<string, unknown>;
  const table = verb.args as Record<string, Arg>;
  for (const name of Object.keys(given)) {
    const arg = Object.hasOwn(table, name) ? table[name] : undefined;
    if (arg === undefined || (arg.own && !isOwn)) {
      throw bad(`${verb.name} has no argument ${inert(name)}`);
    }
  }
  const out: Record<string, unknown> = {};
  for (const [name, arg] of Object.entries(table)) {
    if (arg.own && !isOwn) continue;
    const v = Object.hasOwn(given, name) ? given[name] : undefined;
    if (v === undefined || v === null) {
      if (arg.required) throw bad(`${verb.name} needs ${name}: ${arg.about}`);
      if (arg.kind === "flag") out[name] = false;
      if (arg.kind === "texts") out[name] = [];
      if (arg.kind === "map") out[name] = {};
      continue;
    }
    if (!HOLDS[arg.kind](v)) throw bad(`${name} must be ${WORDS[arg.kind]}`);
    if (arg.required && Array.isArray(v) && v.length === 0) {
      throw bad(`${verb.name} needs ${name}: ${arg.about}`);
    }
    out[name] = v;
  }
  return out as A;
}

/** What of the typed arguments the agent is told. */
export function toldArgs(verb: Verb, args: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(args).filter(([name]) => !verb.args[name]?.own));
}

const isText = (v: unknown): v is string => typeof v === "string" && v.isWellFormed() && !v.includes("\0");
const HOLDS: Record<Arg["kind"], (v: unknown) => boolean> = {
  text: isText,
  count: (v) => typeof v === "number" && Number.isSafeInteger(v) && v >= 0,
  flag: (v) => typeof v === "boolean",
  texts: (v) => Array.isArray(v) && v.every(isText),
  map: (v) => typeof v === "object" && !Array.isArray(v) && Object.values(v as object).every(isText),
};
const WORDS: Record<Arg["kind"], string> = {
  text: "UTF-8 text without NUL",
  count: "a whole number",
  flag: "true or false",
  texts: "a list of UTF-8 texts without NUL",
  map: "an object of texts",
};

/** How a verb is typed, made from its table. */
export function usageOf(verb: Verb): string {
  const options: string[] = [];
  const words: string[] = [];
  for (const [name, arg] of Object.entries(verb.args)) {
    if (arg.hidden) continue;
    const value = name.toUpperCase();
    if (arg.positional) words.push(arg.kind === "texts" ? `${value}…` : value);
    else {
      const flag = `${arg.short ? `-${arg.short}|` : ""}--${optionName(name)}`;
      options.push(arg.kind === "flag" ? `[${flag}]` : `[${flag} ${value}]`);
    }
  }
  const wrap = (w: string) =>
    Object.entries(verb.args).some(([n, a]) => a.required && w.startsWith(n.toUpperCase()));
  return ["isconf", verb.name, ...options, ...words.map((w) => wrap(w) ? w : `[${w}]`)].join(" ");
}

/** `dryRun` is typed as `--dry-run`. */
export function optionName(name: string): string {
  return name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
}

/** What the schema of a verb's result is called, in the API's document. */
export function schemaName(verb: string): string {
  return `${verb[0]!.toUpperCase()}${verb.slice(1)}Result`;
}
