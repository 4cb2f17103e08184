// The verbs status, env and doctor: how this host stands.
import type { Finding } from "../doctor.ts";
import { KINDS } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import type { HostLine } from "../status.ts";
import { moment, type Term } from "../term.ts";
import { detailedExitcode, SOMETHING, type Verb } from "../verb.ts";

type Status = Awaited<ReturnType<typeof import("../status.ts")["status"]>>;

interface StatusArgs {
  offline: boolean;
  all: boolean;
  detailedExitcode: boolean;
}

export const statusVerb: Verb<StatusArgs, Status> = {
  name: "status",
  summary: "how this host stands to its branch",
  about:
    "Domain, branch, how far it is and what stopped it, who holds the lock, what waits to be checked in, and the same\nof every host of the domain: what it says now, or what was last heard of it. What was proven of keys and keepers, and\nhow many keepers can be reached. Ends 223 when this host is stale: it has heard from no quorum for ten minutes.",
  examples: ["isconf status", "isconf status --all", "isconf --json status"],
  args: {
    offline: { kind: "flag", about: "what is known here, without asking other hosts" },
    all: { kind: "flag", own: true, about: "every host, branch and owner, on however many lines" },
    detailedExitcode,
  },
  kind: "reads",
  lasts: true,
  run: (call, { offline }) => call.acts.status.status(call, offline),
  show(r, term, { all }) {
    const state = r.state === "current" ? term.paint("green", r.state) : term.paint("red", r.state);
    const rows: string[][] = [["host", inert(r.host)], [
      "domain",
      r.domain ?? "none: isconf init, or isconf join TOKEN",
    ]];
    if (r.branch !== null) {
      rows.push(["branch", inert(r.branch)], ["entry", `${r.at} of ${r.of}, ${state}`]);
    }
    if (r.stopped !== null) {
      const status = r.stopped.status === null ? "" : `, status ${r.stopped.status}`;
      rows.push([
        "stopped",
        `entry ${r.stopped.seq} is ${r.stopped.why}${status}: ${inert(r.stopped.reason ?? "")}`,
      ]);
    }
    if (r.state === "evicted") {
      rows.push([
        "evicted",
        "it is no longer of this domain, and can come back only rebuilt, with a new token",
      ]);
    }
    if (r.diverged !== null) rows.push(["diverged", inert(r.diverged)]);
    if (r.fork !== null) rows.push(["forked", `at entry ${r.fork.seq}, seen ${moment(r.fork.foundMs)}`]);
    if (r.ahead !== null) rows.push(["restored", `${inert(r.ahead)}: isconf recover`]);
    const open = r.proofs.filter((proof) => proof.open).map((proof) =>
      term.paint("red", `${proof.text}, seen ${moment(proof.foundMs)}${whatNow(proof)}`)
    );
    rows.push(...few("proven", open, all));
    const closed = r.proofs.filter(({ open }) => !open).length;
    if (closed > 0) rows.push(["proven", `${closed} more, acknowledged or of keys that were revoked`]);
    if (r.stale !== null) {
      rows.push([
        "stale",
        term.paint("red", `since ${moment(r.stale.sinceMs)}: no quorum of keepers was heard`),
      ]);
    }
    if (r.differing.entries > 0) {
      const { entries, last } = r.differing;
      const text = `not as on the origin after ${entries} entries, the last ${last}: isconf show ${last}`;
      rows.push(["differs", term.paint("red", text)]);
    }
    if (r.lock !== null) {
      rows.push([
        "lock",
        `${inert(r.lock.holder)}, term ${r.lock.term}, since ${moment(r.lock.sinceMs)}: ${
          inert(r.lock.message)
        }`,
      ]);
    }
    if (r.wip > 0) rows.push(["work", `${r.wip} pieces not checked in`]);
    if (r.doing !== null) rows.push(["doing", inert(r.doing)]);
    if (r.network.isDhtSuspect) {
      rows.push(["dht", term.paint("red", "suspect: those it names do not have what it says")]);
    }
    if (r.network.why !== "") rows.push(["network", term.paint("red", inert(r.network.why))]);
    if (r.quorum !== null) {
      const { need, reached, of } = r.quorum;
      const near = `${reached} of ${of} reachable, ${need} have to agree`;
      rows.push([
        "keepers",
        `${r.keepers.map(inert).join(", ")}: ${reached < need ? term.paint("red", near) : near}`,
      ]);
    }
    const branches = r.branches.map((b) =>
      `${inert(b.name)}, ${b.entries} entries${b.from === null ? "" : `, forked from ${inert(b.from)}`}`
    );
    rows.push(...few("branches", branches, all), ...few("owner", r.owners.map(inert), all));
    const { rows: lines, columns } = all ? { rows: Infinity, columns: Infinity } : term.size();
    term.table(rows, columns);
    if (r.hosts.length < 2) return;
    term.line("");
    showHosts(r.hosts, term, { columns, lines: Math.max(LEAST, lines - rows.length - 2) });
  },
  exit: (r, args) =>
    r.stale !== null
      ? KINDS.noQuorum.exit
      : args.detailedExitcode && (r.state !== "current" || r.wip > 0 || r.differing.entries > 0)
      ? SOMETHING
      : 0,
};

