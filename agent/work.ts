// Work: what a person does on the origin between lock and ci. Each step is durable before the next begins.
// Not replay on other hosts (apply.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { capture, putFile } from "../fs/mod.ts";
import { Fault, fromHex, keyId, toHex } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, type Op, sealEntry } from "./entry.ts";
import { commandEnv, journaledEnv } from "./environment.ts";
import {
  bootId,
  branchOf,
  type Call,
  hostEnv,
  hostId,
  hostName,
  hostPair,
  needCongruent,
  personPair,
} from "./host.ts";
import { type Held, lockedBy, type Proposal } from "./keeper.ts";
import { entriesPerCommitMax, stdinBytesMax } from "./limits.ts";
import { checkMessage, checkPath, commandLine, inert } from "./names.ts";
import type { Running, Sink } from "./run.ts";
import { getMeta, setMeta } from "./schema.ts";
import { may, nameOf } from "./trust.ts";
import { userByName, userByUid } from "./users.ts";
import type { WipItem } from "./wip.ts";

/** Takes the branch's lock, or changes the message of one's own. */
export function lock(call: Call, message: string, steal = false): Held & { took: boolean } {
  const { host, actor } = call;
  checkMessage("lock", message);
  const branch = branchOf(host, "lock");
  const policy = host.journal.needPolicy("lock");
  const author = keyId(personPair(host, actor).publicKey);
  needCongruent(host, "lock");
  host.journal.needUnforked("lock", branch);
  host.keeper.needQuorum("lock", policy);
  needRole(call, "lock", branch, author);
  const now = host.keeper.holder(branch);
  if (now?.held && !steal && (now.holder !== author || now.host !== hostId(host))) {
    throw lockedBy("lock", now, host.clock.wall());
  }
  if (steal) needRole(call, "lock", branch, author, "owner");
  const head = host.journal.head(branch);
  const items = host.wip.items();
  const foreign = items.find((i) => i.author !== author || i.baseSeq !== head.seq);
  if (foreign !== undefined) throw inTheWay("lock", items.length, nameOf(policy, foreign.author));
  const applied = host.history.applied();
  if (applied !== head.seq) {
    throw new Fault(
      "lock",
      "refused",
      `this host has applied ${applied} of ${head.seq} entries of ${branch}`,
      {
        hint: "isconf up",
      },
    );
  }
  return host.db.write((tx) => {
    const held = host.keeper.promise(
      tx,
      branch,
      {
        holder: author,
        holderName: nameOf(policy, author),
        host: hostId(host),
        hostName: hostName(host),
        message,
      },
      host.clock.wall(),
      steal,
    );
    host.wip.moveTo(tx, held.term);
    return { ...held, took: !(now?.held === true && now.term === held.term) };
  });
}

/** Gives the lock back. Somebody else's needs the owner role and `steal`; what it leaves behind is said. */
export function unlock(call: Call, steal: boolean): { branch: string; term: number; of: string } {
  const { host, actor } = call;
  const branch = branchOf(host, "unlock");
  const author = keyId(personPair(host, actor).publicKey);
  host.keeper.needQuorum("unlock", host.journal.needPolicy("unlock"));
  const held = host.keeper.holder(branch);
  if (held?.held !== true) throw notLocked("unlock", branch);
  const own = held.holder === author && held.host === hostId(host);
  if (!own) {
    if (!steal) {
      const fault = lockedBy("unlock", held, host.clock.wall());
      throw new Fault("unlock", "locked", fault.message, {
        hint: `isconf unlock --steal, as an owner, after calling ${inert(held.holderName)}`,
      });
    }
    needRole(call, "unlock", branch, author, "owner");
    host.log(`lock of ${branch}, term ${held.term}, held by ${held.holderName}, stolen by ${actor.name}`);
  } else if (host.wip.count() > 0 && !steal) {
    throw new Fault("unlock", "refused", `${host.wip.count()} pieces of work are not checked in`, {
      hint: "isconf ci, or isconf wip drop --rebuild",
    });
  }
  host.db.write((tx) => host.keeper.release(tx, branch));
  return { branch, term: held.term, of: held.holderName };
}

