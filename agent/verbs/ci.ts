// The verb ci: make entries of the work since lock, all or none.
import type { CheckedIn } from "../checkin.ts";
import type { Verb } from "../verb.ts";

export const ciVerb: Verb<Record<never, never>, CheckedIn> = {
  name: "ci",
  summary: "check the work in: the journal grows, the lock is given back",
  about:
    "All or nothing: every piece of work is signed and certified by the keepers and the lock is released, or nothing\nhappens and the reason is said.",
  examples: ["isconf ci"],
  args: {},
  kind: "changes",
  run: (call) => call.acts.checkin.ci(call),
  show(r, term) {
    const range = r.from === r.to ? `entry ${r.to}` : `entries ${r.from} to ${r.to}`;
    term.say(`checked in: ${range} of ${r.branch}`);
  },
};
