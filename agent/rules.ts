// Rules: who may have what done on this host, by the lines of its policy files, in the spirit of doas.conf(5): what nobody
// permits is denied, and the last line that matches decides. Not who may do what in the domain (trust.ts), not where the
// files are (rules_files.ts), and nothing here asks the system anything.
import { Fault } from "../mq/mod.ts";
import { ruleLineMax, rulesBytesMax, rulesMax } from "./limits.ts";
import { inert, isPlainText } from "./names.ts";
import type { Word } from "./rules_words.ts";
import { wordsOf } from "./rules_words.ts";

/** A user by name, or the members of a group. Numbers name nobody: uids are given away again, and look like names. */
export type Who = { user: string } | { group: string };

/** What a command may be: a file or, with a slash at its end, any file of that directory itself; and its arguments. */
export interface CommandRule {
  path: string;
  /** Exactly these, or with `more` these and whatever follows; undefined: any. */
  args?: { words: readonly string[]; more: boolean };
}

/** One line. What is undefined is not asked about: the line matches whatever it is. */
export interface Rule {
  permit: boolean;
  who: Who;
  /** As which users. */
  as?: readonly string[];
  branch?: string;
  verbs?: readonly string[];
  command?: CommandRule;
  terminal?: boolean;
  /** Whether with this host's network, which a command has, and a preview only when it is asked for. */
  network?: boolean;
  /** Who has to confirm it each time: the caller by their password, or another one of these. What only reads needs none. */
  confirm?: "password" | readonly Who[];
  /** Where it stands: "site.policy:3". */
  where: string;
  /** The line as it stands there, without its comment. */
  text: string;
}

/** What somebody wants. */
export interface Wish {
  user: string;
  groups: readonly string[];
  verb: string;
  /** The verb that it would be if anything of it stayed: what is said of that is said of this, too. */
  like?: string;
  /** The branch that this host is on, if it is on one. */
  branch?: string;
  /** Of what runs commands: whether they have this host's network. */
  network?: boolean;
  /** Of an `exec` or the preview of one: as whom, the file that would be run, its arguments, and whether it gets a terminal. */
  command?: CommandWish;
}

export interface CommandWish {
  as: string;
  file: string;
  args: readonly string[];
  terminal: boolean;
  /** Whether its file is what a path leads to as well; a directory, with a slash at the end: is in it. What denies asks. */
  isFile?(path: string): boolean;
}

/** The rule that decides; undefined: none does, which denies. */
export function decisive(rules: readonly Rule[], wish: Wish): Rule | undefined {
  return rules.findLast((rule) => matches(rule, wish));
}

/** Whether a line speaks of this wish. */
export function matches(rule: Rule, wish: Wish): boolean {
  const { user, groups, verb, like, branch, command } = wish;
  const isOf = (who: Who) => "user" in who ? who.user === user : groups.includes(who.group);
  if (!isOf(rule.who)) return false;
  if (rule.branch !== undefined && rule.branch !== branch) return false;
  if (rule.verbs !== undefined && !rule.verbs.some((name) => name === verb || name === like)) return false;
  if (rule.network !== undefined && rule.network !== wish.network) return false;
  const { as, terminal } = rule;
  if (as === undefined && terminal === undefined && rule.command === undefined) return true;
  if (command === undefined) return false; // the line speaks of commands
  if (as !== undefined && !as.includes(command.as)) return false;
  if (terminal !== undefined && terminal !== command.terminal) return false;
  return rule.command === undefined || isCommand(rule.command, command, rule.permit);
}

/** What is permitted has to be called what the line calls it; what is denied is so by whatever name. */
function isCommand({ path, args }: CommandRule, command: CommandWish, permit: boolean): boolean {
  const { file, args: given } = command;
  const isIn = path.endsWith("/") && file.startsWith(path) && !file.slice(path.length).includes("/");
  if (file !== path && !isIn && (permit || command.isFile?.(path) !== true)) return false;
  if (args === undefined) return true;
  const { words, more } = args;
  return (more ? given.length >= words.length : given.length === words.length) &&
    words.every((word, i) => word === given[i]);
}

