// The verb confirm: what waits for somebody's word, and that word.
import type { Waiting } from "../confirmations.ts";
import { inert } from "../names.ts";
import type { Verb } from "../verb.ts";

interface ConfirmArgs {
  id?: string;
  password?: string;
  yes: boolean;
}

export const confirmVerb: Verb<ConfirmArgs, Waiting[]> = {
  name: "confirm",
  summary: "confirm what somebody wants to have done here, or show what waits for that",
  about:
    "A line of the policy may ask for a confirmation each time: of the caller, by their password, or of another person. On a\nterminal isconf asks for the password itself, or waits for the other one, who types confirm and the id that was told,\nand is shown exactly what is to be done. A confirmation is for this one act of this one caller, and for once.",
  examples: ["isconf confirm", "isconf confirm 5f3a9c1d02b47e68"],
  args: {
    id: {
      kind: "text",
      positional: true,
      is: "confirmation",
      about: "what to confirm; nothing: show what waits",
    },
    password: { kind: "text", hidden: true, about: "your password" },
    yes: { kind: "flag", short: "y", about: "do not ask whether you are sure" },
  },
  kind: "control",
  forAll: true,
  async run({ host, actor }, { id, password }) {
    const { confirmations } = host.rules;
    return id === undefined ? confirmations.list(actor) : [await confirmations.give(actor, id, password)];
  },
  show(waiting, term) {
    if (waiting.length === 0) return term.say("nothing waits");
    term.table(waiting.map(({ id, who, act, by, given }) => [
      id,
      inert(who),
      given ? "confirmed" : `waits for ${inert(by)}`,
      inert(act),
    ]));
  },
};
