// Run: one command as a child process: byte-exact arguments, built environment, own session, bounded output.
// Not whether it may run or what is written down about it (work.ts, apply.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import type { Socket } from "node:net";
import * as path from "node:path";
import { type Clock, Fault } from "../mq/mod.ts";
import { closedTo } from "./enter.ts";
import { Cgroups, delegatedCgroup } from "./cgroup.ts";
import {
  argvBytesMax,
  argvItemsMax,
  killGraceMs,
  outputDrainMs,
  outputHeadBytesMax,
  outputTailBytesMax,
  pipeBytesMax,
} from "./limits.ts";
import { inert, isPlainText } from "./names.ts";
import { Child, type SpawnOptions, type Started } from "./spawn.ts";
import type { WindowSize } from "./streamtypes.ts";
import { Terminal } from "./terminal.ts";
import type { User } from "./users.ts";

export interface Command {
  argv: string[];
  cwd: string;
  umask: number;
  env: Record<string, string>;
  user: User;
  /** 0: no limit. */
  timeoutMs: number;
}

/** Where a command's output goes while it runs. `write` returns false to be waited for with `drained`. */
export interface Sink {
  write(fd: 1 | 2, bytes: Uint8Array): boolean;
  drained(): Promise<void>;
}

export interface Ended {
  /** 0 to 255; 128 + n when killed by signal n; 124 when out of time, as timeout(1) has it. */
  status: number;
  output: Uint8Array;
}

/** A running command. `stdin` is null when it reads nothing. */
export interface Running {
  ended: Promise<Ended>;
  stdin: { write(bytes: Uint8Array): Promise<void>; end(): void };
  /** Of a command with a terminal. */
  resize(size: WindowSize): void;
  signal(name: NodeJS.Signals): void;
}

/** What starts commands; the tests' twin and the real one pass one contract suite. */
export interface Runner {
  /** Checks everything that can be checked before, and returns the file that will run. Throws without side effect. */
  find(command: Command): string;
  /** Starts the command. Throws a fault when it could not be started: then nothing has run. */
  start(command: Command, options: RunOptions): Promise<Running>;
}

export interface RunOptions {
  sink?: Sink;
  /** Its standard input is written to; else it reads nothing. */
  stdin?: boolean;
  /** It gets a terminal of its own of this size, for all three descriptors. */
  terminal?: WindowSize;
}

/** Throws a usage fault unless the arguments can reach execve byte for byte. */
export function checkArgv(argv: readonly string[]): void {
  const bad = (why: string) => new Fault("exec", "usage", why, { hint: "isconf exec COMMAND [ARGS…]" });
  if (argv.length === 0 || argv[0] === "") throw bad("there is no command to execute");
  if (argv.length > argvItemsMax) throw bad(`more than ${argvItemsMax} arguments`);
  let bytes = 0;
  for (const arg of argv) {
    if (!isPlainText(arg)) {
      throw bad(
        `an argument that is not UTF-8 text without NUL and byte order mark cannot be journaled: ${
          inert(arg)
        }`,
      );
    }
    bytes += Buffer.byteLength(arg) + 1;
  }
  if (bytes > argvBytesMax) throw bad(`more than ${argvBytesMax} bytes of arguments`);
}

/** The real runner. `start` is how a program is started: here, unless something else is said. */
export class ProcessRunner implements Runner {
  readonly #clock: Clock;
  readonly #cgroups: Cgroups | undefined;
  readonly #start: (options: SpawnOptions) => Started;

  /** `start`: how a program is started; else here, in a cgroup of its own where they are this agent's to make. */
  constructor(clock: Clock, start?: (options: SpawnOptions) => Started) {
    const cgroup = start === undefined ? delegatedCgroup() : undefined;
    this.#clock = clock;
    this.#cgroups = cgroup === undefined ? undefined : new Cgroups(cgroup);
    this.#start = start ?? ((options) => new Child(clock, options));
  }

  /** Whether what a command has started is killed with it wherever it went. */
  get killsAll(): boolean {
    return this.#cgroups !== undefined;
  }

  find(command: Command): string {
    checkArgv(command.argv);
    const name = command.argv[0] as string;
    checkDirectory(command);
    const { file, is } = fileOf(name, command.cwd, command.env.PATH ?? "");
    if (is === "executable") return file;
    throw is === "there" ? notExecutable(name) : notFound(name);
  }

