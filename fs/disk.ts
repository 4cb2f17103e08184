// disk: one file of a disk as a node sees it: attributes, runs of data, kind. It follows nothing and changes nothing.
import { constants, statfsSync } from "node:fs";
import {
  compareBytes,
  errnoCode,
  Fault,
  getXattr,
  listXattr,
  lseekData,
  lseekHole,
  pause,
  readAt,
  readNames,
  type Stat,
} from "../mq/mod.ts";
import { readBytes, runsMax } from "./limits.ts";
import type { Meta, Xattr } from "./tree.ts";

const { O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_RDONLY } = constants;

/** open(2) flags to read a file that may be swapped for anything: nothing is followed, and no fifo makes us wait. */
export const READ_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

/** The path of a name in an open directory, for the few calls that know only paths. */
export function procPath(dir: number, name: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${dir}/`), name]);
}

/** An attribute that belongs to this host's kernel alone: its keyed hash of this very inode. */
export const HOST_ATTRIBUTE = "security.evm";

/** All extended attributes that can be listed, sorted; none where the file system has none. See the README on skips. */
export function readXattrs(file: number | Uint8Array): Xattr[] {
  let names: Uint8Array[];
  try {
    names = listXattr(file);
  } catch (e) {
    if (errnoCode(e) === "ENOTSUP") return [];
    throw e;
  }
  const out: Xattr[] = [];
  for (const name of names.sort(compareBytes)) {
    if (Buffer.from(name).toString("latin1") !== HOST_ATTRIBUTE) out.push([name, getXattr(file, name)]);
  }
  return out;
}

export function sameXattrs(a: Xattr[], b: Xattr[]): boolean {
  return a.length === b.length &&
    a.every(([name, value], i) => compareBytes(name, b[i]![0]) === 0 && compareBytes(value, b[i]![1]) === 0);
}

/** What a node keeps of `stat` and the attributes. */
export function metaOf(stat: Stat, xattrs: Xattr[]): Meta {
  const { uid, gid, mtime } = stat;
  return { mode: stat.mode & 0o7777, uid, gid, mtime, ...(xattrs.length > 0 && { xattrs }) };
}

export type Run = [offset: number, length: number];

/** Where the data of a sparse file is; undefined when it has no hole (or its file system cannot tell). */
export function dataRuns(fd: number, stat: Stat): Run[] | undefined {
  if (stat.blocks * 512 >= stat.size) return undefined;
  let runs: Run[] = [];
  let gap = 1;
  try {
    for (let at = 0; at < stat.size;) {
      const start = lseekData(fd, at);
      if (start < 0 || start >= stat.size) break;
      const end = Math.min(stat.size, lseekHole(fd, start));
      if (end <= start) break;
      runs.push([start, end - start]);
      while (runs.length > runsMax) runs = joinRuns(runs, gap *= 2);
      at = end;
    }
  } catch (e) {
    if (errnoCode(e) === "EINVAL") return undefined;
    throw e;
  }
  return runs.length === 1 && runs[0]![1] === stat.size ? undefined : runs;
}

/** The same runs with holes of up to `gap` bytes counted as data. */
export function joinRuns(runs: Run[], gap: number): Run[] {
  const out: Run[] = [];
  for (const [offset, length] of runs) {
    const last = out.at(-1);
    if (last !== undefined && offset - last[0] - last[1] <= gap) last[1] = offset + length - last[0];
    else out.push([offset, length]);
  }
  return out;
}

/** The bytes of `runs` of an open file, in order, letting others run in between. Ends early where the file ends. */
export async function* readRuns(fd: number, runs: Run[]): AsyncGenerator<Uint8Array> {
  for (const [offset, length] of runs) {
    for (let done = 0; done < length;) {
      const buf = new Uint8Array(Math.min(readBytes, length - done));
      const got = readAt(fd, buf, offset + done);
      if (got === 0) return;
      yield buf.subarray(0, got);
      done += got;
      if (done >= readBytes) await pause();
    }
  }
}

/** All names in an open directory in order of their bytes, each as latin1 text: compact, and it sorts as bytes do. */
export function sortedNames(dir: number): string[] {
  const names: string[] = [];
  for (let some = readNames(dir); some !== undefined; some = readNames(dir)) {
    for (const name of some) {
      names.push(Buffer.from(name.buffer, name.byteOffset, name.length).toString("latin1"));
    }
  }
  return names.sort();
}

/** f_type of statfs(2) for file systems whose files are the kernel talking: their bytes are nobody's content. */
const TALKING = new Map([
  [0x9fa0, "proc"],
  [0x62656572, "sysfs"],
  [0x27e0eb, "cgroup"],
  [0x63677270, "cgroup2"],
  [0x64626720, "debugfs"],
  [0x74726163, "tracefs"],
  [0x73636673, "securityfs"],
  [0x62656570, "configfs"],
  [0xcafe4a11, "bpf"],
]);

/** @throws {Fault} usage, when `fd` lies on proc, sysfs and the like; `shown` is its path for the message */
export function refuseTalking(op: string, fd: number, shown: string): void {
  const name = TALKING.get(Number(statfsSync(`/proc/self/fd/${fd}`).type));
  if (name === undefined) return;
  throw new Fault(op, "usage", `${shown} is on ${name}, whose files have no content to keep`, {
    hint: `isconf ${op} a path on a disk`,
  });
}
