// Processes, by the calls of libc.ts: posix_spawn(3), waitid(2), pipes, pseudo-terminals. Numbers and bytes only: not
// what is started, as whom, or what its end means (agent/).
import {
  addressOf,
  type Arg,
  call,
  closeFd,
  cstr,
  errnoCode,
  type Name,
  type PathLike,
  systemError,
} from "./libc.ts";

/** spawn.h, wait.h, fcntl.h: the same on x86-64 and arm64. */
const [SETSIGDEF, SETSIGMASK, SETSCHEDULER, SETSID, O_RDWR] = [0x04, 0x08, 0x20, 0x80, 2];
const [P_ALL, P_PID, WNOHANG, WEXITED, WNOWAIT, CLD_EXITED] = [0, 1, 1, 4, 0x01000000, 1];
const [O_CLOEXEC, F_DUPFD_CLOEXEC, CLONE_FS] = [0o2000000, 1030, 0x200];
const [AF_UNIX, SOCK_STREAM] = [1, 1];
/** Bytes of posix_spawnattr_t (336), posix_spawn_file_actions_t (80), sigset_t and siginfo_t (128): with room. */
const [attrBytes, actionsBytes, sigsetBytes, siginfoBytes] = [512, 256, 128, 128];
/** Of a pseudo-terminal (asm-generic/ioctls.h): its number, its lock, its size. */
const [TIOCGPTN, TIOCSPTLCK, TIOCSWINSZ] = [0x80045430n, 0x40045431n, 0x5414n];

export interface Spawn {
  file: PathLike;
  /** Byte for byte what the program gets, its own name first. */
  argv: PathLike[];
  /** Each as NAME=value. */
  env: PathLike[];
  cwd: PathLike;
  /**
   * What becomes descriptors 0, 1, 2 and so on; the child has no others. They stay the caller's to close. Or the path of a terminal, which
   * becomes all three, and the controlling one of a new session.
   */
  stdio: readonly number[] | { terminal: PathLike };
  /** The child leads a session and a group of its own, both named by its pid. */
  newSession: boolean;
}

/** How a child ended: one of both is null. */
export type Exit = { code: number; signal: null } | { code: null; signal: number };

/**
 * posix_spawn(3): starts a child and returns its pid, or throws why nothing has run (ENOENT, EACCES, ENOEXEC, E2BIG …).
 * Unlike fork it copies no page of this process. All signals are as in a new login, none ignored or blocked, and it is scheduled
 * as others are (SCHED_OTHER).
 */
export function spawnProcess({ file, argv, env, cwd, stdio, newSession }: Spawn): number {
  const actions = new Uint8Array(actionsBytes);
  const pid = new Int32Array(1);
  const moved: number[] = [];
  const [path, dir, args, vars] = [cstr(file), cstr(cwd), vector(argv), vector(env)];
  need("posix_spawn_file_actions_init", actions);
  try {
    if ("terminal" in stdio) {
      // Who leads a session without a terminal and opens one is controlled by it.
      need("posix_spawn_file_actions_addopen", actions, 0, cstr(stdio.terminal), O_RDWR, 0);
      for (const target of [1, 2]) need("posix_spawn_file_actions_adddup2", actions, 0, target);
    }
    const open = "terminal" in stdio ? [] : stdio;
    for (const [target, fd] of open.entries()) {
      // One that lies where another is to come would be overwritten before its turn.
      const from = fd < open.length && fd !== target ? duplicate(fd) : fd;
      if (from !== fd) moved.push(from);
      need("posix_spawn_file_actions_adddup2", actions, from, target);
    }
    need("posix_spawn_file_actions_addclosefrom_np", actions, Math.max(3, open.length));
    need("posix_spawn_file_actions_addchdir_np", actions, dir);
    need("posix_spawn", new Uint8Array(pid.buffer), path, actions, attributes(newSession), args, vars);
  } finally {
    for (const fd of moved) closeFd(fd);
    call("posix_spawn_file_actions_destroy", actions);
  }
  return pid[0] as number;
}

/** Calls a function whose result is an errno. */
function need(name: Name, ...args: Arg[]): void {
  const errno = call(name, ...args);
  if (errno !== 0) throw systemError(name, errno);
}

