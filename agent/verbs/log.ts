// The verbs log, show and verify: the history of a branch, and what has run on this host.
import { Fault } from "../../mq/mod.ts";
import type { FilesVerified } from "../drift.ts";
import type { ExecutionLine, Verified } from "../here.ts";
import { commandLine, inert } from "../names.ts";
import type { LogLine } from "../report.ts";
import { moment, outputLines, type Term } from "../term.ts";
import { detailedExitcode, SOMETHING, type Verb } from "../verb.ts";

interface LogArgs {
  branch?: string;
  last?: number;
  here: boolean;
  verify: boolean;
  chain?: string;
}

/** The entries of a branch, the commands of this host, or that they are as they were recorded. */
type Logged = { branch: string; entries: LogLine[] } | { executions: ExecutionLine[] } | {
  verified: Verified;
};

export const logVerb: Verb<LogArgs, Logged> = {
  name: "log",
  summary: "the entries of the branch, or with --here what has run on this host, newest last",
  about:
    "Each entry with its author, message, and how this host stands to it. --here: each command that exec or up has run here,\nalso those that failed, and what the policy refused, with who wanted it: your own, for root everybody's.\n--verify: whether anything of that record was changed, put in or taken away, by its chain of hashes. Whoever can write\nto all of it could make a new chain: --chain says whether a value is in it that journald was told (ISCONF_CHAIN).",
  examples: [
    "isconf log",
    "isconf log --last 5",
    "isconf log --here",
    "isconf log --verify",
    "isconf log --branch @domain",
  ],
  args: {
    branch: {
      kind: "text",
      is: "branch",
      about: "another branch than this host's; @domain is the control journal",
    },
    last: { kind: "count", short: "l", about: "how many" },
    here: { kind: "flag", about: "what has run on this host, rather than the entries" },
    verify: { kind: "flag", about: "check the record of what has run on this host" },
    chain: { kind: "text", about: "with --verify: a value of its chain that was told when something ran" },
  },
  kind: "reads",
  lasts: true,
  isLong: true,
  run: (call, args) =>
    args.verify || args.chain !== undefined
      ? { verified: call.acts.here.verify(call, args.chain) }
      : args.here
      ? { executions: call.acts.here.list(call, args) }
      : call.acts.report.log(call, args),
  show(r, term) {
    if ("verified" in r) return showVerified(r.verified, term);
    if ("executions" in r) return showExecutions(r.executions, term);
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

function showVerified({ commands, older }: Verified, term: Term): void {
  const more = older === 0 ? "" : `; ${older} of them are older than the chain`;
  term.line(`${commands} commands and refusals are as they were recorded${more}`);
}

function showExecutions(executions: ExecutionLine[], term: Term): void {
  if (executions.length === 0) term.say("nothing is on record here yet");
  term.table(
    executions.map((e) => [
      term.paint("yellow", String(e.n)),
      moment(e.startedMs),
      `${inert(e.user)} as ${inert(e.as)}`,
      e.state === "done" ? e.state : term.paint(e.state === "running" ? "green" : "red", stateText(e)),
      `${what(e)}${e.why === null ? "" : `  ${term.paint("dim", inert(e.why))}`}`,
    ]),
  );
}

const stateText = (e: ExecutionLine) => e.status === null ? e.state : `${e.state} ${e.status}`;
const what = (e: ExecutionLine) =>
  `${inert(e.verb)}${e.seq === null ? "" : ` ${e.seq}`}  ${commandLine(e.argv)}`.trimEnd();

type Report = typeof import("../report.ts");
type Shown =
  | ReturnType<Report["show"]> & { effects?: Awaited<ReturnType<Report["effects"]>> }
  | { execution: ReturnType<typeof import("../here.ts")["at"]> };

export const showVerb: Verb<{ seq: number; branch?: string; here: boolean; effects: boolean }, Shown> = {
  name: "show",
  summary: "one entry, or with --here one command that has run on this host, with its output",
  about:
    "Everything the entry says, and what its command printed on this host. --here: by its number in log --here, who had it\nrun, from where, as whom, and which line of the policy permitted it. --effects: each path that it changed on the origin.",
  examples: ["isconf show 7", "isconf show --effects 7", "isconf show --here 12"],
  args: {
    seq: { kind: "count", positional: true, required: true, is: "seq", about: "the entry's number" },
    branch: { kind: "text", is: "branch", about: "another branch than this host's" },
    here: { kind: "flag", about: "a command of log --here" },
    effects: { kind: "flag", about: "each path that its command changed on the origin" },
  },
  kind: "reads",
  lasts: true,
  isLong: true,
  async run(call, args) {
    if (args.here) return { execution: call.acts.here.at(call, args.seq) };
    const shown = call.acts.report.show(call, args);
    return args.effects ? { ...shown, effects: await call.acts.report.effects(call, shown.details) } : shown;
  },
  show(r, term) {
    if ("execution" in r) return showExecution(r.execution, term);
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
    if (r.differs !== null) {
      rows.push(["congruent", r.differs === 0 ? "yes" : term.paint("red", `no: ${r.differs} paths differ`)]);
      for (const { path, what } of r.differences) rows.push(["  differs", `${path}  ${what.join(", ")}`]);
      const more = r.differs - r.differences.length;
      if (more > 0) rows.push(["", `${more} more: isconf verify --files`]);
    }
    term.table(rows);
    if (r.effects !== undefined) showEffects(r.effects, term);
    showOutput(r.output, term);
  },
};

function showEffects(
  { paths, unseen }: Awaited<ReturnType<Report["effects"]>>,
  term: Term,
): void {
  term.line("effects");
  term.table(
    paths.map(({ path, kind, mode, uid, gid, size }) =>
      kind === "absent"
        ? [`  ${kind}`, "", "", "", path]
        : [`  ${kind}`, mode, `${uid}:${gid}`, String(size), path]
    ),
  );
  if (unseen.length > 0) term.say(`nothing is known of what changed in ${unseen.join(", ")}`);
}

function showExecution(e: ReturnType<typeof import("../here.ts")["at"]>, term: Term): void {
  const from = e.from === null ? "the agent itself" : [
    `pid ${e.from.pid}`,
    ...(e.from.uid === e.uid ? [] : [`uid ${e.from.uid}`]),
    ...(e.from.tty === "" ? [] : [inert(e.from.tty)]),
    ...(e.from.cwd === "" ? [] : [`in ${inert(e.from.cwd)}`]),
  ].join(", ");
  const end = e.endedMs === null ? "" : `, ${moment(e.endedMs)}`;
  const rows: [string, string][] = [
    ["command", `${e.n}, by ${inert(e.verb)}`],
    ["user", `${inert(e.user)}, uid ${e.uid}`],
    ["from", from],
    ["person", inert(e.person)],
    ["as", inert(e.as)],
    ["file", inert(e.file)],
    ["argv", commandLine(e.argv)],
    ["cwd", inert(e.cwd)],
    ["policy", inert(e.rule)],
    ["entry", e.entry === null ? "none" : `${e.seq}, ${e.entry}`],
    ["started", moment(e.startedMs)],
    ["here", `${e.state}${e.status === null ? "" : `, status ${e.status}`}${end}`],
    ...(e.why === null ? [] : [["why", inert(e.why)] as [string, string]]),
  ];
  term.table(rows.filter(([, text]) => text !== ""));
  showOutput(e.output, term);
}

function showOutput(output: string, term: Term): void {
  if (output === "") return;
  term.line("output");
  for (const line of outputLines(output)) term.line(`  ${line}`);
}

type Chains = { entries: number; branches: { branch: string; entries: number }[] } | {
  files: FilesVerified;
};

export const verifyVerb: Verb<{ branch?: string; files: boolean; detailedExitcode: boolean }, Chains> = {
  name: "verify",
  summary: "check the whole chain again from the stored bytes, or with --files what it says against the disk",
  about:
    "Every signature, certificate, role and link of every branch this host holds. Needs no network. --files: every path that\nthe applied entries snapped or deleted, or that their commands changed on the origin, as it is now on this disk. Ends 1\nwhen one differs.",
  examples: ["isconf verify", "isconf verify --files"],
  args: {
    branch: { kind: "text", is: "branch", about: "one branch only" },
    files: { kind: "flag", about: "compare the files of this host with what the journal last said of them" },
    detailedExitcode,
  },
  kind: "reads",
  async run(call, args) {
    if (!args.files) return await call.acts.report.verify(call, args);
    if (args.branch === undefined) return { files: await call.acts.drift.verifyFiles(call) };
    throw new Fault("verify", "usage", "--files is about the branch that this host is on", {
      hint: "isconf verify --files",
    });
  },
  show(r, term) {
    if (!("files" in r)) {
      for (const b of r.branches) term.line(`${inert(b.branch)}: ${b.entries} entries good`);
      return;
    }
    const { branch, at, paths, drifted, skipped } = r.files;
    term.table(
      drifted.map((
        d,
      ) => [d.seq === null ? "work" : String(d.seq), term.paint("red", d.what.join(", ")), d.path]),
    );
    if (skipped.length > 0) {
      term.say(`not compared, because their contents are not here: entries ${skipped.join(", ")}`);
    }
    term.say(`${drifted.length} of ${paths} paths differ from entry ${at} of ${inert(branch)}`);
  },
  exit: (r, { detailedExitcode }) =>
    "files" in r && r.files.drifted.length > 0 ? (detailedExitcode ? SOMETHING : 1) : 0,
};
