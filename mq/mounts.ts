// Mounts, by the calls of libc.ts: mount(2), pivot_root(2), device nodes. Numbers and bytes only: not what is mounted where, or
// why (agent/).
import { arch } from "node:os";
import { addressOf, AT_FDCWD, call, cstr, type PathLike } from "./libc.ts";

/** mount(2) flags: what a mount does not do. */
export const MS = { readOnly: 1, noSuid: 2, noDev: 4, noExec: 8, remount: 32, bind: 4096 } as const;

const [MNT_DETACH, S_IFCHR] = [2, 0o020000];
/** The number of pivot_root(2), for which the C library has no name. */
const PIVOT_ROOT = { x64: 155, arm64: 41 } as Record<string, number>;

/** mount(2). `options` are the file system's own. Throws the system's error. */
export function mountAt(source: PathLike, target: PathLike, type: string, flags: number, options = ""): void {
  call("mount", cstr(source), cstr(target), cstr(type), BigInt(flags), cstr(options));
}

/**
 * pivot_root(2): the mount point `newRoot` becomes the root of this mount namespace and of every process in it, and what was
 * the root before is not mounted there any more.
 */
export function pivotRoot(newRoot: string): void {
  const number = PIVOT_ROOT[arch()];
  if (number === undefined) throw new Error(`pivot_root has no known number on ${arch()}`);
  process.chdir(newRoot);
  const dot = cstr(".");
  call("syscall", BigInt(number), addressOf(dot), addressOf(dot), 0n); // the old root lies over the new one, at the same place
  call("umount2", cstr("."), MNT_DETACH);
  process.chdir("/");
}

/** mknodat(2) of a character device, with exactly this mode. */
export function makeDevice(path: PathLike, mode: number, major: number, minor: number): void {
  const before = process.umask(0);
  try {
    const dev = ((BigInt(major) & 0xfffn) << 8n) | (BigInt(minor) & 0xffn);
    call("mknodat", AT_FDCWD, cstr(path), S_IFCHR | mode, dev);
  } finally {
    process.umask(before);
  }
}
