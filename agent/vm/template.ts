// Template: the tiny language in which it is written how a driver does a verb: what has to be there before, and lines with typed
// blanks. Read here, and filled. Not what is looked at before (needs.ts), not what runs (script.ts). The language: README.md.
import { quoted } from "../names.ts";
import { written } from "./blanks.ts";
import { straight } from "./straight.ts";

/** What is filled in, by the names of blanks. What has no value is left out where the template says that it may be. */
export type Values = Readonly<Record<string, string | undefined>>;

/** Something that is looked for, and whose path is a value then: the first of several that is there. */
export interface Find {
  only?: string;
  name: string;
  what: "program" | "file";
  places: string[];
  hint: string;
}

/** Something that has to be so before anything is done. */
export interface Need {
  only?: string;
  what: string;
  words: string[];
  hint: string;
}

/** A script of its own; verbs mostly have one. */
export interface Step {
  name: string;
  /** How long the machine has to be gone after it, in seconds; then comes the next. */
  waitSeconds?: number;
  lines: string[];
}

export interface Template {
  verb: string;
  driver: string;
  os: string;
  about: string;
  /** How long each of its scripts may take, in seconds. */
  deadlineSeconds: number;
  finds: Find[];
  needs: Need[];
  steps: Step[];
}

/** What is looked for has this of its blanks' type. */
export const FOUND = "path";

const HEADS: [pattern: RegExp, take: (template: Template, groups: Record<string, string>) => void][] = [
  [/^about (?<text>.+)$/, (t, { text }) => void (t.about = text!)],
  [/^deadline (?<seconds>\d+)$/, (t, { seconds }) => void (t.deadlineSeconds = Number(seconds))],
  [
    /^(\[(?<only>\w+)\?\] )?find (?<name>\w+) (?<what>program|file) (?<places>[^|]+) \| (?<hint>.+)$/,
    (t, { only, name, what, places, hint }) =>
      void t.finds.push({
        ...(only === undefined ? {} : { only }),
        name: name!,
        what: what as Find["what"],
        places: places!.split(" "),
        hint: hint!,
      }),
  ],
  [
    /^(\[(?<only>\w+)\?\] )?need (?<what>[\w-]+)(?<words>( \S+)*) \| (?<hint>.+)$/,
    (t, { only, what, words, hint }) =>
      void t.needs.push({
        ...(only === undefined ? {} : { only }),
        what: what!,
        words: words!.split(" ").filter(Boolean),
        hint: hint!,
      }),
  ],
  [
    /^step (?<name>\w+)( waits (?<seconds>\d+))?$/,
    (t, { name, seconds }) =>
      void t.steps.push({
        name: name!,
        ...(seconds === undefined ? {} : { waitSeconds: Number(seconds) }),
        lines: [],
      }),
  ],
];

const GUARD = /\[(\w+)\? ?([^\]]*)\]/g;
const BLANK = /\{(\w+):([\w-]+)\}/g;

/** What a template may have beside its blanks: nothing that means anything to a shell. */
const LITERAL = /^[A-Za-z0-9_@%+=:,./ -]*$/;

/** Reads a template. It is part of isconf: what is wrong with it is a bug, and throws as one. */
export function readTemplate(verb: string, driver: string, os: string, text: string): Template {
  const out: Template = { verb, driver, os, about: "", deadlineSeconds: 0, finds: [], needs: [], steps: [] };
  for (const line of text.trim().split("\n")) {
    const step = out.steps.at(-1);
    const [head, take] = HEADS.find(([pattern]) => pattern.test(line)) ?? [];
    const bad = (why: string) => new Error(`the template ${verb} ${driver} ${os} ${why}: ${line}`);
    if (head !== undefined && !(step !== undefined && !line.startsWith("step "))) {
      take!(out, head.exec(line)!.groups as Record<string, string>);
    } else if (step === undefined) throw bad("has a line that is none");
    else {
      const isComment = line.startsWith("# ");
      if (!isComment && !LITERAL.test(line.replace(GUARD, "$2").replace(BLANK, ""))) {
        throw bad("is not plain");
      }
      step.lines.push(line);
    }
  }
  if (out.about === "" || out.deadlineSeconds === 0 || out.steps.length === 0) {
    throw new Error(`the template ${verb} ${driver} ${os} has no about, no deadline, or no step`);
  }
  return out;
}

