// manifest: a file as an object that lists its chunks in order, with size and whole-file SHA-256. It knows no names
// and no owners (tree.ts does) and does not decide where a file is cut (cutter.ts does).
import { createHash, hash } from "node:crypto";
import { type Cbor, concat, decode, encode, Fault, fromHex, toHex } from "../mq/mod.ts";
import type { Cutter } from "./cutter.ts";
import { contentCutter, cutAfter } from "./cutter_content.ts";
import {
  batchIdsMax,
  inlineBytesMax,
  manifestLevelMax,
  manifestPartsMax,
  objectBytesMax,
  windowBytes,
} from "./limits.ts";
import type { Id, KeyedStore, Store } from "./store.ts";

/** A stored file: the id of its manifest, its length in bytes, the SHA-256 of all its bytes. */
export interface FileRef {
  id: Id;
  size: number;
  sha256: Id;
}

/** Bytes `offset` up to `offset + length` of a file; what lies past its end is not there. */
export interface ByteRange {
  offset: number;
  length?: number;
}

/** One line of a manifest: an object and how many bytes of the file it stands for. */
export type Part = [id: Id, length: number];

/** A manifest as read. Level 0 lists chunks, level n lists manifests of level n-1; a small file is in `data`. */
export interface Manifest {
  size: number;
  level: number;
  /** The whole file's; a manifest inside a manifest has none. */
  sha256: Id | undefined;
  parts: Part[];
  data: Uint8Array | undefined;
}

function encodeManifest(m: Omit<Manifest, "data">): Uint8Array {
  const parts = m.parts.map(([id, length]) => [fromHex(id), length]);
  return encode({
    v: 1,
    size: m.size,
    level: m.level,
    ...(m.sha256 !== undefined && { sha256: fromHex(m.sha256) }),
    parts,
  });
}

function lying(id: Id, what: string): Fault {
  return new Fault("file.read", "corrupt", `manifest ${id}: ${what}`, { hint: "isconf fsck" });
}

const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const isHash = (v: unknown): v is Uint8Array => v instanceof Uint8Array && v.length === 32;

/** Reads a decoded manifest and refuses one that does not add up. */
export function parseManifest(id: Id, value: Cbor): Manifest {
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array) {
    throw lying(id, "it is none");
  }
  const { v, size, level, sha256, parts, data, ...rest } = value as Record<string, Cbor | undefined>;
  if (v !== 1 || Object.keys(rest).length > 0) throw lying(id, "of a version that is not known here");
  if (!isCount(size) || !isCount(level) || level > manifestLevelMax) throw lying(id, "wrong size or level");
  if (sha256 !== undefined && !isHash(sha256)) throw lying(id, "wrong hash");
  const whole = sha256 === undefined ? undefined : toHex(sha256);
  if (data !== undefined) {
    const isWhole = data instanceof Uint8Array && data.length === size && size <= inlineBytesMax;
    if (!isWhole || level !== 0 || parts !== undefined || whole === undefined) {
      throw lying(id, "wrong inline data");
    }
    return { size, level, sha256: whole, parts: [], data };
  }
  if (!Array.isArray(parts) || parts.length > manifestPartsMax) throw lying(id, "wrong list of parts");
  let sum = 0;
  const list = parts.map((part): Part => {
    const [key, length, ...more] = Array.isArray(part) ? part : [];
    const isPart = isHash(key) && isCount(length) && length > 0 && more.length === 0;
    if (!isPart || (level === 0 && length > objectBytesMax)) throw lying(id, "wrong part");
    sum += length;
    return [toHex(key), length];
  });
  if (sum !== size) throw lying(id, `its parts have ${sum} bytes, it says ${size}`);
  return { size, level, sha256: whole, parts: list, data: undefined };
}

/** The file `id` with the checks of {@link readFile}, if all of it is held; else undefined, also when it is not right. */
export function bytesHeld(
  store: { held(id: Id): Uint8Array | undefined },
  id: Id,
): { size: number; pieces: Uint8Array[] } | undefined {
  const bytes = store.held(id);
  if (bytes === undefined) return undefined;
  const { size, level, sha256, parts, data } = parseManifest(id, decode(bytes));
  if (level > 0) return undefined;
  if (data !== undefined) return hash("sha256", data) === sha256 ? { size, pieces: [data] } : undefined;
  const pieces: Uint8Array[] = [];
  for (const [chunk, length] of parts) {
    const piece = store.held(chunk);
    if (piece?.length !== length) return undefined;
    pieces.push(piece);
  }
  return wholeOf(parts, pieces) === sha256 ? { size, pieces } : undefined;
}

/** The SHA-256 of chunks one after the other; of a single one it is its id. */
function wholeOf(parts: Part[], pieces: Uint8Array[]): Id {
  if (parts.length === 1) return parts[0]![0];
  const whole = createHash("sha256");
  for (const piece of pieces) whole.update(piece);
  return whole.digest("hex");
}

