// restore: makes a path of a disk have the content of a tree, each name at once or not at all. It never writes outside
// of the directories that it holds open, never through a link, and never in place of a directory.
import { constants } from "node:fs";
import {
  chownAt,
  type Clock,
  closeFd,
  errnoCode,
  Fault,
  flock,
  linkAt,
  mkdirAt,
  openAt,
  pause,
  renameAt,
  type Stat,
  statAt,
  symlinkAt,
  syncAllOf,
  syncFd,
  systemClock,
  truncateFd,
  utimensAt,
  writeAt,
} from "../mq/mod.ts";
import { differences } from "./differ.ts";
import { procPath } from "./disk.ts";
import type { Run } from "./disk.ts";
import { INNER, sweep, temporaryNames, unlinkIfThere } from "./leftovers.ts";
import { Ahead, type Expecting } from "./ahead.ts";
import { smallFileBytes } from "./limits.ts";
import { bytesHeld, readFile, readManifest } from "./manifest.ts";
import { type Fresh, freshOf, setMeta, setXattrs } from "./meta.ts";
import { components, showPath } from "./path.ts";
import { Fd, isDir, isSameFile, openDir, openPlace, statOf } from "./safepath.ts";
import type { Id, Store } from "./store.ts";
import { chunksAhead, groups } from "./tree_ahead.ts";
import type { DirNode, Entry, FileNode, LinkNode, Node } from "./tree.ts";
import { checkDepth, entriesOf, joinPath, listTree, readNode } from "./tree.ts";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;

export interface RestoreOptions {
  clock?: Clock;
  /** Whose everything is to be: `kept`, as the tree says; `own`, the caller's, who needs no rights then. Else `kept`. */
  owners?: "kept" | "own";
  /**
   * When what is new is durable: `each`, before its name appears; `end`, all at once before `restore` returns, so that a
   * power cut before that may leave names without their bytes. What replaces something is always durable first. Else `each`.
   */
  durable?: "each" | "end";
}

/** How many names were made or replaced (or, of directories, changed), and how many were right already. */
export interface Restored {
  written: number;
  unchanged: number;
}

interface Job {
  store: Ahead;
  clock: Clock;
  temporary: () => Uint8Array;
  /** Whether everything is to be the caller's own. */
  isOwn: boolean;
  /** Whether new files are synced one by one. */
  syncsEach: boolean;
  written: number;
  unchanged: number;
  /** The open directory that the root's name stands in; paths of `groups` start there. */
  base: number;
  /** The first name of each file that has several. */
  groups: Map<number, { path: Uint8Array; stat: Stat }>;
}

/**
 * Makes `target` have the content of a tree. Files and links replace files and links by a rename; directories
 * are merged, names that the tree does not have stay. What is right already, by content and attributes, is not touched.
 * @throws {Fault} notFound, naming the missing parent; refused, when a directory stands where a file or link belongs or
 *   the other way round; denied, when owners cannot be set by who runs this; environment
 */
export async function restore(
  store: Expecting,
  tree: Id | Node,
  target: Uint8Array | string,
  options: RestoreOptions = {},
): Promise<Restored> {
  const ahead = new Ahead(store);
  const [id, root] = typeof tree === "string" ? [tree, await readNode(ahead.structure, tree)] : ["", tree];
  const isOwn = options.owners === "own";
  if (!isOwn) await checkOwners(store, id, root);
  using place = openPlace("up", target);
  const job: Job = {
    store: ahead,
    clock: options.clock ?? systemClock,
    temporary: temporaryNames(options.clock ?? systemClock),
    isOwn,
    syncsEach: options.durable !== "end",
    written: 0,
    unchanged: 0,
    base: place.fd,
    groups: new Map(),
  };
  sweep(place.fd, job.clock);
  await restoreAt(job, id, root, { dir: place.fd, name: place.name, path: place.name, shown: place.path }, 0);
  if (job.written > 0) {
    if (job.syncsEach) syncFd(place.fd);
    else syncAllOf(place.fd);
  }
  return { written: job.written, unchanged: job.unchanged };
}

/** Only root gives files away: who is not must be the owner of every node, which is looked at before anything is written. */
async function checkOwners(store: Pick<Store, "get">, id: Id, root: Node): Promise<void> {
  const uid = process.geteuid!();
  if (uid === 0) return;
  const groups = new Set([process.getegid!(), ...process.getgroups!()]);
  const check = (node: Node, path: Uint8Array) => {
    if (node.uid === uid && groups.has(node.gid)) return;
    const shown = path.length === 0 ? "it" : showPath(path);
    throw new Fault(
      "up",
      "denied",
      `${shown} belongs to ${node.uid}:${node.gid}, which user ${uid} cannot set`,
      {
        hint: "isconf up as root",
      },
    );
  };
  if (root.kind !== "dir") return check(root, new Uint8Array(0));
  for await (const { node, path } of listTree(store, root, id)) check(node, path);
}

