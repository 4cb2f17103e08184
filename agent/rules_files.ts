// Rules files: the policy files of this host, `policy.d/*.policy` in the order of their names: read when one has changed. While one
// is broken, what was read last holds; when nothing was, nobody but root is permitted anything. Not what they say (rules.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { readOwnFile } from "./config.ts";
import { ruleFilesMax } from "./limits.ts";
import { inert } from "./names.ts";
import { parseRules, type Rule } from "./rules.ts";

/** What holds now, and what is wrong with the files, when that is not what they say. */
export interface Standing {
  rules: readonly Rule[];
  wrong?: Fault;
}

/** The rules of one host. */
export class RuleBook {
  readonly #dir: string;
  readonly #first: readonly Rule[];
  readonly #verbs: readonly string[];
  #read: { stamp: string; standing: Standing };

  /** Those of a directory; whatever it says, `users`, whose agent this is, come first and are permitted. */
  constructor(dir: string, users: readonly string[], verbs: readonly string[]) {
    this.#dir = dir;
    this.#verbs = verbs;
    this.#first = users.map((user) => {
      const text = `permit ${user}`;
      return { permit: true, who: { user }, where: "built in", text };
    });
    this.#read = { stamp: "", standing: { rules: this.#first } };
  }

  /** What holds now. */
  standing(): Standing {
    try {
      const files = ruleFiles(this.#dir);
      const stamp = files.map(stampOf).join("\n");
      if (stamp === this.#read.stamp && this.#read.standing.wrong === undefined) return this.#read.standing;
      const rules = files.flatMap((file) => readRules(file, this.#verbs));
      this.#read = { stamp, standing: { rules: [...this.#first, ...rules] } };
    } catch (e) {
      const { rules } = this.#read.standing;
      this.#read.standing = { rules, wrong: Fault.from("policy", e) };
    }
    return this.#read.standing;
  }
}

/** The rules of one file that only root or the agent's user can have written. Throws usage, denied or notFound. */
export function readRules(file: string, verbs: readonly string[]): Rule[] {
  const text = readOwnFile(file);
  if (text !== undefined) {
    needWhole(text, file);
    return parseRules(text, path.basename(file), verbs);
  }
  throw new Fault("policy", "notFound", `${inert(file)} does not exist`, { hint: "isconf policy show" });
}

/** Throws usage for a file whose last line does not end: of a line that is half written the half may permit more than the line. */
function needWhole(text: string, file: string): void {
  if (text === "" || text.endsWith("\n")) return;
  throw new Fault(
    "policy",
    "usage",
    `${inert(path.basename(file))}: its last line has no end: is it all there?`,
    {
      hint: `echo >>${inert(file)}, when it is`,
    },
  );
}

/** The policy files of a directory that nobody else can put one into; of none, nothing. Throws denied. */
function ruleFiles(dir: string): string[] {
  const st = fs.lstatSync(dir, { throwIfNoEntry: false });
  if (st === undefined) return [];
  const isOurs = st.uid === 0 || st.uid === process.geteuid?.();
  if (!st.isDirectory() || !isOurs || (st.mode & 0o022) !== 0) {
    throw new Fault(
      "policy",
      "denied",
      `${inert(dir)} is no directory that only its owner (root or we) can write to`,
      {
        hint: `chown root ${inert(dir)} && chmod 0755 ${inert(dir)}`,
      },
    );
  }
  const files = fs.readdirSync(dir).filter((name) => name.endsWith(".policy") && !name.startsWith("."))
    .sort();
  if (files.length <= ruleFilesMax) return files.map((name) => path.join(dir, name));
  throw new Fault("policy", "usage", `${inert(dir)} has more than ${ruleFilesMax} policy files`, {
    hint: `ls ${inert(dir)}`,
  });
}

/** What differs when a file was changed or put in the place of another. */
function stampOf(file: string): string {
  const st = fs.lstatSync(file, { bigint: true, throwIfNoEntry: false });
  return st === undefined ? file : [file, st.dev, st.ino, st.size, st.ctimeNs].join(" ");
}
