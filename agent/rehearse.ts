// Rehearse: what this host lacks of its branch, replayed in a root that is thrown away. Not the replay that counts (apply.ts): nothing
// of it stays but the record of what ran.
import { batchBytesMax, objectBytesMax, type Store } from "../fs/mod.ts";
import { Fault, toHex } from "../mq/mod.ts";
import { up as applyUp, type UpArgs, type UpResult } from "./apply.ts";
import { askedBy } from "./asked.ts";
import { type Op, readEntry } from "./entry.ts";
import { commandEnv } from "./environment.ts";
import { branchOf, type Call, hostEnv, needCongruent } from "./host.ts";
import { needNoWip } from "./locks.ts";
import { shownLine } from "./mask.ts";
import { inert } from "./names.ts";
import { opText } from "./optext.ts";
import type { Preview, PreviewOptions, PreviewResult, Rehearsed } from "./preview.ts";
import type { PreviewQuestion } from "./preview_words.ts";
import { type Command, type Ended, KeptOutput, ProcessRunner, pump, type Running, type Sink } from "./run.ts";
import { type Answers, readIds } from "./seam.ts";
import { rootsOf } from "./sharing.ts";
import type { User } from "./users.ts";
import type { Execution } from "./work.ts";
import { tellOutput } from "./tell.ts";

export interface RehearseArgs {
  /** Stop after this entry; undefined: go to the end. */
  to?: number;
  /** Replay what is here and ask nobody for more. */
  offline: boolean;
}

/** Replays what `up` would, in order, until one fails or restarts the host; then lists what is different. */
export async function rehearse(
  call: Call,
  args: RehearseArgs,
  options: PreviewOptions,
  sink: Sink,
): Promise<Execution<PreviewResult>> {
  const { host } = call;
  const branch = branchOf(host, "preview");
  needCongruent(host, "preview");
  if (!args.offline) await host.replica.sync();
  needNoWip(call, "preview");
  host.journal.needUnforked("preview", branch);
  const from = host.history.applied() + 1;
  const of = host.journal.head(branch).seq;
  const to = Math.min(args.to ?? of, of);
  const preview = host.previews.begin(options, contentsOf(host.store));
  const result = async (): Promise<PreviewResult> => {
    try {
      const child = preview.enter({ stdio: { stdin: false } });
      const flow = { kept: new KeptOutput(), bytes: 0, held: 0, sink };
      const streams = Promise.all([pump(child.stdout, 1, flow), pump(child.stderr, 2, flow)]);
      await preview.open();
      const up: Rehearsed = { branch, from, to: from - 1, of, failed: null, restarts: null };
      await replay(call, preview, to, up);
      if (!preview.isKilled) await preview.finish();
      await streams;
      const { changes } = preview;
      const status = preview.isKilled ? 130 : up.failed === null ? 0 : 1;
      return { v: 1, status, changes, absent: preview.absent, network: options.network, up };
    } finally {
      await preview.close();
    }
  };
  const running: Pick<Running, "signal" | "resize"> = {
    signal: (name) => preview.signal(name),
    resize: () => {},
  };
  return { running, recorded: result(), feed: () => Promise.resolve(), feedEnd: () => {} };
}

/** What a preview may ask for: contents of this host's store. As many objects an answer as surely fit in, at least one. */
export function contentsOf(store: Store): Answers<PreviewQuestion> {
  const most = Math.max(1, Math.floor(batchBytesMax / objectBytesMax)); // each may be as long as an object can be
  return {
    missing: (ids) => store.missing(readIds(ids)),
    get: (ids) => store.get(readIds(ids).slice(0, most)),
  };
}

/**
 * `up`, as far as a preview of it went through: to the first restart at the most.
 * @throws {Fault} refused, naming the entry that fails; then nothing has been done
 */
