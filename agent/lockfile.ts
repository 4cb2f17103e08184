// Lockfile: one agent on one home. The kernel gives the lock back when the process ends, however it ends.
import * as fs from "node:fs";
import { flock } from "../mq/mod.ts";

/** Takes the lock, or returns undefined when another process has it. */
export function lockFile(file: string): { release(): void } | undefined {
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW, 0o600);
  if (flock(fd)) return { release: () => fs.closeSync(fd) };
  fs.closeSync(fd);
  return undefined;
}
