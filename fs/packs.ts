// packs: files to which bytes are appended, and from which they are read where they were put. They know no objects: what is
// in them is said by the database beside them, and bytes that it does not speak of are free to be written over.
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { errnoCode, Fault, flock, forgetCached, pause, punchHole } from "../mq/mod.ts";
import { blockBytes, packBytes, packsOpenMax, uncachedBytes } from "./limits.ts";
import { Room } from "./room.ts";

/** Where bytes begin. */
export interface Spot {
  pack: number;
  at: number;
}

/** Bytes of a pack to which something points. */
export interface Extent {
  at: number;
  length: number;
}

/** A pack that we alone append to, as long as it is open. */
interface Own {
  n: number;
  fd: number;
  end: number;
  /** How many wait until what they wrote into it is durable, or speak of it in the database. */
  users: number;
  /** The call under way that makes durable what was written before it began, and the one that comes after it. */
  syncing?: Promise<void> | undefined;
  next?: Promise<void> | undefined;
}

export class Packs {
  readonly #dir: string;
  /** Open for reading, the one used last at the end. */
  readonly #open = new Map<number, number>();
  #own: Own | undefined;
  /** Makes durable what is written to an open file. */
  readonly #sync: (fd: number) => Promise<void>;
  /** How much of the disk they may take. */
  readonly room: Room;

  /** Files in `dir`, which is made when the first is. */
  constructor(dir: string, sync: (fd: number) => Promise<void> = promisify(fs.fdatasync)) {
    this.#dir = dir;
    this.#sync = sync;
    this.room = new Room(dir, () => this.#usedBytes());
  }

  /**
   * Appends `pieces`, one after the other, and calls `point` with where the first begins when they are durable: until it
   * returns, nobody takes them for free room. `written` is called before that, when the pieces themselves are needed no more.
   * @throws {Fault} environment, when the disk does not take them; nothing points to what it took
   */
  async append<T>(pieces: Uint8Array[], point: (spot: Spot) => T, written = () => {}): Promise<T> {
    let own: Own | undefined;
    try {
      own = this.#claim();
      own.users++;
      const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
      this.room.need(bytes);
      const at = own.end;
      own.end = writeAll(own.fd, at, pieces);
      written();
      await this.#synced(own);
      if (bytes >= uncachedBytes) forgetCached(own.fd, at, bytes); // an image pushes nothing of others out of memory
      return point({ pack: own.n, at });
    } catch (e) {
      throw e instanceof Fault ? e : Fault.from("store.put", Object.assign(e as Error, { path: this.#dir }));
    } finally {
      if (own !== undefined && --own.users === 0) this.#letGo(own);
    }
  }

  /**
   * Resolves when all that is written to a pack by now is durable. One call at a time does that for everybody who came before it
   * began: each costs a commit of the file system, however much there is.
   */
  #synced(own: Own): Promise<void> {
    if (own.syncing === undefined) {
      return own.syncing = this.#sync(own.fd).finally(() => own.syncing = undefined);
    }
    return own.next ??= own.syncing.catch(() => {}).then(() => {
      own.next = undefined;
      return this.#synced(own);
    });
  }

  /** The bytes of pack `n` from `at` on; fewer than `length`, when the file ends before or is not there. */
  read(n: number, at: number, length: number): Uint8Array {
    return this.readInto(n, at, new Uint8Array(Buffer.allocUnsafeSlow(length).buffer));
  }

  /** The same into bytes that are there; those of them that were filled. */
  readInto(n: number, at: number, bytes: Uint8Array): Uint8Array {
    const path = this.#path(n);
    try {
      const fd = this.#reading(n, path);
      for (let have = 0; have < bytes.length;) {
        const read = fs.readSync(fd, bytes, have, bytes.length - have, at + have);
        if (read === 0) return bytes.subarray(0, have);
        have += read;
      }
      return bytes;
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === "ENOENT") return bytes.subarray(0, 0);
      throw Fault.from("store.get", Object.assign(e as Error, { path }));
    }
  }

  /** The packs that are there, in order of their numbers, and how long they are in bytes. */
  list(): { n: number; size: number }[] {
    return this.#numbers().sort((a, b) => a - b).map((n) => ({
      n,
      size: fs.statSync(this.#path(n), { throwIfNoEntry: false })?.size ?? 0,
    }));
  }

