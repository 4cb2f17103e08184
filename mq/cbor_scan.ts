// CBOR scan: decides, before anything is built from them, whether bytes are one deterministic CBOR text
// (RFC 8949 4.2.1) within limits. Walks once, without recursion, and makes no values.
import { isUtf8 } from "node:buffer";
import { Fault } from "./fault.ts";
import { cborBytesMax, cborDepthMax, cborItemsMax } from "./limits.ts";

/** Bounds of one CBOR text; what is left out is taken from limits.ts. */
export interface CborLimits {
  /** Longest text, in bytes. */
  bytesMax?: number;
  /** Deepest nesting of arrays and maps. */
  depthMax?: number;
  /** Most data items; each key, value, array and map is one. */
  itemsMax?: number;
}

/** The major types of RFC 8949 3.1. */
export const MAJOR = { uint: 0, nint: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const;
/** The only simple values accepted. */
export const SIMPLE = { false: 20, true: 21, null: 22 } as const;

const NAMES = ["integer", "integer", "byte string", "text", "array", "map", "tag", "simple value or float"];

/** An array or map that is being walked. `left` counts items still to come: two for each pair of a map. */
interface Open {
  left: number;
  isMap: boolean;
  keyStart: number;
  keyEnd: number;
}

/**
 * Returns when `bytes` are exactly one deterministically encoded data item made of integers, byte strings, texts,
 * arrays, maps with integer or text keys, false, true and null.
 *
 * Refused: tags, floats, undefined and other simple values, indefinite lengths, integers and lengths that are not
 * in their shortest form, keys out of order or twice, keys beyond ±(2^53-1), invalid UTF-8, a text that begins
 * with a byte order mark (decoders disagree about it), trailing bytes, and anything over `limits`.
 * @throws {Fault} corrupt, naming what is wrong and at which byte
 */
export function scan(bytes: Uint8Array, limits: CborLimits = {}): void {
  const bytesMax = limits.bytesMax ?? cborBytesMax;
  const depthMax = limits.depthMax ?? cborDepthMax;
  let itemsLeft = limits.itemsMax ?? cborItemsMax;
  const end = bytes.length;
  if (end > bytesMax) refuse(`${end} bytes, the limit is ${bytesMax}`, 0);
  const open: Open[] = [];
  let at = 0;
  do {
    const start = at;
    if (itemsLeft-- === 0) refuse("too many items", start);
    const head = readHead(bytes, at);
    const { major, value } = head;
    at = head.end;

    const inside = open.at(-1);
    const isKey = inside !== undefined && inside.isMap && inside.left % 2 === 0;
    if (isKey && !isKeyHead(major, value)) {
      refuse("a key that is neither a text nor a safe integer", start);
    }
    if (inside !== undefined) inside.left--;

    if (major === MAJOR.bytes || major === MAJOR.text) {
      if (value > end - at) refuse(`${NAMES[major]} longer than what is there`, start);
      if (major === MAJOR.text) checkText(bytes, at, at + value);
      at += value;
    } else if (major === MAJOR.array || major === MAJOR.map) {
      const left = major === MAJOR.map ? 2 * value : value;
      if (left > end - at) refuse(`${NAMES[major]} longer than what is there`, start);
      if (left > itemsLeft) refuse("too many items", start);
      if (open.length === depthMax) refuse(`nested deeper than ${depthMax}`, start);
      open.push({ left, isMap: major === MAJOR.map, keyStart: 0, keyEnd: 0 });
    }
    if (isKey) {
      if (inside.keyEnd > 0 && !inOrder(bytes, inside.keyStart, inside.keyEnd, start, at)) {
        refuse("keys out of order or twice", start);
      }
      inside.keyStart = start;
      inside.keyEnd = at;
    }
    while (open.at(-1)?.left === 0) open.pop();
  } while (open.length > 0);
  if (at !== end) refuse("bytes after the end", at);
}

/** Whether an item with this head may be a key: a text, or an integer within ±(2^53-1). */
function isKeyHead(major: number, value: number): boolean {
  if (major === MAJOR.uint) return value <= Number.MAX_SAFE_INTEGER;
  return major === MAJOR.text || (major === MAJOR.nint && value < Number.MAX_SAFE_INTEGER);
}

/** The head of the item at `at`: major type, argument (rounded above 2^53) and where the head ends. */
function readHead(bytes: Uint8Array, at: number): { major: number; value: number; end: number } {
  const first = bytes[at];
  if (first === undefined) return refuse("ends too early", at);
  const major = first >> 5;
  const info = first & 31;
  if (major === MAJOR.tag) refuse("tag", at);
  if (major === MAJOR.simple && (info < SIMPLE.false || info > SIMPLE.null)) refuse(NAMES[major]!, at);
  if (info < 24) return { major, value: info, end: at + 1 };
  if (info > 27) refuse("indefinite length or reserved form", at);
  const length = 1 << (info - 24);
  if (at + length >= bytes.length) refuse("ends too early", at);
  let value = 0;
  for (let i = 1; i <= length; i++) value = value * 256 + bytes[at + i]!;
  if (value < SHORTEST[info - 24]!) refuse(`${NAMES[major]} not in shortest form`, at);
  return { major, value, end: at + 1 + length };
}

/** The least argument that needs 1, 2, 4 and 8 bytes after the first. */
const SHORTEST = [24, 2 ** 8, 2 ** 16, 2 ** 32];

function checkText(bytes: Uint8Array, start: number, end: number): void {
  let ascii = 0;
  for (let i = start; i < end; i++) ascii |= bytes[i]!;
  if (ascii < 0x80) return;
  if (!isUtf8(bytes.subarray(start, end))) refuse("text that is not UTF-8", start);
  if (bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) {
    refuse("text that begins with a byte order mark", start);
  }
}

/** Whether the bytes from `a` to `aEnd` sort strictly before those from `b` to `bEnd`. */
function inOrder(bytes: Uint8Array, a: number, aEnd: number, b: number, bEnd: number): boolean {
  for (; a < aEnd && b < bEnd; a++, b++) {
    if (bytes[a] !== bytes[b]) return bytes[a]! < bytes[b]!;
  }
  return b < bEnd;
}

function refuse(what: string, at: number): never {
  throw new Fault("cbor", "corrupt", `not deterministic CBOR: ${what} (byte ${at})`, {
    hint: "isconf doctor",
  });
}
