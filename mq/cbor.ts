// CBOR: one value ↔ one byte string, deterministic encoding (RFC 8949 4.2.1), the form of everything that is signed
// or sent. Not a general CBOR codec: no tags, no floats, no undefined. Bytes are scanned before they are decoded.
import { Buffer } from "node:buffer";
import { Decoder } from "cbor-x/decode-no-eval";
import { compareBytes } from "./bytes.ts";
import type { CborLimits } from "./cbor_scan.ts";
import { MAJOR, scan, SIMPLE } from "./cbor_scan.ts";
import { Fault } from "./fault.ts";
import { cborDepthMax, cborKeysKept, scratchBytes, viewBytesMin } from "./limits.ts";

/** What can be written. A number is an integer within ±(2^53-1); a bigint lies within -2^64 to 2^64-1. */
export type Cbor =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Cbor[]
  | { [key: string]: Cbor }
  | Map<number | string, Cbor>;

/**
 * The deterministic CBOR of `value`, in new bytes. Equal values give equal bytes, whatever the order of their keys;
 * a small bigint is written as the number would be, and -0 as 0.
 * @throws {Fault} usage, for anything that is not {@link Cbor}: floats, undefined (also inside an object), lone
 *   surrogates, a text that begins with a byte order mark, other objects, nesting beyond `cborDepthMax`
 */
export function encode(value: Cbor): Uint8Array {
  const room = scratch ?? new Uint8Array(scratchBytes);
  scratch = undefined; // a getter of `value` may encode too
  const writer = new Writer(room);
  try {
    write(writer, value, 0);
    return writer.take();
  } finally {
    scratch = room;
  }
}

/** Where small values are written: new memory for each would cost more than the writing. */
let scratch: Uint8Array | undefined;

/**
 * What {@link encode} gives, in parts that follow each other: a long byte string of `value` is one of them, and not
 * copied; it must not change as long as the parts are used.
 * @throws {Fault} usage, as {@link encode}
 */
export function encodeParts(value: Cbor): Uint8Array[] {
  const writer = new Writer(new Uint8Array(512), viewBytesMin);
  write(writer, value, 0);
  return writer.takeParts();
}

/**
 * The value that `bytes` say. {@link encode} gives the same bytes back. A map whose keys are all texts becomes a plain
 * object without a prototype, any other a Map; an integer becomes a number where that is exact, else a bigint;
 * a byte string becomes bytes of its own, or, when it is long, a view of `bytes`, which must not change then.
 * @throws {Fault} corrupt, for anything that {@link scan} refuses
 */
export function decode(bytes: Uint8Array, limits?: CborLimits): Cbor {
  scan(bytes, limits);
  // A plain view of its own: the decoder hangs a property on what it reads, and a Buffer would slice to Buffers.
  return own(decoder.decode(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)));
}

// No records and no shared structures, so no message leaves anything behind for the next one. Maps stay Maps here
// because cbor-x renames `__proto__` and turns integer keys into text when it makes objects.
const decoder = new Decoder({ useRecords: false, mapsAsObjects: false, copyBuffers: false });

/** Turns what cbor-x made from scanned bytes into {@link Cbor}, in place where it can. */
function own(value: unknown): Cbor {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = own(value[i]);
    return value;
  }
  if (value instanceof Uint8Array) return value.length < viewBytesMin ? copyOf(value) : value;
  if (!(value instanceof Map)) return value as Cbor;
  const pairs = [...value].map(([key, item]) =>
    [typeof key === "bigint" ? Number(key) : key, own(item)] as const
  );
  if (!pairs.every(([key]) => typeof key === "string")) return new Map(pairs);
  const object: { [key: string]: Cbor } = Object.create(null);
  for (const [key, item] of pairs) object[key] = item;
  return object;
}

/** New bytes: up to 64 of them V8 has in its own heap, a little more are a part of memory that is shared with others. */
function copyOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= 64) return bytes.slice();
  const copy = Buffer.allocUnsafe(bytes.length);
  copy.set(bytes);
  return new Uint8Array(copy.buffer, copy.byteOffset, copy.length);
}

/** Bytes that grow. */
class Writer {
  #bytes: Uint8Array;
  #length = 0;
  readonly #partBytesMin: number;
  readonly #parts: Uint8Array[] = [];
  /** Up to where the parts have what was written. */
  #partsEnd = 0;

  /** Writes into `bytes` first. Byte strings of at least `partBytesMin` are kept as they are: {@link takeParts}. */
  constructor(bytes: Uint8Array, partBytesMin = Infinity) {
    this.#bytes = bytes;
    this.#partBytesMin = partBytesMin;
  }