/** The node as anybody may make it: his own, and of its attributes those that need no rights. */
function own<N extends Node>({ xattrs = [], ...node }: N): N {
  const mine = xattrs.filter(([name]) => Buffer.from(name).toString("latin1").startsWith("user."));
  const meta = { uid: process.geteuid!(), gid: process.getegid!(), ...(mine.length > 0 && { xattrs: mine }) };
  return { ...node, ...meta } as N;
}

/** A name in an open directory; `path` starts at the job's base, `shown` is for messages. */
interface At {
  dir: number;
  name: Uint8Array;
  path: Uint8Array;
  shown: Uint8Array;
  /** Whether the directory was made by us just now: nothing is in it. */
  isNew?: boolean;
  /** Of such a one, what files in it are like when they are made; undefined where others could come in. */
  fresh?: Fresh | undefined;
}

async function restoreAt(job: Job, id: Id, given: Node, at: At, depth: number): Promise<void> {
  const node = job.isOwn ? own(given) : given;
  try {
    const stat = at.isNew ? undefined : statOf(at.dir, at.name);
    if (node.kind === "dir") return await restoreDir(job, id, node, at, stat, depth);
    if (stat !== undefined && isDir(stat)) {
      throw new Fault("up", "refused", `${showPath(at.shown)} is a directory, which nothing replaces`, {
        hint: `isconf snap --delete ${showPath(at.shown)}`,
      });
    }
    const first = node.kind === "file" && node.hard !== undefined ? job.groups.get(node.hard) : undefined;
    const isDone = first === undefined
      ? stat !== undefined && (await differences(job.store, at.dir, at.name, stat, node).next()).done === true
      : stat !== undefined && isSameFile(stat, first.stat);
    if (isDone) job.unchanged++;
    else {
      if (first !== undefined) linkAgain(job, first, at);
      else if (node.kind === "link") writeLink(job, node, at);
      else await writeFile(job, node, at, job.syncsEach || stat !== undefined);
      job.written++;
    }
    if (node.kind === "file" && node.hard !== undefined && first === undefined) {
      job.groups.set(node.hard, { path: at.path, stat: statAt(at.dir, at.name) });
    }
  } catch (e) {
    const isSystem = errnoCode(e) !== undefined && !(e instanceof Fault) && !("path" in (e as object));
    throw Fault.from("up", isSystem ? Object.assign(e as Error, { path: showPath(at.shown) }) : e);
  }
}

async function restoreDir(
  job: Job,
  id: Id,
  node: DirNode,
  at: At,
  stat: Stat | undefined,
  depth: number,
): Promise<void> {
  checkDepth(depth);
  if (stat !== undefined && !isDir(stat)) {
    throw new Fault("up", "refused", `${showPath(at.shown)} is not a directory, and one is needed there`, {
      hint: `isconf snap --delete ${showPath(at.shown)}`,
    });
  }
  if (stat === undefined) mkdirAt(at.dir, at.name, 0o700);
  using dir = openDir(at.dir, at.name);
  if (stat !== undefined) sweep(dir.fd, job.clock);
  const before = job.written;
  const isNew = stat === undefined;
  const fresh = isNew ? freshOf(dir.fd) : undefined;
  for await (const entries of groups(entriesOf(job.store.structure, node, id))) {
    await expectFiles(job, entries, isNew);
    for (const [name, child] of inlineFirst(entries)) {
      const [path, shown] = [joinPath(at.path, name), joinPath(at.shown, name)];
      const below = { dir: dir.fd, name, path, shown, isNew, fresh };
      const [childId, childNode] = typeof child === "string"
        ? [child, await readNode(job.store.structure, child)]
        : [id, child];
      await restoreAt(job, childId, childNode, below, depth + 1);
    }
    await pause();
  }
  const now = statAt(dir.fd);
  const isRight = stat !== undefined && String(now.mtime) === String(node.mtime) &&
    (await differences(job.store, dir.fd, Buffer.from("."), now, node).next()).done === true;
  if (isRight) job.unchanged++;
  else {
    setMeta(dir.fd, node);
    job.written++;
  }
  if (job.written > before && (job.syncsEach || stat !== undefined)) syncFd(dir.fd);
}

/** Files and links first, and then what may be a directory: going into one lets go of what was read for these files. */
function inlineFirst(entries: Entry[]): Entry[] {
  const isInline = ([, node]: Entry) => typeof node === "object";
  return [...entries.filter(isInline), ...entries.filter((entry) => !isInline(entry))];
}

/** Reads together what the files of a group will need: their manifests, and, when they are new, their chunks. */
async function expectFiles(job: Job, entries: Entry[], isNew: boolean): Promise<void> {
  const { store } = job;
  store.forget();
  const isDone = ({ hard }: FileNode) => hard !== undefined && job.groups.has(hard);
  const manifests = entries.flatMap(([, node]) =>
    typeof node === "object" && node.kind === "file" && !isDone(node) ? [node.content] : []
  );
  await store.expect(manifests);
  const chunks: Id[] = [];
  for (const id of isNew ? manifests : []) {
    if (store.held(id) !== undefined) chunks.push(...chunksAhead(await readManifest(store, id)));
  }
  await store.expect(chunks);
}

