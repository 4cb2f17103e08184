// Work: what a person does on the origin between lock and ci. Each step is durable before the next begins.
// Not replay on other hosts (apply.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { capture, putFile, type Tx } from "../fs/mod.ts";
import { type Cbor, encode, Fault, fromHex, keyId } from "../mq/mod.ts";
import { askedBy } from "./asked.ts";
import { effectsOf, putEffects } from "./effects.ts";
import type { Watching } from "./effects_watch.ts";
import { checkOp, type Op } from "./entry.ts";
import { commandEnv, journaledEnv } from "./environment.ts";
import { branchOf, type Call, type Host, hostEnv, hostId, personPair } from "./host.ts";
import type { Held } from "./keeper.ts";
import { opBytesMax, pathBytesMax, stdinBytesMax } from "./limits.ts";
import { giveBack, needLock, needRole } from "./locks.ts";
import { shownLine } from "./mask.ts";
import { checkPath, inert, isPlainText } from "./names.ts";
import type { Wish } from "./rules.ts";
import { fileOf, type Running, type Sink } from "./run.ts";
import type { WindowSize } from "./streamtypes.ts";
import { setMeta } from "./schema.ts";
import { userByName, userOfAgent } from "./users.ts";
import type { WipItem } from "./wip.ts";

/** Captures a file, directory or symlink as it is now, or (`remove`) journals that a path is to be gone. */
export async function snap(call: Call, path: string, remove: boolean): Promise<WipItem["op"]> {
  const { host } = call;
  needSnappable(path, remove);
  const held = await needLock(call, "snap");
  let op: Op;
  if (remove) op = { op: "delete", path };
  else {
    const got = await capture(host.store, Buffer.from(path));
    op = { op: "file", path, tree: fromHex(got.id), kind: got.kind, files: got.files, bytes: got.bytes };
  }
  await host.disks.sync(); // the journal will say that it is so here
  await needLock(call, "snap", held.term); // reading may have taken long: the lock must still be ours
  addDone(call, held, op, 0);
  return op;
}

/** Throws unless there is something to snap at a path; or, to remove it elsewhere, unless nothing is there any more. */
export function needSnappable(path: string, remove: boolean): void {
  checkPath("snap", path);
  const isThere = fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  if (!remove && !isThere) {
    throw new Fault("snap", "notFound", `${inert(path)} does not exist`, {
      hint: "isconf snap --delete PATH",
    });
  }
  if (remove && isThere) {
    throw new Fault("snap", "refused", `${inert(path)} still exists here`, {
      hint: `rm ${inert(path)} first`,
    });
  }
}

export interface ExecArgs {
  argv: string[];
  cwd: string;
  umask: number;
  callerEnv: Record<string, string>;
  envNames: string[];
  as: string;
  timeoutMs: number;
  stdin: boolean;
  /** Whether it is recorded which paths the command changes. */
  effects: boolean;
  /** A terminal of its own for the command here; elsewhere it is replayed without one. */
  terminal?: WindowSize;
}

/** A command that is running: its streams, and its end once it is recorded. */
export interface Execution<End = { status: number; journaled: boolean }> {
  running: Pick<Running, "signal" | "resize">;
  /** Resolves when the end is durable, or known where nothing is kept: its status, and whether it was journaled. */
  recorded: Promise<End>;
  feed(bytes: Uint8Array): Promise<void>;
  feedEnd(): void;
}

/**
 * Runs a command now, here. The intent is durable before it starts and its end before it is told; it becomes
 * work to check in only if it ends 0. Must be called in the host's turn and kept in it until `recorded`.
 */
