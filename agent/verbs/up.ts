// The verb up: apply what this host lacks, in order, stopping at the first failure.
import type { UpArgs, UpResult } from "../apply.ts";
import { inert } from "../names.ts";
import { moment } from "../term.ts";
import { detailedExitcode, dryRun, SOMETHING, type Verb } from "../verb.ts";

/** Of whom it is known that they have nothing newer, and as of when. */
function askedText(r: UpResult, offline: boolean): string {
  const who = r.hosts.map(inert).join(", ");
  const keepers = r.hosts.length > 1 ? "keepers" : "keeper";
  if (r.asked === "keeper") return `up to date with the ${keepers} ${who} as of ${moment(r.asOfMs)}`;
  if (r.asked === "peer") {
    return `the keeper could not be asked; up to date with ${who} as of ${moment(r.asOfMs)}`;
  }
  return offline ? "nobody was asked for newer entries" : "nobody could be asked for newer entries";
}

export const upVerb: Verb<UpArgs & { rehearse: boolean; detailedExitcode: boolean }, UpResult> = {
  name: "up",
  summary: "apply what this host lacks, in order",
  about:
    "Stops at the first failure: later entries never overtake. A restart in the journal stops it unless -r is given;\nwith -r it goes on by itself after the restart. A command is started at most once: one that failed is started\nagain only with --again, one whose end is not known only with --again or is accepted with --done.",
  examples: [
    "isconf up",
    "isconf up -r",
    "isconf up --dry-run",
    "isconf up --rehearse",
    "isconf up --again 7",
  ],
  args: {
    reboot: { kind: "flag", short: "r", about: "restart this host where the journal says so" },
    to: { kind: "count", is: "seq", about: "stop after this entry" },
    step: { kind: "flag", about: "apply one entry only" },
    dryRun: dryRun("only say what would be applied"),
    rehearse: {
      kind: "flag",
      about: "replay everything in a preview first, and go on only if all of it goes through",
    },
    offline: { kind: "flag", about: "apply what is here, without asking other hosts for more" },
    again: { kind: "count", is: "seq", about: "start this failed or uncertain entry once more" },
    done: { kind: "count", is: "seq", about: "accept that this uncertain entry did finish" },
    detailedExitcode,
  },
  kind: "changes",
  run: (call, args) =>
    args.rehearse && !args.dryRun
      ? call.acts.rehearse.upRehearsed(call, args)
      : call.acts.apply.up(call, args),
  show(r, term, args) {
    const asked = askedText(r, args.offline);
    if (r.restarting) return term.say(`restarting at entry ${r.at + 1} of ${r.of}; up goes on afterwards`);
    if (args.dryRun) {
      return term.say(`nothing was changed; this host is at entry ${r.at} of ${r.of} of ${r.branch}`);
    }
    if (r.at < r.of) {
      return term.say(`applied ${r.applied}; at entry ${r.at} of ${r.of} of ${r.branch}, as asked`);
    }
    const did = r.applied === 0 ? "nothing to do" : `applied ${r.applied}`;
    term.say(`${did}; at entry ${r.at} of ${r.branch}; ${asked}`);
  },
  exit: (r, args) => args.detailedExitcode && (args.dryRun ? r.at < r.of : r.applied > 0) ? SOMETHING : 0,
};