/** Reads a decoded manifest that a manifest of the level above lists with this size. */
export function parsePart(id: Id, value: Cbor, listed: { level: number; size: number }): Manifest {
  const m = parseManifest(id, value);
  if (m.level !== listed.level || m.size !== listed.size) throw lying(id, "it is not as listed");
  return m;
}

/** The manifest of a whole file. */
export async function readManifest(store: Pick<Store, "get">, id: Id): Promise<Manifest & { sha256: Id }> {
  const [bytes] = await store.get([id]);
  const m = parseManifest(id, decode(bytes!));
  if (m.sha256 === undefined) throw lying(id, "it is only a part of one");
  return m as Manifest & { sha256: Id };
}

/**
 * Where a range begins and ends in a file of `size` bytes, as far as it lies in it.
 * @throws {Fault} usage, when it is none
 */
export function boundsIn(size: number, range: Partial<ByteRange>): [from: number, to: number] {
  const { offset = 0, length = size } = range;
  if (!isCount(offset) || !isCount(length)) {
    throw new Fault("file.read", "usage", "a range starts at 0 or later and is not negative", {
      hint: "isconf get --help",
    });
  }
  return [Math.min(size, offset), Math.min(size, offset + length)];
}

/** The manifests that `m` lists, in order; nothing when it lists chunks. */
export async function* subManifests(
  store: Pick<Store, "get">,
  m: Manifest,
  wanted: (at: number, length: number) => boolean = () => true,
): AsyncGenerator<{ id: Id; at: number; manifest: Manifest }> {
  if (m.level === 0) return;
  let at = 0;
  for (const [sub, length] of m.parts) {
    if (wanted(at, length)) {
      const [bytes] = await store.get([sub]);
      const manifest = parsePart(sub, decode(bytes!), { level: m.level - 1, size: length });
      yield { id: sub, at, manifest };
    }
    at += length;
  }
}

/** Gathers the parts of a file, in order, and turns every `manifestPartsMax` of them into one part of the level above. */
export class ManifestWriter {
  readonly #store: Pick<Store, "put">;
  readonly #levels: Part[][] = [[]];
  #size = 0;

  constructor(store: Pick<Store, "put">) {
    this.#store = store;
  }

  /** The next chunk: its id and length. */
  async add(id: Id, length: number): Promise<void> {
    this.#size += length;
    await this.#add([id, length], 0);
  }

