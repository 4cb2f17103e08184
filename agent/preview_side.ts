// Preview side: what a name of a disk is, and what it is called, in the list of a preview. Not what is different (preview_changes.ts,
// preview_snap.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { showPath } from "../fs/mod.ts";
import { readlinkAt, type Stat } from "../mq/mod.ts";
import type { Side } from "./preview_words.ts";

const { S_IFMT, S_IFDIR, S_IFREG, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR } = fs.constants;
const KINDS = new Map<number, Side["kind"]>([
  [S_IFDIR, "dir"],
  [S_IFREG, "file"],
  [S_IFLNK, "link"],
  [S_IFIFO, "fifo"],
  [S_IFSOCK, "socket"],
]);

/** The kind of what has this status. */
export function kindOf({ mode }: Stat): Side["kind"] {
  return KINDS.get(mode & S_IFMT) ?? "device";
}

/** What is said of one name, without opening it. */
export function sideOf(dir: number, name: Uint8Array, stat: Stat): Side {
  const kind = kindOf(stat);
  const { mode, uid, gid, size, rdev } = stat;
  return {
    kind,
    mode: mode & 0o7777,
    uid,
    gid,
    ...(kind === "file" ? { size } : {}),
    ...(kind === "link" ? { target: showPath(readlinkAt(dir, name)) } : {}),
    ...(kind === "device"
      ? { device: `${(mode & S_IFMT) === S_IFCHR ? "c" : "b"} ${rdev[0]}:${rdev[1]}` }
      : {}),
  };
}

/** A path as people see it, and the bytes where that is not what they are. */
export function said(path: Uint8Array): { path: string; pathBase64?: string } {
  const shown = showPath(path);
  return Buffer.from(shown).equals(path)
    ? { path: shown }
    : { path: shown, pathBase64: Buffer.from(path).toString("base64") };
}
