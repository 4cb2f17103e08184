// Preview differ: a file of this host against what its content was said to be, both read within bounds. Not how they are compared
// (preview_diff.ts), nor which files (preview_snap.ts).
import * as fs from "node:fs";
import { type FileNode, readNodeFile, type Store } from "../fs/mod.ts";
import { AT_FDCWD, closeFd, concat, errnoCode, openAt, readAt, statAt } from "../mq/mod.ts";
import { diffFileBytesMax } from "./limits.ts";
import type { Diff, Diffs } from "./preview_diff.ts";
import { kindOf } from "./preview_side.ts";
import type { DiffWords } from "./preview_words.ts";

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;

/** How the file at a path is other than it was said; what is no file any more has no difference of lines. */
export async function diffOf(
  store: Pick<Store, "get">,
  diffs: Diffs,
  [path, content, size, runs, isForAll]: DiffWords,
): Promise<Diff> {
  const node = { kind: "file", content, size, ...(runs === null ? {} : { runs }) } as FileNode;
  const isShort = size <= diffFileBytesMax;
  const before = isShort ? await bytesOf(readNodeFile(store, node)) : new Uint8Array(0);
  let fd: number;
  try {
    fd = openAt(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (e) {
    if (errnoCode(e) === undefined) throw e;
    return { noDiff: "it is not there in a preview" };
  }
  try {
    const st = statAt(fd);
    if (kindOf(st) !== "file") return { noDiff: "it is not there in a preview" };
    const now = { size: st.size, bytes: (max: number) => readUpTo(fd, Math.min(max, st.size)) };
    return diffs.of(Buffer.from(path).toString("utf8"), isForAll, { size, bytes: () => before }, now);
  } finally {
    closeFd(fd);
  }
}

function readUpTo(fd: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let got = -1; got !== 0 && at < length; at += got) got = readAt(fd, bytes.subarray(at), at);
  return bytes.subarray(0, at);
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return concat(...pieces);
}