  start(command: Command, options: RunOptions): Promise<Running> {
    return new Promise((resolve) => resolve(this.#begin(command, options)));
  }

  #begin(command: Command, options: RunOptions): Running {
    const file = this.find(command);
    checkUser(command.user);
    const terminal = options.terminal && new Terminal(options.terminal, command.user.uid);
    let child: Started;
    try {
      child = this.#spawn(file, command, options.stdin === true, terminal);
    } catch (e) {
      terminal?.output.destroy();
      throw startFault(command.argv[0] as string, e);
    } finally {
      terminal?.handOver();
    }
    const kept = new KeptOutput();
    const flow: Flow = { kept, bytes: 0, held: 0, ...(options.sink ? { sink: options.sink } : {}) };
    const streams = terminal
      ? [pump(terminal.output, 1, flow)]
      : [pump(child.stdout, 1, flow), pump(child.stderr, 2, flow)];
    return {
      ended: this.#ended(child, streams, flow, command.timeoutMs).finally(() => terminal?.output.destroy()),
      signal: (name) => child.signal(name),
      resize: (size) => terminal?.resize(size),
      stdin: {
        write: (bytes) => terminal ? terminal.write(bytes) : writeTo(child.stdin, bytes),
        end: () => void child.stdin?.end(),
      },
    };
  }

  #spawn(file: string, command: Command, stdin: boolean, terminal?: Terminal): Started {
    const { user, argv, env, cwd, umask } = command;
    const before: string[] = [];
    if (process.geteuid?.() === 0 && user.uid !== 0) {
      // setpriv sets the user's own groups and shuts the way back.
      const ids = [`--reuid=${user.uid}`, `--regid=${user.gid}`, "--init-groups", "--inh-caps=-all", "--"];
      before.push("/usr/bin/setpriv", ...ids);
      // Into the directory goes the user, not root: what is on the way may be closed to them.
      before.push("/usr/bin/unshare", `--wd=${cwd}`, "--");
    }
    return this.#start({
      file: before[0] ?? file,
      argv: before.length === 0 ? argv : [...before, file, ...argv.slice(1)],
      env: terminal ? { TERM: "xterm-256color", ...env } : env,
      cwd: before.length === 0 ? cwd : "/",
      umask,
      stdio: terminal ? { terminal: terminal.path } : { stdin },
      cgroup: this.#cgroups?.make(),
      ...(before.length === 0 ? {} : { owner: user }),
    });
  }

  async #ended(
    child: Started,
    streams: Promise<void>[],
    flow: Flow,
    timeoutMs: number,
  ): Promise<Ended> {
    const cancels: (() => void)[] = [];
    if (timeoutMs > 0) {
      cancels.push(this.#clock.after(timeoutMs, () => {
        child.isGroupKilledAtEnd = true;
        child.signal("SIGTERM");
        cancels.push(this.#clock.after(killGraceMs, () => child.kill()));
      }));
    }
    const { code, signal } = await child.ended.finally(() => cancels.forEach((cancel) => cancel()));
    await this.#drained(streams, flow);
    child.stdout?.destroy();
    child.stderr?.destroy();
    const status = child.isGroupKilledAtEnd ? 124 : signal !== null ? 128 + signal : code;
    return { status, output: flow.kept.bytes() };
  }

  /**
   * Waits for what the command has written to be read. A background process may keep the pipes open for ever: when
   * nothing has come for a while, and nobody was waiting for a slow reader, or when more has come than the pipes could
   * hold at the end, the rest is not the command's output.
   */
  async #drained(streams: Promise<void>[], flow: Flow): Promise<void> {
    let isOver = false;
    const all = Promise.all(streams).then(() => isOver = true);
    const most = flow.bytes + 2 * pipeBytesMax;
    for (let before = -1; !isOver && (flow.held > 0 || (flow.bytes !== before && flow.bytes < most));) {
      before = flow.bytes;
      let stop = () => {};
      await Promise.race([
        all,
        new Promise<void>((resolve) => stop = this.#clock.after(outputDrainMs, resolve)),
      ]);
      stop();
    }
  }
}

/** What has become of a command's output so far. */
export interface Flow {
  kept: KeptOutput;
  sink?: Sink;
  /** Bytes read. */
  bytes: number;
  /** How many streams wait for the sink. */
  held: number;
}

/**
 * The file that a command's name means: with a slash that one, from `cwd`; else the first of the directories in `searched` that has
 * one to execute. What is not there or cannot be executed is still called what it would be.
 */
