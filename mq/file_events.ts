// File events: what the kernel says is done to the names of a whole file system, by the calls of libc.ts (fanotify(7)). Numbers and
// bytes only: not what is done about it (agent/).
import { call, cstr, errnoCode, type PathLike } from "./libc.ts";

/** One or several things that one process did to one name, in the order of their numbers: the kernel tells them as one. */
export interface FileEvent {
  /** Of {@link FAN}. */
  mask: number;
  /** The process, in our namespace of processes; 0: in none that we see. */
  pid: number;
  /** What {@link openHandle} opens: the directory that has the name. */
  dir: Uint8Array;
  /** "." is the directory itself. */
  name: Uint8Array;
}

/** What can have been done (linux/fanotify.h). */
export const FAN = {
  modify: 0x2,
  attributes: 0x4,
  closeWrite: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  overflow: 0x4000,
  directory: 0x4000_0000,
} as const;

const [FAN_CLOEXEC, FAN_NONBLOCK, FAN_UNLIMITED_QUEUE] = [1, 2, 0x10];
const [FAN_REPORT_DIR_FID, FAN_REPORT_NAME] = [0x400, 0x800];
const [FAN_MARK_ADD, FAN_MARK_FILESYSTEM, AT_FDCWD] = [1, 0x100, -100];
const FAN_EVENT_INFO_TYPE_DFID_NAME = 2;
const [O_PATH_CLOEXEC, eventBytes] = [0o12000000, 64 * 1024];
const WATCHED = FAN.modify | FAN.attributes | FAN.closeWrite | FAN.movedFrom | FAN.movedTo | FAN.create |
  FAN.delete |
  FAN.directory;

/**
 * Begins to listen to the file system that `path` is on, all of it wherever it is mounted, and returns the descriptor that
 * {@link readFileEvents} reads. EPERM without CAP_SYS_ADMIN of the first user namespace, EOPNOTSUPP or ENODEV for a file system
 * without lasting handles of its files.
 */
export function listenToFiles(path: PathLike): number {
  const flags = FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_REPORT_DIR_FID | FAN_REPORT_NAME;
  const fd = call("fanotify_init", flags, 0);
  try {
    call(
      "fanotify_mark",
      fd,
      FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
      BigInt(WATCHED >>> 0),
      AT_FDCWD,
      cstr(path),
    );
    return fd;
  } catch (e) {
    call("close", fd);
    throw e;
  }
}

/** The next events, of nothing more than one read: none, when there are none now. What they hold is copied. */
export function readFileEvents(fd: number): FileEvent[] {
  const bytes = new Uint8Array(eventBytes);
  let end: number;
  try {
    end = call("read", fd, bytes, BigInt(bytes.length));
  } catch (e) {
    if (errnoCode(e) === "EAGAIN") return [];
    throw e;
  }
  const view = new DataView(bytes.buffer);
  const events: FileEvent[] = [];
  for (let at = 0; at < end;) {
    const length = view.getUint32(at, true);
    const info = at + view.getUint16(at + 6, true);
    const event = { mask: view.getUint32(at + 8, true), pid: view.getInt32(at + 20, true) };
    at += length;
    if (info >= at || bytes[info] !== FAN_EVENT_INFO_TYPE_DFID_NAME) {
      events.push({ ...event, dir: new Uint8Array(0), name: new Uint8Array(0) });
      continue;
    }
    const handle = info + 12; // behind the header and the number of the file system
    const name = handle + 8 + view.getUint32(handle, true);
    events.push({
      ...event,
      dir: bytes.subarray(handle, name),
      name: bytes.subarray(name, bytes.indexOf(0, name)),
    });
  }
  return events;
}

/**
 * open_by_handle_at(2): the directory that an event named, open only to be named (O_PATH); ESTALE when it is gone. `mount` is a
 * descriptor of the file system, on the mount under which its path is to be seen.
 */
export function openHandle(mount: number, handle: Uint8Array): number {
  return call("open_by_handle_at", mount, handle.slice(), O_PATH_CLOEXEC);
}
