// Apply: bring this host to the end of its branch's journal, entry by entry, stopping at the first that fails.
// Not how entries got here (bundle.ts), not work on the origin (work.ts).
import { Buffer } from "node:buffer";
import { readFile, remove, restore, type Store, type Tx } from "../fs/mod.ts";
import { Fault, toHex } from "../mq/mod.ts";
import { askedBy } from "./asked.ts";
import { compareAfter, type Compared } from "./effects.ts";
import { type Op, readEntry } from "./entry.ts";
import { commandEnv } from "./environment.ts";
import { branchOf, type Call, type Host, hostEnv, needCongruent } from "./host.ts";
import { needNewest } from "./fresh.ts";
import { aheadBytesMin, prefetchEntriesMax } from "./limits.ts";
import { shownLine } from "./mask.ts";
import { inert } from "./names.ts";
import { opText } from "./optext.ts";
import { Prefetched } from "./prefetch.ts";
import type { Freshness } from "./replica.ts";
import { getMeta, setMeta } from "./schema.ts";
import { rootsOf } from "./sharing.ts";
import { nameOf } from "./trust.ts";
import { needNoWip } from "./locks.ts";
import { userByName, userOfAgent } from "./users.ts";
import { tellOutput } from "./tell.ts";

export interface UpArgs {
  /** Restart this host where the journal says so. */
  reboot: boolean;
  /** Stop after this entry; undefined: go to the end. */
  to?: number;
  /** Apply one entry only. */
  step: boolean;
  dryRun: boolean;
  /** Apply what is here and ask nobody for more. */
  offline: boolean;
  /** An entry that failed or is uncertain and is to be started again. */
  again?: number;
  /** An uncertain entry of which a person says that it did finish. */
  done?: number;
}

export interface UpResult {
  branch: string;
  applied: number;
  /** The entry this host is at now, and the last one it holds. */
  at: number;
  of: number;
  /** Set when the host is restarting: `up` goes on by itself afterwards. */
  restarting: boolean;
  /** Who could be asked for newer entries, by name: a keeper (perhaps this host), other hosts, or nobody; and when. */
  asked: Freshness["asked"];
  hosts: string[];
  asOfMs: number;
}

interface Step {
  seq: number;
  id: Uint8Array;
  op: Op;
  /** Whose entry it is: the id of a key. */
  author: string;
  last: boolean;
}

/** One run of `up`, and the ends it has still to record. */
interface Replay {
  call: Call;
  args: UpArgs;
  /**
   * File entries that are in place and not recorded. Putting a file in place again gives the same, so that their rows
   * may go with the next command's intent, in one transaction; a crash before that repeats them.
   */
  inPlace: { seq: number; id: Uint8Array; startedMs: number }[];
  /** How this host compared with what commands changed elsewhere, not recorded yet either. */
  compared: Compared[];
}

/** Applies what this host lacks. See the verb `up` in VERBS for every promise; throws a fault where it stops. */
export async function up(call: Call, args: UpArgs): Promise<UpResult> {
  const { host } = call;
  const branch = branchOf(host, "up");
  needCongruent(host, "up");
  const fresh: Freshness = args.offline
    ? { asked: "nobody", hosts: [], atMs: host.clock.wall() }
    : await host.replica.sync();
  needNoWip(call, "up");
  host.journal.needUnforked("up", branch);
  if (!args.offline && !args.dryRun) await needNewest(host, branch);
  const head = host.journal.head(branch);
  const to = Math.min(args.to ?? head.seq, head.seq);
  if (!args.dryRun) settleStopped(host, args);
  const from = host.history.applied() + 1;
  const stop = args.step ? Math.min(from, to) : to;
  let restarting = false;
  if (args.dryRun) {
    for (const row of host.journal.range(branch, from, stop)) describe(call, row.entry);
  } else {
    const replay: Replay = { call, args, inPlace: [], compared: [] };
    try {
      restarting = await applyRange(replay, branch, from, stop);
    } catch (e) {
      host.reports.tell(); // others may want to know before this host is off again
      throw e;
    } finally {
      host.db.write((tx) => recordInPlace(tx, replay));
    }
    if (!restarting) host.db.write((tx) => setMeta(tx, "resume", undefined));
    if (host.history.applied() >= from) host.reports.tellKeepers();
  }
  const at = host.history.applied();
  const policy = host.journal.policy();
  if (fresh.tooNew !== undefined && at === host.journal.head(branch).seq) throw fresh.tooNew;
  const asked = { asked: fresh.asked, hosts: fresh.hosts.map((h) => nameOf(policy, h)), asOfMs: fresh.atMs };
  return { branch, applied: at + 1 - from, at, of: head.seq, restarting, ...asked };
}

