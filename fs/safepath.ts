// safepath: the way to a path that nobody can bend: name by name, holding each directory open. It reads and writes no
// file itself. Everything that follows works on the directory that was found, whatever is renamed meanwhile.
import { constants } from "node:fs";
import {
  AT_FDCWD,
  closeFd,
  errnoCode,
  Fault,
  O_PATH,
  openAt,
  readlinkAt,
  type Stat,
  statAt,
} from "../mq/mod.ts";
import { linksFollowedMax } from "./limits.ts";
import { components, pathBytes, showPath } from "./path.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } = constants;

export const isDir = (s: Stat) => (s.mode & S_IFMT) === S_IFDIR;
export const isLink = (s: Stat) => (s.mode & S_IFMT) === S_IFLNK;
export const isFile = (s: Stat) => (s.mode & S_IFMT) === S_IFREG;
export const isSameFile = (a: Stat, b: Stat) => a.dev === b.dev && a.ino === b.ino;

/** An open descriptor that is closed at the end of its block. */
export class Fd {
  readonly fd: number;
  constructor(fd: number) {
    this.fd = fd;
  }
  [Symbol.dispose](): void {
    closeFd(this.fd);
  }
}

/** A name in an open directory. The name of "/" (and of ".") is "." in itself. */
export class Place extends Fd {
  readonly name: Uint8Array;
  /** The path that was asked for, for messages. */
  readonly path: Uint8Array;
  constructor(fd: number, name: Uint8Array, path: Uint8Array) {
    super(fd);
    this.name = name;
    this.path = path;
  }
}

/** The status of a name, or undefined when it is not there. */
export function statOf(dir: number, name: Uint8Array): Stat | undefined {
  try {
    return statAt(dir, name);
  } catch (e) {
    if (errnoCode(e) === "ENOENT") return undefined;
    throw e;
  }
}

/** Opens the directory `name` in `dir` for listing, never through a symbolic link. */
export function openDir(dir: number, name: Uint8Array | string): Fd {
  return new Fd(openAt(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
}

/** Whether root, or who runs this process, owns it. */
function isOurs(s: Stat): boolean {
  return s.uid === 0 || s.uid === process.geteuid!();
}

/**
 * A link may lead us only when it is ours and nobody else could have put it there: others can hard-link or move a link
 * of root's into a directory where they may write.
 */
function isTrusted(link: Stat, dir: Stat): boolean {
  const isShared = (dir.mode & 0o022) !== 0;
  const isSticky = (dir.mode & 0o1000) !== 0;
  return isOurs(link) && isOurs(dir) && (!isShared || (isSticky && link.nlink === 1));
}

/**
 * Walks to the directory that holds `path`, whose last name is not looked at. A symbolic link on the way is followed
 * only when it is root's or our own and stands where only they could put it.
 * @throws {Fault} notFound, naming the parent that is missing; refused, naming the link; usage, for a path with ".."
 */
export function openPlace(op: string, path: Uint8Array | string): Place {
  const bytes = pathBytes(path);
  const names = components(bytes);
  if (bytes.length === 0 || bytes.includes(0) || names.some(isUp)) {
    throw new Fault(op, "usage", `not a path that is walked: "${showPath(bytes)}"`, {
      hint: "isconf snap --help; write the path without ..",
    });
  }
  const last = names.pop() ?? pathBytes(".");
  let dir = openAt(AT_FDCWD, bytes[0] === 0x2f ? "/" : ".", O_PATH | O_DIRECTORY);
  try {
    let walked = bytes[0] === 0x2f ? "" : ".";
    let followed = 0;
    while (names.length > 0) {
      const name = names.shift()!;
      walked += `/${showPath(name)}`;
      const next = step(op, dir, name, walked);
      const stat = statAt(next);
      if (isDir(stat)) {
        closeFd(dir);
        dir = next;
        continue;
      }
      using _link = new Fd(next);
      if (!isLink(stat)) throw missing(op, `${walked} is not a directory`);
      if (!isTrusted(stat, statAt(dir)) || ++followed > linksFollowedMax) {
        throw new Fault(op, "refused", `the symbolic link ${walked} is not followed: others can change it`, {
          hint: `isconf ${op} the path that it points to: readlink -f`,
        });
      }
      const target = readlinkAt(next);
      names.unshift(...components(target));
      if (target[0] === 0x2f) {
        const root = openAt(AT_FDCWD, "/", O_PATH | O_DIRECTORY);
        closeFd(dir);
        dir = root;
      }
    }
    return new Place(openAt(dir, ".", O_RDONLY | O_DIRECTORY), last, bytes);
  } finally {
    closeFd(dir);
  }
}

function isUp(name: Uint8Array): boolean {
  return name.length === 2 && name[0] === 0x2e && name[1] === 0x2e;
}

function step(op: string, dir: number, name: Uint8Array, walked: string): number {
  try {
    return openAt(dir, name, O_PATH | O_NOFOLLOW);
  } catch (e) {
    if (errnoCode(e) === "ENOENT") throw missing(op, `the directory ${walked} does not exist`);
    throw Fault.from(op, Object.assign(e as Error, { path: walked }));
  }
}

function missing(op: string, message: string): Fault {
  return new Fault(op, "notFound", message, { hint: "isconf exec mkdir -p" });
}
