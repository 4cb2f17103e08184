// Report: answers about the journal and this host: log, show, wip, env, verify. Reads only.
// Not how it is printed (verbs/).
import { Buffer } from "node:buffer";
import { compare, type Id, listTree, showPath } from "../fs/mod.ts";
import { Fault, pause, toHex } from "../mq/mod.ts";
import { IN_IMAGE } from "./base.ts";
import { getEffects } from "./effects.ts";
import { opText } from "./optext.ts";
import { type Op, readEntry } from "./entry.ts";
import { forkText } from "./fork_proof.ts";
import { branchOf, type Call, type Host, hostEnv } from "./host.ts";
import type { HistoryRow } from "./history.ts";
import { logEntriesDefault, logEntriesMax } from "./limits.ts";
import { locate } from "./locate.ts";
import { maskedArgv, maskedEnv } from "./mask.ts";
import { CONTROL, inert } from "./names.ts";
import { nameOf } from "./trust.ts";
import { findContent } from "./upkeep.ts";

export interface LogLine {
  seq: number;
  id: string;
  branch: string;
  timeMs: number;
  author: string;
  origin: string;
  message: string;
  ops: string[];
  /** applied, failed, uncertain, restarting or pending: how this host stands to it. */
  here: string;
  /** What is proven of two things signed for its place, in words. */
  proofs: string[];
}

export const HERE: Record<HistoryRow["state"], string> = {
  done: "applied",
  failed: "failed",
  intent: "uncertain",
  reboot: "restarting",
};

/** What became of an entry here. `first` is where what this host applied itself begins; before that is its image. */
function hereText(row: HistoryRow | undefined, seq: number, first: number | undefined): string {
  if (row !== undefined) return row.reason === IN_IMAGE ? "in the image" : HERE[row.state];
  return seq < (first ?? 0) ? "in the image" : "pending";
}

function logLine(host: Host, bytes: Uint8Array, row: HistoryRow | undefined, first?: number): LogLine {
  const { entry, id, kid } = readEntry(bytes);
  const policy = host.journal.policy();
  return {
    seq: entry.seq,
    id: toHex(id),
    branch: entry.branch,
    timeMs: entry.timeMs,
    author: nameOf(policy, kid),
    origin: nameOf(policy, toHex(entry.origin)),
    message: entry.message,
    ops: entry.ops.map(opText),
    here: hereText(row, entry.seq, first),
    proofs: host.journal.forks.at(entry.branch, entry.seq).map((proof) => forkText(policy, proof)),
  };
}

/** The newest entries of a branch's chain (or of the control journal), newest last. */
export function log(
  call: Call,
  args: { branch?: string; last?: number },
): { branch: string; entries: LogLine[] } {
  const { host } = call;
  const own = args.branch === undefined;
  const branch = args.branch ?? branchOf(host, "log");
  needBranch(host, "log", branch);
  const to = host.journal.head(branch).seq;
  const from = Math.max(1, to + 1 - Math.min(args.last ?? logEntriesDefault, logEntriesMax));
  const rows = own ? new Map(host.history.range(from, to).map((r) => [r.seq, r])) : new Map();
  const entries = [...host.journal.range(branch, from, to)].map((e) =>
    logLine(host, e.entry, rows.get(e.seq), own ? host.history.first() : undefined)
  );
  if (!own) { for (const e of entries) e.here = ""; }
  return { branch, entries };
}

/** Throws notFound unless there is such a branch, or it is the control journal. */
function needBranch({ journal }: Host, op: string, branch: string): void {
  if (branch === CONTROL || journal.needPolicy(op).branches.has(branch)) return;
  throw new Fault(op, "notFound", `there is no branch ${inert(branch)}`, { hint: "isconf status" });
}

/** One entry with everything about it, and its output on this host. */
export function show(call: Call, args: { seq: number; branch?: string }) {
  const { host } = call;
  const branch = args.branch ?? branchOf(host, "show");
  const stored = host.journal.at(branch, args.seq);
  if (stored === undefined) {
    throw new Fault("show", "notFound", `${inert(branch)} has no entry ${args.seq}`, { hint: "isconf log" });
  }
  const { entry } = readEntry(stored.entry);
  const row = args.branch === undefined ? host.history.at(args.seq) : undefined;
  const details = entry.ops.map(opJson);
  return {
    ...logLine(host, stored.entry, row, args.branch === undefined ? host.history.first() : undefined),
    epoch: entry.epoch,
    term: entry.term,
    prev: toHex(entry.prev),
    policy: toHex(entry.policy),
    level: entry.level,
    details,
    status: row?.status ?? null,
    startedMs: row?.startedMs ?? null,
    endedMs: row?.endedMs ?? null,
    differs: row?.differs ?? null,
    differences: row === undefined ? [] : host.history.differences(row.seq),
    output: row === undefined ? "" : textOf(host.executions.outputOf(row.id)),
  };
}

/** One path that a command changed, as JSON shows it. */
export interface EffectLine extends TreeLine {
  sha256: string;
}

