// Preview changes: what the layers of a preview say that was changed: path by path, against what is below. Whoever wrote them is not
// believed: nothing is followed, no device or pipe is opened, and it ends at named limits. Not the layers (preview_root.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import {
  bytesEqual,
  closeFd,
  compareBytes,
  errnoCode,
  getXattr,
  openAt,
  pause,
  readAt,
  readlinkAt,
  readNames,
  type Stat,
  statAt,
} from "../mq/mod.ts";
import { Diffs } from "./preview_diff.ts";
import type { Layer } from "./preview_root.ts";
import { kindOf, said, sideOf } from "./preview_side.ts";
import type { Change, Side } from "./preview_words.ts";

const {
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  S_IFMT,
  S_IFCHR,
} = fs.constants;
/** How an overlay says that a directory hides what is below it (Documentation/filesystems/overlayfs.rst). */
const OPAQUE = "trusted.overlay.opaque";
/** Bytes that are compared at a time. */
const pieceBytes = 64 * 1024;

/** A name in an open directory of a layer, and in that of what is below, if there is one. */
interface Spot {
  name: Uint8Array;
  path: Uint8Array;
  upper: number;
  lower: number | undefined;
  /** Whether everybody can come to it, as it was and as it is now. */
  isOpen: boolean;
}

/** Reads layers whose processes are gone. */
export class Changes {
  readonly #diffs: Diffs;
  /** The first path of each file that has several names. */
  readonly #names = new Map<string, string>();

  /** `all`: contents are shown whoever can read them; else only of files that everybody can read, before and after. */
  constructor(all: boolean) {
    this.#diffs = new Diffs(all);
  }

  /** Every path that was created, changed or removed, directories before what is in them. */
  async *of(layers: readonly Layer[]): AsyncGenerator<Change> {
    for (const { point, upper, lower } of layers) {
      const [before, after] = [statAt(lower), statAt(upper)];
      const change = this.#compare(
        { name: Buffer.from("."), path: point, upper, lower, isOpen: true },
        after,
        before,
      );
      if (change !== undefined) yield change;
      const isOpen = isForAll(before, 0o001) && isForAll(after, 0o001) && this.#isWayOpen(layers, point);
      yield* this.#below(upper, lower, point, isOpen);
    }
  }

  async *#below(
    upper: number,
    lower: number | undefined,
    path: Uint8Array,
    isOpen: boolean,
  ): AsyncGenerator<Change> {
    for (const name of namesIn(upper)) {
      await pause();
      yield* this.#at({ name, path: joined(path, name), upper, lower, isOpen });
    }
  }

  async *#at(spot: Spot): AsyncGenerator<Change> {
    const { name, path, upper, lower } = spot;
    const after = statAt(upper, name);
    const before = lower === undefined ? undefined : statIn(lower, name);
    if (isWhiteout(after)) {
      if (before !== undefined) {
        yield { ...said(path), change: "removed", before: sideOf(lower!, name, before) };
      }
      return;
    }
    const change = this.#compare(spot, after, before);
    if (change !== undefined) yield change;
    if (kindOf(after) !== "dir") return;
    const dir = openAt(upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const below = before !== undefined && kindOf(before) === "dir" ? openLower(lower!, name) : undefined;
    try {
      const isOpen = spot.isOpen && isForAll(after, 0o001) &&
        (before === undefined || isForAll(before, 0o001));
      if (below !== undefined && isOpaque(dir)) yield* this.#hidden(dir, below, path);
      yield* this.#below(dir, below, path, isOpen);
    } finally {
      closeFd(dir);
      if (below !== undefined) closeFd(below);
    }
  }

  /** What an opaque directory has hidden and not replaced. */
  *#hidden(upper: number, lower: number, path: Uint8Array): Generator<Change> {
    for (const name of namesIn(lower)) {
      const before = statIn(lower, name);
      if (before === undefined || statIn(upper, name) !== undefined) continue;
      yield { ...said(joined(path, name)), change: "removed", before: sideOf(lower, name, before) };
    }
  }

  /** What became of one name; undefined: nothing that anybody could see. */
  #compare(spot: Spot, after: Stat, before: Stat | undefined): Change | undefined {
    const { name, path, upper, lower, isOpen } = spot;
    const now = sideOf(upper, name, after);
    const isDir = now.kind === "dir";
    const first = isDir || after.nlink < 2 ? undefined : this.#firstName(after, path);
    const link = first === undefined ? {} : { sameFileAs: first };
    if (before === undefined) return { ...said(path), change: "created", after: now, ...link };
    const then = sideOf(lower!, name, before);
    const what: string[] = [];
    if (then.kind !== now.kind) what.push("kind");
    else if (!this.#isSame(spot, now, then, after, before)) what.push("content");
    if (then.mode !== now.mode) what.push("mode");
    if (then.uid !== now.uid || then.gid !== now.gid) what.push("owner");
    if (!isDir && String(after.mtime) !== String(before.mtime)) what.push("mtime");
    if (what.length === 0 && first === undefined) return undefined;
    const isDiffed = what.includes("content") && now.kind === "file";
    const isRead = isOpen && isForAll(after, 0o004) && isForAll(before, 0o004);
    const diff = isDiffed
      ? this.#diffs.of(said(path).path, isRead, read(lower!, name, before), read(upper, name, after))
      : undefined;
    return {
      ...said(path),
      change: "changed",
      what,
      before: then,
      after: now,
      ...link,
      ...(diff === undefined ? {} : diff),
    };
  }

  #isSame({ upper, lower, name }: Spot, now: Side, then: Side, after: Stat, before: Stat): boolean {
    if (now.kind === "link") return bytesEqual(readlinkAt(upper, name), readlinkAt(lower!, name));
    if (now.kind === "device") return now.device === then.device;
    if (now.kind !== "file") return true;
    return after.size === before.size && isSameContent(openFile(lower!, name), openFile(upper, name));
  }

  #firstName(stat: Stat, path: Uint8Array): string | undefined {
    const file = `${stat.dev} ${stat.ino}`;
    const first = this.#names.get(file);
    if (first === undefined) this.#names.set(file, said(path).path);
    return first;
  }

  /** Whether everybody can come to where a layer begins: what holds it is in another layer. */
  #isWayOpen(layers: readonly Layer[], point: Uint8Array): boolean {
    const root = layers[0]!;
    const names = Buffer.from(point).toString("latin1").split("/").filter((name) => name !== "").slice(0, -1);
    return [root.lower, root.upper].every((fd) => {
      let dir = openAt(fd, ".", O_RDONLY | O_DIRECTORY);
      try {
        if (!isForAll(statAt(dir), 0o001)) return false;
        for (const name of names) {
          let next: number;
          try {
            next = openAt(dir, Buffer.from(name, "latin1"), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
          } catch {
            return fd === root.upper; // nothing of it was changed there
          }
          closeFd(dir);
          dir = next;
          if (!isForAll(statAt(dir), 0o001)) return false;
        }
        return true;
      } finally {
        closeFd(dir);
      }
    });
  }
}

