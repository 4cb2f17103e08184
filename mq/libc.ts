// libc by FFI: the one file that opens C, and the calls about files. It knows numbers and bytes only: no policy, no
// Fault, no meaning of a path. Extended attributes are in xattr.ts, child processes and terminals in process.ts, mounts in
// mounts.ts, UNIX sockets in unix_socket.ts, UDP in udp_socket.ts.
// Nothing is opened when it is imported; the library opens at the first call, on Node (node:ffi) or on Deno.
import { constants } from "node:os";
import { SYMBOLS } from "./libc_symbols.ts";

/** A path or name for the kernel: bytes as they are, or text as UTF-8. Never with a zero byte inside. */
export type PathLike = Uint8Array | string;

/** What statx(2) says of one file. Times are [seconds, nanoseconds]; `isImmutable` is true for append-only files too. */
export interface Stat {
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  size: number;
  blocks: number;
  dev: number;
  ino: bigint;
  /** Of a device: major and minor number. */
  rdev: [number, number];
  mtime: [number, number];
  ctime: [number, number];
  isMountRoot: boolean;
  isImmutable: boolean;
}

/** The current directory, where a directory descriptor is asked for. */
export const AT_FDCWD = -100;
/** open(2) flag that Node's constants lack: a descriptor that only names the file. */
export const O_PATH = 0o10000000;

const [AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_EMPTY_PATH] = [0x100, 0x200, 0x1000];
const [STATX_BASIC_STATS, STATX_ATTR_MOUNT_ROOT, STATX_ATTR_IMMUTABLE_APPEND] = [0x7ff, 0x2000, 0x30];
const [SEEK_DATA, SEEK_HOLE] = [3, 4];
const [F_SETFD, F_GETFL, F_SETFL, FD_CLOEXEC, O_NONBLOCK, O_CLOEXEC] = [2, 3, 4, 1, 0o4000, 0o2000000];
const [LOCK_SH, LOCK_EX, LOCK_NB, MFD_CLOEXEC, UTIME_OMIT] = [1, 2, 4, 1, 0x3ffffffe];
/** Bytes of names asked for at once, and PATH_MAX, longer than which no symbolic link is (linux/limits.h). */
const [namesBytes, linkBytesMax] = [65536, 4096];

export type Arg = number | bigint | Uint8Array;
type Fn = (...args: Arg[]) => number | bigint;

export type Name = keyof typeof SYMBOLS;

/** What may fail the first time and succeed the second without having been done: never to be repeated. */
const ONCE: ReadonlySet<Name> = new Set<Name>(["fsync", "syncfs", "close"]);

interface Libc {
  fn: Record<Name, Fn>;
  /** This thread's errno itself, not a copy: reading it calls nothing. */
  errno: Int32Array;
  addressOf(bytes: Uint8Array): bigint;
}

interface DenoFfi {
  dlopen(path: string, symbols: Record<string, { parameters: readonly string[]; result: string }>): {
    symbols: Record<Name, Fn> & { __errno_location(): unknown };
  };
  UnsafePointerView: { getArrayBuffer(pointer: unknown, bytes: number): ArrayBuffer };
  UnsafePointer: { of(bytes: Uint8Array): unknown; value(pointer: unknown): number | bigint };
}

interface NodeFfi {
  dlopen(path: string, symbols: Record<string, { arguments: readonly string[]; return: string }>): {
    functions: Record<Name, Fn> & { __errno_location(): unknown };
  };
  toArrayBuffer(pointer: unknown, bytes: number, copy: boolean): ArrayBuffer;
  getRawPointer(bytes: Uint8Array): bigint;
}

let opened: Libc | undefined;

function openLibc(): Libc {
  const names = Object.keys(SYMBOLS) as Name[];
  const deno = (globalThis as unknown as { Deno?: DenoFfi }).Deno;
  if (deno !== undefined) {
    const symbols = Object.fromEntries(
      names.map((n) => [n, { parameters: SYMBOLS[n].slice(1), result: SYMBOLS[n][0] as string }]),
    );
    const lib = deno.dlopen("libc.so.6", {
      ...symbols,
      __errno_location: { parameters: [], result: "pointer" },
    });
    const at = lib.symbols.__errno_location();
    const { UnsafePointer, UnsafePointerView } = deno;
    return {
      fn: lib.symbols,
      errno: new Int32Array(UnsafePointerView.getArrayBuffer(at, 4)),
      addressOf: (bytes) => BigInt(UnsafePointer.value(UnsafePointer.of(bytes))),
    };
  }
  const ffi = nodeFfi();
  const symbols = Object.fromEntries(
    names.map((n) => [n, { arguments: SYMBOLS[n].slice(1), return: SYMBOLS[n][0] as string }]),
  );
  const lib = ffi.dlopen("libc.so.6", { ...symbols, __errno_location: { arguments: [], return: "pointer" } });
  const at = lib.functions.__errno_location();
  return {
    fn: lib.functions,
    errno: new Int32Array(ffi.toArrayBuffer(at, 4, false)),
    addressOf: (bytes) => ffi.getRawPointer(bytes),
  };
}

