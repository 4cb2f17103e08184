// The verb preview: what a command would change on this host, path by path; nothing of it stays.
import { Fault } from "../../mq/mod.ts";
import type { Call } from "../host.ts";
import { inert } from "../names.ts";
import type { PreviewResult } from "../preview.ts";
import type { Change, Side } from "../preview_words.ts";
import type { Sink } from "../run.ts";
import { bytesText, outputLines, type Term } from "../term.ts";
import type { Verb } from "../verb.ts";
import type { ExecArgs, Execution } from "../work.ts";
import { execVerb, type ExecVerbArgs } from "./exec.ts";

export interface PreviewArgs extends ExecVerbArgs {
  what: string;
  network: boolean;
}

type PreviewVerb = Verb<PreviewArgs, PreviewResult> & {
  toWork(args: PreviewArgs): ExecArgs;
  /** Starts it; its output goes to `sink`. */
  start(call: Call, args: PreviewArgs, sink: Sink): Promise<Execution<PreviewResult>>;
};

export const previewVerb: PreviewVerb = {
  name: "preview",
  summary: "what a command would change on this host, path by path; nothing of it stays",
  about:
    "The command really runs as it would by exec, as the same user, over a layer of its own on this host's files that\nlies in memory and is thrown away: no lock is needed, nothing is journaled. It has no other processes, no devices,\nan empty /run, and no network unless --network is given: what it does to other hosts is not undone. Then every path\nthat it created, changed or removed is listed, with a diff of changed text. Its status is isconf's status.",
  examples: [
    "isconf preview exec sed -i s/no/yes/ /etc/ssh/sshd_config",
    "isconf preview --network exec apt-get install -y nginx",
    "isconf --json preview exec --as www-data touch /srv/www/up",
  ],
  args: {
    what: { kind: "text", positional: true, required: true, about: "exec" },
    network: { kind: "flag", about: "with this host's network" },
    ...execVerb.args,
    command: {
      ...execVerb.args.command,
      about: "the command and its arguments, and options of exec before it",
    },
    stdin: { ...execVerb.args.stdin, about: "pass standard input on" },
    terminal: { ...execVerb.args.terminal, about: "give the command a terminal of its own here" },
  },
  kind: "control",
  wholeRest: true,
  inner: { exec: execVerb as unknown as Verb },
  like: ({ what }) => what,
  async run(call, args) {
    const sink = {
      write(fd: 1 | 2, bytes: Uint8Array) {
        call.emit({ event: "output", text: new TextDecoder().decode(bytes), fd });
        return true;
      },
      drained: () => Promise.resolve(),
    };
    return await (await previewVerb.start(call, { ...args, stdin: false }, sink)).recorded;
  },
  start(call, args, sink) {
    const { acts, actor } = call;
    const options = { network: args.network, all: actor.uid === (process.geteuid?.() ?? 0) };
    return acts.preview.exec(call, previewVerb.toWork(args), options, sink);
  },
  command: (call, args) => call.acts.work.wish(call, previewVerb.toWork(args)),
  toWork(args) {
    if (args.what === "exec") return execVerb.toWork(args);
    throw new Fault("preview", "usage", `${inert(args.what)} cannot be previewed`, {
      hint: "isconf help preview",
    });
  },
  show(result, term) {
    for (const change of result.changes) showChange(change, term);
    for (const { path, why } of result.absent) term.say(`not there in a preview: ${path} (${inert(why)})`);
    const n = result.changes.length;
    term.say(
      `status ${result.status}: ${
        n === 0 ? "nothing" : n === 1 ? "1 path" : `${n} paths`
      } would be different`,
    );
  },
  exit: (r) => r.status,
};

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
