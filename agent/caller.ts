// Caller: where somebody calls from, as the kernel shows the process that opened the connection. For people who read the record: nothing
// is decided by it. Who calls is what the socket says (door.ts).
import * as fs from "node:fs";

/** The process at the other end of a connection, as it was when it connected (SO_PEERCRED). */
export interface Peer {
  pid: number;
  /** The caller's uid, or root's, who may use everybody's door. */
  uid: number;
}

/** The same with what /proc says of it; empty where that is not known (any more). */
export interface Source extends Peer {
  /** Its controlling terminal: pts/3, tty1; none is empty. */
  tty: string;
  /** The directory it is in. */
  cwd: string;
}

/** Where a process calls from, now. What has ended meanwhile, or is somebody else's process by now, has no place. */
export function sourceOf(peer: Peer): Source {
  const proc = `/proc/${peer.pid}`;
  try {
    if (fs.statSync(proc).uid !== peer.uid) return { ...peer, tty: "", cwd: "" };
    const stat = fs.readFileSync(`${proc}/stat`, "latin1");
    const tty = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[4]);
    return { ...peer, tty: ttyName(tty), cwd: fs.readlinkSync(`${proc}/cwd`) };
  } catch {
    return { ...peer, tty: "", cwd: "" }; // it has gone, or is in a container that /proc does not show
  }
}

/** A terminal by its device number, as ps(1) calls it. */
export function ttyName(dev: number): string {
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  if (dev === 0 || Number.isNaN(dev)) return "";
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  if (major === 4) return minor < 64 ? `tty${minor}` : `ttyS${minor - 64}`;
  return `${major}:${minor}`;
}
