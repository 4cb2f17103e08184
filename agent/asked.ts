// Asked: what is recorded of who wants something done: who, from where, in whose name, what, as whom, by which line. Not whether
// they may (rules_here.ts), nor what became of it (executions.ts).
import { sourceOf } from "./caller.ts";
import type { Asked } from "./executions.ts";
import type { Actor, Call } from "./host.ts";
import type { Rule } from "./rules.ts";
import type { Want } from "./rules_here.ts";
import type { Command } from "./run.ts";
import { nameOf } from "./trust.ts";

/** Of a command that is about to run; `author`: the id of the key in whose name, if in anybody's; `file`: what will run. */
export function askedBy(
  call: Call,
  verb: string,
  author: string | undefined,
  command: Command,
  file: string,
): Asked {
  const { host: { journal }, actor, rule } = call;
  const { argv, cwd, user } = command;
  const person = author === undefined ? "" : nameOf(journal.policy(), author);
  return { ...whoOf(actor), verb, person, as: user.name, file, argv, cwd, rule: ruleText(rule) };
}

/** Of what the policy does not permit. */
export function refusedTo(actor: Actor, { verb, command }: Want, rule: Rule | undefined): Asked {
  return {
    ...whoOf(actor),
    verb,
    person: "",
    as: command?.as ?? "",
    file: command?.file ?? "",
    argv: command === undefined ? [] : [command.file, ...command.args],
    cwd: "",
    rule: ruleText(rule),
  };
}

function whoOf({ uid, name, peer }: Actor) {
  return { uid, user: name, source: peer === undefined ? null : sourceOf(peer) };
}

const ruleText = (rule: Rule | undefined) => rule === undefined ? "" : `${rule.where}: ${rule.text}`;
