// Run: one command as a child process: byte-exact arguments, built environment, own session, bounded output.
// Not whether it may run or what is written down about it (work.ts, apply.ts).
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import type { ReadStream } from "node:tty";
import { type Clock, Fault } from "../mq/mod.ts";
import {
  argvBytesMax,
  argvItemsMax,
  killGraceMs,
  outputDrainMs,
  outputHeadBytesMax,
  outputTailBytesMax,
} from "./limits.ts";
import { inert, isPlainText } from "./names.ts";
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

const SIGNALS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGSYS: 31,
};

/** Throws a usage fault unless the arguments can reach execve byte for byte. */
export function checkArgv(argv: readonly string[]): void {
  const bad = (why: string) => new Fault("exec", "usage", why, { hint: "isconf exec COMMAND [ARGS…]" });
  if (argv.length === 0 || argv[0] === "") throw bad("there is no command to execute");
  if (argv.length > argvItemsMax) throw bad(`more than ${argvItemsMax} arguments`);
  let bytes = 0;
  for (const arg of argv) {
    if (!isPlainText(arg)) {
      throw bad(`an argument that is not UTF-8 text without NUL cannot be journaled: ${inert(arg)}`);
    }
    bytes += Buffer.byteLength(arg) + 1;
  }
  if (bytes > argvBytesMax) throw bad(`more than ${argvBytesMax} bytes of arguments`);
}

/** The real runner. */
export class ProcessRunner implements Runner {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  find(command: Command): string {
    checkArgv(command.argv);
    const name = command.argv[0] as string;
    if (!isDirectory(command.cwd)) {
      throw new Fault(
        "exec",
        "notFound",
        `the working directory ${inert(command.cwd)} does not exist on this host`,
        {
          hint: "cd to a directory that every host of the branch has",
        },
      );
    }
    if (name.includes("/")) {
      const file = path.resolve(command.cwd, name);
      const st = fs.statSync(file, { throwIfNoEntry: false });
      if (st === undefined) throw notFound(name);
      if (!st.isFile() || (st.mode & 0o111) === 0) throw notExecutable(name);
      return file;
    }
    let seen = false;
    for (const dir of (command.env.PATH ?? "").split(":")) {
      if (!dir.startsWith("/")) continue;
      const file = path.join(dir, name);
      const st = fs.statSync(file, { throwIfNoEntry: false });
      if (st === undefined) continue;
      if (st.isFile() && (st.mode & 0o111) !== 0) return file;
      seen = true;
    }
    throw seen ? notExecutable(name) : notFound(name);
  }

  async start(command: Command, options: RunOptions): Promise<Running> {
    const file = this.find(command);
    const terminal = options.terminal && new Terminal(options.terminal, command.user.uid);
    const child = this.#spawn(file, command, options.stdin === true, terminal);
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (e) => reject(startFault(command.argv[0] as string, e)));
    }).finally(() => terminal?.handOver());
    child.on("error", () => this.#signal(child, "SIGKILL"));
    const kept = new KeptOutput();
    const streams = terminal
      ? [pump(terminal.output, 1, kept, options.sink)]
      : [pump(child.stdout, 1, kept, options.sink), pump(child.stderr, 2, kept, options.sink)];
    child.stdin?.on("error", () => child.stdin?.destroy()); // a command that does not read its stdin
    return {
      ended: this.#ended(child, streams, kept, command.timeoutMs).finally(() => terminal?.output.destroy()),
      signal: (name) => this.#signal(child, name),
      resize: (size) => terminal?.resize(size),
      stdin: {
        write: (bytes) => terminal ? terminal.write(bytes) : writeTo(child.stdin, bytes),
        end: () => void child.stdin?.end(),
      },
    };
  }

  #spawn(file: string, command: Command, stdin: boolean, terminal?: Terminal): ChildProcess {
    const own = process.geteuid?.() ?? 0;
    const { user } = command;
    if (own !== 0 && user.uid !== own) {
      throw new Fault(
        "exec",
        "denied",
        `only an agent that runs as root can run a command as ${inert(user.name)}`,
        {
          hint: "isconf start as root",
        },
      );
    }
    const words = [file, ...command.argv.slice(1)];
    if (own === 0 && user.uid !== 0) {
      // setpriv sets the user's own groups, which spawn's uid and gid cannot, and shuts the way back.
      const ids = [`--reuid=${user.uid}`, `--regid=${user.gid}`, "--init-groups", "--inh-caps=-all", "--"];
      words.unshift("/usr/bin/setpriv", ...ids);
    }
    // A terminal becomes the controlling one only of a new session that asks for it itself.
    if (terminal) words.unshift("/usr/bin/setsid", "--ctty", "--");
    const direct = words[0] === file;
    const before = process.umask(command.umask);
    try {
      return spawn(words[0] as string, words.slice(1), {
        cwd: command.cwd,
        env: terminal ? { TERM: "xterm-256color", ...command.env } : command.env,
        detached: !terminal,
        stdio: terminal
          ? [terminal.slave, terminal.slave, terminal.slave]
          : [stdin ? "pipe" : "ignore", "pipe", "pipe"],
        ...(own === 0 ? { uid: 0, gid: 0 } : {}),
        ...(direct ? { argv0: command.argv[0] } : {}),
      });
    } finally {
      process.umask(before);
    }
  }

  /** To the whole group of the command, which is a session of its own. */
  #signal(child: ChildProcess, name: NodeJS.Signals): void {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, name);
    } catch (e) {
      if ((e as { code?: string }).code !== "ESRCH") throw e;
    }
  }

  async #ended(
    child: ChildProcess,
    streams: Promise<void>[],
    kept: KeptOutput,
    timeoutMs: number,
  ): Promise<Ended> {
    let late = false;
    const cancels: (() => void)[] = [];
    if (timeoutMs > 0) {
      cancels.push(this.#clock.after(timeoutMs, () => {
        late = true;
        this.#signal(child, "SIGTERM");
        cancels.push(this.#clock.after(killGraceMs, () => this.#signal(child, "SIGKILL")));
      }));
    }
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve([child.exitCode, child.signalCode]);
      else child.once("exit", (c, s) => resolve([c, s]));
    });
    for (const cancel of cancels) cancel();
    if (late) this.#signal(child, "SIGKILL");
    // A background process may keep the pipes open for ever: what it says later is not the command's output.
    let stop = () => {};
    const drained = new Promise<void>((resolve) => stop = this.#clock.after(outputDrainMs, resolve));
    await Promise.race([Promise.all(streams), drained]);
    stop();
    child.stdout?.destroy();
    child.stderr?.destroy();
    const status = late ? 124 : signal !== null ? 128 + (SIGNALS[signal] ?? 0) : code ?? 125;
    return { status, output: kept.bytes() };
  }
}

function writeTo(stdin: ChildProcess["stdin"], bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (stdin === null || stdin.destroyed) return resolve();
    stdin.write(bytes, () => resolve());
  });
}

async function pump(
  from: ChildProcess["stdout"] | ReadStream,
  fd: 1 | 2,
  kept: KeptOutput,
  sink?: Sink,
): Promise<void> {
  if (from === null || from === undefined) return;
  try {
    for await (const chunk of from) {
      kept.add(chunk as Uint8Array);
      if (sink !== undefined && !sink.write(fd, chunk as Uint8Array)) await sink.drained();
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
