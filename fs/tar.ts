// tar: what the reader and the writer of tar archives share: the shape of an entry, and the records of a pax header.
// Names, link targets and attribute values are bytes and stay bytes. Not an archiver: it touches no disk.
import { Fault } from "../mq/mod.ts";
import type { Meta } from "./tree.ts";

/** Everything in an archive begins at a multiple of so many bytes. */
export const BLOCK = 512;

export type TarKind = "file" | "hard" | "link" | "dir" | "char" | "block" | "fifo";

/** What stands before the bytes of an entry. */
export interface TarHead extends Meta {
  kind: TarKind;
  /** As in the archive, without what only says that it is a directory: a slash at its end. */
  path: Uint8Array;
  /** What a symbolic link says, or the path of the name that a hard link is the same file as; else empty. */
  target: Uint8Array;
  /** Bytes that follow; 0 for all but files. */
  size: number;
}

/** Makes the fault for `what` is wrong with an archive: only its user knows which archive that is. */
export type Complain = (kind: "corrupt" | "refused", what: string) => Fault;

/** The records of a pax header, in order, keys as latin1. */
export type PaxRecords = Map<string, Uint8Array>;

export const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
export const fromLatin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

/** How pax names extended attributes: bytes, as star, GNU tar and all makers of images write them. */
export const XATTR_PREFIX = "SCHILY.xattr.";

/** "LENGTH KEY=VALUE\n" for each record; the length counts itself (POSIX pax, Extended Header). */
export function encodePax(records: PaxRecords): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [key, value] of records) {
    const rest = key.length + value.length + 3;
    let length = rest + String(rest).length;
    length = rest + String(length).length;
    parts.push(fromLatin1(`${length} ${key}=`), value, fromLatin1("\n"));
  }
  return new Uint8Array(Buffer.concat(parts));
}

/**
 * The records of a pax header.
 * @throws {Fault} what `complain` makes, when anything is not exactly as {@link encodePax} writes it, or a key comes twice
 */
export function decodePax(bytes: Uint8Array, complain: Complain): PaxRecords {
  const records: PaxRecords = new Map();
  for (let at = 0; at < bytes.length;) {
    const digits = /^[1-9][0-9]{0,8} /.exec(latin1(bytes.subarray(at, at + 10)))?.[0];
    const end = at + Number(digits);
    if (digits === undefined || end > bytes.length || bytes[end - 1] !== 0x0a) {
      throw complain("corrupt", "a pax record whose length is wrong");
    }
    const record = bytes.subarray(at + digits.length, end - 1);
    const equals = record.indexOf(0x3d);
    if (equals < 1) throw complain("corrupt", "a pax record without a key");
    const key = latin1(record.subarray(0, equals));
    if (records.has(key)) throw complain("corrupt", `the pax record ${JSON.stringify(key)} twice`);
    records.set(key, record.subarray(equals + 1));
    at = end;
  }
  return records;
}

/** A time as pax writes it: decimal seconds since 1970, as many digits after the point as it takes. */
export function paxTime([sec, nsec]: [sec: number, nsec: number]): string {
  const [sign, whole, part] = sec < 0 && nsec > 0 ? ["-", -(sec + 1), 1e9 - nsec] : ["", sec, nsec];
  const fraction = String(part).padStart(9, "0").replace(/0+$/, "");
  return `${sign}${whole}${fraction === "" ? "" : "."}${fraction}`;
}

/** The time that `text` says, what is finer than a nanosecond left out; undefined when it is none. */
export function parsePaxTime(text: string): [sec: number, nsec: number] | undefined {
  const [, sign, digits, fraction = ""] = /^(-?)([0-9]{1,16})(?:\.([0-9]*))?$/.exec(text) ?? [];
  const whole = Number(digits);
  if (!Number.isSafeInteger(whole)) return undefined;
  const nsec = Number(fraction.slice(0, 9).padEnd(9, "0"));
  if (sign !== "-") return [whole, nsec];
  return nsec === 0 ? [0 - whole, 0] : [-whole - 1, 1e9 - nsec];
}
