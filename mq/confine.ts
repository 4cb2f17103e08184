// Confine: what this process, and whatever it starts, gives up for good: system calls, kinds of sockets, new rights, capabilities, being
// looked into. By the calls of libc.ts; numbers and bytes only: not who gives up what, or why (agent/).
import { arch } from "node:os";
import { addressOf, call, errnoCode } from "./libc.ts";

const [PR_SET_DUMPABLE, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS] = [4, 23, 24, 38];

/**
 * System calls by which a process reaches beyond itself and what it has open: starts others, looks into them, signals them, changes
 * the machine, its mounts, its clock, or who it is. By their numbers, [x86-64, arm64]: asm/unistd_64.h, asm-generic/unistd.h.
 */
export const CALLS = {
  acct: [163, 89],
  add_key: [248, 217],
  adjtimex: [159, 171],
  bpf: [321, 280],
  capset: [126, 91],
  chroot: [161, 51],
  clock_adjtime: [305, 266],
  clock_settime: [227, 112],
  clone: [56, 220],
  clone3: [435, 435],
  delete_module: [176, 106],
  execve: [59, 221],
  execveat: [322, 281],
  fanotify_init: [300, 262],
  finit_module: [313, 273],
  fork: [57, undefined],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fspick: [433, 433],
  init_module: [175, 105],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  io_uring_setup: [425, 425],
  ioperm: [173, undefined],
  iopl: [172, undefined],
  kcmp: [312, 272],
  kexec_file_load: [320, 294],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  kill: [62, 129],
  mknod: [133, undefined],
  mknodat: [259, 33],
  modify_ldt: [154, undefined],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  perf_event_open: [298, 241],
  personality: [135, 92],
  pidfd_getfd: [438, 438],
  pidfd_open: [434, 434],
  pidfd_send_signal: [424, 424],
  pivot_root: [155, 41],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  quotactl: [179, 60],
  reboot: [169, 142],
  request_key: [249, 218],
  rt_sigqueueinfo: [129, 138],
  rt_tgsigqueueinfo: [297, 240],
  seccomp: [317, 277],
  setdomainname: [171, 162],
  setfsgid: [123, 152],
  setfsuid: [122, 151],
  setgid: [106, 144],
  setgroups: [116, 159],
  sethostname: [170, 161],
  setns: [308, 268],
  setregid: [114, 143],
  setresgid: [119, 149],
  setresuid: [117, 147],
  setreuid: [113, 145],
  settimeofday: [164, 170],
  setuid: [105, 146],
  socket: [41, 198],
  swapoff: [168, 225],
  swapon: [167, 224],
  syslog: [103, 116],
  tgkill: [234, 131],
  tkill: [200, 130],
  umount2: [166, 39],
  unshare: [272, 97],
  userfaultfd: [323, 282],
  vfork: [58, undefined],
  vhangup: [153, 58],
} as const satisfies Record<string, readonly [x64: number, arm64: number | undefined]>;

type CallName = keyof typeof CALLS;

const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97];
const [KILL, ALLOW, ERRNO] = [0x8000_0000, 0x7fff_0000, 0x0005_0000];
const CLONE_THREAD = 0x0001_0000;
/** Where a filter finds architecture, number and first argument (struct seccomp_data, linux/seccomp.h). */
const AT = { number: 0, arch: 4, first: 16 } as const;
/** AUDIT_ARCH_… of linux/audit.h; numbers from which on a call is one of x32. */
const ARCHES: Record<string, { audit: number; column: 0 | 1 }> = {
  x64: { audit: 0xc000_003e, column: 0 },
  arm64: { audit: 0xc000_00b7, column: 1 },
};
const X32 = 0x4000_0000;

/** One step of a filter (struct sock_filter): what it does, how many are left out when it holds, when it does not, its number. */
export type Step = [code: number, jt: number, jf: number, k: number];
const load = (at: number): Step => [0x20, 0, 0, at];
const give = (what: number): Step => [0x06, 0, 0, what];
/** The steps are taken when the word that was loaded is `k`; else those behind them. */
const when = (k: number, steps: Step[]): Step[] => [[0x15, 0, steps.length, k], ...steps];
const fail = (errno: number): Step => give(ERRNO | errno);

/** Steps for one call; none where this processor has no such call. */
type On = (name: CallName, steps: Step[]) => Step[];

/** A program that looks at each system call (BPF, seccomp(2)), and lets those pass that `judge` says nothing of. */
function programOf(arch: string, judge: (on: On) => Step[]): Step[] {
  const known = ARCHES[arch];
  if (known === undefined) {
    throw Object.assign(new Error(`no system calls are known of ${arch}`), { code: "ENOSYS" });
  }
  const on: On = (name, steps) => {
    const number = CALLS[name][known.column];
    return number === undefined ? [] : when(number, steps);
  };
  return [
    load(AT.arch),
    [0x15, 1, 0, known.audit],
    give(KILL),
    load(AT.number),
    ...known.column === 0 ? [[0x35, 0, 1, X32], fail(EPERM)] as Step[] : [],
    ...judge(on),
    give(ALLOW),
  ];
}