function isWhiteout({ mode, rdev }: Stat): boolean {
  return (mode & S_IFMT) === S_IFCHR && rdev[0] === 0 && rdev[1] === 0;
}

function isOpaque(dir: number): boolean {
  try {
    return getXattr(dir, OPAQUE)[0] === 0x79; // y
  } catch (e) {
    if (errnoCode(e) === "ENODATA" || errnoCode(e) === "EOPNOTSUPP" || errnoCode(e) === "ENOTSUP") {
      return false;
    }
    throw e;
  }
}

const isForAll = ({ mode }: Stat, bit: number): boolean => (mode & bit) !== 0;

/** The names in an open directory, in order. */
function namesIn(dir: number): Uint8Array[] {
  const again = openAt(dir, ".", O_RDONLY | O_DIRECTORY);
  const names: Uint8Array[] = [];
  try {
    for (let some = readNames(again); some !== undefined; some = readNames(again)) names.push(...some);
  } finally {
    closeFd(again);
  }
  return names.sort(compareBytes);
}

/** The host goes on below: what is not there any more was not there. */
function statIn(dir: number, name: Uint8Array): Stat | undefined {
  try {
    return statAt(dir, name);
  } catch (e) {
    if (errnoCode(e) === "ENOENT") return undefined;
    throw e;
  }
}

function openLower(dir: number, name: Uint8Array): number | undefined {
  try {
    return openAt(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (e) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errnoCode(e) ?? "")) return undefined;
    throw e;
  }
}

/** Opens a regular file; undefined when it is none (any more), and never waits. */
function openFile(dir: number, name: Uint8Array): number | undefined {
  let fd: number;
  try {
    if (kindOf(statAt(dir, name)) !== "file") return undefined;
    fd = openAt(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch {
    return undefined;
  }
  if (kindOf(statAt(fd)) === "file") return fd;
  closeFd(fd);
  return undefined;
}

/** Whether two open files have the same bytes; closes them. */
function isSameContent(a: number | undefined, b: number | undefined): boolean {
  try {
    if (a === undefined || b === undefined) return false;
    const [left, right] = [new Uint8Array(pieceBytes), new Uint8Array(pieceBytes)];
    for (let at = 0;;) {
      const [n, m] = [readAt(a, left, at), readAt(b, right, at)];
      if (n !== m || !bytesEqual(left.subarray(0, n), right.subarray(0, m))) return false;
      if (n === 0) return true;
      at += n;
    }
  } finally {
    for (const fd of [a, b]) if (fd !== undefined) closeFd(fd);
  }
}

/** How a file's bytes can be had, at most so many. */
function read(
  dir: number,
  name: Uint8Array,
  { size }: Stat,
): { size: number; bytes(max: number): Uint8Array } {
  return {
    size,
    bytes(max) {
      const fd = openFile(dir, name);
      if (fd === undefined) return new Uint8Array(0);
      try {
        const into = new Uint8Array(max);
        let at = 0;
        for (let n = 1; n > 0 && at < max; at += n) n = readAt(fd, into.subarray(at), at);
        return into.subarray(0, at);
      } finally {
        closeFd(fd);
      }
    },
  };
}

function joined(path: Uint8Array, name: Uint8Array): Uint8Array {
  return path.length === 1 ? Buffer.concat([path, name]) : Buffer.concat([path, Buffer.from("/"), name]);
}