/** Applies entries in order; true when it has ordered a restart of this host. */
async function applyRange(replay: Replay, branch: string, from: number, stop: number): Promise<boolean> {
  const { call, args } = replay;
  const store = new Prefetched(call.host.store);
  for (let next = from; next <= stop;) {
    const rows = [...call.host.journal.range(branch, next, Math.min(stop, next + prefetchEntriesMax - 1))];
    if (rows.length === 0) break;
    if (rows.some((row, i) => row.seq !== next + i)) {
      throw new Fault("up", "refused", `entry ${next} is not here yet`, {
        hint: "isconf up, when a host that has it is there",
      });
    }
    const steps = rows.map((row) => readEntry(row.entry));
    const coming = haveContents(call, steps.flatMap(({ entry }) => rootsOf(entry)));
    coming.catch(() => {}); // whoever waits for it hears of it
    let isWhole: boolean | undefined;
    for (const { entry, id, kid: author } of steps) {
      const { seq, ops } = entry;
      const tell = () =>
        call.emit({ event: "entry", text: `${seq}  ${ops.map(opText).join("; ")}`, seq, of: stop });
      const isAhead = isWhole === undefined && isLargeFile(ops);
      if (isAhead) {
        tell();
        if (await applyAhead(replay, { seq, id, op: ops[0]!, author, last: true }, coming)) continue;
      }
      if (isWhole === undefined) {
        isWhole = await coming;
        if (isWhole) await store.warm(steps.flatMap(({ entry }) => treesOf(entry.ops)));
      }
      if (!isWhole) await needContents(call, seq, rootsOf(entry));
      if (ops[0]?.op === "reboot") {
        await restart(call, args, seq, id);
        return true;
      }
      if (!isAhead) tell();
      const lastChange = ops.findLastIndex(({ op }) => op !== "effects");
      for (const [i, op] of ops.entries()) {
        await applyOne(replay, store, { seq, id, op, author, last: i === lastChange });
      }
    }
    next += rows.length;
  }
  return false;
}

const isLargeFile = ([op, ...others]: Op[]): boolean =>
  op?.op === "file" && op.kind === "file" && op.bytes >= aheadBytesMin && others.length === 0;

const treesOf = (ops: Op[]): string[] => ops.flatMap((op) => op.op === "file" ? [toHex(op.tree)] : []);

/**
 * Applies a step while its contents are still coming. False: they do not all come, and nothing has happened; the reason
 * is said by who needs them then.
 */
async function applyAhead(replay: Replay, step: Step, coming: Promise<boolean>): Promise<boolean> {
  try {
    await applyOne(replay, replay.call.host.store.coming, step);
    return true;
  } catch (e) {
    if (await coming) throw e;
    return false;
  }
}

/** Brings contents here before the first of them is needed; false when some cannot be had. */
async function haveContents(call: Call, roots: string[]): Promise<boolean> {
  try {
    await call.host.store.fetch([...new Set(roots)]);
    return true;
  } catch (e) {
    if (e instanceof Fault && e.kind === "notFound") return false;
    throw e;
  }
}