/** node:ffi without its ExperimentalWarning; every other warning passes, then and later. */
function nodeFfi(): NodeFfi {
  const emit = process.emitWarning;
  process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
    if (!(rest[0] === "ExperimentalWarning" && String(warning).startsWith("FFI "))) emit(warning, ...rest);
  }) as typeof process.emitWarning;
  try {
    return process.getBuiltinModule("node:ffi" as string) as unknown as NodeFfi;
  } finally {
    process.emitWarning = emit;
  }
}

const ERRNO_NAMES = new Map<number, string>();
for (const [name, value] of Object.entries(constants.errno)) {
  if (name !== "EOPNOTSUPP" && name !== "EWOULDBLOCK") ERRNO_NAMES.set(value, name);
}

/** An errno as an Error with `code` ("ENOENT"), `errno` and `syscall`. */
export function systemError(syscall: string, errno: number): Error {
  const code = ERRNO_NAMES.get(errno) ?? `E${errno}`;
  return Object.assign(new Error(`${code}: ${syscall}`), { code, errno, syscall });
}

/** The `code` of a system error ("ENOENT"), or undefined for any other thrown value. */
export function errnoCode(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

/**
 * Calls one function of the table; a result of -1 throws. The runtime may itself set errno (garbage collection, a new
 * compilation) between the call and our look, seldom but measurably. A call that failed has changed nothing, so it is
 * repeated until two looks in a row agree; should it now succeed, that is the answer. Except for {@link ONCE}.
 */
export function call(name: Name, ...args: Arg[]): number {
  const { fn, errno } = opened ??= openLibc();
  const f = fn[name];
  let before = 0;
  for (let i = 0; i < 100; i++) {
    errno[0] = 0;
    const result = f(...args);
    const seen = errno[0]!;
    if (result !== -1 && result !== -1n) return Number(result);
    if (ONCE.has(name)) throw systemError(name, seen === 0 ? constants.errno.EIO : seen);
    if (seen !== 0 && seen === before) throw systemError(name, seen);
    before = seen;
  }
  throw systemError(name, before);
}

/** Where C sees these bytes. Theirs must be an ArrayBuffer of their own: a small array without one may still move. */
export function addressOf(bytes: Uint8Array): bigint {
  return (opened ??= openLibc()).addressOf(bytes);
}

/** Bytes of a path with the zero that C wants; a zero inside is EINVAL, not a shorter path. */
export function cstr(path: PathLike): Uint8Array {
  const bytes = typeof path === "string" ? Buffer.from(path) : path;
  if (bytes.includes(0)) throw systemError("path", constants.errno.EINVAL);
  return Buffer.concat([bytes], bytes.length + 1);
}

/** Where the longest answers land; each is copied out before the next call. */
let scratch: Uint8Array | undefined;

function seek(fd: number, offset: number, whence: number): number {
  try {
    return call("lseek", fd, BigInt(offset), whence);
  } catch (e) {
    if (errnoCode(e) === "ENXIO") return -1;
    throw e;
  }
}

/** lseek(2) SEEK_DATA: where data starts at or after `offset`, or -1 when there is none. */
export function lseekData(fd: number, offset: number): number {
  return seek(fd, offset, SEEK_DATA);
}

/** lseek(2) SEEK_HOLE: where a hole (or the end) starts at or after `offset`, or -1 when `offset` is past the end. */
export function lseekHole(fd: number, offset: number): number {
  return seek(fd, offset, SEEK_HOLE);
}

/** openat(2), always close-on-exec. `flags` are those of `node:fs` constants, or {@link O_PATH}. */
export function openAt(dir: number, name: PathLike, flags: number, mode = 0): number {
  return call("openat", dir, cstr(name), flags | O_CLOEXEC, mode);
}

/** close(2) of a descriptor from this file; node:fs of Deno does not know those. */
export function closeFd(fd: number): void {
  call("close", fd);
}

/** pread(2): how many bytes came, 0 at the end of the file. */
export function readAt(fd: number, into: Uint8Array, offset: number): number {
  return into.length === 0 ? 0 : call("pread", fd, into, BigInt(into.length), BigInt(offset));
}

/** pwrite(2) of all of `bytes`. */
export function writeAt(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    const rest = bytes.subarray(done);
    done += call("pwrite", fd, rest, BigInt(rest.length), BigInt(offset + done));
  }
}

export function truncateFd(fd: number, size: number): void {
  call("ftruncate", fd, BigInt(size));
}

const statBytes = new Uint8Array(256);
const statView = new DataView(statBytes.buffer);

