// What a child inherits of who starts it, beside signals and umask: limits, niceness, I/O priority, CPUs. Set for one spawn and put back,
// because they can be given to a child in no other way without a program more. Not which they are to be (agent/), not the spawn.
import { constants, readFileSync } from "node:fs";
import { call, closeFd, errnoCode, openAt, readAt, writeAt } from "./libc.ts";

/** Numbers of RLIMIT_… (asm-generic/resource.h: x86-64 and arm64 alike). */
export const RLIMITS = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
} as const;

/** Soft and hard, Infinity: none. */
export type Limit = readonly [soft: number, hard: number];
export type Limits = Readonly<Record<keyof typeof RLIMITS, Limit>>;

/** System calls for which the C library has no function, or one that cannot tell -1 from an error. */
const SYSCALLS = process.arch === "arm64"
  ? { getpriority: 141, ioprioSet: 30, ioprioGet: 31 }
  : { getpriority: 140, ioprioSet: 251, ioprioGet: 252 };
const [PRIO_PROCESS, IOPRIO_WHO_PROCESS, cpusBytes] = [0, 1, 128];
/** What is shown where none was set: best effort, as niceness 0 has it. */
const usualIo = (2 << 13) | 4;
const infinity = 0xffff_ffff_ffff_ffffn;

const wordOf = (n: number) => n === Infinity ? infinity : BigInt(n);

let raises: boolean | undefined;

/** Whether this process may raise a hard limit again (CAP_SYS_RESOURCE), which root in a container often may not. */
export function mayRaiseLimits(): boolean {
  const rights = () =>
    /^CapEff:\s([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "0";
  return raises ??= (BigInt(`0x${rights()}`) >> 24n & 1n) === 1n;
}

function getLimit(resource: number): BigUint64Array {
  const words = new BigUint64Array(2);
  call("getrlimit", resource, new Uint8Array(words.buffer));
  return words;
}

function setLimit(resource: number, words: BigUint64Array): void {
  call("setrlimit", resource, new Uint8Array(words.buffer));
}

/** Lowers limits of this process and those that it starts for good, soft and hard, unless they are lower already. */
export function lowerLimits(limits: Partial<Record<keyof Limits, number>>): void {
  for (const [name, most] of Object.entries(limits) as [keyof Limits, number][]) {
    const [soft = 0n, hard = 0n] = getLimit(RLIMITS[name]);
    const least = (a: bigint) => a < wordOf(most) ? a : wordOf(most);
    setLimit(RLIMITS[name], new BigUint64Array([least(soft), least(hard)]));
  }
}

/**
 * Runs `spawn` while a child would inherit these limits, niceness 0, no I/O priority and every CPU; then all is as before.
 * Limits are the whole process's, so that for that moment its other threads have them too. Where hard limits cannot be raised
 * again they stay, and soft ones are within them.
 */
export function inheriting<T>(limits: Limits, spawn: () => T): T {
  const undo: (() => void)[] = [];
  try {
    for (const [name, limit] of Object.entries(limits) as [keyof Limits, Limit][]) {
      const resource = RLIMITS[name];
      const before = getLimit(resource);
      const [soft, hard] = [wordOf(limit[0]), mayRaiseLimits() ? wordOf(limit[1]) : before[1]!];
      const wanted = new BigUint64Array([soft < hard ? soft : hard, hard]);
      if (before[0] === wanted[0] && before[1] === wanted[1]) continue;
      setLimit(resource, wanted);
      undo.push(() => setLimit(resource, before));
    }
    plainThread(undo);
    return spawn();
  } finally {
    for (const back of undo.reverse()) back();
  }
}

/** What Linux keeps for each thread, and a child gets from the one that starts it. */
function plainThread(undo: (() => void)[]): void {
  const set = (what: () => void, back: () => void) => {
    try {
      what();
      undo.push(back);
    } catch (e) {
      if (!["EPERM", "EACCES"].includes(errnoCode(e) ?? "")) throw e; // who is not root stays as nice as they are
    }
  };
  const nice = 20 - call("syscall", BigInt(SYSCALLS.getpriority), BigInt(PRIO_PROCESS), 0n, 0n);
  if (nice !== 0) {
    set(
      () => void call("setpriority", PRIO_PROCESS, 0, 0),
      () => void call("setpriority", PRIO_PROCESS, 0, nice),
    );
  }
  const io = call("syscall", BigInt(SYSCALLS.ioprioGet), BigInt(IOPRIO_WHO_PROCESS), 0n, 0n);
  const setIo = (value: number) =>
    void call("syscall", BigInt(SYSCALLS.ioprioSet), BigInt(IOPRIO_WHO_PROCESS), 0n, BigInt(value));
  if (io !== 0 && io !== usualIo) set(() => setIo(0), () => setIo(io));
  const before = new Uint8Array(cpusBytes);
  call("sched_getaffinity", 0, BigInt(cpusBytes), before);
  set(
    () => void call("sched_setaffinity", 0, BigInt(cpusBytes), new Uint8Array(cpusBytes).fill(0xff)),
    () => void call("sched_setaffinity", 0, BigInt(cpusBytes), before),
  );
}

/** Gives a child that has just been started oom_score_adj 0, when ours, which it has, is another. */
export function plainOomScore(pid: number): void {
  const own = new Uint8Array(8);
  const file = (of: string, flags: number, use: (fd: number) => void) => {
    const fd = openAt(-100, `/proc/${of}/oom_score_adj`, flags);
    try {
      use(fd);
    } finally {
      closeFd(fd);
    }
  };
  file("self", constants.O_RDONLY, (fd) => void readAt(fd, own, 0));
  if (Number(new TextDecoder().decode(own).replace(/\n.*/s, "")) === 0) return;
  try {
    file(String(pid), constants.O_WRONLY, (fd) => writeAt(fd, new TextEncoder().encode("0"), 0));
  } catch (e) {
    // It has ended already, or whoever is not root may not.
    if (!["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(errnoCode(e) ?? "")) throw e;
  }
}
