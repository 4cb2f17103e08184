// CBOR: one value ↔ one byte string, deterministic encoding (RFC 8949 4.2.1), the form of everything that is signed
// or sent. Not a general CBOR codec: no tags, no floats, no undefined. Bytes are scanned before they are decoded.
import { Decoder } from "cbor-x/decode-no-eval";
import { compareBytes } from "./bytes.ts";
import type { CborLimits } from "./cbor_scan.ts";
import { MAJOR, scan, SIMPLE } from "./cbor_scan.ts";
import { Fault } from "./fault.ts";
import { cborDepthMax, viewBytesMin } from "./limits.ts";

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
  const bytes = 512 + bytesIn(value, 0);
  const room = bytes <= spareBytes ? spare : undefined;
  spare = undefined; // until this is written, should a value encode another while it is looked at
  try {
    const writer = new Writer(room ?? new Uint8Array(bytes));
    write(writer, value, 0);
    return writer.take(room);
  } finally {
    spare ??= room;
  }
}

/** Room for one short value, used again and again: most values are short, and room of their own is most of their cost. */
const spareBytes = 8 * 1024;
let spare: Uint8Array | undefined = new Uint8Array(spareBytes);

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

/** How long the byte strings of a value are together, so that large ones are copied once and not at each growth. */
function bytesIn(value: unknown, depth: number): number {
  if (value instanceof Uint8Array) return value.length;
  if (!Array.isArray(value) || depth === cborDepthMax) return 0;
  return value.reduce((sum: number, item) => sum + bytesIn(item, depth + 1), 0);
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
  if (value instanceof Uint8Array) return value.length < viewBytesMin ? value.slice() : value;
  if (!(value instanceof Map)) return value as Cbor;
  const pairs = [...value].map(([key, item]) =>
    [typeof key === "bigint" ? Number(key) : key, own(item)] as const
  );
  if (!pairs.every(([key]) => typeof key === "string")) return new Map(pairs);
  const object: { [key: string]: Cbor } = Object.create(null);
  for (const [key, item] of pairs) object[key] = item;
  return object;
}

/** Bytes that grow. */
class Writer {
  #bytes: Uint8Array;
  #length = 0;
  readonly #partBytesMin: number;
  readonly #parts: Uint8Array[] = [];
  /** Up to where the parts have what was written. */
  #partsEnd = 0;

  /** Writes into `room` as long as it lasts. Byte strings of at least `partBytesMin` are kept as they are: {@link takeParts}. */
  constructor(room: Uint8Array, partBytesMin = Infinity) {
    this.#bytes = room;
    this.#partBytesMin = partBytesMin;
  }

  /** All that was written; the writer is of no more use. A copy, unless little was left over of room that is not `lent`. */
  take(lent?: Uint8Array): Uint8Array {
    const all = this.#bytes.subarray(0, this.#length);
    return this.#bytes !== lent && this.#bytes.length - this.#length <= 512 ? all : all.slice();
  }

  /** All that was written, with the long byte strings where they belong; the writer is of no more use. */
  takeParts(): Uint8Array[] {
    this.#endPart();
    return this.#parts;
  }

  get length(): number {
    return this.#length;
  }

  head(major: number, value: number | bigint): void {
    const first = major << 5;
    if (value < 24) this.#uint(first | Number(value), 1);
    else if (value < 2 ** 8) this.#uint((first | 24) * 2 ** 8 + Number(value), 2);
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

  /** What was written from `start` to `end`, as a view that holds until the next write. */
  view(start: number, end: number): Uint8Array {
    return this.#bytes.subarray(start, end);
  }

  #endPart(): void {
    if (this.#partsEnd < this.#length) this.#parts.push(this.#bytes.subarray(this.#partsEnd, this.#length));
    this.#partsEnd = this.#length;
  }

  #uint(value: number, size: number): void {
    this.#room(size);
    for (let i = this.#length + size - 1; i >= this.#length; i--) {
      this.#bytes[i] = value % 256;
      value = Math.floor(value / 256);
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

/** Whether a key is a text of ASCII whose length stands in the first byte of its head. */
const isShortText = (key: unknown): key is string =>
  typeof key === "string" && key.length < 24 && ASCII.test(key);

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
  if (entries.every(([key]) => isShortText(key))) {
    // What is shorter comes first: its head says so. Then bytes decide, which is how texts of ASCII compare.
    const pairs = entries as [string, unknown][];
    pairs.sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1));
    for (const [key, value] of pairs) {
      out.head(MAJOR.text, key.length);
      out.ascii(key);
      write(out, value, depth);
    }
    return;
  }
  const keys = new Writer(new Uint8Array(512));
  const places = entries.map(([key, value]) => {
    const start = keys.length;
    writeKey(keys, key);
    return { start, end: keys.length, value };
  });
  const pairs = places.map(({ start, end, value }) => ({ key: keys.view(start, end), value }));
  pairs.sort((a, b) => compareBytes(a.key, b.key));
  for (const { key, value } of pairs) {
    out.put(key);
    write(out, value, depth);
  }
}

function writeKey(out: Writer, key: unknown): void {
  if (typeof key === "string") writeText(out, key);
  else if (typeof key === "number") writeInteger(out, key);
  else throw unwritable("a key that is neither a text nor a number");
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
