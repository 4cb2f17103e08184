// Parse: the words of the command line as the arguments of a verb, by the verb's own table. Not what they mean.
import { Buffer } from "node:buffer";
import { parseArgs } from "node:util";
import { Fault } from "../mq/mod.ts";
import { COLOURS, GLOBALS, type Options, optionsOf, parserOptions } from "./globals.ts";
import { inert } from "./names.ts";
import { suggest } from "./suggest.ts";
import { type Arg, checkArgs, toldArgs, type Verb } from "./verb.ts";

export interface Globals {
  config?: string;
  home?: string;
  message?: string;
  quiet: boolean;
  verbose: boolean;
  json: boolean;
  /** auto, always or never. */
  color: string;
  noPager: boolean;
  help: boolean;
  version: boolean;
}

const OPTIONS = parserOptions(optionsOf(GLOBALS));

/** Options before the verb are isconf's; the verb and everything after it come back untouched. */
export function parseGlobals(
  words: string[],
): { globals: Globals; verb: string | undefined; rest: string[] } {
  const at = firstWord(words, OPTIONS);
  const { values } = strictly(
    "isconf",
    OPTIONS,
    () => parseArgs({ args: words.slice(0, at), options: OPTIONS, strict: true }),
  );
  const flag = (name: string) => values[name] === true;
  const { color = "auto", config, home, message } = values as Record<string, string | undefined>;
  if (!COLOURS.includes(color)) {
    throw wrong("isconf", `--color is ${COLOURS.join(", ")}, not ${inert(color)}`);
  }
  return {
    globals: {
      ...(config !== undefined && { config }),
      ...(home !== undefined && { home }),
      ...(message !== undefined && { message }),
      color,
      quiet: flag("quiet"),
      verbose: flag("verbose"),
      json: flag("json"),
      noPager: flag("no-pager"),
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
  const typed = typedOptions(verb);
  const options = parserOptions(typed);
  if (verb.inner !== undefined) return parseInner(verb, typed, words);
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
    options,
    () => parseArgs({ args: own, options, strict: true, allowPositionals: true }),
  );
  if (values.help === true) return undefined;
  const out: Record<string, unknown> = {};
  const left = verb.wholeRest ? command : [...positionals];
  const given = byName(typed, values);
  for (const [name, arg] of table) {
    const value = arg.positional ? (arg.kind === "texts" ? left.splice(0) : left.shift()) : given[name];
    if (value === undefined) continue;
    out[name] = arg.kind === "count" ? toCount(verb, name, String(value)) : value;
  }
  if (left.length > 0) throw wrong(verb.name, `one word too many: ${inert(left[0] as string)}`);
  return checkArgs(verb, out, true) as Record<string, unknown>;
}

/** The options that may be typed after a verb, its help among them. */
export function typedOptions(verb: Verb): ReturnType<typeof optionsOf> {
  const shown = Object.entries(verb.args).filter(([, arg]) => !arg.hidden || verb.kind === "here");
  return optionsOf({ ...Object.fromEntries(shown), help: GLOBALS.help! });
}

/** Values by the names that the table has for their options. */
function byName(typed: ReturnType<typeof optionsOf>, values: object): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [option, value] of Object.entries(values)) out[typed.get(option)![0]] ??= value;
  return out;
}

/** A verb's own options, the name of another verb, and the words of that one. */
function parseInner(
  verb: Verb,
  typed: ReturnType<typeof optionsOf>,
  words: string[],
): Record<string, unknown> | undefined {
  const options = parserOptions(typed);
  for (const { args } of Object.values(verb.inner!)) {
    for (const option of optionsOf(args).keys()) delete options[option]; // those follow the name
  }
  const at = firstWord(words, options);
  const { values } = strictly(
    verb.name,
    options,
    () => parseArgs({ args: words.slice(0, at), options, strict: true }),
  );
  if (values.help === true) return undefined;
  const name = words[at] ?? "";
  const inner = Object.hasOwn(verb.inner!, name) ? verb.inner![name] : undefined;
  if (inner === undefined) {
    throw wrong(verb.name, `say what to ${verb.name}: ${Object.keys(verb.inner!).join(", ")}`);
  }
  const args = parseVerb(inner, words.slice(at + 1));
  if (args === undefined) return undefined;
  const own = { ...byName(typed, values), [Object.keys(verb.args)[0]!]: name };
  return checkArgs(verb, { ...toldArgs(inner, args), ...own }, true) as Record<string, unknown>;
}

function toCount(verb: Verb, name: string, text: string): number {
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw wrong(verb.name, `${name} must be a whole number, not ${inert(text)}`);
}

function strictly<T>(op: string, options: Options, parse: () => T): T {
  try {
    return parse();
  } catch (e) {
    const message = (e as Error).message.split(/\. To specify|\n/)[0] as string;
    const [, unknown] = /^Unknown option '--([^']*)'/.exec(message) ?? [];
    if (unknown === undefined) throw wrong(op, inert(message));
    if (op !== "isconf" && Object.hasOwn(OPTIONS, unknown)) {
      throw new Fault(op, "usage", `--${unknown} stands before the verb`, {
        hint: `isconf --${unknown} ${op}`,
      });
    }
    const near = suggest(unknown, Object.keys(options));
    throw wrong(op, `${inert(message)}${near === undefined ? "" : `; did you mean --${near}?`}`);
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
