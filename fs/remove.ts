// remove: takes a file, link or whole directory off a disk, the same safe way that restore writes one. It removes
// nothing beyond a mount point.
import { errnoCode, Fault, pause, readNames, type Stat, syncFd, unlinkAt } from "../mq/mod.ts";
import { unlinkIfThere } from "./leftovers.ts";
import { showPath } from "./path.ts";
import { isDir, openDir, openPlace, statOf } from "./safepath.ts";
import { checkDepth, joinPath } from "./tree.ts";

/** How often a directory is listed again because names appear in it while it is removed. */
const listingsMax = 3;

/**
 * Removes `target` and all below it; symbolic links are removed, never followed.
 * @throws {Fault} notFound; usage, for "/"; refused, when it is a mount point or has one below, before anything is
 *   removed; environment
 */
export async function remove(target: Uint8Array | string): Promise<{ removed: number }> {
  using place = openPlace("snap", target);
  if (place.name.length === 1 && place.name[0] === 0x2e) {
    throw new Fault("snap", "usage", `${showPath(target)} is not removed`, {
      hint: "isconf snap --delete a path below it",
    });
  }
  const stat = statOf(place.fd, place.name);
  if (stat === undefined) {
    throw new Fault("snap", "notFound", `${showPath(target)} does not exist`, { hint: "isconf snap --help" });
  }
  try {
    await refuseMounts(place.fd, place.name, stat, place.path, 0);
    const removed = await removeAt(place.fd, place.name, stat, 0);
    syncFd(place.fd);
    return { removed };
  } catch (e) {
    const isSystem = errnoCode(e) !== undefined && !("path" in (e as object));
    throw Fault.from("snap", isSystem ? Object.assign(e as Error, { path: showPath(target) }) : e);
  }
}

async function refuseMounts(
  dir: number,
  name: Uint8Array,
  stat: Stat,
  path: Uint8Array,
  depth: number,
): Promise<void> {
  checkDepth(depth);
  if (stat.isMountRoot) {
    throw new Fault("snap", "refused", `${showPath(path)} is a mount point`, {
      hint: `umount ${showPath(path)}`,
    });
  }
  if (!isDir(stat)) return;
  using open = openDir(dir, name);
  for (let names = readNames(open.fd); names !== undefined; names = readNames(open.fd)) {
    for (const child of names) {
      const below = statOf(open.fd, child);
      if (below !== undefined) await refuseMounts(open.fd, child, below, joinPath(path, child), depth + 1);
    }
    await pause();
  }
}

async function removeAt(dir: number, name: Uint8Array, stat: Stat, depth: number): Promise<number> {
  checkDepth(depth);
  if (!isDir(stat)) {
    unlinkIfThere(dir, name);
    return 1;
  }
  let removed = 0;
  for (let listing = 1;; listing++) {
    {
      using open = openDir(dir, name);
      for (let names = readNames(open.fd); names !== undefined; names = readNames(open.fd)) {
        for (const child of names) {
          const below = statOf(open.fd, child);
          if (below !== undefined) removed += await removeAt(open.fd, child, below, depth + 1);
        }
        await pause();
      }
    }
    try {
      unlinkAt(dir, name, true);
      return removed + 1;
    } catch (e) {
      if (errnoCode(e) !== "ENOTEMPTY" || listing === listingsMax) throw e;
    }
  }
}
