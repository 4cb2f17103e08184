// Foreign: whether a caller lives among this host's users and files, or in a container, a chroot or a user namespace, where the same
// numbers and paths mean others. Such a caller is refused. Who calls is what the socket says (door.ts).
import * as fs from "node:fs";
import type { Peer } from "./caller.ts";

/**
 * Why a caller is none of this host's; undefined: it is one, or the kernel does not show us. It is looked at when it connects. Its uid
 * is the kernel's word whatever this says: what is kept off is what it would say of paths, and what its own root would call its.
 */
export function foreignness({ pid }: Peer): string | undefined {
  if (pid === 0) return "it is in a container of its own kind: its process has no number here";
  try {
    const [their, our] = [`/proc/${pid}/ns/user`, "/proc/self/ns/user"].map((file) => fs.readlinkSync(file));
    if (their !== our) return "it is in a user namespace of its own";
    const [theirs, ours] = [`/proc/${pid}/root/.`, "/"].map((dir) => fs.statSync(dir));
    return theirs!.dev === ours!.dev && theirs!.ino === ours!.ino
      ? undefined
      : "its root directory is another one";
  } catch (e) {
    const { code } = e as { code?: string };
    if (code === "EACCES" || code === "EPERM") return undefined; // only root's agent sees everybody
    return "it had ended before it could be looked at";
  }
}
