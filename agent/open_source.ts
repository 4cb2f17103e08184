// Open source: a file of this host that a verb is to read, found and opened; what is in the way is said of that verb.
// It reads nothing, and writes nothing (whole.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { inert } from "./names.ts";

/** An open file, closed at the end of the block that has it by `using`. */
export interface Source extends Disposable {
  fd: number;
  /** How many bytes it has; undefined of pipes, devices and standard input. */
  length: number | undefined;
}

/**
 * Opens `file` for `op`, the verb that was typed; "-" is standard input, which stays open. What must not be a directory says
 * so with `noDirectory`: why, and what to type instead.
 * @throws {Fault} notFound; usage, for a directory; environment
 */
export function openSource(op: string, file: string, noDirectory?: { why: string; hint: string }): Source {
  if (file === "-") return { fd: 0, length: undefined, [Symbol.dispose]: () => {} };
  const fd = attempt(op, file, () => fs.openSync(file, "r"));
  const stat = fs.fstatSync(fd);
  if (stat.isDirectory() && noDirectory !== undefined) {
    fs.closeSync(fd);
    const { why, hint } = noDirectory;
    throw new Fault(op, "usage", `${inert(file)} is a directory: ${why}`, { hint });
  }
  return { fd, length: stat.isFile() ? stat.size : undefined, [Symbol.dispose]: () => fs.closeSync(fd) };
}

/**
 * Where a path leads, for `op`; a link that leads nowhere is not there.
 * @throws {Fault} notFound; environment
 */
export function realPath(op: string, file: string): string {
  return attempt(op, file, () => fs.realpathSync(file));
}

function attempt<T>(op: string, file: string, fn: () => T): T {
  try {
    return fn();
  } catch (e) {
    if ((e as { code?: string }).code !== "ENOENT") throw Fault.from(op, e);
    throw new Fault(op, "notFound", `${inert(file)} does not exist`, {
      hint: `ls -l ${inert(path.dirname(file))}`,
    });
  }
}
