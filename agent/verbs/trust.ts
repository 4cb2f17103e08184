// The verbs acknowledge and recover: what to do when two things were signed where one should be.
import { inert } from "../names.ts";
import type { Recovered } from "../recover.ts";
import type { Verb } from "../verb.ts";

export const acknowledgeVerb: Verb<{ name: string }, { name: string; proofs: number }> = {
  name: "acknowledge",
  summary: "say that a proven double signature is understood",
  about:
    "For owners of the domain. An author who was proven to have signed two entries for one place gets no votes until then:\nmost are hosts that were put back from a backup. What became of a stolen key: isconf revoke, isconf evict. A keeper\nthat voted twice goes on voting: isconf keeper remove. Nobody acknowledges their own while there is another owner.",
  examples: ["isconf acknowledge alice@hostb"],
  args: {
    name: {
      kind: "text",
      positional: true,
      required: true,
      is: "person",
      about: "user@host or a host, as isconf status shows",
    },
  },
  kind: "changes",
  run: (call, args) => call.acts.acknowledging.acknowledge(call, args),
  show: (r, term) => term.say(`${inert(r.name)}: ${r.proofs} proof${r.proofs === 1 ? "" : "s"} acknowledged`),
};

export const recoverVerb: Verb<{ alone: boolean }, Recovered> = {
  name: "recover",
  summary: "after a restore from a backup: take in what others know",
  about:
    "A host of which others have something that it has signed and does not remember was put back from a backup, or runs\ntwice. It signs nothing (no lock, no ci, no vote) until this has asked the others. To be typed after every restore,\nbefore work goes on. One of several keepers is taken out of them first, and put in again afterwards.",
  examples: ["isconf recover", "isconf recover --alone"],
  args: { alone: { kind: "flag", about: "also when no other host can be asked, on the only keeper" } },
  kind: "changes",
  run: (call, args) => call.acts.recovering.recover(call, args),
  show(r, term) {
    term.say(r.was === null ? "this host knows all that others have of it" : `taken in: ${inert(r.was)}`);
    term.say(`asked: ${r.asked.length === 0 ? "nobody" : r.asked.map(inert).join(", ")}`);
    if (r.missing.length > 0) term.say(`not asked, and may know more: ${r.missing.map(inert).join(", ")}`);
    if (r.entries > 0) term.say(`${r.entries} entries made on this host are to be applied here: isconf up`);
  },
};
