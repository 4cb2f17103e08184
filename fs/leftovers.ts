// leftovers: names for temporary files, and removing those that a crash left behind. Only what is surely ours, old,
// and held by nobody.
import { constants } from "node:fs";
import {
  AT_FDCWD,
  type Clock,
  errnoCode,
  Fault,
  flock,
  openAt,
  readNames,
  statAt,
  toHex,
  unlinkAt,
} from "../mq/mod.ts";
import { READ_FLAGS } from "./disk.ts";
import { leftoverMs, sweptMax } from "./limits.ts";
import { Fd, isDir, isFile, openDir, statOf } from "./safepath.ts";

/** The one name inside a temporary directory. */
export const INNER = "l";

/** Names for temporary files that nobody can foresee, each another; who writes one holds its flock. */
export function temporaryNames(clock: Clock): () => Uint8Array {
  const secret = toHex(clock.random(12));
  let count = 0;
  return () => Buffer.from(`.isconf-${secret}${(count++ % 2 ** 32).toString(16).padStart(8, "0")}`);
}

/** Directories looked at by this process: what appears later is of a living process. */
const swept = new Set<string>();

/** Removes the leftovers of crashed processes from an open directory, once for each directory and process. */
export function sweep(dir: number, clock: Clock): void {
  const { dev, ino } = statAt(dir);
  const key = `${dev}:${ino}`;
  if (swept.has(key)) return;
  if (swept.size >= sweptMax) swept.clear();
  swept.add(key);
  removeLeftovers(dir, clock);
}

/** What {@link sweep} does, for the directory at `path`; nothing where who runs this may not list names. */
export function sweepPath(path: string, clock: Clock): void {
  try {
    using dir = new Fd(openAt(AT_FDCWD, Buffer.from(path), constants.O_RDONLY | constants.O_DIRECTORY));
    sweep(dir.fd, clock);
  } catch (e) {
    if (errnoCode(e) !== "EACCES") throw Fault.from("get", Object.assign(e as Error, { path }));
  }
}

/** What {@link sweep} does, without remembering. Returns how many were removed. */
export function removeLeftovers(dir: number, clock: Clock): number {
  let removed = 0;
  using list = openDir(dir, ".");
  for (let names = readNames(list.fd); names !== undefined; names = readNames(list.fd)) {
    for (const name of names) {
      if (
        /^\.isconf-[0-9a-f]{32}$/.test(Buffer.from(name).toString("latin1")) && removeOne(dir, name, clock)
      ) removed++;
    }
  }
  return removed;
}

function removeOne(dir: number, name: Uint8Array, clock: Clock): boolean {
  const stat = statOf(dir, name);
  const isOld = stat !== undefined && clock.wall() - stat.ctime[0] * 1000 > leftoverMs;
  if (!isOld || stat.uid !== process.geteuid!()) return false;
  try {
    if (isFile(stat) && stat.nlink === 1) {
      using file = new Fd(openAt(dir, name, READ_FLAGS));
      if (!flock(file.fd)) return false;
      unlinkAt(dir, name);
      return true;
    }
    if (!isDir(stat)) return false;
    using inner = openDir(dir, name);
    unlinkIfThere(inner.fd, INNER);
    unlinkAt(dir, name, true);
    return true;
  } catch (e) {
    // Somebody else was faster, or it holds what we never put there: it stays.
    if (["ENOENT", "ENOTEMPTY", "ELOOP", "ENOTDIR", "EPERM", "EACCES"].includes(errnoCode(e) ?? "")) {
      return false;
    }
    throw e;
  }
}

/** unlink(2) of a name that may be gone already. */
export function unlinkIfThere(dir: number, name: Uint8Array | string, directory = false): void {
  try {
    unlinkAt(dir, name, directory);
  } catch (e) {
    if (errnoCode(e) !== "ENOENT") throw e;
  }
}