/** How many lines of one kind there are at the most, unless all are wanted, and how many hosts at the least. */
const MOST = 3;
const LEAST = 3;

/** Rows of one kind; of many the first, and how many more there are. */
function few(what: string, texts: string[], all: boolean): string[][] {
  const rows = texts.map((text) => [what, text]);
  const more = rows.length - MOST + 1;
  return all || rows.length <= MOST
    ? rows
    : [...rows.slice(0, MOST - 1), [what, `${more} more: isconf status --all`]];
}

/** States from bad to good. One that is not known here is worse than all. */
const WORST = [
  "forked",
  "diverged",
  "evicted",
  "restored",
  "failed",
  "uncertain",
  "restarting",
  "behind",
  "unknown",
  "current",
];

/** Every host on a line, the worst ones first; where they are too many, how many there are of each state, and how to see all. */
function showHosts(
  hosts: readonly HostLine[],
  term: Term,
  { lines, columns }: { lines: number; columns: number },
) {
  const badness = (h: HostLine) => 2 * WORST.indexOf(h.state) + (h.why === "" ? 1 : 0);
  const sorted = [...hosts].sort((a, b) => badness(a) - badness(b));
  const isCut = hosts.length > lines;
  const shown = isCut ? sorted.slice(0, lines - 1) : sorted;
  if (isCut) {
    const counts = Map.groupBy(sorted, ({ state }) => state);
    const texts = [...counts].map(([state, of]) => `${of.length} ${inert(state)}`);
    const here = `${hosts.length} hosts, ${shown.length} of them here (isconf status --all)`;
    term.table([[`${here}: ${texts.join(", ")}`]], columns);
  }
  term.table(shown.map((h) => hostRow(h, term)), columns);
}

/** What can be done about a proof. */
function whatNow({ kind, name }: Status["proofs"][number]): string {
  if (kind === "author") return `: isconf acknowledge ${inert(name)}, or isconf revoke`;
  if (kind === "keeper") return `: isconf keeper remove ${inert(name)}, then isconf evict ${inert(name)}`;
  return "";
}

function hostRow(h: HostLine, term: Term): string[] {
  const known = h.state !== "unknown";
  const state = term.paint(h.state === "current" ? "green" : "red", inert(h.state));
  return [
    inert(h.name),
    known ? inert(h.branch) : "-",
    known ? `${h.at} of ${h.of}` : "-",
    state,
    h.sinceMs > 0 ? `since ${moment(h.sinceMs)}` : "-",
    h.reached ? "here now" : h.saidMs === 0 ? "never heard" : `heard ${moment(h.saidMs)}`,
    inert(h.why),
  ];
}

export const envVerb: Verb<Record<never, never>, { variables: Record<string, string> }> = {
  name: "env",
  summary: "the host variables that executed commands get here",
  about: "Those that main.cf gives this host, and ISCONF_HOST and ISCONF_BRANCH.",
  examples: ["isconf env"],
  args: {},
  kind: "reads",
  run: (call) => call.acts.report.env(call),
  show(r, term) {
    for (const [name, value] of Object.entries(r.variables)) term.line(`${inert(name)}=${inert(value)}`);
  },
};

export const doctorVerb: Verb<Record<never, never>, { findings: Finding[] }> = {
  name: "doctor",
  summary: "check this host for what makes isconf fail",
  about: "Named checks, each with the next command when it is not well. Ends 1 when something is not.",
  examples: ["isconf doctor"],
  args: {},
  kind: "reads",
  run: (call) => call.acts.doctor.examine(call),
  show(r, term) {
    for (const f of r.findings) {
      term.line(
        `${f.ok ? term.paint("green", "ok  ") : term.paint("red", "BAD ")} ${f.check}${
          f.ok ? "" : `: ${inert(f.text)}`
        }`,
      );
      if (!f.ok) term.line(`     ${inert(f.hint)}`);
    }
  },
  exit: (r) => (r.findings.every((f) => f.ok) ? 0 : 1),
};