/** Writes to a file that nobody else can name beforehand, and gives it the name when it is complete. */
async function writeFile(job: Job, node: FileNode, at: At, syncs: boolean): Promise<void> {
  const temporary = job.temporary();
  const { fresh } = at;
  using file = new Fd(openAt(at.dir, temporary, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0o600));
  try {
    // What is written in no time is never so old that somebody would take it for a leftover.
    if (fresh === undefined || node.size > smallFileBytes) flock(file.fd);
    await writeContent(job.store, node, file.fd);
    setMeta(file.fd, node, fresh);
    if (syncs) syncFd(file.fd);
    renameAt(at.dir, temporary, at.dir, at.name);
  } catch (e) {
    unlinkIfThere(at.dir, temporary);
    throw e;
  }
  if (fresh === undefined) checkIsThere(statAt(file.fd), at);
}

async function writeContent(store: Ahead, node: FileNode, fd: number): Promise<void> {
  const held = node.runs === undefined ? bytesHeld(store, node.content) : undefined;
  if (held !== undefined) {
    if (held.size !== node.size) throw lying(node.content);
    let at = 0;
    for (const piece of held.pieces) {
      writeAt(fd, piece, at);
      at += piece.length;
    }
    return;
  }
  const runs: Run[] = node.runs ?? [[0, node.size]];
  let run = 0;
  let done = 0;
  for await (let piece of readFile(store, node.content)) {
    while (piece.length > 0 && run < runs.length) {
      const [offset, length] = runs[run]!;
      const part = piece.subarray(0, length - done);
      writeAt(fd, part, offset + done);
      piece = piece.subarray(part.length);
      done += part.length;
      if (done === length) [run, done] = [run + 1, 0];
    }
    if (piece.length > 0) throw lying(node.content);
  }
  const isComplete = run === runs.length || (node.size === 0 && done === 0);
  if (!isComplete) throw lying(node.content);
  if (node.runs !== undefined) truncateFd(fd, node.size);
}

function lying(content: Id): Fault {
  return new Fault("up", "corrupt", `content ${content} has another size than its node says`, {
    hint: "isconf fsck",
  });
}

/** Who owns the directory may swap names in it at any time; then we say so instead of reporting success. */
function checkIsThere(written: Stat, at: At): void {
  const now = statOf(at.dir, at.name);
  if (now !== undefined && isSameFile(now, written)) return;
  throw new Fault(
    "up",
    "refused",
    `${showPath(at.shown)} was swapped for another file while it was written`,
    {
      hint: `isconf exec ls -la ${showPath(at.shown)}; somebody else writes to that directory`,
    },
  );
}

/**
 * A symbolic link has no descriptor to set its owner by, and a name could be swapped for a hard link to any file. So it
 * is made in a directory of our own and moved out when it is complete.
 */
function writeLink(job: Job, node: LinkNode, at: At): void {
  const temporary = job.temporary();
  mkdirAt(at.dir, temporary, 0o700);
  try {
    using own = openDir(at.dir, temporary);
    const { uid, mode } = statAt(own.fd);
    if (uid !== process.geteuid!() || (mode & 0o077) !== 0) {
      throw new Fault("up", "refused", `a temporary directory beside ${showPath(at.shown)} was swapped`, {
        hint: `isconf exec ls -la ${showPath(at.shown)}; somebody else writes to that directory`,
      });
    }
    symlinkAt(node.target, own.fd, INNER);
    try {
      chownAt(own.fd, INNER, node.uid, node.gid);
      setXattrs(procPath(own.fd, Buffer.from(INNER)), node.xattrs ?? []);
      utimensAt(INNER, BigInt(node.mtime[0]), node.mtime[1], false, own.fd);
      const made = statAt(own.fd, INNER);
      renameAt(own.fd, INNER, at.dir, at.name);
      checkIsThere(made, at);
    } finally {
      unlinkIfThere(own.fd, INNER);
    }
  } finally {
    unlinkIfThere(at.dir, temporary, true);
  }
}

/** One more name for a file that this restore has made or found right. */
function linkAgain(job: Job, first: { path: Uint8Array; stat: Stat }, at: At): void {
  const names = components(first.path);
  const last = names.pop()!;
  const temporary = job.temporary();
  let dir = openDir(job.base, ".");
  try {
    for (const name of names) {
      const next = openDir(dir.fd, name);
      closeFd(dir.fd);
      dir = next;
    }
    linkAt(dir.fd, last, at.dir, temporary);
  } finally {
    closeFd(dir.fd);
  }
  try {
    const made = statOf(at.dir, temporary);
    if (made !== undefined && isSameFile(made, first.stat)) renameAt(at.dir, temporary, at.dir, at.name);
  } finally {
    // rename(2) of two names of one file does nothing, so the temporary name may still be there.
    unlinkIfThere(at.dir, temporary);
  }
  checkIsThere(first.stat, at);
}