/** Whom some rule permits anything: they need a way in. */
export function permittedBy(rules: readonly Rule[]): Who[] {
  return rules.filter(({ permit }) => permit).map(({ who }) => who);
}

/**
 * The rules of one file.
 * @throws {Fault} usage, naming file and line, at the first line that is none
 */
export function parseRules(text: string, file: string, verbs: readonly string[]): Rule[] {
  const bad = (line: number, why: string) =>
    new Fault("policy", "usage", `${inert(file)}:${line}: ${why}`, {
      hint: `isconf policy check ${inert(file)}, after a change of line ${line}`,
    });
  if (text.length > rulesBytesMax) throw bad(1, `more than ${rulesBytesMax} bytes`);
  const rules: Rule[] = [];
  for (const [i, whole] of text.split("\n").entries()) {
    const line = i + 1;
    if (whole.length > ruleLineMax) throw bad(line, `longer than ${ruleLineMax} characters`);
    if (!isPlainText(whole) || /[^\P{Cc}\t]/u.test(whole)) throw bad(line, "has control characters");
    try {
      const words = wordsOf(whole);
      if (words.length === 0) continue;
      if (rules.length === rulesMax) throw new Error(`more than ${rulesMax} rules`);
      const said = words.map(({ source }) => source).join(" ");
      rules.push({ ...new RuleWords(words, verbs).rule(), where: `${file}:${line}`, text: said });
    } catch (e) {
      if (e instanceof Fault) throw e;
      throw bad(line, (e as Error).message);
    }
  }
  return rules;
}

/** How a line begins. */
export const DECISIONS = {
  permit: "whoever the line speaks of may",
  deny: "they may not",
};

/** What a line may go on with, in any order; a command is the last of it. */
export const PARTS = {
  as: ["USER[,USER]", "of a command: only as one of these users"],
  on: ["BRANCH", "only while this host is on that branch"],
  do: ["VERB[,VERB]", "only these verbs of isconf"],
  tty: ["", "of a command: only with a terminal of its own (exec -t)"],
  notty: ["", "of a command: only without one"],
  net: ["", "commands, and previews with --network"],
  nonet: ["", "previews without --network"],
  confirm: [
    "password|WHO[,WHO]",
    "each time only after the caller's password, or the word of another person who is one of WHO",
  ],
  cmd: [
    "FILE [args ARG...]",
    "only this command. FILE is absolute, or a directory with a slash at its end, for its own files. ARGs are compared as they stand, and are all there are, unless the last is ...",
  ],
} satisfies Record<string, [words: string, about: string]>;

const NAME = /^[A-Za-z_][-A-Za-z0-9_.]*\$?$/;

/** The words of one line, read from left to right. Throws errors whose messages say what is wrong with the line. */
class RuleWords {
  readonly #words: readonly Word[];
  readonly #verbs: readonly string[];
  #next = 0;

  constructor(words: readonly Word[], verbs: readonly string[]) {
    this.#words = words;
    this.#verbs = verbs;
  }