/** Strings of C behind the array of their addresses, all in one buffer, so that they live as long as each other. */
function vector(items: PathLike[]): Uint8Array {
  const strings = items.map(cstr);
  let at = 8 * (items.length + 1);
  const all = new Uint8Array(new ArrayBuffer(strings.reduce((n, s) => n + s.length, at)));
  const start = addressOf(all);
  const addresses = new BigUint64Array(all.buffer, 0, items.length + 1);
  for (const [i, string] of strings.entries()) {
    all.set(string, at);
    addresses[i] = start + BigInt(at);
    at += string.length;
  }
  return all;
}

const made: { own?: Uint8Array; same?: Uint8Array } = {};

/** The attributes of every spawn, made once. */
function attributes(newSession: boolean): Uint8Array {
  return made[newSession ? "own" : "same"] ??= makeAttributes(newSession ? SETSID : 0);
}

function makeAttributes(session: number): Uint8Array {
  const attr = new Uint8Array(attrBytes);
  need("posix_spawnattr_init", attr);
  need("posix_spawnattr_setflags", attr, session | SETSIGDEF | SETSIGMASK | SETSCHEDULER);
  need("posix_spawnattr_setsigdefault", attr, new Uint8Array(sigsetBytes).fill(0xff));
  need("posix_spawnattr_setsigmask", attr, new Uint8Array(sigsetBytes));
  return attr;
}

const siginfo = new Uint8Array(siginfoBytes);
const siginfoView = new DataView(siginfo.buffer);

/**
 * waitid(2) of one child, without waiting: undefined while it runs. With `leave` it stays a zombie, whose pid and
 * group nobody else can get, to be asked for again. Throws ECHILD when it is no child of ours (any more).
 */
export function waitChild(pid: number, leave: boolean): Exit | undefined {
  return waitFor(P_PID, pid, leave)?.exit;
}

/** The same of any child: for a process whose children are all its own, or were left to it. Throws ECHILD when there is none. */
export function waitAny(): { pid: number; exit: Exit } | undefined {
  return waitFor(P_ALL, 0, false);
}

function waitFor(which: number, id: number, leave: boolean): { pid: number; exit: Exit } | undefined {
  siginfo.fill(0);
  call("waitid", which, id, siginfo, WEXITED | WNOHANG | (leave ? WNOWAIT : 0));
  const pid = siginfoView.getInt32(16, true); // si_pid
  if (pid === 0) return undefined;
  const status = siginfoView.getInt32(24, true);
  const exit: Exit = siginfoView.getInt32(8, true) === CLD_EXITED
    ? { code: status, signal: null }
    : { code: null, signal: status };
  return { pid, exit };
}

/**
 * unshare(2) of umask and current directory: what this thread sets from now on is its own and its children's, and no
 * file that another thread makes meanwhile gets it. Threads that start later share them again. False where a container
 * forbids it; then they stay shared.
 */
export function unshareUmask(): boolean {
  try {
    call("unshare", CLONE_FS);
    return true;
  } catch (e) {
    if (errnoCode(e) === "EPERM" || errnoCode(e) === "ENOSYS") return false;
    throw e;
  }
}

/** socketpair(2): two ends of one stream, both close-on-exec. */
export function makeSocketPair(): [number, number] {
  const ends = new Int32Array(2);
  call("socketpair", AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, new Uint8Array(ends.buffer));
  return [ends[0] as number, ends[1] as number];
}

/** A second descriptor of the same, close-on-exec and above 2. */
export function duplicate(fd: number): number {
  return call("fcntl", fd, F_DUPFD_CLOEXEC, 3);
}

/** pipe2(2), both ends close-on-exec and blocking. */
export function makePipe(): [read: number, write: number] {
  const ends = new Int32Array(2);
  call("pipe2", new Uint8Array(ends.buffer), O_CLOEXEC);
  return [ends[0] as number, ends[1] as number];
}

/** Unlocks the pseudo-terminal whose master (/dev/ptmx) is `fd`, and returns its number under /dev/pts. */
export function unlockPty(fd: number): number {
  call("ioctl", fd, TIOCSPTLCK, new Uint8Array(4));
  const number = new Uint32Array(1);
  call("ioctl", fd, TIOCGPTN, new Uint8Array(number.buffer));
  return number[0] as number;
}

/** Tells a terminal its size in characters; its foreground group gets SIGWINCH. */
export function setWindowSize(fd: number, rows: number, columns: number): void {
  const size = new Uint16Array([rows, columns, 0, 0]);
  call("ioctl", fd, TIOCSWINSZ, new Uint8Array(size.buffer));
}
