// Globals: the options before the verb, which are isconf's own, and how any table of arguments becomes options. Not what they do.
import type { parseArgs } from "node:util";
import { type Arg, optionName } from "./verb.ts";

/** When what is printed is coloured. */
export const COLOURS = ["auto", "always", "never"];

/** In the order of help. */
export const GLOBALS: Record<string, Arg> = {
  config: { kind: "text", short: "c", is: "file", about: "isconf.conf is this file" },
  home: {
    kind: "text",
    is: "file",
    about: "state, settings and sockets are below this directory: for a try-out",
  },
  message: { kind: "text", short: "m", about: "why, as words after lock say it, too" },
  quiet: { kind: "flag", short: "q", about: "no words for people; data and errors only" },
  verbose: { kind: "flag", short: "v", about: "more of what is done" },
  json: { kind: "flag", about: "results as JSON, one value on a line, as the local API has them" },
  color: {
    kind: "text",
    values: COLOURS,
    about: "when to use colours; auto: on a terminal, unless NO_COLOR says no",
  },
  noPager: { kind: "flag", about: "print long answers on a terminal at once" },
  help: { kind: "flag", short: "h", about: "explain, and do nothing" },
  version: { kind: "flag", about: "print the version, and do nothing" },
};

export type Options = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;

/** What of a table of arguments is typed as options, by the names that are typed; the value is the name in the table. */
export function optionsOf(args: Record<string, Arg>): Map<string, [name: string, arg: Arg]> {
  const out = new Map<string, [string, Arg]>();
  for (const [name, arg] of Object.entries(args)) {
    if (arg.positional) continue;
    for (const typed of [optionName(name), ...arg.aliases ?? []]) out.set(typed, [name, arg]);
  }
  return out;
}

/** The same as Node's parser wants it. */
export function parserOptions(typed: ReadonlyMap<string, [name: string, arg: Arg]>): Options {
  return Object.fromEntries(
    [...typed].map(([option, [name, arg]]) => [option, {
      type: arg.kind === "flag" ? "boolean" as const : "string" as const,
      ...(arg.short === undefined || option !== optionName(name) ? {} : { short: arg.short }),
      ...(arg.kind === "texts" ? { multiple: true } : {}),
    }]),
  );
}
