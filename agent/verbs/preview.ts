// The verb preview: what a command would change on this host, path by path; nothing of it stays.
import { Fault } from "../../mq/mod.ts";
import type { Call } from "../host.ts";
import { inert } from "../names.ts";
import type { PreviewResult, Rehearsed } from "../preview.ts";
import type { Change, Side } from "../preview_words.ts";
import type { Sink } from "../run.ts";
import { bytesText } from "../bytes_text.ts";
import { outputLines, type Term } from "../term.ts";
import { tellOutput } from "../tell.ts";
import type { Arg, Verb } from "../verb.ts";
import type { RehearseArgs } from "../rehearse.ts";
import type { Execution } from "../work.ts";
import { execVerb, type ExecVerbArgs } from "./exec.ts";
import { snapVerb } from "./snap.ts";
import { upVerb } from "./up.ts";

export interface PreviewArgs extends ExecVerbArgs, Partial<RehearseArgs> {
  what: string;
  path: string[];
  delete: boolean;
  network: boolean;
}

/** What of other verbs a preview knows. In its own help they are not listed: they follow the other verb's name. */
const inner = (arg: Arg): Arg => ({ ...arg, hidden: true });
const shownUp = { to: upVerb.args.to, offline: upVerb.args.offline };
const upArgs = { to: inner(shownUp.to), offline: inner(shownUp.offline) };
const snapArgs = {
  path: { kind: "texts", hidden: true, about: snapVerb.args.path.about } as Arg,
  delete: inner(snapVerb.args.delete),
};
const { command: _, ...others } = execVerb.args;
const execArgs = Object.fromEntries(
  Object.entries(others).map(([name, arg]) => [name, inner(arg)]),
) as typeof others;

type PreviewVerb = Verb<PreviewArgs, PreviewResult> & {
  /** Starts it; its output goes to `sink`. */
  start(call: Call, args: PreviewArgs, sink: Sink): Promise<Execution<PreviewResult>>;
};

export const previewVerb: PreviewVerb = {
  name: "preview",
  summary: "what a command would change on this host, path by path; nothing of it stays",
  about:
    "The command really runs as it would by exec, as the same user, over a layer of its own on this host's files that\nlies in memory and is thrown away: no lock is needed, nothing is journaled. It has no other processes, no devices,\nan empty /run, and no network unless --network is given: what it does to other hosts is not undone. Then every path\nthat it created, changed or removed is listed, with a diff of changed text. Its status is isconf's status.\npreview up replays what this host lacks of its branch, and ends 1 where an entry fails. preview snap runs nothing: it lists\nwhat is not on the disk as the journal last said.",
  examples: [
    "isconf preview exec sed -i s/no/yes/ /etc/ssh/sshd_config",
    "isconf preview --network exec apt-get install -y nginx",
    "isconf preview up",
    "isconf preview snap /etc/ssh",
    "isconf --json preview exec --as www-data touch /srv/www/up",
  ],
  args: {
    what: {
      kind: "text",
      positional: true,
      required: true,
      values: ["exec", "up", "snap"],
      about: "exec, up or snap",
    },
    network: { kind: "flag", about: "with this host's network" },
    ...upArgs,
    ...snapArgs,
    ...execArgs,
    command: {
      ...execVerb.args.command,
      required: false,
      about:
        "of exec: the command and its arguments, and before it options as exec has them; of up: --to, --offline; of snap: paths, --delete",
    },
  },
  kind: "control",
  wholeRest: true,
  inner: {
    exec: execVerb as unknown as Verb,
    up: { ...upVerb, args: shownUp } as unknown as Verb,
    snap: snapVerb as unknown as Verb,
  },
  like: ({ what }) => what,
  network: ({ network }) => network,
  async run(call, args) {
    const sink = tellOutput(call.emit);
    return await (await previewVerb.start(call, { ...args, stdin: false }, sink)).recorded;
  },
  start(call, args, sink) {
    const { acts, actor } = call;
    const options = { network: args.network, all: actor.uid === (process.geteuid?.() ?? 0) };
    if (args.what === "up") {
      return acts.rehearse.rehearse(call, { to: args.to, offline: args.offline === true }, options, sink);
    }
    if (args.what === "exec" && args.command.length > 0) {
      return acts.preview.exec(call, execVerb.toWork(args), options, sink);
    }
    if (args.what === "snap" && args.path.length > 0) {
      const recorded = acts.previewSnap.previewSnap(call, args.path, args.delete, options);
      const running = { signal: () => {}, resize: () => {} };
      return Promise.resolve({ running, recorded, feed: () => Promise.resolve(), feedEnd: () => {} });
    }
    throw new Fault("preview", "usage", `preview ${inert(args.what)} is not known, or needs a command`, {
      hint: "isconf help preview",
    });
  },
  command: (call, args) =>
    args.what === "exec" ? call.acts.work.wish(call, execVerb.toWork(args)) : undefined,
  show(result, term) {
    for (const change of result.changes) showChange(change, term);
    for (const { path, why } of result.absent) term.say(`not there in a preview: ${path} (${inert(why)})`);
    const n = result.changes.length;
    if (result.up !== undefined) sayUp(result.up, term);
    term.say(
      `status ${result.status}: ${
        n === 0 ? "nothing" : n === 1 ? "1 path" : `${n} paths`
      } would be different`,
    );
  },
  exit: (r) => r.status,
};

