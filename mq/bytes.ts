// Bytes: what Uint8Array lacks: joining, comparing, hexadecimal. Not a codec.
import { Buffer } from "node:buffer";
import { Fault } from "./fault.ts";

/** Copies the parts, one after the other, into new bytes. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Order of two byte strings, bytewise lexicographic: negative, zero or positive. A prefix comes first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Whether both hold the same bytes. Not for secrets: the time it takes tells where they differ. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** Lowercase hexadecimal, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

/**
 * The bytes that {@link toHex} made `text` from. Upper case is refused, so that a name has one spelling.
 * @throws {Fault} usage, when `text` is anything else
 */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, "hex")); // a Buffer's slice is no copy
  if (toHex(bytes) !== text) {
    throw new Fault("hex", "usage", "not an even number of lowercase hexadecimal digits", {
      hint: "isconf status",
    });
  }
  return bytes;
}