/** The names of all blanks and conditions of a template, with their types; a condition that is no blank has the type "". */
export function blanksOf(template: Template): Map<string, string> {
  const { finds, needs, steps } = template;
  const text = [
    ...[...finds, ...needs].flatMap(({ only, hint }) => only === undefined ? [hint] : [hint, `[${only}? ]`]),
    ...needs.flatMap(({ words }) => words),
    ...steps.flatMap(({ lines }) => lines),
  ].join("\n");
  return new Map([
    ...[...text.matchAll(GUARD)].map(([, name]): [string, string] => [name!, ""]),
    ...[...text.matchAll(BLANK)].map(([, name, type]): [string, string] => [name!, type!]),
  ]);
}

/** Whether something that is there only on a condition is there. */
export const isThere = ({ only }: { only?: string }, values: Values): boolean =>
  only === undefined || values[only] !== undefined;

/** Text with its blanks filled, for programs that read it as it is and for people. Throws usage when a value does not fit. */
export function filled(text: string, values: Values): string {
  return text
    .replace(GUARD, (_, name: string, inner: string) => values[name] === undefined ? "" : inner)
    .replace(BLANK, (_, name: string, type: string) => {
      const value = values[name];
      if (value === undefined) throw new Error(`nothing was given for the blank ${name}`);
      return written(name, type, value);
    });
}

/** One script, made. */
export interface Script {
  step: string;
  text: string;
  waitSeconds?: number;
}

/** What a script of a machine is called. Throws usage, for a name that does not fit. */
export const titleOf = ({ verb, driver, os }: Template, name: string): string =>
  `vm ${verb} ${written("name", "name", name)}, by ${driver} on ${os}`;

/**
 * The scripts of a template, each with what is said of it first; `title` is what is typed for it.
 * @throws {Fault} usage, when a value does not fit its blank; refused, when what comes out were not straight
 */
export function scriptsOf(template: Template, title: string, values: Values): Script[] {
  const { steps } = template;
  return steps.map((step, i) => {
    const many = steps.length === 1 ? "" : `, ${i + 1} of ${steps.length}: ${step.name}`;
    const head = [
      `# isconf ${title}${many}`,
      ...(i === 0 ? headOf(template, values) : []),
      ...(step.waitSeconds === undefined ? [] : [`# Then it has ${step.waitSeconds} s to be gone.`]),
      "",
    ];
    const text = [...head, ...bodyOf(step.lines, values)].map((line) => `${line}\n`).join("");
    straight(text);
    const { waitSeconds } = step;
    return { step: step.name, text, ...(waitSeconds === undefined ? {} : { waitSeconds }) };
  });
}

/** What it is about and what was looked at before, as comments. */
function headOf({ about, finds, needs, deadlineSeconds }: Template, values: Values): string[] {
  const found = finds.filter((find) => isThere(find, values)).map(({ name, what }) =>
    `${what} ${values[name]}`
  );
  const needed = needs.filter((need) => isThere(need, values))
    .map(({ what, words }) => [what, ...words.map((word) => filled(word, values))].join(" "));
  const all = [...found, ...needed].map((line) => `#   ${line}`);
  return [
    `# ${about} It ends in ${deadlineSeconds} s or is killed.`,
    ...(all.length === 0 ? [] : ["# Looked at before, by isconf:", ...all]),
  ];
}

/** The lines of a step: each word filled, then quoted; a command that goes on has a backslash at the end of its lines. */
function bodyOf(lines: readonly string[], values: Values): string[] {
  const out: string[] = [];
  for (const line of lines) {
    if (line.startsWith("#")) {
      out.push(line);
      continue;
    }
    const goesOn = line.startsWith("  ");
    const words = line
      .replace(GUARD, (_, name: string, inner: string) => values[name] === undefined ? "" : inner)
      .split(" ").filter(Boolean)
      .map((word) => quoted(filled(word, values)));
    if (words.length === 0) continue;
    if (goesOn) out.push(`${out.pop()} \\`);
    out.push(`${goesOn ? "  " : ""}${words.join(" ")}`);
  }
  return out;
}
