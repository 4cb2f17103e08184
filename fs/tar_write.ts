// tar_write: the bytes of tar headers, ustar with pax records where ustar has no room (POSIX pax Interchange Format). The
// same entry gives the same bytes. It writes no content: its user puts that behind the header, and the padding.
import { Fault } from "../mq/mod.ts";
import { tarPaxBytesMax } from "./limits.ts";
import { showPath } from "./path.ts";
import type { PaxRecords, TarHead, TarKind } from "./tar.ts";
import { BLOCK, encodePax, fromLatin1, latin1, paxTime, XATTR_PREFIX } from "./tar.ts";

const FLAGS: Record<TarKind, string> = {
  file: "0",
  hard: "1",
  link: "2",
  char: "3",
  block: "4",
  dir: "5",
  fifo: "6",
};
const NAME_BYTES = 100;
const ID_MAX = 0o7777777;
const SIZE_MAX = 0o77777777777;

/** What ends an archive. */
export const TAR_END = new Uint8Array(2 * BLOCK);

/** How many zeros follow `size` bytes of content, up to the next block. */
export function tarPadding(size: number): number {
  return (BLOCK - size % BLOCK) % BLOCK;
}

/**
 * The header of `head`, with the pax header before it when one is needed: for names that are long or not ASCII, parts of
 * a second, times before 1970, large owners and sizes, and attributes. A name that is not UTF-8 is written as it is under
 * `hdrcharset=BINARY`.
 * @throws {Fault} refused, for an attribute that pax cannot name and for more than `tarPaxBytesMax` of attributes
 */
export function tarHeader(head: TarHead): Uint8Array {
  const path = head.kind === "dir" ? Buffer.concat([head.path, fromLatin1("/")]) : head.path;
  const pax: PaxRecords = new Map();
  const text = (key: string, value: number | string) => pax.set(key, fromLatin1(String(value)));
  if (!isUtf8(path) || !isUtf8(head.target)) text("hdrcharset", "BINARY");
  if (!fits(path)) pax.set("path", path);
  if (!fits(head.target)) pax.set("linkpath", head.target);
  if (head.size > SIZE_MAX) text("size", head.size);
  if (head.uid > ID_MAX) text("uid", head.uid);
  if (head.gid > ID_MAX) text("gid", head.gid);
  const [sec, nsec] = head.mtime;
  const isPlainTime = nsec === 0 && sec >= 0 && sec <= SIZE_MAX;
  if (!isPlainTime) text("mtime", paxTime(head.mtime));
  for (const [name, value] of head.xattrs ?? []) {
    if (name.includes(0x3d)) throw refused(head, `attribute ${showPath(name)}: pax has no names with "="`);
    pax.set(XATTR_PREFIX + latin1(name), value);
  }
  const short = {
    ...head,
    path: cut(path),
    target: cut(head.target),
    size: head.size > SIZE_MAX ? 0 : head.size,
    uid: head.uid > ID_MAX ? 0 : head.uid,
    gid: head.gid > ID_MAX ? 0 : head.gid,
    mtime: isPlainTime ? sec : 0,
  };
  const own = block(short, FLAGS[head.kind]);
  if (pax.size === 0) return own;
  const records = encodePax(pax);
  if (records.length > tarPaxBytesMax) {
    throw refused(head, `attributes of more than ${tarPaxBytesMax} bytes`);
  }
  const before = { path: fromLatin1("PaxHeaders/x"), target: fromLatin1(""), mode: 0o644, uid: 0, gid: 0 };
  const opening = block({ ...before, size: records.length, mtime: 0 }, "x");
  return new Uint8Array(
    Buffer.concat([opening, records, new Uint8Array(tarPadding(records.length)), own]),
  );
}

function refused(head: TarHead, what: string): Fault {
  return new Fault("tar.write", "refused", `${showPath(head.path)}: ${what}`, {
    hint: "getfattr -d -m - on the file that was captured",
  });
}

function isUtf8(bytes: Uint8Array): boolean {
  return Buffer.from(Buffer.from(bytes).toString("utf8")).equals(bytes);
}

const isAscii = (byte: number) => byte < 0x80;

function fits(name: Uint8Array): boolean {
  return name.length <= NAME_BYTES && name.every(isAscii);
}

/** What stands in the short field of a name, for readers that know no pax. */
function cut(name: Uint8Array): Uint8Array {
  return name.subarray(0, NAME_BYTES).map((byte) => isAscii(byte) ? byte : 0x5f);
}

type Short = Pick<TarHead, "path" | "target" | "mode" | "uid" | "gid" | "size"> & { mtime: number };

/** One header block; offsets and widths are those of ustar. */
function block(head: Short, flag: string): Uint8Array {
  const out = new Uint8Array(BLOCK);
  const octal = (value: number, at: number, width: number) =>
    out.set(fromLatin1(value.toString(8).padStart(width - 1, "0")), at);
  out.set(head.path, 0);
  octal(head.mode, 100, 8);
  octal(head.uid, 108, 8);
  octal(head.gid, 116, 8);
  octal(head.size, 124, 12);
  octal(head.mtime, 136, 12);
  out.set(fromLatin1("        " + flag), 148);
  out.set(head.target, 157);
  out.set(fromLatin1("ustar\x0000"), 257);
  octal(0, 329, 8);
  octal(0, 337, 8);
  octal(out.reduce((sum, byte) => sum + byte, 0), 148, 7);
  return out;
}
