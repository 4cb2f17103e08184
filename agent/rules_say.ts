// Rules say: what people are told of the policy: which line decides about something, and the lines that there are. Nobody is told
// which files there are, nor what lines say of others.
import type { Call } from "./host.ts";
import type { Rule } from "./rules.ts";
import type { Want } from "./rules_here.ts";
import { getMeta } from "./schema.ts";
import { execVerb } from "./verbs/exec.ts";
import { VERBS } from "./verbs/mod.ts";

/** A line of a policy, as people see it. */
export interface RuleLine {
  where: string;
  text: string;
}

/** What the policy says to somebody. */
export interface PolicySaid {
  /** The lines that speak of the caller; to root all of them. */
  lines?: RuleLine[];
  /** Whether something is permitted, the line that decides, null when none does, and what else there is to say. */
  verdict?: { permit: boolean; line: RuleLine | null; why: string };
  /** What is wrong with the policy files: then what they said before holds. */
  wrong: string | null;
}

const lineOf = ({ where, text }: Rule): RuleLine => ({ where, text });
const wrongOf = ({ host }: Call): string | null => host.rules.wrong?.message ?? null;

/** The lines, in order. */
export function show(call: Call): PolicySaid {
  const { host, actor } = call;
  const isOwn = actor.uid === (process.geteuid?.() ?? 0);
  return { lines: (isOwn ? host.rules.all() : host.rules.about(actor)).map(lineOf), wrong: wrongOf(call) };
}

/** What would be decided now if the caller wanted this: a verb, or a command for `exec`. */
export function why(
  call: Call,
  [first = "", ...others]: readonly string[],
  { as, terminal, network, cwd }: { as?: string; terminal: boolean; network: boolean; cwd?: string },
): PolicySaid {
  const { permit, rule, why } = call.host.rules.judge(call.actor, wanted());
  const said = why ??
    (rule === undefined ? permit ? "everybody who has a way in may" : "no line permits it" : "");
  return {
    verdict: { permit, line: rule === undefined ? null : lineOf(rule), why: said },
    wrong: wrongOf(call),
  };

  function wanted(): Want {
    const outer = VERBS.find(({ name, inner }) => name === first && inner !== undefined);
    const [name, ...words] = others;
    if (outer === undefined || name === undefined) return wantedFor(first, others);
    const want = wantedFor(name, words);
    return { ...want, verb: outer.name, like: want.verb, reads: false, network };
  }

  function wantedFor(first: string, others: string[]): Want {
    const verb = VERBS.find(({ name }) => name === first);
    const branch = getMeta(call.host.db, "branch");
    const on = branch === undefined ? {} : { branch };
    if (verb !== undefined && verb.name !== "exec") {
      return { verb: verb.name, reads: verb.kind === "reads", ...on };
    }
    const command = verb === undefined ? [first, ...others] : others;
    const more = {
      callerEnv: {},
      env: [],
      stdin: false,
      noEffects: false,
      terminal,
      ...(as && { as }),
      ...(cwd && { cwd }),
    };
    return {
      verb: "exec",
      reads: false,
      network: true,
      ...on,
      command: call.acts.work.wish(call, execVerb.toWork({ command, ...more })),
    };
  }
}
