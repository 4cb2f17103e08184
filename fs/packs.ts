// packs: files to which bytes are appended, and from which they are read where they were put. They know no objects: what is
// in them is said by the database beside them, and bytes that it does not speak of are free to be written over.
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Fault, flock } from "../mq/mod.ts";
import { packBytes, packsOpenMax } from "./limits.ts";

/** Where bytes begin. */
export interface Spot {
  pack: number;
  at: number;
}

export class Packs {
  readonly #dir: string;
  /** Open for reading, the one used last at the end. */
  readonly #open = new Map<number, number>();
  /** The one that we append to; nobody else does, as long as we hold its lock. */
  #own: { n: number; fd: number; end: number } | undefined;

  /** Files in `dir`, which is made when the first is. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * Appends `pieces`, one after the other, and resolves to where the first begins when they are durable. The bytes must
   * not change before.
   * @throws {Fault} environment, when the disk does not take them; nothing points to what it took
   */
  async append(pieces: Uint8Array[]): Promise<Spot> {
    try {
      const own = this.#claim();
      const at = own.end;
      own.end = writeAll(own.fd, at, pieces);
      await promisify(fs.fdatasync)(own.fd);
      return { pack: own.n, at };
    } catch (e) {
      throw Fault.from("store.put", Object.assign(e as Error, { path: this.#dir }));
    }
  }

  /** The bytes of pack `n` from `at` on; fewer than `length`, when the file ends before or is not there. */
  read(n: number, at: number, length: number): Uint8Array {
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    const path = this.#path(n);
    try {
      const fd = this.#reading(n, path);
      for (let have = 0; have < length;) {
        const read = fs.readSync(fd, bytes, have, length - have, at + have);
        if (read === 0) return bytes.subarray(0, have);
        have += read;
      }
      return bytes;
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === "ENOENT") return bytes.subarray(0, 0);
      throw Fault.from("store.get", Object.assign(e as Error, { path }));
    }
  }

  /** Lets go of the files. They are opened again when they are needed. */
  close(): void {
    for (const fd of this.#open.values()) fs.closeSync(fd);
    this.#open.clear();
    if (this.#own !== undefined) fs.closeSync(this.#own.fd);
    this.#own = undefined;
  }

  /** The pack to append to: ours, the newest if it has room and nobody appends to it, or a new one. */
  #claim() {
    if (this.#own !== undefined && this.#own.end < packBytes) return this.#own;
    if (this.#own !== undefined) fs.closeSync(this.#own.fd);
    this.#own = undefined;
    fs.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const newest = Math.max(
      0,
      ...fs.readdirSync(this.#dir).map((name) => Number(/^(\d+)\.pack$/.exec(name)?.[1] ?? 0)),
    );
    if (newest > 0) this.#own = this.#lock(newest, fs.constants.O_RDWR);
    for (let n = newest + 1; this.#own === undefined; n++) {
      this.#own = this.#lock(n, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL);
      for (const dir of [this.#dir, join(this.#dir, "..")]) syncDirectory(dir);
    }
    return this.#own;
  }

  #lock(n: number, flags: number) {
    let fd: number;
    try {
      fd = fs.openSync(this.#path(n), flags, 0o600);
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === "EEXIST") return undefined; // another process was faster
      throw e;
    }
    const end = fs.fstatSync(fd).size;
    if (end < packBytes && flock(fd)) return { n, fd, end };
    fs.closeSync(fd);
    return undefined;
  }

  #reading(n: number, path: string): number {
    const fd = this.#open.get(n) ?? fs.openSync(path, "r");
    this.#open.delete(n);
    if (this.#open.size >= packsOpenMax) {
      const [oldest, itsFd] = this.#open.entries().next().value!;
      this.#open.delete(oldest);
      fs.closeSync(itsFd);
    }
    this.#open.set(n, fd);
    return fd;
  }

  #path(n: number): string {
    return join(this.#dir, `${n}.pack`);
  }
}

/** Linux takes at most so many pieces in one call. */
const IOV_MAX = 1024;

/** Writes all of `pieces` from `at` on; where they end. */
function writeAll(fd: number, at: number, pieces: Uint8Array[]): number {
  let rest = pieces.filter(({ length }) => length > 0);
  while (rest.length > 0) {
    let written = fs.writevSync(fd, rest.slice(0, IOV_MAX), at);
    at += written;
    let whole = 0;
    while (whole < rest.length && written >= rest[whole]!.length) written -= rest[whole++]!.length;
    rest = rest.slice(whole);
    if (written > 0) rest[0] = rest[0]!.subarray(written);
  }
  return at;
}

function syncDirectory(path: string): void {
  const fd = fs.openSync(path, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