/** statx(2) of a name in a directory, never following a symbolic link; an empty name is the descriptor itself. */
export function statAt(dir: number, name: PathLike = ""): Stat {
  call("statx", dir, cstr(name), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_BASIC_STATS, statBytes);
  const v = statView;
  return {
    mode: v.getUint16(28, true),
    uid: v.getUint32(20, true),
    gid: v.getUint32(24, true),
    nlink: v.getUint32(16, true),
    size: Number(v.getBigUint64(40, true)),
    blocks: Number(v.getBigUint64(48, true)),
    dev: v.getUint32(136, true) * 2 ** 32 + v.getUint32(140, true),
    ino: v.getBigUint64(32, true),
    rdev: [v.getUint32(128, true), v.getUint32(132, true)],
    mtime: [Number(v.getBigInt64(112, true)), v.getUint32(120, true)],
    ctime: [Number(v.getBigInt64(96, true)), v.getUint32(104, true)],
    isImmutable: (v.getUint32(8, true) & STATX_ATTR_IMMUTABLE_APPEND) !== 0,
    isMountRoot: (v.getUint32(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0,
  };
}

/** getdents64(2): the next names of an open directory, without "." and ".."; undefined at the end. */
export function readNames(dir: number): Uint8Array[] | undefined {
  const buf = (scratch ??= new Uint8Array(namesBytes));
  const end = call("getdents64", dir, buf, BigInt(buf.length));
  if (end === 0) return undefined;
  const names: Uint8Array[] = [];
  for (let at = 0; at < end;) {
    const length = buf[at + 16]! | (buf[at + 17]! << 8);
    const name = buf.subarray(at + 19, buf.indexOf(0, at + 19));
    const isDots = name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e));
    if (!isDots) names.push(name.slice());
    at += length;
  }
  return names;
}

export function mkdirAt(dir: number, name: PathLike, mode: number): void {
  call("mkdirat", dir, cstr(name), mode);
}

/** unlinkat(2); with `directory`, rmdir. */
export function unlinkAt(dir: number, name: PathLike, directory = false): void {
  call("unlinkat", dir, cstr(name), directory ? AT_REMOVEDIR : 0);
}

export function renameAt(fromDir: number, from: PathLike, toDir: number, to: PathLike): void {
  call("renameat", fromDir, cstr(from), toDir, cstr(to));
}

export function symlinkAt(target: PathLike, dir: number, name: PathLike): void {
  call("symlinkat", cstr(target), dir, cstr(name));
}

/** linkat(2): a second name for a file; a symbolic link is linked, not followed. */
export function linkAt(fromDir: number, from: PathLike, toDir: number, to: PathLike): void {
  call("linkat", fromDir, cstr(from), toDir, cstr(to), 0);
}

/** readlinkat(2); an empty name reads the link that `dir` was opened on with {@link O_PATH}. */
export function readlinkAt(dir: number, name: PathLike = ""): Uint8Array {
  const buf = (scratch ??= new Uint8Array(namesBytes));
  return buf.slice(0, call("readlinkat", dir, cstr(name), buf, BigInt(linkBytesMax)));
}

/** fchownat(2), never following; an empty name is the descriptor itself. */
export function chownAt(dir: number, name: PathLike, uid: number, gid: number): void {
  call("fchownat", dir, cstr(name), uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
}

/** fchmod(2) with all of 07777. */
export function chmodFd(fd: number, mode: number): void {
  call("fchmod", fd, mode);
}

/**
 * utimensat(2): sets the modification time to the nanosecond, leaves the access time alone. `dir` is the directory that
 * `path` starts from; with an empty `path` and no following it is the file itself.
 */
export function utimensAt(path: PathLike, sec: bigint, nsec: number, follow: boolean, dir = AT_FDCWD): void {
  const times = new BigInt64Array([0n, BigInt(UTIME_OMIT), sec, BigInt(nsec)]);
  const flags = follow ? 0 : AT_SYMLINK_NOFOLLOW | (path.length === 0 ? AT_EMPTY_PATH : 0);
  call("utimensat", dir, cstr(path), new Uint8Array(times.buffer), flags);
}

/** memfd_create(2): a nameless file in memory, close-on-exec; `name` shows in /proc only. */
export function memfd(name: string): number {
  return call("memfd_create", cstr(name), MFD_CLOEXEC);
}

/**
 * flock(2) without waiting, exclusive unless `shared`: true when the lock is ours now, false when somebody has one that
 * does not go with it.
 */
export function flock(fd: number, shared = false): boolean {
  try {
    call("flock", fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
    return true;
  } catch (e) {
    if (errnoCode(e) === "EAGAIN") return false;
    throw e;
  }
}

/** Keeps a descriptor from every program that is started from now on. */
export function closeOnExec(fd: number): void {
  call("fcntl", fd, F_SETFD, FD_CLOEXEC);
}

/** The opposite: a program that takes the place of this one has it too. */
export function keepOnExec(fd: number): void {
  call("fcntl", fd, F_SETFD, 0);
}

/** Sets or clears O_NONBLOCK of an open file description. */
export function setNonBlocking(fd: number, on: boolean): void {
  const flags = call("fcntl", fd, F_GETFL, 0);
  call("fcntl", fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}
