// capture: files, directories and symbolic links of a disk into a store. It changes nothing on the disk, follows no
// link below its root, and takes nothing that changed while it was read.
import { constants } from "node:fs";
import { errnoCode, Fault, O_PATH, openAt, pause, readAt, readlinkAt, type Stat, statAt } from "../mq/mod.ts";
import type { Cutter } from "./cutter.ts";
import {
  dataRuns,
  metaOf,
  procPath,
  READ_FLAGS,
  readRuns,
  readXattrs,
  refuseTalking,
  sortedNames,
} from "./disk.ts";
import type { Run } from "./disk.ts";
import { smallFileBytes } from "./limits.ts";
import { putFile } from "./manifest.ts";
import { showPath } from "./path.ts";
import { PutBatch } from "./put_batch.ts";
import { Fd, isDir, isFile, isLink, isSameFile, openDir, openPlace, type Place, statOf } from "./safepath.ts";
import type { Id, Store } from "./store.ts";
import type { FileNode, LinkNode } from "./tree.ts";
import { checkDepth, joinPath } from "./tree.ts";
import { type TreeSink, TreeWriter } from "./tree_writer.ts";

export interface CaptureOptions {
  cutter?: Cutter;
  /** Called after each file with how many there were so far, and their bytes. */
  progress?: (files: number, bytes: number) => void;
  /** Asked of every path below the root: whether all of it is left out, or what is inside: the names of a directory, the bytes of a file. */
  leaves?: (path: Uint8Array, stat: Stat) => "all" | "inside" | undefined;
  /** Told of what a tree cannot hold, which is left out then: fifos, sockets, devices. Without it they are refused. */
  special?: (path: Uint8Array) => void;
}

/** What was captured: `files` counts everything but directories, `bytes` the bytes of data read. */
export interface Captured {
  id: Id;
  kind: "file" | "dir" | "link";
  files: number;
  bytes: number;
}

/** Where a capture goes: who makes the tree of what it tells, and a store for the contents of large files. */
export interface CaptureInto {
  tree: TreeSink;
  store: Store;
}

/**
 * Several names of one file: how many this tree has, and its number once it was read. A large file is read once, and then
 * there is the node that its names share; a small one is not worth being remembered.
 */
interface Group {
  names: number;
  hard?: number;
  node?: FileNode;
  ctime?: string;
}

interface Job extends CaptureInto {
  cutter: Cutter | undefined;
  progress: (files: number, bytes: number) => void;
  leaves: NonNullable<CaptureOptions["leaves"]>;
  special: CaptureOptions["special"];
  files: number;
  bytes: number;
  /** Looks at all names of the tree; made when the first file with a second name is met. */
  groups: () => Promise<Map<string, Group>>;
  groupCount: number;
  /** File systems known to hold content. */
  devices: Set<number>;
}

/** The file is not what it was a moment ago. */
class Changed extends Error {}

const key = (s: Stat) => `${s.dev}:${s.ino}`;
const latin1 = (name: string) => Buffer.from(name, "latin1");

/**
 * Keeps the file, directory (with all below it) or symbolic link at `path`, and returns its node's id when every
 * object is durable. Names that vanish while a directory is read are left out.
 * @throws {Fault} notFound; usage, for a fifo, socket, device or a file of proc and the like; refused, for what changes
 *   while it is read, for an immutable file, and for a symbolic link on the way that others could have made
 */
export async function capture(
  store: Store,
  path: Uint8Array | string,
  options: CaptureOptions = {},
): Promise<Captured> {
  const batch = new PutBatch(store);
  const tree = new TreeWriter(batch);
  const told = await captureInto({ tree, store: batch }, path, options);
  const id = await tree.finish();
  await batch.flush();
  return { id, ...told };
}

/**
 * Tells `into` all that {@link capture} keeps.
 * @throws {Fault} as {@link capture}
 */