/** The contents of one entry, or the fault that says which entry cannot go on, and why. */
async function needContents(call: Call, seq: number, roots: string[]): Promise<void> {
  try {
    await call.host.store.fetch(roots);
  } catch (e) {
    const fault = Fault.from("up", e);
    throw new Fault("up", fault.kind, `entry ${seq}: ${fault.message}`, {
      hint: "isconf status: shows which hosts are there; start one that has it, then isconf up",
    });
  }
}

/** Records the ends of file entries that are in place, and what was compared. */
function recordInPlace(tx: Tx, replay: Replay): void {
  const { host } = replay.call;
  for (const compared of replay.compared.splice(0)) host.history.compared(tx, compared);
  for (const { seq, id, startedMs } of replay.inPlace.splice(0)) {
    host.history.intent(tx, { seq, id, boot: host.boot, startedMs });
    host.history.ended(tx, seq, { status: 0, endedMs: host.clock.wall() });
  }
}

/** What the last run left behind decides first: uncertain and failed entries are never passed silently. */
function settleStopped(host: Host, args: UpArgs): void {
  const last = host.history.last();
  const named = args.again ?? args.done;
  const wrongName = () =>
    new Fault("up", "notFound", `entry ${named} is neither uncertain nor failed on this host`, {
      hint: "isconf status",
    });
  if (last === undefined || last.state === "done" || last.state === "reboot") {
    if (named !== undefined) throw wrongName();
    return;
  }
  if (named !== undefined && named !== last.seq) throw wrongName();
  if (args.again === last.seq) {
    host.log(`entry ${last.seq} (${last.state}) is started again on request`);
    host.db.write((tx) => {
      host.history.ended(tx, last.seq, { status: 0, endedMs: host.clock.wall() });
      host.history.intent(tx, { seq: last.seq, id: last.id, boot: last.boot, startedMs: last.startedMs });
      host.history.neverStarted(tx, last.seq);
    });
    return;
  }
  if (args.done === last.seq && last.state === "intent") {
    host.log(`uncertain entry ${last.seq} is said to have finished`);
    host.db.write((tx) => host.history.ended(tx, last.seq, { status: 0, endedMs: host.clock.wall() }));
    return;
  }
  if (args.done === last.seq) throw wrongName();
  if (last.state === "intent") {
    throw new Fault("up", "uncertain", `entry ${last.seq} was started here and its end is not known`, {
      hint:
        `isconf show ${last.seq}, look, then isconf up --done ${last.seq} or isconf up --again ${last.seq}`,
    });
  }
  throw failed(last.seq, last.reason ?? "", last.status ?? 1);
}

function failed(seq: number, what: string, status: number): Fault {
  return new Fault("up", "refused", `entry ${seq} failed here with status ${status}: ${what}`, {
    hint: `isconf show ${seq}, mend the cause, then isconf up --again ${seq}`,
  });
}

async function applyOne(replay: Replay, store: Store, step: Step): Promise<void> {
  const { op, seq, id } = step;
  const startedMs = replay.call.host.clock.wall();
  switch (op.op) {
    case "file":
    case "delete": {
      const target = Buffer.from(op.path);
      if (op.op === "delete") await removeIfThere(target);
      else await restore(store, toHex(op.tree), target, { clock: replay.call.host.clock });
      if (step.last) replay.inPlace.push({ seq, id, startedMs });
      return;
    }
    case "effects":
      return void replay.compared.push(...await compareAfter(replay.call, store, seq, toHex(op.list)));
    case "exec":
      return await applyExec(replay, store, { ...step, op }, startedMs);
    default:
      throw new Fault(
        "up",
        "refused",
        `entry ${seq} has an operation ${op.op} that does not belong on a branch`,
        {
          hint: "isconf verify",
        },
      );
  }
}