export async function exec(call: Call, args: ExecArgs, sink?: Sink): Promise<Execution> {
  const { host } = call;
  const held = await needLock(call, "exec");
  const user = args.as === "" ? userOfAgent() : userByName("exec", args.as);
  const env = journaledEnv(args.callerEnv, args.envNames);
  const op: Op & { op: "exec" } = {
    op: "exec",
    argv: args.argv,
    cwd: args.cwd,
    umask: args.umask,
    env,
    user: args.as,
    timeoutMs: args.timeoutMs,
    stdin: null,
  };
  const command = { ...op, user, env: commandEnv(user, host.config.path, hostEnv(host), env) };
  needJournalable(op);
  const asked = askedBy(call, "exec", held.holder, command, host.runner.find(command));
  const [n, execution] = host.db.write((tx) => {
    const execution = host.executions.begin(tx, asked);
    return [addIntent(tx, call, held, op, execution), execution];
  });
  const isWatched = args.effects && !host.config.noEffects.some((b) => b === "*" || b === held.branch);
  const watching = isWatched ? host.effects.begin() : undefined;
  let running: Running;
  try {
    running = await host.runner.start(command, { sink, stdin: args.stdin, terminal: args.terminal });
  } catch (e) {
    watching?.drop();
    host.db.write((tx) => {
      host.wip.drop(tx, n);
      host.executions.neverStarted(tx, execution, Fault.from("exec", e).message);
    });
    throw e;
  }
  const given: Uint8Array[] = [];
  let givenBytes = 0;
  const ended = running.ended.catch((e) => {
    watching?.drop();
    throw e;
  });
  const recorded = ended.then(async (end) => {
    const endedMs = host.clock.wall();
    if (end.status !== 0) {
      watching?.drop();
      host.db.write((tx) => {
        host.wip.drop(tx, n);
        host.executions.ended(tx, execution, { ...end, endedMs });
      });
      return { status: end.status, journaled: false };
    }
    const { changed, isNothing } = await effectsSeen(host, watching);
    if (!isNothing) await host.disks.sync();
    let stdin: Uint8Array | null = null;
    if (args.stdin) stdin = fromHex((await putFile(host.store, async_(given))).id);
    host.db.write((tx) => {
      if (stdin !== null || changed !== null) host.wip.complete(tx, n, { ...op, stdin }, changed);
      host.wip.done(tx, n, { endedMs, status: 0 });
      host.executions.ended(tx, execution, { ...end, endedMs });
    });
    return { status: 0, journaled: true };
  });
  return {
    running,
    recorded,
    async feed(bytes) {
      givenBytes += bytes.length;
      if (givenBytes > stdinBytesMax) {
        running.signal("SIGKILL");
        throw new Fault("exec", "usage", `more than ${stdinBytesMax} bytes of standard input`, {
          hint: "isconf snap FILE, then exec the command with the file",
        });
      }
      if (args.stdin) given.push(bytes);
      await running.stdin.write(bytes);
    },
    feedEnd: () => running.stdin.end(),
  };
}

/** What a command that has ended has changed. */
interface Seen {
  /** As it is kept in the store; null where nobody looked, or where it cannot be said. What was done stands all the same. */
  changed: WipItem["effects"];
  /** It is known to have changed nothing. */
  isNothing: boolean;
}

async function effectsSeen(host: Host, watching: Watching | undefined): Promise<Seen> {
  const unknown = { changed: null, isNothing: false };
  if (watching === undefined) return unknown;
  try {
    const seen = watching.end();
    if (seen !== undefined) {
      const effects = await effectsOf(seen.paths, seen.unseen);
      const paths = effects.paths.length;
      if (paths === 0) return { changed: null, isNothing: seen.unseen.length === 0 };
      const list = await putEffects(host.store, effects);
      if (list !== undefined) {
        return { changed: { op: "effects", list: fromHex(list), paths }, isNothing: false };
      }
    }
    host.log("what a command changed is not recorded: it is too much");
  } catch (e) {
    host.log(`what a command changed is not recorded: ${Fault.from("exec", e).message}`);
  }
  return unknown;
}

/** The command as the policy judges it: the file is what would be run, and it is not said whether there is one. */
export function wish({ host }: Call, args: ExecArgs): NonNullable<Wish["command"]> {
  const [name = "", ...rest] = args.argv;
  const as = args.as === "" ? userOfAgent().name : args.as;
  return {
    as,
    file: fileOf(name, args.cwd, host.config.path).file,
    args: rest,
    terminal: args.terminal !== undefined,
  };
}

async function* async_(chunks: Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* chunks;
}

/** Journals a restart and marks it as wanted; the caller restarts the machine after the answer is out. */
export async function reboot(call: Call): Promise<{ boot: string }> {
  const { host } = call;
  const held = await needLock(call, "reboot");
  const boot = host.boot;
  const head = host.journal.head(held.branch);
  host.db.write((tx) =>
    host.wip.add(tx, { ...wipBase(call, held, head), op: { op: "reboot" }, state: "reboot", boot })
  );
  return { boot };
}

