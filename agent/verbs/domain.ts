// The verbs init, fork and migrate: the beginning of a domain, and changes of branch.
import type { Initialised } from "../domain.ts";
import { inert } from "../names.ts";
import type { Verb } from "../verb.ts";

export const initVerb: Verb<{ host?: string; branch?: string }, Initialised> = {
  name: "init",
  summary: "begin a domain on this host",
  about:
    "This host becomes the first host and the one keeper, you the first owner. Starts the agent if it is not\nrunning. The recovery key is printed once and kept nowhere: write it down, it can replace every other key.",
  examples: ["isconf init", "isconf init --branch web --host web1"],
  args: {
    host: { kind: "text", about: "what this host is called in the domain; else its host name" },
    branch: { kind: "text", about: "the first branch; else main" },
  },
  kind: "changes",
  run: (call, args) =>
    call.acts.domain.init(call, { host: args.host ?? "host", branch: args.branch ?? "main" }),
  show(r, term) {
    term.say(
      `domain ${r.domain} begun: host ${inert(r.host)}, branch ${inert(r.branch)}, owner ${inert(r.owner)}`,
    );
    term.say("recovery key, shown once, kept nowhere; keep it off this host:");
    term.line(r.recovery);
  },
};

export const forkVerb: Verb<{ branch: string }, { branch: string; from: string; seq: number }> = {
  name: "fork",
  summary: "begin a branch where this host is, and move onto it",
  about: "The new branch shares every entry this host has applied and goes its own way from there.",
  examples: ["isconf fork web"],
  args: { branch: { kind: "text", positional: true, required: true, about: "the new branch's name" } },
  kind: "changes",
  run: (call, args) => call.acts.domain.fork(call, args.branch),
  show: (r, term) =>
    term.say(`forked ${inert(r.branch)} from ${inert(r.from)} at entry ${r.seq}; this host is on it now`),
};

export const migrateVerb: Verb<{ branch: string }, { branch: string; from: string; at: number; of: number }> =
  {
    name: "migrate",
    summary: "move this host onto another branch",
    about: "Only onto a branch whose journal extends what this host has really executed.",
    examples: ["isconf migrate web"],
    args: {
      branch: {
        kind: "text",
        positional: true,
        required: true,
        is: "branch",
        about: "the branch to move onto",
      },
    },
    kind: "changes",
    run: (call, args) => call.acts.domain.migrate(call, args.branch),
    show(r, term) {
      const rest = r.at < r.of ? "; now: isconf up" : "";
      term.say(`moved from ${inert(r.from)} to ${inert(r.branch)}, at entry ${r.at} of ${r.of}${rest}`);
    },
  };