  rule(): Omit<Rule, "where" | "text"> {
    const permit = this.#oneOf(...keysOf(DECISIONS)) === "permit";
    const rule: Omit<Rule, "where" | "text"> = { permit, who: this.#who() };
    while (this.#next < this.#words.length) this.#part(rule);
    const { command, as, terminal, verbs } = rule;
    const isOfCommands = command !== undefined || as !== undefined || terminal !== undefined;
    const runs = verbs === undefined || verbs.some((verb) => ["exec", "preview"].includes(verb));
    if (rule.network !== undefined && !runs) {
      throw new Error("net and nonet are about exec and preview, neither of which it names");
    }
    if (rule.confirm !== undefined && !permit) throw new Error("what is denied cannot be confirmed");
    if (isOfCommands && !runs) {
      throw new Error("as, tty, notty and cmd are about exec and preview, neither of which it names");
    }
    return rule;
  }

  #part(rule: Omit<Rule, "where" | "text">): void {
    const key = this.#oneOf(...keysOf(PARTS));
    const isNew = (has: unknown) => {
      if (has !== undefined) throw new Error(`says ${key} twice`);
    };
    switch (key) {
      case "as":
        isNew(rule.as);
        rule.as = this.#list("a user", (name) => NAME.test(name));
        return;
      case "on":
        isNew(rule.branch);
        rule.branch = this.#name("a branch");
        return;
      case "do":
        isNew(rule.verbs);
        rule.verbs = this.#list("a verb", (verb) => this.#verbs.includes(verb));
        return;
      case "tty":
      case "notty":
        isNew(rule.terminal);
        rule.terminal = key === "tty";
        return;
      case "net":
      case "nonet":
        isNew(rule.network);
        rule.network = key === "net";
        return;
      case "confirm":
        isNew(rule.confirm);
        rule.confirm = this.#confirm();
        return;
      case "cmd":
        rule.command = this.#command();
    }
  }

  /** A command is the last of a line: what follows are its arguments. */
  #command(): CommandRule {
    const { text: path, isQuoted } = this.#word("a command");
    const parts = path.slice(1).split("/");
    if (path.endsWith("/")) parts.pop();
    if (
      !path.startsWith("/") || parts.length === 0 ||
      parts.some((part) => part === "" || part === "." || part === "..")
    ) {
      throw new Error(`${inert(path)} is no absolute path without . and .. in it`);
    }
    if (!isQuoted) noPattern(path);
    if (this.#next === this.#words.length) return { path };
    if (!this.#is("args")) throw new Error("args, or the end of the line, follows the command");
    const words = this.#words.slice(this.#next);
    this.#next = this.#words.length;
    const last = words.at(-1);
    const more = last?.text === "..." && !last.isQuoted;
    const exact = more ? words.slice(0, -1) : words;
    for (const { text, isQuoted } of exact) if (!isQuoted) noPattern(text);
    return { path, args: { words: exact.map(({ text }) => text), more } };
  }

  #confirm(): NonNullable<Rule["confirm"]> {
    const { text } = this.#word("password, or who confirms it");
    return text === "password" ? text : text.split(",").map((one) => this.#whoOf(one));
  }

  #who(): Who {
    return this.#whoOf(this.#word("a user, or a group with a colon before it").text);
  }

  #whoOf(text: string): Who {
    const [name, kind] = text.startsWith(":") ? [text.slice(1), "group"] : [text, "user"];
    if (!NAME.test(name)) throw new Error(`${inert(text)} cannot be the name of a ${kind}`);
    return kind === "group" ? { group: name } : { user: name };
  }

  #list(what: string, isOne: (text: string) => boolean): string[] {
    const items = this.#word(what).text.split(",");
    const wrong = items.find((item) => !isOne(item));
    if (wrong !== undefined) throw new Error(`${inert(wrong)} is not the name of ${what}`);
    return items;
  }

  #name(what: string): string {
    return this.#list(what, (text) => NAME.test(text) || /^[A-Za-z0-9_][-A-Za-z0-9_.]+$/.test(text))[0]!;
  }

  #oneOf<T extends string>(...texts: T[]): T {
    const { text } = this.#word(texts.join(", "));
    if (texts.includes(text as T)) return text as T;
    throw new Error(`${inert(text)} is not one of ${texts.join(", ")}`);
  }

  #is(text: string): boolean {
    const isNext = this.#words[this.#next]?.source === text;
    if (isNext) this.#next++;
    return isNext;
  }

  #word(what: string): Word {
    const word = this.#words[this.#next++];
    if (word === undefined) throw new Error(`ends where it should name ${what}`);
    return word;
  }
}

const keysOf = <T extends object>(table: T) => Object.keys(table) as (keyof T & string)[];

/** What would be a pattern in a shell is none here: who means the character writes it in quotes. */
function noPattern(text: string): void {
  const [found] = /[*?[\]{}!]/.exec(text) ?? [];
  if (found === undefined) return;
  throw new Error(`${inert(text)} has a ${found}: there are no patterns; "…" makes it the character itself`);
}