/** At start: a restart that was asked for and has happened becomes work that is done. */
export function settleReboot(call: Pick<Call, "host">): void {
  const { host } = call;
  const boot = host.boot;
  host.db.write((tx) => {
    for (const item of host.wip.items()) {
      if (item.state === "reboot" && item.boot !== boot) {
        host.wip.done(tx, item.n, { endedMs: host.clock.wall(), status: 0 });
      }
    }
    const last = host.history.last();
    if (last?.state === "reboot" && last.boot !== boot) {
      host.history.ended(tx, last.seq, { status: 0, endedMs: host.clock.wall() });
    }
  });
}

/** Gives work up. If any of it ran a command, this host is diverged from then on, and the caller must say so. */
export async function dropWip(
  call: Call,
  rebuild: boolean,
): Promise<{ dropped: number; diverged: boolean }> {
  const { host, actor } = call;
  const branch = branchOf(host, "wip");
  const person = personPair(host, actor);
  const author = keyId(person.publicKey);
  if (host.pending.count() > 0) await host.replica.sync(); // a ci was cut off: is this still work?
  const items = host.wip.items();
  if (items.some((i) => i.author !== author)) needRole(call, "wip", branch, author, "owner");
  const ran = items.filter((i) => i.op.op === "exec" || (i.op.op === "reboot" && i.state === "done"));
  const commands = ran.filter((i) => i.op.op === "exec");
  if (commands.length > 0 && !rebuild) {
    throw new Fault("wip", "refused", `${commands.length} commands have run here and cannot be taken back`, {
      hint: "isconf wip drop --rebuild: this host is then diverged until it is rebuilt",
    });
  }
  host.db.write((tx) => {
    host.wip.dropAll(tx);
    host.pending.clear(tx);
    if (commands.length > 0) {
      const what = commands[0]?.op.op === "exec" ? shownLine(commands[0].op.argv) : "";
      setMeta(
        tx,
        "diverged",
        `${commands.length} commands ran here and were dropped, the first: ${inert(what)}`,
      );
    }
  });
  const held = await host.keepers.refresh(branch);
  if (held?.held && held.holder === author && held.host === hostId(host)) {
    await giveBack(host, host.journal.needPolicy("wip"), held, person);
  }
  return { dropped: items.length, diverged: commands.length > 0 };
}

/** Says of an uncertain piece of work that it did finish (`done`), or takes it out so that it can be done again. */
export async function settleWip(call: Call, n: number, how: "done" | "again"): Promise<void> {
  const { host } = call;
  await needLock(call, "wip");
  const item = host.wip.items().find((i) => i.n === n);
  if (item === undefined || item.state !== "intent" || host.turn.doing?.startsWith("exec")) {
    throw new Fault("wip", "notFound", `work ${n} is not uncertain`, { hint: "isconf wip" });
  }
  host.db.write((tx) => {
    if (how === "done") host.wip.done(tx, n, { endedMs: host.clock.wall(), status: 0 });
    else host.wip.drop(tx, n);
  });
}

/** Throws usage for an operation that could not be read again from an entry: before it is done, not after. */
function needJournalable(op: Op): void {
  const bad = (why: string) => new Fault(op.op, "usage", why, { hint: `isconf help ${op.op}` });
  try {
    checkOp(op);
  } catch (e) {
    throw bad(Fault.from(op.op, e).message);
  }
  if (
    op.op === "exec" &&
    (!op.cwd.startsWith("/") || Buffer.byteLength(op.cwd) > pathBytesMax || !isPlainText(op.cwd))
  ) {
    throw bad(`${inert(op.cwd)} cannot be a working directory`);
  }
  const bytes = encode(op as unknown as Cbor).length;
  if (bytes > opBytesMax) throw bad(`arguments and environment make ${bytes} bytes, more than ${opBytesMax}`);
}

function wipBase(call: Call, held: Held, head: { seq: number; id: Uint8Array }) {
  return {
    branch: held.branch,
    term: held.term,
    baseSeq: head.seq,
    baseId: head.id,
    author: held.holder,
    uid: call.actor.uid,
    message: held.message,
    startedMs: call.host.clock.wall(),
  };
}

function addIntent(tx: Tx, call: Call, held: Held, op: Op, execution?: number): number {
  const { boot, journal, wip } = call.host;
  const item = { ...wipBase(call, held, journal.head(held.branch)), op, state: "intent" as const, boot };
  return wip.add(tx, { ...item, ...(execution === undefined ? {} : { execution }) });
}

function addDone(call: Call, held: Held, op: Op, status: number): void {
  const { host } = call;
  host.db.write((tx) => {
    const n = addIntent(tx, call, held, op);
    host.wip.done(tx, n, { endedMs: host.clock.wall(), status });
  });
}