export async function upRehearsed(call: Call, args: UpArgs): Promise<UpResult> {
  const to = args.step ? call.host.history.applied() + 1 : args.to;
  const options = { network: false, all: false };
  const { recorded } = await rehearse(
    call,
    { offline: args.offline, ...(to === undefined ? {} : { to }) },
    options,
    tellOutput(call.emit),
  );
  const { up } = await recorded;
  if (up?.failed) {
    const { seq, status, why } = up.failed;
    throw new Fault(
      "up",
      "refused",
      `entry ${seq} fails here with status ${status}: ${why}; nothing was applied`,
      {
        hint: `isconf preview up, isconf show ${seq}, mend the cause, then isconf up --rehearse again`,
      },
    );
  }
  call.emit({ event: "rehearsed", text: "all of it goes through; it is applied now" });
  return await applyUp(call, { ...args, ...(up === undefined ? {} : { to: up.to }) });
}

/** Entry by entry; `up` says how far it came. */
async function replay(call: Call, preview: Preview, to: number, up: Rehearsed): Promise<void> {
  const { host } = call;
  for (let seq = up.from; seq <= to; seq++) {
    const [row] = [...host.journal.range(up.branch, seq, seq)];
    if (row === undefined) {
      throw new Fault("preview", "refused", `entry ${seq} is not here yet`, {
        hint: "isconf preview up, later",
      });
    }
    const { entry, kid: author } = readEntry(row.entry);
    if (entry.ops[0]?.op === "reboot") {
      up.restarts = seq;
      return;
    }
    call.emit({ event: "entry", text: `${seq}  ${entry.ops.map(opText).join("; ")}`, seq, of: to });
    await host.store.fetch(rootsOf(entry));
    for (const op of entry.ops) {
      const failed = await replayOne(call, preview, op, author);
      if (preview.isKilled) return;
      if (failed !== undefined) {
        up.failed = { seq, ...failed };
        return;
      }
    }
    up.to = seq;
  }
}

/** One operation; what went wrong, if anything did. */
async function replayOne(
  call: Call,
  preview: Preview,
  op: Op,
  author: string,
): Promise<{ status: number; why: string } | undefined> {
  const { host } = call;
  try {
    if (op.op === "file") await preview.ask("file", [op.path, toHex(op.tree)], Infinity);
    else if (op.op === "delete") await preview.ask("delete", op.path, Infinity);
    else if (op.op === "effects") return undefined; // what became of the files is what the preview lists
    else if (op.op === "exec") {
      const user = await preview.ask("user", op.user) as unknown as User;
      const env = commandEnv(user, host.config.path, hostEnv(host), op.env);
      const command: Command = { ...op, user, env };
      const [name] = op.argv as [string, ...string[]];
      const [file, is] = await preview.ask("find", [name, op.cwd, host.config.path]) as [string, string];
      if (is !== "executable") return { status: is === "there" ? 126 : 127, why: `${inert(name)} is ${is}` };
      const input = op.stdin === null ? null : toHex(op.stdin);
      const runner = new Found(host.clock, (o) => preview.startNext(o, input), file);
      const { status } = await recorded(call, command, file, author, runner);
      if (status !== 0) return { status, why: inert(shownLine(op.argv)) };
    } else {
      return { status: 1, why: `an operation ${op.op} does not belong on a branch` };
    }
  } catch (e) {
    if (preview.isKilled) return undefined;
    return { status: 1, why: inert(Fault.from("preview", e).message) };
  }
  return undefined;
}

/** Runs one of them, on record before it starts as everything that runs here is. */
async function recorded(
  call: Call,
  command: Command,
  file: string,
  author: string,
  runner: ProcessRunner,
): Promise<Ended> {
  const { db, executions, clock } = call.host;
  const n = db.write((tx) => executions.begin(tx, askedBy(call, "preview", author, command, file)));
  try {
    const end = await (await runner.start(command, {})).ended;
    db.write((tx) => executions.ended(tx, n, { ...end, endedMs: clock.wall() }));
    return end;
  } catch (e) {
    db.write((tx) => executions.neverStarted(tx, n, Fault.from("preview", e).message));
    throw e;
  }
}

/** Runs what was found where it runs: here it may not be there yet. */
class Found extends ProcessRunner {
  readonly #file: string;

  constructor(
    clock: Call["host"]["clock"],
    start: ConstructorParameters<typeof ProcessRunner>[1],
    file: string,
  ) {
    super(clock, start);
    this.#file = file;
  }

  override find(): string {
    return this.#file;
  }
}