async function applyExec(
  replay: Replay,
  store: Store,
  step: Step & { op: Op & { op: "exec" } },
  startedMs: number,
): Promise<void> {
  const { call } = replay;
  const { host } = call;
  const { op, seq, id } = step;
  const user = op.user === "" ? userOfAgent() : userByName("up", op.user);
  const command = { ...op, user, env: commandEnv(user, host.config.path, hostEnv(host), op.env) };
  let file: string;
  try {
    file = host.runner.find(command);
  } catch (e) {
    throw cannotStart(seq, e);
  }
  const asked = askedBy(call, "up", step.author, command, file);
  const execution = host.db.write((tx) => {
    recordInPlace(tx, replay);
    host.history.intent(tx, { seq, id, boot: host.boot, startedMs });
    return host.executions.begin(tx, asked, step);
  });
  const sink = tellOutput(call.emit, { seq });
  let running;
  try {
    running = await host.runner.start(command, { sink, stdin: op.stdin !== null });
  } catch (e) {
    host.db.write((tx) => {
      host.history.neverStarted(tx, seq);
      host.executions.neverStarted(tx, execution, Fault.from("up", e).message);
    });
    throw cannotStart(seq, e);
  }
  if (op.stdin !== null) {
    for await (const chunk of readFile(store, toHex(op.stdin))) await running.stdin.write(chunk);
    running.stdin.end();
  }
  const end = await running.ended;
  const endedMs = host.clock.wall();
  if (end.status === 0) await host.disks.sync();
  const what = inert(shownLine(op.argv));
  host.db.write((tx) => {
    host.executions.ended(tx, execution, { ...end, endedMs });
    if (!step.last && end.status === 0) return;
    host.history.ended(tx, seq, {
      status: end.status,
      endedMs,
      ...(end.status === 0 ? {} : { reason: what }),
    });
  });
  if (end.status !== 0) throw failed(seq, what, end.status);
}

/** What is gone already, by whomever, is what the entry asks for. */
async function removeIfThere(target: Uint8Array): Promise<void> {
  try {
    await remove(target);
  } catch (e) {
    if (!(e instanceof Fault) || e.kind !== "notFound") throw e;
  }
}

/** A command that could not even be started: nothing has happened, `up` may simply be tried again. */
function cannotStart(seq: number, e: unknown): Fault {
  const fault = Fault.from("up", e);
  return new Fault("up", "refused", `entry ${seq} cannot be started here: ${fault.message}`, {
    hint: `isconf show ${seq}, mend the cause, then isconf up`,
  });
}

/** At a reboot entry that has not happened: orders the restart, after which `up` ends and goes on by itself. */
async function restart(call: Call, args: UpArgs, seq: number, id: Uint8Array): Promise<void> {
  const { host } = call;
  if (!args.reboot) {
    throw new Fault("up", "refused", `entry ${seq} restarts this host`, { hint: "isconf up -r" });
  }
  host.db.write((tx) => {
    host.history.intent(tx, { seq, id, boot: host.boot, startedMs: host.clock.wall(), state: "reboot" });
    setMeta(tx, "resume", "reboot");
  });
  call.emit({ event: "restart", text: `entry ${seq} restarts this host; isconf up goes on after it`, seq });
  await orderRestart(host);
}

/** Runs the restart command of isconf.conf. Throws when it could not be run or did not end 0. */
export async function orderRestart(host: Host): Promise<void> {
  const user = userOfAgent();
  const env = commandEnv(user, host.config.path, {}, {});
  const running = await host.runner.start({
    argv: host.config.rebootCommand,
    cwd: "/",
    umask: 0o022,
    env,
    user,
    timeoutMs: 60_000,
  }, {});
  const end = await running.ended;
  if (end.status !== 0) {
    throw new Fault("reboot", "environment", `the restart command ended with status ${end.status}`, {
      hint: "isconf doctor, then restart this host by hand",
    });
  }
}

/** Whether an `up -r` was under way when this host restarted. */
export function isToResume(host: Host): boolean {
  return getMeta(host.db, "resume") === "reboot";
}

function describe(call: Call, bytes: Uint8Array): void {
  const { entry } = readEntry(bytes);
  call.emit({ event: "would", text: `${entry.seq}  ${entry.ops.map(opText).join("; ")}`, seq: entry.seq });
}
