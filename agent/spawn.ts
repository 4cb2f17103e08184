// Spawn: a child process by posix_spawn, with its pipes, its group and its end. node:child_process forks, which costs a
// large process a page fault for each page it writes to meanwhile. Not what runs, as whom, or how long (run.ts).
import * as fs from "node:fs";
import { Socket } from "node:net";
import {
  AT_FDCWD,
  chownAt,
  type Clock,
  closeFd,
  errnoCode,
  type Exit,
  inheriting,
  makePipe,
  openAt,
  plainOomScore,
  type Spawn,
  spawnProcess,
  statAt,
  unshareUmask,
  waitChild,
} from "../mq/mod.ts";
import type { CommandCgroup } from "./cgroup.ts";
import { COMMAND_LIMITS } from "./limits.ts";

export interface SpawnOptions {
  file: string;
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  umask: number;
  /**
   * What descriptors 0 to 2 are: pipes (0 is /dev/null without `stdin`), the terminal of this path, which controls the child's
   * session, or what is open already.
   */
  stdio: { stdin: boolean } | { terminal: string } | { open: readonly [number, number, number] };
  /** Whose the child's ends of the pipes become, so that it can open them by name (/dev/stderr). */
  owner?: { uid: number; gid: number };
  /** The cgroup that it shall be in. */
  cgroup?: CommandCgroup | undefined;
  /** Further descriptors of the child, from 3 on. They stay the caller's to close. */
  more?: number[];
}

/** A program that was started: as it is given to whoever follows it. */
export interface Started {
  readonly stdin: Socket | null;
  readonly stdout: Socket | null;
  readonly stderr: Socket | null;
  /** How it ended; rejects when that cannot be learnt. */
  readonly ended: Promise<Exit>;
  /** Whether the rest of its group is killed when it ends. */
  isGroupKilledAtEnd: boolean;
  /** Sends a signal to its whole group; once it has ended this does nothing. */
  signal(name: NodeJS.Signals): void;
  /** Kills it and all that it has started. */
  kill(): void;
}

/** Milliseconds after which a child is looked at although no signal told of its end; keeps the process alive, too. */
const lookMs = 1_000;

/** Children that have not been reaped. Each is waited for by its pid, never "any child": others have children too. */
const living = new Set<Child>();
let listening = false;

/** Reaps every child of ours that has ended. One signal may stand for many ends, so all are asked. */
function look(): void {
  for (const child of living) child.look();
}

/** A started child. */
export class Child implements Started {
  readonly pid: number;
  readonly stdin: Socket | null;
  readonly stdout: Socket | null;
  readonly stderr: Socket | null;
  readonly ended: Promise<Exit>;
  /** Whether the rest of its group, and of its cgroup, is killed when it ends. */
  isGroupKilledAtEnd = false;
  readonly #clock: Clock;
  readonly #cgroup: CommandCgroup | undefined;
  #settle!: { resolve(exit: Exit): void; reject(e: unknown): void };
  #cancel = () => {};

  /** Starts it. Throws the system's error when nothing has run. */
  constructor(clock: Clock, options: SpawnOptions) {
    this.#clock = clock;
    this.#cgroup = options.cgroup;
    this.ended = new Promise((resolve, reject) => this.#settle = { resolve, reject });
    // Never taken away again: it keeps no process alive, and libuv's own children have theirs beside it.
    if (!listening) process.on("SIGCHLD", look);
    listening = true;
    [this.pid, [this.stdin, this.stdout, this.stderr]] = start(options);
    living.add(this);
    this.stdin?.on("error", () => this.stdin?.destroy()); // it does not read
    this.#lookAgain();
  }

  /**
   * Sends a signal to its whole group, which must be a session of its own. Once the child is reaped this does nothing:
   * its number may be somebody else's by then. Until then it is a zombie at least, and the kernel gives the number of
   * a zombie, of a group or of a session to nobody.
   */
  signal(name: NodeJS.Signals): void {
    if (!living.has(this)) return;
    try {
      process.kill(-this.pid, name);
    } catch (e) {
      // Nobody there, or nobody whom an agent that is not root may signal (set-user-id programs).
      if (!["ESRCH", "EPERM"].includes(errnoCode(e) ?? "")) throw e;
    }
  }

  /** Kills it and all that it has started, wherever that is by now; where it has no cgroup, its group. */
  kill(): void {
    this.signal("SIGKILL");
    this.#cgroup?.kill();
  }

  /** Reaps it if it has ended: seen first and left as a zombie, its group killed while that is surely its group. */
  look(): void {
    try {
      if (waitChild(this.pid, true) === undefined) return;
      if (this.isGroupKilledAtEnd) this.kill();
      const exit = waitChild(this.pid, false);
      if (exit !== undefined) this.#settle.resolve(exit);
    } catch (e) {
      this.#settle.reject(e);
    }
    living.delete(this);
    this.#cgroup?.end();
    this.#cancel();
    this.stdin?.destroy();
  }

  #lookAgain(): void {
    this.look();
    if (living.has(this)) this.#cancel = this.#clock.after(lookMs, () => this.#lookAgain());
  }
}

type Ends = [Socket | null, Socket | null, Socket | null];

/** Starts a child in a session of its own, with what every command is given, whatever this process was. */
function begin(options: SpawnOptions, stdio: Spawn["stdio"]): number {
  const { file, argv, cwd, cgroup } = options;
  const env = Object.entries(options.env).map(([k, v]) => `${k}=${v}`);
  const pid = inheriting(
    COMMAND_LIMITS,
    () => spawnProcess({ file, argv, env, cwd, stdio, newSession: true }),
  );
  plainOomScore(pid);
  cgroup?.take(pid);
  return pid;
}

/** Starts the child with its ends of new pipes, and returns ours. All that can fail comes first: then nothing has run. */
function start(options: SpawnOptions): [pid: number, ours: Ends] {
  const ours: Ends = [null, null, null];
  const theirs: number[] = [];
  const { more = [] } = options;
  unshareUmask();
  const before = process.umask(options.umask);
  try {
    if ("terminal" in options.stdio) {
      return [begin(options, options.stdio), ours];
    }
    if ("open" in options.stdio) {
      return [begin(options, [...options.stdio.open, ...more]), ours];
    }
    if (options.stdio.stdin) ours[0] = pipe(true, theirs);
    else theirs.push(openAt(AT_FDCWD, "/dev/null", fs.constants.O_RDONLY));
    for (const i of [1, 2]) ours[i] = pipe(false, theirs);
    const { owner } = options;
    if (owner !== undefined) {
      for (const fd of theirs) if (isPipe(fd)) chownAt(fd, "", owner.uid, owner.gid);
    }
    return [begin(options, [...theirs, ...more]), ours];
  } catch (e) {
    for (const end of ours) end?.destroy();
    throw e;
  } finally {
    process.umask(before);
    for (const fd of theirs) closeFd(fd);
  }
}

/** /dev/null is nobody's to give away. */
function isPipe(fd: number): boolean {
  return (statAt(fd).mode & fs.constants.S_IFMT) === fs.constants.S_IFIFO;
}

/** Makes a pipe and returns our end, which never waits. Theirs does: programs do not expect anything else. */
function pipe(weWrite: boolean, theirs: number[]): Socket {
  const [read, write] = makePipe();
  theirs.push(weWrite ? read : write);
  return new Socket({ fd: weWrite ? write : read, readable: !weWrite, writable: weWrite });
}
