// tar_read: the entries of a tar archive as it comes, ustar and pax, with the long names and large numbers of GNU tar. It
// holds one header in memory and nothing of the content, believes nothing, and does not look at what names mean.
import { compareBytes } from "../mq/mod.ts";
import { tarPaxBytesMax } from "./limits.ts";
import type { Complain, PaxRecords, TarHead, TarKind } from "./tar.ts";
import { BLOCK, decodePax, fromLatin1, latin1, parsePaxTime, XATTR_PREFIX } from "./tar.ts";
import type { Xattr } from "./tree.ts";

/** An entry, and its bytes: to be read before the next entry is asked for, or not at all. */
export interface TarEntry extends TarHead {
  content: AsyncIterable<Uint8Array>;
}

const KINDS: Record<string, TarKind> = {
  "\0": "file",
  "0": "file",
  "1": "hard",
  "2": "link",
  "3": "char",
  "4": "block",
  "5": "dir",
  "6": "fifo",
  "7": "file",
};

/** Bytes of a stream, so many at a time. */
class Pieces {
  #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);
  #complain: Complain;

  constructor(source: AsyncIterable<Uint8Array>, complain: Complain) {
    this.#source = source[Symbol.asyncIterator]();
    this.#complain = complain;
  }

  /** The next bytes, `max` at most and one at least; undefined at the end. */
  async some(max: number): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#source.next();
      if (done) return undefined;
      this.#rest = value;
    }
    const piece = this.#rest.subarray(0, max);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  /** The next `count` bytes in a copy; undefined when the end is here already. */
  async exactly(count: number): Promise<Uint8Array | undefined> {
    const out = new Uint8Array(count);
    for (let have = 0; have < count;) {
      const piece = await this.some(count - have);
      if (piece === undefined && have === 0) return undefined;
      if (piece === undefined) throw this.cutOff();
      out.set(piece, have);
      have += piece.length;
    }
    return out;
  }

  cutOff(): Error {
    return this.#complain("corrupt", "it ends in the middle of an entry");
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

/**
 * The entries of the archive `source`, which is read to its end.
 * @throws {Fault} what `complain` makes: corrupt, for what is no tar or ends early; refused, for what is not known here
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  complain: Complain,
): AsyncGenerator<TarEntry> {
  const pieces = new Pieces(source, complain);
  try {
    for (let head = await nextHead(pieces, complain); head !== undefined;) {
      let left = head.size + (BLOCK - head.size % BLOCK) % BLOCK;
      const padding = left - head.size;
      const step = async (keep: number) => {
        const piece = await pieces.some(left - keep);
        if (piece === undefined) throw pieces.cutOff();
        left -= piece.length;
        return piece;
      };
      const content = (async function* () {
        while (left > padding) yield await step(padding);
      })();
      yield { ...head, content };
      while (left > 0) await step(0);
      head = await nextHead(pieces, complain);
    }
    while (await pieces.some(BLOCK * BLOCK) !== undefined);
  } finally {
    await pieces.close();
  }
}

/** What headers that stand before an entry say about it. */
interface Said {
  pax?: PaxRecords;
  path?: Uint8Array;
  target?: Uint8Array;
}

async function nextHead(pieces: Pieces, complain: Complain): Promise<TarHead | undefined> {
  const said: Said = {};
  for (;;) {
    const block = await pieces.exactly(BLOCK);
    const isEnd = block === undefined || block.every((byte) => byte === 0);
    if (isEnd && Object.keys(said).length > 0) throw pieces.cutOff();
    if (isEnd) return undefined;
    checkSum(block, complain);
    const flag = String.fromCharCode(block[156]!);
    if (!"xgLK".includes(flag)) return headOf(block, flag, said, complain);
    const size = number(block, 124, 12, complain);
    if (size < 0 || size > tarPaxBytesMax) {
      throw complain("refused", `a header of ${size} bytes, at most ${tarPaxBytesMax}`);
    }
    const body = (await pieces.exactly(Math.ceil(size / BLOCK) * BLOCK))?.subarray(0, size);
    if (body === undefined) throw pieces.cutOff();
    const field = flag === "x" ? "pax" : flag === "L" ? "path" : "target";
    if (flag === "g") checkGlobal(decodePax(body, complain), complain);
    else if (said[field] !== undefined) throw complain("corrupt", "two headers of one kind for one entry");
    else if (field === "pax") said.pax = decodePax(body, complain);
    else said[field] = upToZero(body);
  }
}

const isKnown = (key: string) =>
  ["path", "linkpath", "size", "uid", "gid", "mtime", "hdrcharset"].includes(key) ||
  key.startsWith(XATTR_PREFIX) || key.startsWith("GNU.sparse.");

/** A header for all entries may hold remarks; readers do not agree on anything else in it. */
function checkGlobal(records: PaxRecords, complain: Complain): void {
  const found = [...records.keys()].find(isKnown);
  if (found !== undefined) {
    throw complain("refused", `a global pax header that sets ${JSON.stringify(found)}`);
  }
}

function headOf(block: Uint8Array, flag: string, said: Said, complain: Complain): TarHead {
  const pax = said.pax ?? new Map<string, Uint8Array>();
  const sparse = [...pax.keys()].find((key) => key.startsWith("GNU.sparse."));
  if (sparse !== undefined || flag === "S") throw complain("refused", "a sparse file in GNU's own form");
  const kind = KINDS[flag];
  if (kind === undefined) throw complain("refused", `an entry of kind ${JSON.stringify(flag)}`);
  checkCharset(pax, complain);
  // An empty value means that the header's own field counts.
  const record = (key: string) => pax.get(key)?.length ? pax.get(key) : undefined;
  const count = (key: string, at: number, width: number, max: number) => {
    const text = record(key);
    const value = text === undefined ? number(block, at, width, complain) : decimal(text);
    if (value >= 0 && value <= max) return value;
    throw complain("corrupt", `${key} of an entry is no number, or not one that can be`);
  };
  const raw = record("path") ?? said.path ?? nameOf(block);
  const target = record("linkpath") ?? said.target ?? upToZero(block.subarray(157, 257));
  if (raw.includes(0) || target.includes(0)) throw complain("corrupt", "a name with a zero byte");
  const isDir = kind === "dir" || (kind === "file" && raw.at(-1) === 0x2f);
  const size = count("size", 124, 12, Number.MAX_SAFE_INTEGER - BLOCK);
  if (size > 0 && (kind !== "file" || isDir)) throw complain("corrupt", "content of what is no file");
  const xattrs = xattrsOf(pax);
  return {
    kind: isDir ? "dir" : kind,
    path: isDir ? withoutSlash(raw) : raw,
    target: kind === "hard" || kind === "link" ? target : new Uint8Array(0),
    size,
    mode: number(block, 100, 8, complain) & 0o7777,
    uid: count("uid", 108, 8, 0xfffffffe),
    gid: count("gid", 116, 8, 0xfffffffe),
    mtime: timeOf(block, record("mtime"), complain),
    ...(xattrs.length > 0 && { xattrs }),
  };
}

/** Names are kept as bytes whatever is said about them; a third way to write them is not known. */
function checkCharset(pax: PaxRecords, complain: Complain): void {
  const charset = latin1(pax.get("hdrcharset") ?? new Uint8Array(0));
  const isBytes = ["", "BINARY", "ISO-IR 10646 2000 UTF-8"].includes(charset);
  if (!isBytes) throw complain("refused", `names in ${JSON.stringify(charset)}`);
}

function timeOf(block: Uint8Array, text: Uint8Array | undefined, complain: Complain): TarHead["mtime"] {
  if (text === undefined) return [number(block, 136, 12, complain), 0];
  const time = parsePaxTime(latin1(text));
  if (time === undefined) throw complain("corrupt", "a time that is none");
  return time;
}

function xattrsOf(pax: PaxRecords): Xattr[] {
  return [...pax].filter(([key]) => key.startsWith(XATTR_PREFIX))
    .map(([key, value]): Xattr => [fromLatin1(key.slice(XATTR_PREFIX.length)), value.slice()])
    .sort(([a], [b]) => compareBytes(a, b));
}

function upToZero(bytes: Uint8Array): Uint8Array {
  const zero = bytes.indexOf(0);
  return zero < 0 ? bytes : bytes.subarray(0, zero);
}

/** The short name, with the prefix that ustar has and GNU tar uses for something else. */
function nameOf(block: Uint8Array): Uint8Array {
  const name = upToZero(block.subarray(0, 100));
  const isUstar = latin1(block.subarray(257, 263)) === "ustar\0";
  const prefix = isUstar ? upToZero(block.subarray(345, 500)) : new Uint8Array(0);
  return prefix.length === 0 ? name : new Uint8Array(Buffer.concat([prefix, fromLatin1("/"), name]));
}

function withoutSlash(path: Uint8Array): Uint8Array {
  let end = path.length;
  while (end > 1 && path[end - 1] === 0x2f) end--;
  return path.subarray(0, end);
}

function decimal(text: Uint8Array): number {
  return /^[0-9]{1,16}$/.test(latin1(text)) ? Number(latin1(text)) : NaN;
}

/** A number of a header: octal digits, or binary with the highest bit set, as GNU tar writes what is large. */
function number(block: Uint8Array, at: number, width: number, complain: Complain): number {
  const field = block.subarray(at, at + width);
  let value: number;
  if (field[0]! & 0x80) {
    const isNegative = field[0] === 0xff;
    value = isNegative ? -1 : field[0]! & 0x7f;
    for (const byte of field.subarray(1)) value = value * 256 + byte;
  } else {
    const digits = /^ *([0-7]*)[ \0]*$/.exec(latin1(field))?.[1];
    value = digits === undefined ? NaN : digits === "" ? 0 : parseInt(digits, 8);
  }
  if (!Number.isSafeInteger(value)) throw complain("corrupt", "a header with a number that is none");
  return value;
}

/** The sum of the block's bytes with its own field as spaces; some old programs added signed bytes. */
function checkSum(block: Uint8Array, complain: Complain): void {
  const said = number(block, 148, 8, complain);
  let [sum, high] = [8 * 0x20, 0];
  for (let i = 0; i < BLOCK; i++) {
    const byte = i >= 148 && i < 156 ? 0 : block[i]!;
    sum += byte;
    if (byte > 127) high++;
  }
  if (said !== sum && said !== sum - 256 * high) {
    throw complain("corrupt", "no tar header where one should be");
  }
}