/** Captures a file, directory or symlink as it is now, or (`remove`) journals that a path is to be gone. */
export async function snap(call: Call, path: string, remove: boolean): Promise<WipItem["op"]> {
  const { host } = call;
  checkPath("snap", path);
  if (!remove && fs.lstatSync(path, { throwIfNoEntry: false }) === undefined) {
    throw new Fault("snap", "notFound", `${inert(path)} does not exist`, {
      hint: "isconf snap --delete PATH",
    });
  }
  const held = needLock(call, "snap");
  let op: Op;
  if (remove) {
    if (fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
      throw new Fault("snap", "refused", `${inert(path)} still exists here`, {
        hint: `rm ${inert(path)} first`,
      });
    }
    op = { op: "delete", path };
  } else {
    const got = await capture(host.store, Buffer.from(path));
    op = { op: "file", path, tree: fromHex(got.id), kind: got.kind, files: got.files, bytes: got.bytes };
  }
  needLock(call, "snap", held.term); // reading may have taken long: the lock must still be ours
  addDone(call, held, op, 0);
  return op;
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
}

/** A command that is running: its streams, and its end once it is recorded. */
export interface Execution {
  running: Running;
  /** Resolves when the end is durable: its status, and whether it was journaled. */
  recorded: Promise<{ status: number; journaled: boolean }>;
  feed(bytes: Uint8Array): Promise<void>;
  feedEnd(): void;
}

/**
 * Runs a command now, here. The intent is durable before it starts and its end before it is told; it becomes
 * work to check in only if it ends 0. Must be called in the host's turn and kept in it until `recorded`.
 */
export async function exec(call: Call, args: ExecArgs, sink?: Sink): Promise<Execution> {
  const { host } = call;
  const held = needLock(call, "exec");
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
  host.runner.find(command);
  const n = addIntent(call, held, op);
  let running: Running;
  try {
    running = await host.runner.start(command, { sink, stdin: args.stdin });
  } catch (e) {
    host.db.write((tx) => host.wip.drop(tx, n));
    throw e;
  }
  const given: Uint8Array[] = [];
  let givenBytes = 0;
  const recorded = running.ended.then(async (end) => {
    if (end.status !== 0) {
      host.db.write((tx) => host.wip.drop(tx, n));
      return { status: end.status, journaled: false };
    }
    let stdin: Uint8Array | null = null;
    if (args.stdin) stdin = fromHex((await putFile(host.store, async_(given))).id);
    host.db.write((tx) => {
      if (stdin !== null) host.wip.changeOp(tx, n, { ...op, stdin });
      host.wip.done(tx, n, { endedMs: host.clock.wall(), status: 0, output: end.output });
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
      given.push(bytes);
      await running.stdin.write(bytes);
    },
    feedEnd: () => running.stdin.end(),
  };
}

async function* async_(chunks: Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* chunks;
}

/** Journals a restart and marks it as wanted; the caller restarts the machine after the answer is out. */
export function reboot(call: Call): { boot: string } {
  const { host } = call;
  const held = needLock(call, "reboot");
  const boot = bootId(host);
  const head = host.journal.head(held.branch);
  host.db.write((tx) =>
    host.wip.add(tx, { ...wipBase(call, held, head), op: { op: "reboot" }, state: "reboot", boot })
  );
  return { boot };
}

/** At start: a restart that was asked for and has happened becomes work that is done. */
export function settleReboot(call: Pick<Call, "host">): void {
  const { host } = call;
  const boot = bootId(host);
  host.db.write((tx) => {
    for (const item of host.wip.items()) {
      if (item.state === "reboot" && item.boot !== boot) {
        host.wip.done(tx, item.n, { endedMs: host.clock.wall(), status: 0, output: null });
      }
    }
    const last = host.history.last();
    if (last?.state === "reboot" && last.boot !== boot) {
      host.history.ended(tx, last.seq, { status: 0, endedMs: host.clock.wall() });
    }
  });
}

/** What `ci` made of the work: the entries' places. */
export interface CheckedIn {
  branch: string;
  from: number;
  to: number;
}

/**
 * Makes entries of all the work: signed, certified, kept, the lock given back, in one transaction that either
 * is or is not. Throws and changes nothing when anything is in the way.
 */
export function ci(call: Call): CheckedIn {
  const { host, actor } = call;
  const branch = branchOf(host, "ci");
  needCongruent(host, "ci");
  host.journal.needUnforked("ci", branch);
  const items = host.wip.items();
  const held = needLock(call, "ci");
  const policy = host.journal.needPolicy("ci");
  const author = personPair(host, actor);
  if (items.length === 0) {
    throw new Fault("ci", "refused", "there is nothing to check in", {
      hint: "isconf snap, isconf exec, or isconf unlock",
    });
  }
  if (items.length > entriesPerCommitMax) {
    throw new Fault("ci", "refused", `more than ${entriesPerCommitMax} pieces of work`, {
      hint: "isconf wip",
    });
  }
  for (const item of items) needSettled(item);
  const head = host.journal.head(branch);
  let prev = head.id;
  const batch: Proposal[] = [];
  const entries: Entry[] = [];
  for (const [i, item] of items.entries()) {
    const entry: Entry = {
      level: ENTRY_LEVEL,
      domain: policy.domain,
      branch,
      epoch: head.epoch,
      seq: head.seq + 1 + i,
      prev,
      term: held.term,
      policy: policy.head,
      timeMs: host.clock.wall(),
      author: fromHex(item.author),
      origin: fromHex(hostId(host)),
      message: item.message,
      ops: [item.op],
    };
    const sealed = sealEntry(entry, author, hostPair(host));
    batch.push({ branch, epoch: head.epoch, seq: entry.seq, ...sealed });
    entries.push(entry);
    prev = sealed.id;
  }
  host.db.write((tx) => {
    const records = host.keeper.vote(tx, policy.domain, held.term, batch);
    host.journal.append(
      tx,
      records.map((record, i) => ({
        record,
        entry: entries[i] as Entry,
        id: (batch[i] as Proposal).id,
      })),
    );
    for (const [i, item] of items.entries()) {
      const { seq, id } = batch[i] as Proposal;
      host.history.intent(tx, { seq, id, boot: item.boot, startedMs: item.startedMs });
      host.history.ended(tx, seq, {
        status: item.status ?? 0,
        endedMs: item.endedMs ?? item.startedMs,
        ...(item.output === null ? {} : { output: item.output }),
      });
    }
    host.wip.dropAll(tx);
    host.keeper.release(tx, branch);
  });
  return { branch, from: head.seq + 1, to: head.seq + items.length };
}

/** Gives work up. If any of it ran a command, this host is diverged from then on, and the caller must say so. */
export function dropWip(call: Call, rebuild: boolean): { dropped: number; diverged: boolean } {
  const { host, actor } = call;
  const branch = branchOf(host, "wip");
  const author = keyId(personPair(host, actor).publicKey);
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
    if (commands.length > 0) {
      const what = commands[0]?.op.op === "exec" ? commandLine(commands[0].op.argv) : "";
      setMeta(
        tx,
        "diverged",
        `${commands.length} commands ran here and were dropped, the first: ${inert(what)}`,
      );
    }
    const held = host.keeper.holder(branch);
    if (held?.held && held.holder === author && held.host === hostId(host)) host.keeper.release(tx, branch);
  });
  return { dropped: items.length, diverged: commands.length > 0 };
}

