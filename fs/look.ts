// look: what is at one path of a disk now, in a few words that can be compared with what was there elsewhere. It keeps nothing and
// changes nothing. Not trees (capture.ts, compare.ts).
import { createHash } from "node:crypto";
import { bytesEqual, errnoCode, Fault, O_PATH, openAt, readlinkAt, type Stat, statAt } from "../mq/mod.ts";
import { constants } from "node:fs";
import { READ_FLAGS, readRuns } from "./disk.ts";
import type { Difference } from "./differ.ts";
import { Fd, isDir, isFile, isLink, isSameFile, openPlace, statOf } from "./safepath.ts";

/** What a path can be. "other" are devices, fifos and sockets. */
export const LOOKS = ["absent", "file", "dir", "link", "other"] as const;

/** What is at a path; of one that is absent everything else is 0 or empty. */
export interface Look {
  kind: typeof LOOKS[number];
  /** The lower twelve bits; 0 of a link. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of a file or of a link's target; 0 where there is no hash. */
  size: number;
  /** SHA-256 of a file's bytes or of a link's target; empty where that is nobody's business. */
  sha256: Uint8Array;
}

export const ABSENT: Look = { kind: "absent", mode: 0, uid: 0, gid: 0, size: 0, sha256: new Uint8Array(0) };

/**
 * What is at `path`, reached as {@link openPlace} does. `wants` says of a file or a link whether its bytes are to be hashed.
 * @throws {Fault} refused, where a symbolic link on the way may not be followed
 */
export async function look(path: Uint8Array, wants: (stat: Stat) => boolean): Promise<Look> {
  let place;
  try {
    place = openPlace("look", path);
  } catch (e) {
    if (e instanceof Fault && e.kind === "notFound") return ABSENT;
    throw e;
  }
  using at = place;
  const stat = statOf(at.fd, at.name);
  if (stat === undefined) return ABSENT;
  const { uid, gid } = stat;
  const kind = isFile(stat) ? "file" : isDir(stat) ? "dir" : isLink(stat) ? "link" : "other";
  const seen: Look = { ...ABSENT, kind, mode: kind === "link" ? 0 : stat.mode & 0o7777, uid, gid };
  if ((kind !== "file" && kind !== "link") || !wants(stat)) return seen;
  try {
    using file = new Fd(openAt(at.fd, at.name, kind === "link" ? O_PATH | constants.O_NOFOLLOW : READ_FLAGS));
    if (!isSameFile(statAt(file.fd), stat)) return seen; // it is changing under us: what it holds is not known
    const hash = createHash("sha256");
    let size = 0;
    if (kind === "link") hash.update(readlinkAt(file.fd));
    else {for await (const piece of readRuns(file.fd, [[0, stat.size]])) {
        hash.update(piece), size += piece.length;
      }}
    return { ...seen, size: kind === "link" ? stat.size : size, sha256: hash.digest() };
  } catch (e) {
    if (errnoCode(e) === "ENOENT") return ABSENT;
    throw e;
  }
}

/** How what is there differs from what was said; where either has no hash, contents are not compared. */
export function lookDifferences(said: Look, there: Look): Difference[] {
  if (said.kind !== there.kind) {
    return said.kind === "absent" ? ["not removed"] : there.kind === "absent" ? ["missing"] : ["kind"];
  }
  const differences: Difference[] = [];
  const isHashed = said.sha256.length > 0 && there.sha256.length > 0;
  if (isHashed && (said.size !== there.size || !bytesEqual(said.sha256, there.sha256))) {
    differences.push("content");
  }
  if (said.mode !== there.mode) differences.push("mode");
  if (said.uid !== there.uid || said.gid !== there.gid) differences.push("owner");
  return differences;
}
