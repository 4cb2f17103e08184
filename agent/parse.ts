// Parse: the words of the command line as the arguments of a verb, by the verb's own table. Not what they mean.
import { Buffer } from "node:buffer";
import { parseArgs } from "node:util";
import { Fault } from "../mq/mod.ts";
import { inert } from "./names.ts";
import { type Arg, checkArgs, optionName, type Verb } from "./verb.ts";

export interface Globals {
  config?: string;
  home?: string;
  message?: string;
  quiet: boolean;
  verbose: boolean;
  json: boolean;
  help: boolean;
  version: boolean;
}

type Options = Record<string, { type: "string" | "boolean"; short?: string; multiple?: boolean }>;

const GLOBALS: Options = {
  config: { type: "string", short: "c" },
  home: { type: "string" },
  message: { type: "string", short: "m" },
  quiet: { type: "boolean", short: "q" },
  verbose: { type: "boolean", short: "v" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
};

/** Options before the verb are isconf's; the verb and everything after it come back untouched. */
export function parseGlobals(
  words: string[],
): { globals: Globals; verb: string | undefined; rest: string[] } {
  const at = firstWord(words, GLOBALS);
  const { values } = strictly(
    "isconf",
    () => parseArgs({ args: words.slice(0, at), options: GLOBALS, strict: true }),
  );
  const flag = (name: string) => values[name] === true;
  return {
    globals: {
      ...values as Partial<Globals>,
      quiet: flag("quiet"),
      verbose: flag("verbose"),
      json: flag("json"),
      help: flag("help"),
      version: flag("version"),
    },
    verb: words[at],
    rest: words.slice(at + 1),
  };
}

/** The index of the first word that is neither an option nor an option's value. */
function firstWord(words: string[], options: Options): number {
  const { tokens } = parseArgs({ args: words, options, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind === "positional") return token.index;
    if (token.kind === "option-terminator") return token.index + 1;
  }
  return words.length;
}

/** The arguments of a verb out of its words; `undefined` when its help was asked for. */
export function parseVerb(verb: Verb, words: string[]): Record<string, unknown> | undefined {
  const table = Object.entries(verb.args) as [string, Arg][];
  const options: Options = { help: { type: "boolean", short: "h" } };
  for (const [name, arg] of table) {
    if (arg.positional || (arg.hidden && verb.kind !== "here")) continue;
    options[optionName(name)] = {
      type: arg.kind === "flag" ? "boolean" : "string",
      ...(arg.short === undefined ? {} : { short: arg.short }),
      ...(arg.kind === "texts" ? { multiple: true } : {}),
    };
  }
  if (verb.inner !== undefined) return parseInner(verb, options, words);
  let own = words;
  let command: string[] = [];
  if (verb.wholeRest) {
    const at = firstWord(words, options);
    own = words.slice(0, at);
    if (own.at(-1) === "--") own = own.slice(0, -1);
    command = words.slice(at);
  }
  const { values, positionals } = strictly(
    verb.name,
    () => parseArgs({ args: own, options, strict: true, allowPositionals: true }),
  );
  if (values.help === true) return undefined;
  const out: Record<string, unknown> = {};
  const left = verb.wholeRest ? command : [...positionals];
  for (const [name, arg] of table) {
    const value = arg.positional
      ? (arg.kind === "texts" ? left.splice(0) : left.shift())
      : values[optionName(name)];
    if (value === undefined) continue;
    out[name] = arg.kind === "count" ? toCount(verb, name, String(value)) : value;
  }
  if (left.length > 0) throw wrong(verb.name, `one word too many: ${inert(left[0] as string)}`);
  return checkArgs(verb, out) as Record<string, unknown>;
}

/** A verb's own options, the name of another verb, and the words of that one. */
function parseInner(verb: Verb, options: Options, words: string[]): Record<string, unknown> | undefined {
  for (const { args } of Object.values(verb.inner!)) {
    for (const name of Object.keys(args)) delete options[optionName(name)]; // those follow the name
  }
  const at = firstWord(words, options);
  const { values } = strictly(
    verb.name,
    () => parseArgs({ args: words.slice(0, at), options, strict: true }),
  );
  if (values.help === true) return undefined;
  const name = words[at] ?? "";
  const inner = Object.hasOwn(verb.inner!, name) ? verb.inner![name] : undefined;
  if (inner === undefined) {
    throw wrong(verb.name, `say what to ${verb.name}: ${Object.keys(verb.inner!).join(", ")}`);
  }
  const args = parseVerb(inner, words.slice(at + 1));
  return args && checkArgs(verb, { ...args, ...values, [Object.keys(verb.args)[0]!]: name });
}

function toCount(verb: Verb, name: string, text: string): number {
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw wrong(verb.name, `${name} must be a whole number, not ${inert(text)}`);
}

function strictly<T>(op: string, parse: () => T): T {
  try {
    return parse();
  } catch (e) {
    throw wrong(op, inert((e as Error).message.split(/\. To specify|\n/)[0] as string));
  }
}

function wrong(op: string, message: string): Fault {
  return new Fault(op, "usage", message, { hint: op === "isconf" ? "isconf help" : `isconf help ${op}` });
}

/**
 * Throws unless the words are the bytes the kernel was given: Node has already decoded them, and what is not
 * UTF-8 would be changed without a word.
 */
export function needExactWords(words: readonly string[], cmdline: Uint8Array): void {
  const raw = Buffer.from(cmdline);
  const tail = Buffer.concat(words.map((w) => Buffer.from(`${w}\0`)));
  if (raw.length >= tail.length && raw.subarray(raw.length - tail.length).equals(tail)) return;
  throw wrong("isconf", "an argument is not UTF-8 text: it could not be journaled byte for byte");
}
