// cpio: an archive in the form that a kernel unpacks into memory when it starts: newc. Entries in, pieces of bytes out; the same entries give the
// same bytes. It knows no store and no tree, and reads no archive.
// Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
import { Fault } from "../mq/mod.ts";
import { cpioFileBytesMax, cpioPathBytesMax, cpioPieceBytes } from "./limits.ts";
import { showPath } from "./path.ts";

/** One name of an archive. */
export interface CpioEntry {
  /** From the root, without a slash before it; the root itself is ".". */
  path: Uint8Array;
  /** Kind and permissions, as stat(2) has them. */
  mode: number;
  uid: number;
  gid: number;
  /** In seconds since 1970; what does not fit into 32 bits becomes the nearest that does. */
  mtime: number;
  /** Bytes of a file, or of what a link says; 0 for all others. */
  size: number;
  content?: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Of a device. */
  device?: [major: number, minor: number];
  /** Of a file with several names: a number that they share, and how many of them there are in the archive. */
  hard?: { file: number; names: number };
}

/** The name of what ends an archive. */
const TRAILER = Buffer.from("TRAILER!!!");
const U32_MAX = 0xffff_ffff;

/** Numbers are of 32 bits, and each part begins at a multiple of four. */
const ALIGN = 4;

/**
 * The archive of `entries`, in pieces of `cpioPieceBytes` but for the last, each its taker's own. A file with several names has its bytes at the
 * first of them: the kernel makes the others links to that, and nothing has to be held until the last comes.
 * @throws {Fault} refused, as {@link checkCpio}; corrupt, when a content is not as long as its entry says
 */
export async function* writeCpio(
  entries: AsyncIterable<CpioEntry> | Iterable<CpioEntry>,
): AsyncGenerator<Uint8Array> {
  let room = new Uint8Array(cpioPieceBytes);
  let used = 0;
  for await (let piece of partsOf(entries)) {
    while (piece.length > 0) {
      const part = piece.subarray(0, room.length - used);
      room.set(part, used);
      used += part.length;
      piece = piece.subarray(part.length);
      if (used < room.length) continue;
      yield room;
      [room, used] = [new Uint8Array(cpioPieceBytes), 0];
    }
  }
  yield room.subarray(0, used);
}

/**
 * Looks whether the form has room for such an entry, for who wants to know before anything is written.
 * @throws {Fault} refused
 */
export function checkCpio({ path, size }: Pick<CpioEntry, "path" | "size">): void {
  const refused = (what: string) =>
    new Fault("cpio.write", "refused", `${showPath(path)}: ${what}`, {
      hint: "isconf image capture --root a root without it",
    });
  if (size > cpioFileBytesMax) {
    throw refused(
      `a file of ${size} bytes, and an archive that a kernel unpacks has at most ${cpioFileBytesMax}`,
    );
  }
  if (path.length > cpioPathBytesMax) throw refused(`a path of more than ${cpioPathBytesMax} bytes`);
}

async function* partsOf(
  entries: AsyncIterable<CpioEntry> | Iterable<CpioEntry>,
): AsyncGenerator<Uint8Array> {
  const firsts = new Map<number, number>();
  let ino = 0;
  for await (const entry of entries) {
    checkCpio(entry);
    ino++;
    const path = nameOf(entry.path);
    const first = entry.hard === undefined ? undefined : firsts.get(entry.hard.file);
    if (first !== undefined) {
      yield head(path, first, { ...entry, size: 0 });
      continue;
    }
    if (entry.hard !== undefined) firsts.set(entry.hard.file, ino);
    yield head(path, ino, entry);
    yield* contentOf(entry);
    yield padding(entry.size);
  }
  yield head(TRAILER, 0, { mode: 0, uid: 0, gid: 0, mtime: 0, size: 0 });
}

/** A file that is called like what ends an archive does not end it. */
function nameOf(path: Uint8Array): Uint8Array {
  return TRAILER.equals(path) ? Buffer.concat([Buffer.from("./"), path]) : path;
}

async function* contentOf({ path, size, content = [] }: CpioEntry): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of content) {
    bytes += piece.length;
    if (bytes > size) break;
    yield piece;
  }
  if (bytes === size) return;
  throw new Fault("cpio.write", "corrupt", `${showPath(path)} is not of ${size} bytes, as was said before`, {
    hint: "isconf fsck",
  });
}

/** What stands before the bytes of an entry: numbers as hex digits, and the name. */
function head(path: Uint8Array, ino: number, entry: Omit<CpioEntry, "path">): Uint8Array {
  const { mode, uid, gid, size, device = [0, 0], hard } = entry;
  const mtime = Math.min(Math.max(0, entry.mtime), U32_MAX);
  const numbers = [ino, mode, uid, gid, hard?.names ?? 1, mtime, size, 0, 0, ...device, path.length + 1, 0];
  const text = `070701${numbers.map((n) => n.toString(16).padStart(8, "0")).join("")}`;
  const bytes = Buffer.concat([Buffer.from(text), path, Uint8Array.of(0)]);
  return Buffer.concat([bytes, padding(bytes.length)]);
}

function padding(bytes: number): Uint8Array {
  return new Uint8Array((ALIGN - bytes % ALIGN) % ALIGN);
}