/** What the commands of an entry changed where they were made. */
export async function effects(
  { host }: Call,
  details: readonly OpJson[],
): Promise<{ paths: EffectLine[]; unseen: string[] }> {
  const all = { paths: [] as EffectLine[], unseen: [] as string[] };
  for (const op of details) {
    if (op.op !== "effects") continue;
    const list = op.list as string;
    await host.store.fetch([list]);
    const { paths, unseen } = await getEffects(host.store, list);
    for (const { path, mode, sha256, ...rest } of paths) {
      all.paths.push({ path: showPath(path), ...rest, mode: octal(mode), sha256: toHex(sha256) });
    }
    all.unseen.push(...unseen.map(inert));
  }
  return all;
}

const octal = (mode: number) => mode.toString(8).padStart(4, "0");
const textOf = (bytes: Uint8Array | null) => Buffer.from(bytes ?? []).toString("utf8");

export interface WipLine {
  n: number;
  state: "done" | "uncertain" | "restarting";
  text: string;
  message: string;
  timeMs: number;
  term: number;
}

export { opText };

/** An operation as JSON shows it: ids in hex. */
export type OpJson = { op: string; [field: string]: unknown };

export function opJson(op: Op): OpJson {
  if (op.op === "exec") {
    const stdin = op.stdin === null ? null : toHex(op.stdin);
    return {
      ...op,
      argv: maskedArgv(op.argv),
      env: maskedEnv(op.env),
      umask: op.umask.toString(8).padStart(3, "0"),
      stdin,
    };
  }
  if (op.op === "file") return { ...op, tree: toHex(op.tree) };
  if (op.op === "effects") return { ...op, list: toHex(op.list) };
  return op.op === "delete" ? { ...op } : { op: op.op, text: opText(op) };
}

/** Where the disk differs by now from what was snapped since lock. */
export async function wipDiff(call: Call): Promise<{ path: string; what: string }[]> {
  const out: { path: string; what: string }[] = [];
  for (const { op } of call.host.wip.items()) {
    if (op.op !== "file") continue;
    for await (const d of compare(call.host.store, toHex(op.tree), Buffer.from(op.path))) {
      out.push({ path: Buffer.from(d.path).toString("utf8"), what: d.what });
    }
  }
  return out;
}

export interface TreeLine {
  path: string;
  kind: string;
  mode: string;
  uid: number;
  gid: number;
  size: number;
}

/** The names inside a tree. */
export async function tree({ host }: Call, text: string): Promise<TreeLine[]> {
  const { store } = host;
  const fetch = (id: Id) => store.fetch([id]);
  const found = await locate({ op: "tree", store, find: (name) => findContent(host, name), fetch }, text);
  if (found.kind === "file") {
    throw new Fault("tree", "usage", `${inert(text)} is a file`, { hint: `isconf stat ${inert(text)}` });
  }
  const out: TreeLine[] = [];
  for await (const { path, node } of listTree(store, found.node, found.at)) {
    const mode = octal(node.mode);
    const size = node.kind === "file" ? node.size : 0;
    out.push({
      path: showPath(path),
      kind: node.kind,
      mode,
      uid: node.uid,
      gid: node.gid,
      size,
    });
  }
  return out;
}

/** What `ci` would check in. */
export function wip(call: Call): { branch: string; items: WipLine[] } {
  const { host } = call;
  const branch = branchOf(host, "wip");
  const states = { done: "done", intent: "uncertain", reboot: "restarting" } as const;
  return {
    branch,
    items: host.wip.items().map((i) => ({
      n: i.n,
      state: states[i.state],
      text: opText(i.op),
      message: i.message,
      timeMs: i.startedMs,
      term: i.term,
    })),
  };
}

/** The host variables that executed commands get here. */
export function env(call: Call): { variables: Record<string, string> } {
  return { variables: hostEnv(call.host) };
}

/** Checks the whole chain again from the stored bytes, in bounded memory, telling how far it is. */
export async function verify(call: Call, args: { branch?: string }) {
  const { host } = call;
  const policy = host.journal.needPolicy("verify");
  const branches = args.branch === undefined ? [CONTROL, ...policy.branches.keys()] : [args.branch];
  for (const branch of branches) needBranch(host, "verify", branch);
  let entries = 0;
  const done: { branch: string; entries: number }[] = [];
  for (const branch of branches) {
    const fork = policy.branches.get(branch);
    let head = { seq: fork?.seq ?? 0, id: fork?.id ?? new Uint8Array(0), epoch: 0, policySeq: 0 };
    const to = host.journal.head(branch).seq;
    for (const row of host.journal.range(branch, head.seq + 1, to)) {
      const checked = host.journal.check(row, head);
      if (toHex(checked.id) !== toHex(row.id)) {
        throw new Fault("verify", "corrupt", `entry ${row.seq} of ${branch} is kept under another id`, {
          hint: "isconf doctor, then restore agent.db from a backup",
        });
      }
      head = { seq: row.seq, id: checked.id, epoch: row.epoch, policySeq: checked.policySeq };
      if (++entries % 1000 === 0) {
        call.emit({ event: "verified", text: `${entries} entries verified`, entries });
        await pause();
      }
    }
    done.push({ branch, entries: to - (fork?.seq ?? 0) });
  }
  return { entries, branches: done };
}