/** How far the replay came. */
function sayUp({ branch, from, to, of, failed, restarts }: Rehearsed, term: Term): void {
  if (to >= from) term.say(`entries ${from} to ${to} of ${branch} go through here`);
  if (failed !== null) {
    term.say(`entry ${failed.seq} fails here with status ${failed.status}: ${inert(failed.why)}`);
  }
  if (restarts !== null) {
    term.say(`entry ${restarts} restarts this host: what follows, to ${of}, was not tried`);
  }
  if (from > of) term.say(`nothing is pending on ${branch}`);
}

const SIGNS = { created: "+", changed: "~", removed: "-" } as const;

function showChange(change: Change, term: Term): void {
  const { before, after, what = [] } = change;
  const words = change.change === "changed" ? what.map((w) => differenceOf(w, before!, after!)) : [
    sideOf((after ?? before)!),
  ];
  if (change.sameFileAs !== undefined) words.push(`the same file as ${change.sameFileAs}`);
  if (change.noDiff !== undefined) words.push(`no diff: ${change.noDiff}`);
  // Paths come as they are shown: escaped where they were made.
  term.line(inert(`${SIGNS[change.change]} ${change.path}  ${words.join(", ")}`.trimEnd()));
  for (const line of outputLines(change.diff ?? "")) if (line !== "") term.line(`    ${line}`);
}

const modeOf = ({ mode }: Side): string => mode.toString(8).padStart(4, "0");
const ownerOf = ({ uid, gid }: Side): string => `${uid}:${gid}`;

function sideOf(side: Side): string {
  const more = side.kind === "file"
    ? ` ${bytesText(side.size ?? 0)}`
    : side.kind === "link"
    ? ` to ${side.target}`
    : side.kind === "device"
    ? ` ${side.device}`
    : "";
  return `${side.kind} ${side.kind === "link" ? "" : `${modeOf(side)} `}${ownerOf(side)}${more}`;
}

function differenceOf(what: string, before: Side, after: Side): string {
  switch (what) {
    case "kind":
      return `${before.kind} is ${sideOf(after)}`;
    case "mode":
      return `mode ${modeOf(before)} is ${modeOf(after)}`;
    case "owner":
      return `owner ${ownerOf(before)} is ${ownerOf(after)}`;
    case "content":
      return after.kind === "link"
        ? `target ${before.target} is ${after.target}`
        : after.kind === "device"
        ? `device ${before.device} is ${after.device}`
        : `${bytesText(before.size ?? 0)} is ${bytesText(after.size ?? 0)}`;
    default:
      return what;
  }
}