/** Says of an uncertain piece of work that it did finish (`done`), or takes it out so that it can be done again. */
export function settleWip(call: Call, n: number, how: "done" | "again"): void {
  const { host } = call;
  needLock(call, "wip");
  const item = host.wip.items().find((i) => i.n === n);
  if (item === undefined || item.state !== "intent" || host.turn.doing?.startsWith("exec")) {
    throw new Fault("wip", "notFound", `work ${n} is not uncertain`, { hint: "isconf wip" });
  }
  host.db.write((tx) => {
    if (how === "done") host.wip.done(tx, n, { endedMs: host.clock.wall(), status: 0, output: null });
    else host.wip.drop(tx, n);
  });
}

/** The lock as held by the caller on this host, or the fault that says what happened to it and the ways out. */
export function needLock(call: Call, op: string, term?: number): Held {
  const { host, actor } = call;
  const branch = branchOf(host, op);
  const author = keyId(personPair(host, actor).publicKey);
  const held = host.keeper.holder(branch);
  const own = held?.held === true && held.holder === author && held.host === hostId(host);
  const items = host.wip.items().filter((i) => i.author === author);
  const lost = items.find((i) => i.term !== held?.term);
  if (own && lost === undefined && (term === undefined || term === held.term)) return held;
  if (lost !== undefined || (term !== undefined && held?.term !== term)) {
    throw lostLock(call, op, held, lost, term);
  }
  if (held?.held === true) throw lockedBy(op, held, host.clock.wall());
  if (items.length > 0) {
    throw new Fault(
      op,
      "notLocked",
      `the lock of ${branch} was given back; ${items.length} pieces of work remain`,
      {
        hint: 'isconf lock "why" takes it again with the same work, or isconf wip drop --rebuild',
      },
    );
  }
  throw notLocked(op, branch);
}