  /** Puts the manifest. `sha256` is that of the whole file; every chunk must be durable. */
  async finish(sha256: Uint8Array): Promise<FileRef> {
    const size = this.#size, whole = toHex(sha256);
    let level = 0;
    for (; level < this.#levels.length - 1; level++) await this.#close(level);
    const top = encodeManifest({ size, sha256: whole, level, parts: this.#levels[level]! });
    const [id] = await this.#store.put([top]);
    return { id: id!, size, sha256: whole };
  }

  async #add(part: Part, level: number): Promise<void> {
    const parts = this.#levels[level] ??= [];
    if (parts.length === manifestPartsMax) await this.#close(level);
    this.#levels[level]!.push(part);
  }

  async #close(level: number): Promise<void> {
    const parts = this.#levels[level]!;
    const size = parts.reduce((sum, [, length]) => sum + length, 0);
    const [id] = await this.#store.put([encodeManifest({ size, level, sha256: undefined, parts })]);
    this.#levels[level] = [];
    await this.#add([id!, size], level + 1);
  }
}

/** Puts a file of at most `inlineBytesMax` bytes, which stands in its manifest. */
export async function putInline(store: Pick<Store, "put">, data: Uint8Array): Promise<FileRef> {
  const size = data.length, sha256 = hash("sha256", data, "buffer");
  const [id] = await store.put([encode({ v: 1, size, level: 0, sha256: new Uint8Array(sha256), data })]);
  return { id: id!, size, sha256: toHex(sha256) };
}

/** Puts a file that is in memory as a whole. */
export async function putBytes(store: KeyedStore, bytes: Uint8Array): Promise<FileRef> {
  if (bytes.length <= inlineBytesMax) return await putInline(store, bytes);
  const manifest = new ManifestWriter(store);
  let only: Id | undefined;
  for (let from = 0; from < bytes.length;) {
    const end = cutAfter(bytes, from, bytes.length);
    const chunk = bytes.subarray(from, end);
    const id = hash("sha256", chunk);
    if (chunk.length === bytes.length) only = id;
    await store.putKeyed([[id, chunk]]);
    await manifest.add(id, chunk.length);
    from = end;
  }
  return await manifest.finish(only === undefined ? hash("sha256", bytes, "buffer") : fromHex(only));
}

/**
 * Stores the bytes of `source` and returns where. Memory is bounded however long the source is; the manifest is put
 * last, when every byte that it names is durable.
 */
export async function putFile(
  store: Store,
  source: AsyncIterable<Uint8Array>,
  cutter: Cutter = contentCutter(),
): Promise<FileRef> {
  const whole = createHash("sha256");
  const manifest = new ManifestWriter(store);
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let size = 0;
  const flush = async () => {
    const ids = await store.put(waiting);
    for (const [i, id] of ids.entries()) await manifest.add(id, waiting[i]!.length);
    waiting = [];
    waitingBytes = 0;
  };
  for await (const chunk of cutter.cut(source)) {
    if (waitingBytes + chunk.length > windowBytes || waiting.length === batchIdsMax) await flush();
    whole.update(chunk);
    waiting.push(chunk);
    waitingBytes += chunk.length;
    size += chunk.length;
  }
  if (size <= inlineBytesMax) return await putInline(store, concat(...waiting));
  await flush();
  return await manifest.finish(whole.digest());
}

/**
 * The bytes of a stored file, or of a range of it, in pieces. Every object is checked against its id and its length;
 * a whole read is checked against the file's SHA-256 before it ends.
 * @throws {Fault} corrupt, when anything does not match; notFound, when an object is not here
 */
export async function* readFile(
  store: Pick<Store, "get">,
  id: Id,
  range?: ByteRange,
): AsyncGenerator<Uint8Array> {
  yield* readListed(store, id, await readManifest(store, id), range);
}

/**
 * {@link readFile} for who knows the file by its id alone, which stands for all its chunks: that they make up the SHA-256 that whoever
 * put it says is not checked, and costs as much as all other checks.
 */
export async function* readChunks(
  store: Pick<Store, "get">,
  id: Id,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  const m = await readManifest(store, id);
  yield* pieces(store, id, m, ...boundsIn(m.size, range));
}

/** {@link readFile} of a file whose manifest has been read: `m`, the object `id`. */
export async function* readListed(
  store: Pick<Store, "get">,
  id: Id,
  m: Manifest,
  range: Partial<ByteRange> = {},
): AsyncGenerator<Uint8Array> {
  const [from, to] = boundsIn(m.size, range);
  if (from > 0 || to < m.size) {
    yield* pieces(store, id, m, from, to);
    return;
  }
  if (m.level === 0 && m.parts.length === 1 && m.parts[0]![0] === m.sha256) {
    return yield* pieces(store, id, m, 0, m.size); // the store has hashed all of it
  }
  const whole = createHash("sha256");
  for await (const piece of pieces(store, id, m, 0, m.size)) {
    whole.update(piece);
    yield piece;
  }
  if (whole.digest("hex") !== m.sha256) throw lying(id, "the file does not match its hash");
}

async function* pieces(
  store: Pick<Store, "get">,
  id: Id,
  m: Manifest,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array> {
  if (from >= to) return;
  if (m.data !== undefined) {
    yield m.data.subarray(from, to);
    return;
  }
  const isWanted = (at: number, length: number) => at < to && at + length > from;
  for await (const sub of subManifests(store, m, isWanted)) {
    yield* pieces(
      store,
      sub.id,
      sub.manifest,
      Math.max(0, from - sub.at),
      Math.min(sub.manifest.size, to - sub.at),
    );
  }
  if (m.level > 0) return;
  for await (const { window, objects } of readAhead(store, windowsOf(m.parts, isWanted))) {
    let start = window.start;
    for (const [k, piece] of objects.entries()) {
      const [chunk, length] = window.parts[k]!;
      if (piece.length !== length) throw lying(id, `chunk ${chunk} has ${piece.length} bytes, not ${length}`);
      yield piece.subarray(Math.max(0, from - start), Math.min(piece.length, to - start));
      start += piece.length;
    }
  }
}

/** Neighbouring chunks that are read in one call; `start` is where in the file they begin. */
interface Window {
  start: number;
  parts: Part[];
}

function* windowsOf(parts: Part[], isWanted: (at: number, length: number) => boolean): Generator<Window> {
  let window: Window = { start: 0, parts: [] };
  let bytes = 0;
  let at = 0;
  for (const part of parts) {
    const length = part[1];
    if (isWanted(at, length)) {
      if (bytes + length > windowBytes || window.parts.length === batchIdsMax) {
        yield window;
        [window, bytes] = [{ start: at, parts: [] }, 0];
      }
      if (window.parts.length === 0) window.start = at;
      window.parts.push(part);
      bytes += length;
    }
    at += length;
  }
  if (window.parts.length > 0) yield window;
}

/** Reads one window ahead, so that the store works while its reader does. */
async function* readAhead(
  store: Pick<Store, "get">,
  windows: Generator<Window>,
): AsyncGenerator<{ window: Window; objects: Uint8Array[] }> {
  const begin = () => {
    const { value: window, done } = windows.next();
    if (done) return undefined;
    const reading = store.get(window.parts.map(([id]) => id));
    reading.catch(() => {}); // who awaits it hears of it; a reader that stops early does not want to know
    return { window, reading };
  };
  for (let next = begin(); next !== undefined;) {
    const { window, reading } = next;
    const objects = await reading;
    next = begin();
    yield { window, objects };
  }
}