  /**
   * Gives back to the disk the blocks of pack `n` that lie outside of all extents. `next` gives, in order of where they
   * are, the first ones that begin behind a place, none at the end; it is asked when nobody can append any more. Others run
   * in between. Returns the bytes given back, or undefined when somebody does append.
   * @throws {Fault} environment
   */
  async free(n: number, next: (after: number) => Extent[]): Promise<number | undefined> {
    let fd: number | undefined;
    try {
      fd = fs.openSync(this.#path(n), "r+");
      if (!flock(fd)) return undefined;
      const before = usedBytes(fd);
      const { size } = fs.fstatSync(fd);
      let end = 0;
      for (let some = next(-1); some.length > 0; some = next(some.at(-1)!.at)) {
        for (const { at, length } of some) {
          punchBlocks(fd, end, at);
          end = Math.max(end, at + length);
        }
        await pause();
      }
      if (end < size) fs.ftruncateSync(fd, end);
      // The newest stays, so that no number ever means another file to who has it open.
      if (end === 0 && this.#numbers().some((other) => other > n)) {
        this.#forget(n);
        fs.unlinkSync(this.#path(n));
        syncDirectory(this.#dir);
        return before;
      }
      return Math.max(0, before - usedBytes(fd));
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === "ENOENT") return 0;
      throw Fault.from("gc", e);
    } finally {
      if (fd !== undefined) fs.closeSync(fd);
    }
  }

  /** What they take of the disk. */
  #usedBytes(): number {
    let used = 0;
    for (const n of this.#numbers()) {
      used += (fs.statSync(this.#path(n), { throwIfNoEntry: false })?.blocks ?? 0) * 512;
    }
    return used;
  }

  /** Lets go of the files. They are opened again when they are needed. */
  close(): void {
    for (const n of [...this.#open.keys()]) this.#forget(n);
  }

  /** The pack to append to: ours, the newest if it has room and nobody appends to it, or a new one. */
  #claim(): Own {
    if (this.#own !== undefined && this.#own.end < packBytes) return this.#own;
    fs.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const newest = this.#numbers().reduce((a, b) => Math.max(a, b), 0);
    let own = newest > 0 ? this.#lock(newest, fs.constants.O_RDWR) : undefined;
    for (let n = newest + 1; own === undefined; n++) {
      own = this.#lock(n, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL);
      for (const dir of [this.#dir, join(this.#dir, "..")]) syncDirectory(dir);
    }
    return this.#own = own;
  }

  /** Another may append to it, and what nothing points to in it may be given back. */
  #letGo(own: Own): void {
    if (this.#own === own) this.#own = undefined;
    fs.closeSync(own.fd);
  }

  #lock(n: number, flags: number): Own | undefined {
    let fd: number;
    try {
      fd = fs.openSync(this.#path(n), flags, 0o600);
    } catch (e) {
      // Another process was faster: it made it, or it took it away.
      if (["EEXIST", "ENOENT"].includes(String((e as NodeJS.ErrnoException).code))) return undefined;
      throw e;
    }
    if (flock(fd)) {
      const { size, nlink } = fs.fstatSync(fd);
      if (size < packBytes && nlink > 0) return { n, fd, end: size, users: 0 };
    }
    fs.closeSync(fd);
    return undefined;
  }

  #numbers(): number[] {
    let names: string[];
    try {
      names = fs.readdirSync(this.#dir);
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw e;
    }
    return names.map((name) => Number(/^(\d+)\.pack$/.exec(name)?.[1] ?? 0)).filter((n) => n > 0);
  }

  #reading(n: number, path: string): number {
    const fd = this.#open.get(n) ?? fs.openSync(path, "r");
    this.#open.delete(n);
    if (this.#open.size >= packsOpenMax) this.#forget(this.#open.keys().next().value!);
    this.#open.set(n, fd);
    return fd;
  }

  #forget(n: number): void {
    const fd = this.#open.get(n);
    this.#open.delete(n);
    if (fd !== undefined) fs.closeSync(fd);
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

/** Gives whole blocks between two places back, where the file system can do that: no byte beside them is written. */
function punchBlocks(fd: number, from: number, to: number): void {
  const start = Math.ceil(from / blockBytes) * blockBytes, end = Math.floor(to / blockBytes) * blockBytes;
  if (end <= start) return;
  try {
    punchHole(fd, start, end - start);
  } catch (e) {
    if (errnoCode(e) !== "EOPNOTSUPP") throw e;
  }
}

const usedBytes = (fd: number): number => fs.fstatSync(fd).blocks * 512;

/** Makes the names in a directory durable. */
export function syncDirectory(path: string): void {
  const fd = fs.openSync(path, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