/** The holder lost the lock: if others committed and we ran something, that work can never be checked in. */
function lostLock(
  call: Call,
  op: string,
  held: Held | undefined,
  item: WipItem | undefined,
  term?: number,
): Fault {
  const { host } = call;
  const branch = branchOf(host, op);
  const head = host.journal.head(branch);
  const moved = item !== undefined && item.baseSeq !== head.seq;
  const ran = host.wip.items().some((i) => i.op.op === "exec");
  const was = item?.term ?? term ?? 0;
  const who = held === undefined ? "nobody" : inert(held.holderName);
  const text = `your lock (term ${was}) was taken over by ${who} (term ${held?.term ?? 0})`;
  if (moved && ran) {
    host.db.write((tx) =>
      setMeta(
        tx,
        "diverged",
        `work under term ${was} ran here, and term ${held?.term ?? 0} was checked in first`,
      )
    );
    return new Fault(op, "diverged", `${text} and the branch has moved on to entry ${head.seq}`, {
      hint: "isconf wip drop --rebuild, then rebuild this host",
    });
  }
  return new Fault(op, held?.held ? "locked" : "notLocked", text, {
    hint: moved
      ? "isconf wip drop, then isconf up and start again"
      : 'isconf lock "why" takes it again with the same work, or isconf wip drop --rebuild',
  });
}

function needSettled(item: WipItem): void {
  if (item.state === "done") return;
  if (item.state === "reboot") {
    throw new Fault("ci", "refused", "this host has not restarted since isconf reboot", {
      hint: "isconf reboot --now",
    });
  }
  const what = item.op.op === "exec" ? inert(commandLine(item.op.argv)) : item.op.op;
  throw new Fault("ci", "uncertain", `work ${item.n} was started and its end is not known: ${what}`, {
    hint: `isconf wip done ${item.n} if it finished, isconf wip again ${item.n} to take it out and repeat it`,
  });
}

function needRole(
  call: Call,
  op: string,
  branch: string,
  author: string,
  role: "append" | "owner" = "append",
): void {
  const policy = call.host.journal.needPolicy(op);
  if (may(policy, author, role, branch)) return;
  throw new Fault(
    op,
    "denied",
    `${inert(call.actor.name)}@${hostName(call.host)} has no ${role} role on ${branch}`,
    {
      hint: "isconf status: shows who has; ask an owner of the branch",
    },
  );
}

function notLocked(op: string, branch: string): Fault {
  return new Fault(op, "notLocked", `${branch} is not locked`, {
    hint: 'isconf lock "what you are about to change"',
  });
}

function inTheWay(op: string, n: number, whose: string): Fault {
  return new Fault(op, "refused", `${n} pieces of work of ${inert(whose)} are in the way`, {
    hint: "isconf wip, then isconf ci or isconf wip drop --rebuild",
  });
}

/** Throws when work that is not checked in would be run over. */
export function needNoWip(call: Pick<Call, "host">, op: string): void {
  const items = call.host.wip.items();
  const first = items[0];
  if (first !== undefined) throw inTheWay(op, items.length, nameOf(call.host.journal.policy(), first.author));
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

function addIntent(call: Call, held: Held, op: Op): number {
  const head = call.host.journal.head(held.branch);
  return call.host.db.write((tx) =>
    call.host.wip.add(tx, { ...wipBase(call, held, head), op, state: "intent", boot: bootId(call.host) })
  );
}

function addDone(call: Call, held: Held, op: Op, status: number): void {
  const { host } = call;
  const head = host.journal.head(held.branch);
  host.db.write((tx) => {
    const n = host.wip.add(tx, { ...wipBase(call, held, head), op, state: "intent", boot: bootId(host) });
    host.wip.done(tx, n, { endedMs: host.clock.wall(), status, output: null });
  });
}

/** The user commands run as unless told otherwise: root, or whoever runs an agent without root. */
export function userOfAgent(): ReturnType<typeof userByName> {
  const uid = process.geteuid?.() ?? 0;
  return userByUid(uid) ??
    {
      name: uid === 0 ? "root" : String(uid),
      uid,
      gid: process.getegid?.() ?? uid,
      home: "/",
      shell: "/bin/sh",
    };
}

/** This host's position in words for status. */
export function position(host: Call["host"]): { branch?: string; diverged?: string } {
  const branch = getMeta(host.db, "branch");
  const diverged = getMeta(host.db, "diverged");
  return { ...(branch === undefined ? {} : { branch }), ...(diverged === undefined ? {} : { diverged }) };
}

/** Ids as people read them. */
export const shortId = (id: Uint8Array): string => toHex(id).slice(0, 12);
