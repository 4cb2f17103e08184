// differ: how one name on a disk differs from a node of a tree. It changes nothing and goes into no directory.
import { createHash } from "node:crypto";
import {
  bytesEqual,
  errnoCode,
  lseekData,
  lseekHole,
  O_PATH,
  openAt,
  readlinkAt,
  type Stat,
  statAt,
} from "../mq/mod.ts";
import { constants } from "node:fs";
import type { Run } from "./disk.ts";
import { procPath, READ_FLAGS, readRuns, readXattrs, sameXattrs } from "./disk.ts";
import { readManifest } from "./manifest.ts";
import { Fd, isDir, isFile, isLink, isSameFile } from "./safepath.ts";
import type { Store } from "./store.ts";
import type { FileNode, Node } from "./tree.ts";

/** What can differ. The time of a directory is not compared: it changes with every name in it. */
export type Difference =
  | "missing"
  | "not removed"
  | "kind"
  | "content"
  | "mode"
  | "owner"
  | "mtime"
  | "xattr"
  | "hard link";

/** The differences of `name` in `dir`, whose status is `stat`, from `node`; the cheap ones first. */
export async function* differences(
  store: Pick<Store, "get">,
  dir: number,
  name: Uint8Array,
  stat: Stat | undefined,
  node: Node,
): AsyncGenerator<Difference> {
  if (stat === undefined) return yield "missing";
  if (!(node.kind === "dir" ? isDir : node.kind === "link" ? isLink : isFile)(stat)) return yield "kind";
  const isSized = node.kind !== "file" || stat.size === node.size;
  if (!isSized) yield "content";
  if (node.kind !== "link" && (stat.mode & 0o7777) !== node.mode) yield "mode";
  if (stat.uid !== node.uid || stat.gid !== node.gid) yield "owner";
  const isOld = stat.mtime[0] === node.mtime[0] && stat.mtime[1] === node.mtime[1];
  if (node.kind !== "dir" && !isOld) yield "mtime";
  using file = new Fd(openAt(dir, name, node.kind === "link" ? O_PATH | constants.O_NOFOLLOW : READ_FLAGS));
  if (!isSameFile(statAt(file.fd), stat)) return yield "content";
  const xattrs = readXattrs(node.kind === "link" ? procPath(dir, name) : file.fd);
  if (!sameXattrs(xattrs, node.xattrs ?? [])) yield "xattr";
  if (node.kind === "link" && !bytesEqual(readlinkAt(file.fd), node.target)) yield "content";
  if (node.kind === "file" && isSized && !await hasContent(store, file.fd, node)) yield "content";
}

/** Whether the open file, of the right size, has the bytes of `node`; its holes may lie elsewhere. */
async function hasContent(store: Pick<Store, "get">, fd: number, node: FileNode): Promise<boolean> {
  const { sha256 } = await readManifest(store, node.content);
  const hash = createHash("sha256");
  const runs = node.runs ?? [[0, node.size]];
  for await (const piece of readRuns(fd, runs)) hash.update(piece);
  if (hash.digest("hex") !== sha256) return false;
  for await (const piece of readRuns(fd, dataBetween(fd, runs, node.size))) {
    if (piece.some((byte) => byte !== 0)) return false;
  }
  return true;
}

/** Where an open file has data outside of `runs`: there only zeros may be. */
function dataBetween(fd: number, runs: Run[], size: number): Run[] {
  const out: Run[] = [];
  let at = 0;
  for (const [offset, length] of [...runs, [size, 0] as Run]) {
    while (at < offset) {
      const start = seek(lseekData, fd, at) ?? at;
      if (start < 0 || start >= offset) break;
      const end = Math.min(offset, seek(lseekHole, fd, start) ?? offset);
      out.push([start, end - start]);
      at = end;
    }
    at = offset + length;
  }
  return out;
}

/** A seek for data or holes, undefined on a file system that cannot tell them apart. */
function seek(how: (fd: number, offset: number) => number, fd: number, at: number): number | undefined {
  try {
    return how(fd, at);
  } catch (e) {
    if (errnoCode(e) === "EINVAL") return undefined;
    throw e;
  }
}