  /** A copy of all that was written. */
  take(): Uint8Array {
    return copyOf(this.#bytes.subarray(0, this.#length));
  }

  /** All that was written, with the long byte strings where they belong; the writer is of no more use. */
  takeParts(): Uint8Array[] {
    this.#endPart();
    return this.#parts;
  }

  head(major: number, value: number | bigint): void {
    const first = major << 5;
    if (value < 24) this.#uint(first | Number(value), 1);
    else if (value < 2 ** 8) this.#uint((first | 24) << 8 | Number(value), 2);
    else if (value < 2 ** 16) this.#uint((first | 25) * 2 ** 16 + Number(value), 3);
    else if (value < 2 ** 32) this.#uint((first | 26) * 2 ** 32 + Number(value), 5);
    else {
      this.#uint(first | 27, 1);
      this.#uint(Number(BigInt(value) >> 32n), 4);
      this.#uint(Number(BigInt(value) & 0xffffffffn), 4);
    }
  }

  put(bytes: Uint8Array): void {
    if (bytes.length >= this.#partBytesMin) {
      this.#endPart();
      this.#parts.push(bytes);
      return;
    }
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Writes a text of ASCII only, which needs no other encoder. */
  ascii(text: string): void {
    this.#room(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[this.#length++] = text.charCodeAt(i);
  }

  #endPart(): void {
    if (this.#partsEnd < this.#length) this.#parts.push(this.#bytes.subarray(this.#partsEnd, this.#length));
    this.#partsEnd = this.#length;
  }

  #uint(value: number, size: number): void {
    this.#room(size);
    for (let i = this.#length + size - 1; i >= this.#length; i--) {
      this.#bytes[i] = value & 0xff;
      value = value < 2 ** 31 ? value >> 8 : Math.floor(value / 256);
    }
    this.#length += size;
  }

  #room(size: number): void {
    if (this.#length + size <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + size));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

const utf8 = new TextEncoder();
const ASCII = /^[\x00-\x7f]*$/;

function write(out: Writer, value: unknown, depth: number): void {
  if (value === null) out.head(MAJOR.simple, SIMPLE.null);
  else if (typeof value === "boolean") out.head(MAJOR.simple, value ? SIMPLE.true : SIMPLE.false);
  else if (typeof value === "number" || typeof value === "bigint") writeInteger(out, value);
  else if (typeof value === "string") writeText(out, value);
  else if (value instanceof Uint8Array) {
    out.head(MAJOR.bytes, value.length);
    out.put(value);
  } else if (depth === cborDepthMax) throw unwritable(`nesting deeper than ${cborDepthMax}`);
  else if (Array.isArray(value)) {
    out.head(MAJOR.array, value.length);
    for (let i = 0; i < value.length; i++) write(out, value[i], depth + 1);
  } else writeMap(out, entriesOf(value), depth + 1);
}

function writeInteger(out: Writer, value: number | bigint): void {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw unwritable(`the number ${value}, which is not an integer within ±(2^53-1)`);
  }
  const argument = value >= 0 ? value : typeof value === "number" ? -1 - value : -1n - value;
  if (argument >= 2n ** 64n) throw unwritable(`the integer ${value}, which does not fit in 64 bits`);
  out.head(value >= 0 ? MAJOR.uint : MAJOR.nint, argument);
}

function writeText(out: Writer, text: string): void {
  if (!text.isWellFormed()) throw unwritable("a text with a lone surrogate");
  if (text.startsWith("\ufeff")) throw unwritable("a text that begins with a byte order mark");
  if (ASCII.test(text)) {
    out.head(MAJOR.text, text.length);
    out.ascii(text);
  } else {
    const bytes = utf8.encode(text);
    out.head(MAJOR.text, bytes.length);
    out.put(bytes);
  }
}

function writeMap(out: Writer, entries: [unknown, unknown][], depth: number): void {
  out.head(MAJOR.map, entries.length);
  const pairs = entries.map(([key, value]) => ({ key: keyBytes(key), value }));
  pairs.sort((a, b) => compareBytes(a.key, b.key));
  for (const { key, value } of pairs) {
    out.put(key);
    write(out, value, depth);
  }
}

/** Encoded keys: those of our formats come again and again. */
const keysKept = new Map<unknown, Uint8Array>();

function keyBytes(key: unknown): Uint8Array {
  const kept = keysKept.get(key);
  if (kept !== undefined) return kept;
  const writer = new Writer(new Uint8Array(64));
  if (typeof key === "string") writeText(writer, key);
  else if (typeof key === "number") writeInteger(writer, key);
  else throw unwritable("a key that is neither a text nor a number");
  const bytes = writer.take();
  if (bytes.length > 64) return bytes;
  if (keysKept.size >= cborKeysKept) keysKept.clear();
  keysKept.set(key, bytes);
  return bytes;
}

/** The pairs of a Map or of a plain object; anything else (Date, Set, class, function, undefined) is refused. */
function entriesOf(value: unknown): [unknown, unknown][] {
  if (value instanceof Map) return [...value];
  if (typeof value === "object" && value !== null && Object.getOwnPropertySymbols(value).length === 0) {
    const prototype = Object.getPrototypeOf(value);
    if (prototype === null || prototype === Object.prototype) return Object.entries(value);
  }
  throw unwritable(value === undefined ? "undefined" : `a ${typeof value} that is no plain data`);
}

function unwritable(what: string): Fault {
  return new Fault("cbor", "usage", `cannot write ${what}`, { hint: "isconf doctor" });
}