/** The program of `confineCalls`, for the process `pid`. */
export function stepsOf(arch: string, families: readonly number[], pid: number): Step[] {
  const judged: readonly CallName[] = ["clone", "clone3", "tgkill", "socket"];
  const denied = (Object.keys(CALLS) as CallName[]).filter((name) => !judged.includes(name));
  return programOf(arch, (on) => [
    ...denied.flatMap((name) => on(name, [fail(EPERM)])),
    // What it is to start is in memory, where no filter can look: the C library takes clone(2) instead.
    ...on("clone3", [fail(ENOSYS)]),
    ...on("clone", [load(AT.first), [0x45, 1, 0, CLONE_THREAD], fail(EPERM), give(ALLOW)]),
    ...on("tgkill", [load(AT.first), ...when(pid, [give(ALLOW)]), fail(EPERM)]),
    ...on("socket", [
      load(AT.first),
      ...families.flatMap((one) => when(one, [give(ALLOW)])),
      fail(EAFNOSUPPORT),
    ]),
  ]);
}

/**
 * seccomp(2): from now on no thread of this process can do what those calls do (EPERM), but for threads of its own and signals to
 * them, nor make sockets of other families (AF_…) than these (EAFNOSUPPORT). New rights are forbidden with it. Only for a
 * program that was started after `forbidRings`. Throws the system's error where there is no seccomp, as in an emulator.
 */
export function confineCalls(families: readonly number[]): void {
  setFilter(stepsOf(arch(), families, process.pid));
}

/**
 * No ring of io_uring from now on: what goes over one is no system call that a filter sees. libuv has made one before any of our
 * code runs, and ends the process when it can no longer use it: what must come next is `process.execve`.
 */
export function forbidRings(): void {
  const calls = ["io_uring_setup", "io_uring_enter", "io_uring_register"] as const;
  setFilter(programOf(arch(), (on) => calls.flatMap((name) => on(name, [fail(EPERM)]))));
}

/** Puts a filter on every thread of this process, beside those that it has. */
function setFilter(steps: Step[]): void {
  const program = new DataView(new ArrayBuffer(8 * steps.length));
  for (const [i, [code, jt, jf, k]] of steps.entries()) {
    program.setUint16(8 * i, code, true);
    program.setUint8(8 * i + 2, jt);
    program.setUint8(8 * i + 3, jf);
    program.setUint32(8 * i + 4, k, true);
  }
  const head = new DataView(new ArrayBuffer(16)); // struct sock_fprog
  head.setUint16(0, steps.length, true);
  head.setBigUint64(8, addressOf(new Uint8Array(program.buffer)), true);
  forbidNewRights();
  const [SET_MODE_FILTER, TSYNC] = [1n, 1n];
  const number = BigInt(CALLS.seccomp[ARCHES[arch()]?.column ?? 0]);
  const stray = call("syscall", number, SET_MODE_FILTER, TSYNC, addressOf(new Uint8Array(head.buffer)));
  if (stray !== 0) throw new Error(`thread ${stray} has a filter of its own`);
}

/** No program that this process starts gets rights that it has not itself (PR_SET_NO_NEW_PRIVS). */
export function forbidNewRights(): void {
  call("prctl", PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n);
}

/** Gives up every capability of this thread, and of those that it starts. */
export function dropCapabilities(): void {
  const head = new Uint32Array(new ArrayBuffer(8));
  head[0] = 0x2008_0522; // _LINUX_CAPABILITY_VERSION_3
  const none = new Uint8Array(new ArrayBuffer(24));
  const number = CALLS.capset[ARCHES[arch()]?.column ?? 0];
  call("syscall", BigInt(number), addressOf(new Uint8Array(head.buffer)), addressOf(none), 0n);
}

/** No program that this process starts from now on can have another capability than these (numbers of capability.h). */
export function boundCapabilities(kept: ReadonlySet<number>): void {
  for (let capability = 0; capability < 64; capability++) {
    if (!isCapability(capability)) break;
    if (!kept.has(capability)) call("prctl", PR_CAPBSET_DROP, BigInt(capability), 0n, 0n, 0n);
  }
}

/** Whether the kernel knows this one; they are numbered without gaps. */
function isCapability(capability: number): boolean {
  try {
    call("prctl", PR_CAPBSET_READ, BigInt(capability), 0n, 0n, 0n);
    return true;
  } catch (e) {
    if (errnoCode(e) === "EINVAL") return false;
    throw e;
  }
}

/** Nobody may look into this process or its descriptors who has no right to look into any. */
export function makeUntraceable(): void {
  call("prctl", PR_SET_DUMPABLE, 0n, 0n, 0n, 0n);
}
