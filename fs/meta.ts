// meta: gives a file what it has besides its bytes: owner, attributes, mode and time. What that is, disk.ts reads.
import { chmodFd, chownAt, removeXattr, setXattr, statAt, utimensAt } from "../mq/mod.ts";
import { readXattrs } from "./disk.ts";
import type { Meta, Xattr } from "./tree.ts";

/** Whose a file is that is made in a directory; it has no attributes, and nobody else can swap it for another. */
export interface Fresh {
  uid: number;
  gid: number;
}

/** What {@link Fresh} says, if it can be said of this directory, which we have made just now. */
export function freshOf(dir: number): Fresh | undefined {
  const { uid, gid, mode } = statAt(dir);
  const isOurs = uid === process.geteuid!() && gid === process.getegid!() && (mode & 0o077) === 0;
  return isOurs && readXattrs(dir).length === 0 ? { uid, gid } : undefined;
}

/** Owner, attributes, mode, time: each of them may undo one that comes later, none an earlier one. */
export function setMeta(fd: number, meta: Meta, fresh?: Fresh): void {
  if (fresh?.uid !== meta.uid || fresh.gid !== meta.gid) chownAt(fd, "", meta.uid, meta.gid);
  if (fresh === undefined || meta.xattrs !== undefined) setXattrs(fd, meta.xattrs ?? []);
  chmodFd(fd, meta.mode);
  utimensAt("", BigInt(meta.mtime[0]), meta.mtime[1], false, fd);
}

/** Exactly these attributes and no other: a default ACL of the directory above may have added one. */
export function setXattrs(file: number | Uint8Array, wanted: Xattr[]): void {
  const text = (name: Uint8Array) => Buffer.from(name).toString("latin1");
  const have = new Map(readXattrs(file).map(([name, value]) => [text(name), value]));
  for (const [name, value] of wanted) {
    const old = have.get(text(name));
    have.delete(text(name));
    if (old === undefined || Buffer.compare(old, value) !== 0) setXattr(file, name, value);
  }
  for (const name of have.keys()) {
    // The label of a security module cannot be taken away, only changed.
    if (name !== "security.selinux") removeXattr(file, Buffer.from(name, "latin1"));
  }
}
