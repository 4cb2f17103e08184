// The verb policy: what the policy files of this host say: check a file, explain a decision, show the lines.
import { Fault } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import type { PolicySaid, RuleLine } from "../rules_say.ts";
import type { Verb } from "../verb.ts";

interface PolicyArgs {
  action?: string;
  words: string[];
  as?: string;
  terminal: boolean;
  network: boolean;
  cwd?: string;
}

export const policyVerb: Verb<PolicyArgs, PolicySaid> = {
  name: "policy",
  summary: "who may have what done on this host: check a file, explain a decision, show the lines",
  about:
    "Files of /etc/isconf/policy.d that end in .policy, in the order of their names; root's, and nobody else's to write.\nOne rule a line; the last that matches decides, and what none permits is denied:\n\n  permit|deny USER|:GROUP [as USER[,USER]] [on BRANCH] [do VERB[,VERB]] [tty|notty]\n    [net|nonet] [confirm password|WHO[,WHO]] [cmd FILE [args ARG…]]\n\nFILE is absolute, or a directory with a slash at its end, for its own files. ARGs are compared as they stand, and are\nall there are, unless the last is ... There are no patterns. A command that the caller could change is refused.\nWhat is denied is so by every name of its file, but a copy is another file: permit what is meant, rather than all but\nthat.\nnonet are previews without --network, net those with it, and commands.\nconfirm asks each time for the caller's password, or for the word of another one of WHO (isconf help confirm). While\na file is broken, what was read before holds. Root may everything unless a line denies it.",
  examples: [
    "isconf policy check /etc/isconf/policy.d/site.policy",
    "isconf policy why apt-get update",
    "isconf policy why lock",
    "isconf policy show",
  ],
  args: {
    action: {
      kind: "text",
      positional: true,
      values: ["check", "why", "show"],
      about: "check, why or show; nothing: show",
    },
    words: {
      kind: "texts",
      positional: true,
      is: { check: "file", why: "verb" },
      about: "a file to check; a verb, or a command, to ask about",
    },
    as: { kind: "text", is: "user", about: "as which user the command would run" },
    terminal: { kind: "flag", short: "t", about: "the command would have a terminal" },
    network: { kind: "flag", about: "the preview would have this host's network" },
    cwd: { kind: "text", hidden: true, about: "where you are" },
  },
  kind: "reads",
  wholeRest: true,
  run(call, { action = "show", words, as, terminal, network, cwd }) {
    const { rules } = call.acts;
    if (action === "show" && words.length === 0) return rules.show(call);
    if (action === "why" && words.length > 0) return rules.why(call, words, { as, terminal, network, cwd });
    throw new Fault("policy", "usage", `policy ${inert(action)} is not known, or needs more words`, {
      hint: "isconf help policy",
    });
  },
  show({ lines, verdict, wrong }, term) {
    const show = ({ where, text }: RuleLine) => [inert(where), inert(text)];
    if (lines !== undefined) term.table(lines.map(show));
    if (verdict !== undefined) {
      term.line(verdict.permit ? "permitted" : "denied");
      if (verdict.line !== null) term.table([show(verdict.line)]);
      if (verdict.why !== "") term.line(inert(verdict.why));
    }
    if (wrong !== null) term.say(`what was read before holds: ${inert(wrong)}`);
  },
  exit: ({ verdict }) => verdict?.permit === false ? 77 : 0,
};
