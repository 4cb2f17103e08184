// The verbs log, show and verify: the history of a branch.
import { commandLine, inert } from "../names.ts";
import type { LogLine } from "../report.ts";
import { moment, outputLines } from "../term.ts";
import type { Verb } from "../verb.ts";

export const logVerb: Verb<{ branch?: string; last?: number }, { branch: string; entries: LogLine[] }> = {
  name: "log",
  summary: "the entries of the branch, newest last",
  about: "Each with its author, message, and how this host stands to it.",
  examples: ["isconf log", "isconf log --last 5", "isconf log --branch @domain"],
  args: {
    branch: { kind: "text", about: "another branch than this host's; @domain is the control journal" },
    last: { kind: "count", short: "l", about: "how many entries" },
  },
  kind: "reads",
  run: (call, args) => call.acts.report.log(call, args),
  show(r, term) {
    if (r.entries.length === 0) term.say(`${inert(r.branch)} has no entries yet`);
    term.table(
      r.entries.map((e) => [
        term.paint("yellow", String(e.seq)),
        moment(e.timeMs),
        inert(e.author),
        e.here === "failed" || e.here === "uncertain" ? term.paint("red", e.here) : e.here,
        `${e.ops.map(inert).join("; ")}  ${term.paint("dim", inert(e.message))}${
          e.proofs.map((text) => term.paint("red", `  ${text}`)).join("")
        }`,
      ]),
    );
  },
};

type Shown = Awaited<ReturnType<typeof import("../report.ts")["show"]>>;

export const showVerb: Verb<{ seq: number; branch?: string }, Shown> = {
  name: "show",
  summary: "one entry with its output",
  about: "Everything the entry says, and what its command printed on this host.",
  examples: ["isconf show 7"],
  args: {
    seq: { kind: "count", positional: true, required: true, about: "the entry's number" },
    branch: { kind: "text", about: "another branch than this host's" },
  },
  kind: "reads",
  run: (call, args) => call.acts.report.show(call, args),
  show(r, term) {
    const rows: [string, string][] = [
      ["entry", `${r.seq} of ${inert(r.branch)}`],
      ["id", r.id],
      ["author", inert(r.author)],
      ["origin", inert(r.origin)],
      ["time", moment(r.timeMs)],
      ["message", inert(r.message)],
      ["term", String(r.term)],
      ...r.proofs.map((text): [string, string] => ["proven", text]),
    ];
    for (const d of r.details as { op: string; argv?: string[]; [k: string]: unknown }[]) {
      rows.push(["op", d.op]);
      for (const [k, v] of Object.entries(d)) {
        if (k === "op") continue;
        rows.push([
          `  ${k}`,
          k === "argv" ? commandLine(v as string[]) : inert(typeof v === "string" ? v : JSON.stringify(v)),
        ]);
      }
    }
    rows.push([
      "here",
      r.status === null ? r.here : `${r.here}, status ${r.status}, ${moment(r.endedMs ?? 0)}`,
    ]);
    term.table(rows);
    if (r.output !== "") {
      term.line("output");
      for (const line of outputLines(r.output)) term.line(`  ${line}`);
    }
  },
};

type Verified = { entries: number; branches: { branch: string; entries: number }[] };

export const verifyVerb: Verb<{ branch?: string }, Verified> = {
  name: "verify",
  summary: "check the whole chain again from the stored bytes",
  about: "Every signature, certificate, role and link of every branch this host holds. Needs no network.",
  examples: ["isconf verify"],
  args: { branch: { kind: "text", about: "one branch only" } },
  kind: "reads",
  run: (call, args) => call.acts.report.verify(call, args),
  show(r, term) {
    for (const b of r.branches) term.line(`${inert(b.branch)}: ${b.entries} entries good`);
  },
};
