// libc_sync: system calls about what is on the disk and what only in memory: durable, given back, no longer kept. Not reads and
// writes (libc.ts).
import { call } from "./libc.ts";

const POSIX_FADV_DONTNEED = 4;
const PUNCH_HOLE_KEEP_SIZE = 3;

/** fsync(2). An error is reported by the kernel once and is final. */
export function syncFd(fd: number): void {
  call("fsync", fd);
}

/** fallocate(2): gives a part of a file back to the disk; it reads as zeros then, and nothing behind it moves. */
export function punchHole(fd: number, offset: number, length: number): void {
  if (length > 0) call("fallocate", fd, PUNCH_HOLE_KEEP_SIZE, BigInt(offset), BigInt(length));
}

/**
 * posix_fadvise(2), POSIX_FADV_DONTNEED: what is synced of a part of a file need not stay in memory. Advice: whether it is
 * taken is not told.
 */
export function forgetCached(fd: number, offset: number, length: number): void {
  call("posix_fadvise", fd, BigInt(offset), BigInt(length), POSIX_FADV_DONTNEED);
}

/** syncfs(2): all that was written to the file system that `fd` is on. */
export function syncAllOf(fd: number): void {
  call("syncfs", fd);
}
