// salvage: rows out of the file of a damaged SQLite database, page by page, whatever else of it can be read. It judges none:
// rows have sums, and who asked compares them. The format is https://sqlite.org/fileformat2.html.
import { Buffer } from "node:buffer";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { databasePageBytes } from "./limits.ts";

/** A row: its number, and its columns as they stand in the record. */
export interface SalvagedRow {
  n: number;
  columns: (null | number | string | Uint8Array)[];
}

/**
 * The rows that stand whole in a leaf of any table of the database at `path`, its log included, one list for each page.
 * Pages that were given up may still have rows that were deleted. A row that is too long for a page is not found.
 */
export function* salvage(path: string): Generator<SalvagedRow[]> {
  const file = open(path), log = open(`${path}-wal`);
  try {
    const newer = log === undefined ? new Map<number, number>() : pagesOf(log);
    const last = Math.max(file?.pages ?? 0, ...newer.keys());
    const page = Buffer.alloc(databasePageBytes);
    for (let n = 1; n <= last; n++) {
      const at = newer.get(n);
      const from = at === undefined ? file : log;
      if (from === undefined) continue;
      if (readSync(from.fd, page, 0, page.length, at ?? (n - 1) * page.length) < page.length) continue;
      yield rowsOf(page, n === 1 ? 100 : 0);
    }
  } finally {
    for (const one of [file, log]) if (one !== undefined) closeSync(one.fd);
  }
}

interface File {
  fd: number;
  pages: number;
}

function open(path: string): File | undefined {
  try {
    const fd = openSync(path, "r");
    return { fd, pages: Math.floor(fstatSync(fd).size / databasePageBytes) };
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw e;
  }
}

const logHeadBytes = 32, frameHeadBytes = 24;

/** Where in a log the newest version of each page is that was committed. */
function pagesOf({ fd }: File): Map<number, number> {
  const pages = new Map<number, number>(), open = new Map<number, number>();
  const head = Buffer.alloc(logHeadBytes), frame = Buffer.alloc(frameHeadBytes);
  if (readSync(fd, head, 0, head.length, 0) < head.length) return pages;
  for (let at = logHeadBytes;; at += frameHeadBytes + databasePageBytes) {
    if (readSync(fd, frame, 0, frame.length, at) < frame.length) return pages;
    if (frame.compare(head, 16, 24, 8, 16) !== 0) return pages; // left over from a log before this one
    open.set(frame.readUInt32BE(0), at + frameHeadBytes);
    if (frame.readUInt32BE(4) === 0) continue;
    for (const [n, where] of open) pages.set(n, where);
    open.clear();
  }
}

const TABLE_LEAF = 13;

function rowsOf(page: Buffer, start: number): SalvagedRow[] {
  if (page[start] !== TABLE_LEAF) return [];
  const rows: SalvagedRow[] = [];
  const count = Math.min(page.readUInt16BE(start + 3), (page.length - start - 8) >> 1);
  for (let i = 0; i < count; i++) {
    const row = rowAt(page, page.readUInt16BE(start + 8 + 2 * i));
    if (row !== undefined) rows.push(row);
  }
  return rows;
}

function rowAt(page: Buffer, at: number): SalvagedRow | undefined {
  const cell = new Cursor(page, at, page.length);
  const length = cell.varint(), n = cell.varint();
  const end = cell.at + length;
  if (!(length <= page.length - 35 && end <= page.length)) return undefined;
  const start = cell.at, types: number[] = [];
  const typesEnd = start + cell.varint();
  while (cell.at < typesEnd && cell.at < end) types.push(cell.varint());
  const body = new Cursor(page, typesEnd, end);
  const columns = types.map((type) => body.value(type));
  return body.isWhole ? { n, columns } : undefined;
}

/** Bytes of integers by serial type; 8 and 9 are the numbers 0 and 1. */
const integerBytes = [0, 1, 2, 3, 4, 6, 8];

class Cursor {
  readonly #page: Buffer;
  readonly #end: number;
  at: number;
  isWhole = true;

  constructor(page: Buffer, at: number, end: number) {
    [this.#page, this.at, this.#end] = [page, at, end];
  }

  /** A number of up to 9 bytes, NaN at the end of the page. */
  varint(): number {
    let value = 0;
    for (let i = 0; i < 8; i++) {
      const byte = this.#page[this.at++] ?? NaN;
      value = value * 128 + byte % 128;
      if (!(byte >= 128)) return value;
    }
    return value * 256 + (this.#page[this.at++] ?? NaN);
  }

  value(type: number): null | number | string | Uint8Array {
    if (type === 0) return null;
    if (type === 8 || type === 9) return type - 8;
    const length = type < 7 ? integerBytes[type]! : type >= 12 ? (type - 12) >> 1 : NaN;
    const from = this.at, to = from + length;
    if (!(to <= this.#end)) {
      this.isWhole = false;
      return null;
    }
    this.at = to;
    if (type === 6) return Number(this.#page.readBigInt64BE(from));
    if (type < 7) return this.#page.readIntBE(from, length);
    return type % 2 === 0
      ? new Uint8Array(this.#page.subarray(from, to))
      : this.#page.toString("utf8", from, to);
  }
}