export async function captureInto(
  into: CaptureInto,
  path: Uint8Array | string,
  options: CaptureOptions = {},
): Promise<Omit<Captured, "id">> {
  using place = openPlace("snap", path);
  const job: Job = {
    ...into,
    cutter: options.cutter,
    progress: options.progress ?? (() => {}),
    leaves: options.leaves ?? NOTHING,
    special: options.special,
    files: 0,
    bytes: 0,
    groups: once(() => countNames(place, options.leaves ?? NOTHING)),
    groupCount: 0,
    devices: new Set(),
  };
  const kind = await captureAt(job, place.fd, place.name, place.path, -1);
  if (kind === undefined) {
    throw new Fault("snap", "notFound", `${showPath(path)} does not exist`, {
      hint: "isconf snap an existing path",
    });
  }
  return { kind, files: job.files, bytes: job.bytes };
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

const NO_NAME = new Uint8Array(0);
const NOTHING = () => undefined;

/** Tells of one name, or returns undefined when it is not there. `depth` counts directories, -1 is the root itself. */
async function captureAt(
  job: Job,
  dir: number,
  name: Uint8Array,
  path: Uint8Array,
  depth: number,
): Promise<Captured["kind"] | undefined> {
  for (let isSecond = false;; isSecond = true) {
    try {
      const stat = statOf(dir, name);
      if (stat === undefined) return undefined;
      const left = depth < 0 ? undefined : job.leaves(path, stat);
      if (left === "all") return undefined;
      if (stat.isImmutable) {
        throw new Fault(
          "snap",
          "refused",
          `${showPath(path)} is immutable or append-only, which is not kept`,
          {
            hint: `isconf exec chattr -ia ${showPath(path)}`,
          },
        );
      }
      if (isDir(stat)) {
        await captureDir(job, dir, name, path, stat, depth + 1, left);
        return "dir";
      }
      if (!isFile(stat) && !isLink(stat) && job.special !== undefined) return void job.special(path);
      if (isFile(stat) && left === "inside") await captureEmpty(job, dir, name, stat);
      else if (isFile(stat)) await captureFile(job, dir, name, path, stat, depth);
      else if (isLink(stat)) await job.tree.node(depth < 0 ? NO_NAME : name, captureLink(dir, name, stat));
      else refuseSpecial(stat, path);
      job.files++;
      job.progress(job.files, job.bytes);
      return isFile(stat) ? "file" : "link";
    } catch (e) {
      const isOther = e instanceof Changed || ["ENOENT", "ELOOP", "ENOTDIR"].includes(errnoCode(e) ?? "");
      if (!isOther) throw Fault.from("snap", withPath(e, path));
      if (!isSecond) continue;
      throw new Fault("snap", "refused", `${showPath(path)} changed while it was read`, {
        hint: "isconf snap it again when nobody writes to it",
      });
    }
  }
}

/** The error with the path that it happened at, if nobody said yet. */
function withPath(e: unknown, path: Uint8Array): unknown {
  if (errnoCode(e) !== undefined && !("path" in (e as object))) {
    Object.assign(e as object, { path: showPath(path) });
  }
  return e;
}

const KIND_WORDS = new Map([
  [constants.S_IFIFO, "a fifo"],
  [constants.S_IFSOCK, "a socket"],
  [constants.S_IFBLK, "a block device"],
  [constants.S_IFCHR, "a character device"],
]);

function refuseSpecial(stat: Stat, path: Uint8Array): never {
  const word = KIND_WORDS.get(stat.mode & constants.S_IFMT) ?? "of an unknown kind";
  throw new Fault("snap", "usage", `${showPath(path)} is ${word}, not a file, directory or symbolic link`, {
    hint: "isconf exec mkfifo or mknod makes one on every host; isconf snap takes the rest",
  });
}

/** The descriptor really is on what was looked at before. */
function checkSame(fd: number, before: Stat): void {
  if (!isSameFile(statAt(fd), before)) throw new Changed();
}

function captureLink(dir: number, name: Uint8Array, stat: Stat): LinkNode {
  using link = new Fd(openAt(dir, name, O_PATH | constants.O_NOFOLLOW));
  checkSame(link.fd, stat);
  return { kind: "link", ...metaOf(stat, readXattrs(procPath(dir, name))), target: readlinkAt(link.fd) };
}

/** A file without its bytes, which another process may be writing. */
async function captureEmpty(job: Job, dir: number, name: Uint8Array, stat: Stat): Promise<void> {
  using file = new Fd(openAt(dir, name, READ_FLAGS));
  checkSame(file.fd, stat);
  await job.tree.file(name, metaOf(stat, readXattrs(file.fd)), job.tree.room(0));
}

async function captureFile(
  job: Job,
  dir: number,
  name: Uint8Array,
  path: Uint8Array,
  stat: Stat,
  depth: number,
): Promise<void> {
  const told = depth < 0 ? NO_NAME : name;
  const group = stat.nlink > 1 && depth >= 0 ? (await job.groups()).get(key(stat)) : undefined;
  if (group?.node !== undefined && group.ctime === String(stat.ctime)) {
    return await job.tree.node(told, group.node);
  }
  using file = new Fd(openAt(dir, name, READ_FLAGS));
  checkSame(file.fd, stat);
  refuseDevice(job, file.fd, stat, path);
  if (stat.nlink > (group?.names ?? 1)) refuseLinked(statAt(dir), stat, path);
  const runs = dataRuns(file.fd, stat);
  const meta = metaOf(stat, readXattrs(file.fd));
  const isSmall = runs === undefined && stat.size <= smallFileBytes && job.cutter === undefined;
  const bytes = isSmall ? readSmall(file.fd, job.tree.room(stat.size)) : undefined;
  const ref = bytes === undefined
    ? await putFile(job.store, exactly(file.fd, runs ?? [[0, stat.size]], stat), job.cutter)
    : undefined;
  const after = statAt(file.fd);
  const isStill = after.size === stat.size && isSameTime(after.mtime, stat.mtime) &&
    isSameTime(after.ctime, stat.ctime);
  if (!isStill) throw new Changed();
  if (group?.hard === undefined) job.bytes += ref?.size ?? stat.size; // of several names of one file the first counts
  const hard = group !== undefined && group.names > 1 ? group.hard ??= job.groupCount++ : undefined;
  if (bytes !== undefined) return await job.tree.file(told, meta, bytes, hard);
  const node: FileNode = { kind: "file", ...meta, size: stat.size, content: ref!.id };
  if (runs !== undefined) node.runs = runs;
  if (hard !== undefined) {
    node.hard = hard;
    Object.assign(group!, { node, ctime: String(stat.ctime) });
  }
  await job.tree.node(told, node);
}

const isSameTime = (a: Stat["mtime"], b: Stat["mtime"]) => a[0] === b[0] && a[1] === b[1];

/** All bytes of a small file; that it has not grown is looked at by who asks for its attributes afterwards. */
function readSmall(fd: number, bytes: Uint8Array): Uint8Array {
  for (let done = 0; done < bytes.length;) {
    const got = readAt(fd, bytes.subarray(done), done);
    if (got === 0) throw new Changed();
    done += got;
  }
  return bytes;
}

/** The bytes of `runs`; the file has all of them and ends where it said, or it changed. */
async function* exactly(fd: number, runs: Run[], stat: Stat): AsyncGenerator<Uint8Array> {
  let left = runs.reduce((sum, [, length]) => sum + length, 0);
  for await (const piece of readRuns(fd, runs)) {
    left -= piece.length;
    yield piece;
  }
  if (left > 0 || readAt(fd, new Uint8Array(1), stat.size) > 0) throw new Changed();
}

/**
 * A name of a file that has others outside of the tree, where somebody else could have made it: in a directory of theirs, of a file
 * that is not. They need not be able to read it, and root, who is, is not to give it away.
 */
function refuseLinked(dir: Stat, file: Stat, path: Uint8Array): void {
  const isTrusted = dir.uid === 0 ? (dir.mode & 0o022) === 0 : dir.uid === file.uid;
  if (process.geteuid!() !== 0 || isTrusted) return;
  throw new Fault(
    "snap",
    "refused",
    `${showPath(path)} is one of several names of a file that others could have linked there`,
    {
      hint: `ls -li ${showPath(path)}; cp -p makes it a file of its own`,
    },
  );
}

function refuseDevice(job: Job, fd: number, stat: Stat, path: Uint8Array): void {
  if (job.devices.has(stat.dev)) return;
  refuseTalking("snap", fd, showPath(path));
  job.devices.add(stat.dev);
}

async function captureDir(
  job: Job,
  dir: number,
  name: Uint8Array,
  path: Uint8Array,
  stat: Stat,
  depth: number,
  left: "inside" | undefined,
): Promise<void> {
  checkDepth(depth);
  using open = openDir(dir, name);
  checkSame(open.fd, stat);
  if (left === undefined) refuseDevice(job, open.fd, stat, path);
  const meta = metaOf(stat, readXattrs(open.fd));
  const names = left === undefined ? sortedNames(open.fd) : []; // what can fail because the directory is gone comes before anything is told of it
  await job.tree.dir(depth === 0 ? NO_NAME : name, meta);
  for (const [i, text] of names.entries()) {
    const child = latin1(text);
    await captureAt(job, open.fd, child, joinPath(path, child), depth);
    if (i % 64 === 63) await pause();
  }
  await job.tree.up();
}

/** How many names below (and with) a directory each file has that has more than one anywhere. */
async function countNames({ fd, name, path }: Place, leaves: Job["leaves"]): Promise<Map<string, Group>> {
  const groups = new Map<string, Group>();
  const visit = async (dir: number, path: Uint8Array, depth: number): Promise<void> => {
    checkDepth(depth);
    for (const [i, text] of sortedNames(dir).entries()) {
      const child = latin1(text);
      const at = joinPath(path, child);
      const stat = statOf(dir, child);
      if (stat !== undefined && leaves(at, stat) === undefined) {
        if (isDir(stat)) {
          using below = openDir(dir, child);
          await visit(below.fd, at, depth + 1);
        } else if (isFile(stat) && stat.nlink > 1) {
          const group = groups.get(key(stat));
          if (group === undefined) groups.set(key(stat), { names: 1 });
          else group.names++;
        }
      }
      if (i % 1024 === 1023) await pause();
    }
  };
  using root = openDir(fd, name);
  await visit(root.fd, path, 0);
  return groups;
}
