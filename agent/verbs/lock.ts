// The verbs lock and unlock: one person on one host may change a branch.
import type { Taken } from "../locks.ts";
import { inert } from "../names.ts";
import type { Verb } from "../verb.ts";

export const lockVerb: Verb<{ message: string[]; steal: boolean }, Taken> = {
  name: "lock",
  summary: "take the branch's lock, saying why",
  about:
    "At most one lock exists for each branch. The whole journal must be applied here first. Asking again as the\nholder changes the message for later entries. --steal, for owners, raises the term over the holder's head.",
  examples: ['isconf lock "upgrade openssh"', "isconf lock --steal taken over from alice, who is ill"],
  args: {
    message: { kind: "texts", positional: true, about: "why: becomes the message of the entries" },
    steal: { kind: "flag", about: "take the lock away from its holder (owners only)" },
  },
  kind: "changes",
  run: (call, args) => call.acts.locks.lock(call, args.message.join(" "), args.steal),
  show: (held, term) =>
    term.say(
      `${held.took ? "locked" : "lock kept"}: ${held.branch}, term ${held.term}: ${inert(held.message)}`,
    ),
};

export const unlockVerb: Verb<{ steal: boolean }, { branch: string; term: number; of: string }> = {
  name: "unlock",
  summary: "give the lock back",
  about:
    "Gives back one's own lock when no work waits to be checked in. Somebody else's needs the owner role and\n--steal; the holder's next verb then says what happened and the ways out.",
  examples: ["isconf unlock", "isconf unlock --steal"],
  args: { steal: { kind: "flag", about: "give back somebody else's lock (owners only)" } },
  kind: "changes",
  run: (call, args) => call.acts.locks.unlock(call, args.steal),
  show: (r, term) => term.say(`unlocked: ${r.branch}, term ${r.term} of ${inert(r.of)}`),
};
