// record: one object in a pack: a header that says what follows, and the object's bytes, compressed or as they are. It
// opens no file. That a record says so itself is what fsck compares the database with, and what it is made anew from.
import { bytesEqual, fromHex, toHex } from "../mq/mod.ts";
import { objectBytesMax } from "./limits.ts";
import type { Id } from "./store.ts";

/** How the bytes of an object stand in a pack. */
export const CODEC = { raw: 0, zstd: 1 } as const;
export type Codec = typeof CODEC[keyof typeof CODEC];

/** Bytes of a header. */
export const recordHeadBytes = 48;

/** What a header says: how the bytes stand there, and how many; and of the object its length and id. */
export interface RecordHead {
  codec: Codec;
  stored: number;
  size: number;
  id: Id;
}

/** What a record begins with: "isfs", version 1. */
export const MAGIC = Uint8Array.of(0x69, 0x73, 0x66, 0x73, 1);

/** Writes a header into the first bytes of `into`. */
export function writeHead({ codec, stored, size, id }: RecordHead, into: Uint8Array): void {
  into.set(MAGIC);
  const view = new DataView(into.buffer, into.byteOffset, recordHeadBytes);
  view.setUint8(5, codec);
  view.setUint32(8, size);
  view.setUint32(12, stored);
  into.set(fromHex(id), 16);
  view.setUint16(6, sumOf(view));
}

/** The header at the beginning of `bytes`, or undefined when there is none, or one that was not written so. */
export function readHead(bytes: Uint8Array): RecordHead | undefined {
  if (bytes.length < recordHeadBytes || !bytesEqual(bytes.subarray(0, MAGIC.length), MAGIC)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, recordHeadBytes);
  const codec = view.getUint8(5) as Codec, size = view.getUint32(8), stored = view.getUint32(12);
  const isKnown = codec === CODEC.raw ? stored === size : codec === CODEC.zstd && stored < size;
  if (!isKnown || view.getUint16(6) !== sumOf(view) || size > objectBytesMax) return undefined;
  return { codec, stored, size, id: toHex(bytes.slice(16, recordHeadBytes)) };
}

/**
 * The sum over a header without itself: its 16-bit words as a ones' complement sum, complemented (RFC 1071). zstd does not
 * say where it ends, so a wrong length would hide the record behind it.
 */
function sumOf(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < recordHeadBytes; at += 2) if (at !== 6) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