export function fileOf(
  name: string,
  cwd: string,
  searched: string,
): { file: string; is: "executable" | "there" | "missing" } {
  const files = name.includes("/")
    ? [path.resolve(cwd, name)]
    : searched.split(":").filter((dir) => dir.startsWith("/")).map((dir) => path.join(dir, name));
  let found: string | undefined;
  for (const file of files) {
    const st = fs.statSync(file, { throwIfNoEntry: false });
    if (st?.isFile() && (st.mode & 0o111) !== 0) return { file, is: "executable" };
    if (st !== undefined) found ??= file;
  }
  return { file: found ?? files[0] ?? name, is: found === undefined ? "missing" : "there" };
}

/** Throws unless an agent like this one can become that user. */
function checkUser(user: User): void {
  const own = process.geteuid?.() ?? 0;
  if (own === 0 || user.uid === own) return;
  throw new Fault(
    "exec",
    "denied",
    `only an agent that runs as root can run a command as ${inert(user.name)}`,
    {
      hint: "isconf start as root",
    },
  );
}

function writeTo(stdin: Socket | null, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (stdin === null || stdin.destroyed) return resolve();
    stdin.write(bytes, () => resolve());
  });
}

/** Passes on what a stream says, and keeps some of it; ends with the stream. */
export async function pump(from: AsyncIterable<unknown> | null, fd: 1 | 2, flow: Flow): Promise<void> {
  if (from === null) return;
  try {
    for await (const chunk of from) {
      flow.bytes += (chunk as Uint8Array).length;
      flow.kept.add(chunk as Uint8Array);
      if (flow.sink === undefined || flow.sink.write(fd, chunk as Uint8Array)) continue;
      flow.held++;
      await flow.sink.drained();
      flow.held--;
    }
  } catch (e) {
    if (!["ERR_STREAM_PREMATURE_CLOSE", "EIO"].includes(String((e as { code?: string }).code))) throw e;
  }
}

/** The beginning and the end of an output, with a mark where its middle is missing. */
export class KeptOutput {
  #head: Uint8Array[] = [];
  #headBytes = 0;
  #tail: Uint8Array[] = [];
  #tailBytes = 0;
  #lost = 0;

  add(chunk: Uint8Array): void {
    const room = outputHeadBytesMax - this.#headBytes;
    if (room > 0) {
      const part = Buffer.from(chunk.subarray(0, room));
      this.#head.push(part);
      this.#headBytes += part.length;
    }
    if (chunk.length <= room) return;
    const rest = Buffer.from(chunk.subarray(Math.max(0, room)));
    this.#tail.push(rest);
    this.#tailBytes += rest.length;
    while (this.#tailBytes - (this.#tail[0]?.length ?? 0) >= outputTailBytesMax) {
      const gone = (this.#tail.shift() as Uint8Array).length;
      this.#tailBytes -= gone;
      this.#lost += gone;
    }
  }

  bytes(): Uint8Array {
    const tail = Buffer.concat(this.#tail);
    const lost = this.#lost + Math.max(0, tail.length - outputTailBytesMax);
    const mark = lost > 0 ? Buffer.from(`\n[… ${lost} bytes left out …]\n`) : Buffer.alloc(0);
    return new Uint8Array(Buffer.concat([...this.#head, mark, tail.subarray(-outputTailBytesMax)]));
  }
}

/** Throws unless the command's user can begin in its directory. */
function checkDirectory({ cwd, user }: Command): void {
  const bad = (why: string, hint: string) =>
    new Fault("exec", "notFound", `the working directory ${inert(cwd)} ${why}`, { hint });
  if (!isDirectory(cwd)) {
    throw bad("does not exist on this host", "cd to a directory that every host of the branch has");
  }
  const closed = closedTo(user, cwd);
  if (closed !== undefined) {
    throw bad(
      `cannot be entered by ${inert(user.name)}: ${inert(closed)} is closed`,
      `cd to a directory that ${inert(user.name)} can enter on every host, as /`,
    );
  }
}

function isDirectory(dir: string): boolean {
  try {
    return fs.statSync(dir).isDirectory();
  } catch {
    return false; // whatever the reason, it cannot be a working directory
  }
}

const notFound = (name: string) =>
  new Fault("exec", "noCommand", `${inert(name)}: command not found`, {
    hint: "isconf exec /the/whole/path",
  });
const notExecutable = (name: string) =>
  new Fault("exec", "cannotExecute", `${inert(name)}: cannot be executed`, { hint: `ls -l ${inert(name)}` });

function startFault(name: string, e: unknown): Fault {
  const code = (e as { code?: string }).code;
  if (code === "ENOENT") return notFound(name);
  if (code === "EACCES" || code === "ENOEXEC") return notExecutable(name);
  return Fault.from("exec", e);
}
