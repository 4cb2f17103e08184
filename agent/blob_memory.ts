// Blob memory: small contents that were read and found right a moment ago, for whoever asks next: the same id, the same bytes. Bounded, and
// given back when nobody asks.
import type { Id, RootKind } from "../fs/mod.ts";
import type { Clock } from "../mq/mod.ts";
import { blobMemoryBytesMax, blobMemoryIdleMs, blobMemoryOneMax, blobMemoryRootsMax } from "./limits_api.ts";

export class BlobMemory {
  readonly #clock: Clock;
  readonly #kept = new Map<Id, Uint8Array>();
  readonly #roots = new Map<Id, RootKind>();
  #bytes = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** All bytes of a content of this size: those that are kept, or those that `read` gives, in full. */
  async get(id: Id, size: number, read: () => AsyncIterable<Uint8Array>): Promise<Uint8Array | undefined> {
    if (size > blobMemoryOneMax) return undefined;
    this.#cancel?.();
    this.#cancel = this.#clock.after(blobMemoryIdleMs, () => this.#drop(Infinity));
    const kept = this.#kept.get(id);
    if (kept !== undefined) {
      this.#kept.delete(id); // the last that was asked for is the last to go
      this.#kept.set(id, kept);
      return kept;
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of read()) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (bytes.length !== size) return undefined; // whoever reads it piece by piece says what is wrong
    this.#drop(this.#bytes + size - blobMemoryBytesMax);
    this.#kept.set(id, bytes);
    this.#bytes += size;
    return bytes;
  }

  /** What a root is. */
  async root(id: Id, read: () => Promise<RootKind>): Promise<RootKind> {
    const kept = this.#roots.get(id);
    if (kept !== undefined) return kept;
    const root = await read();
    if (this.#roots.size >= blobMemoryRootsMax) this.#roots.clear();
    this.#roots.set(id, root);
    return root;
  }

  /** Drops the longest unasked for, at least so many bytes. */
  #drop(bytes: number): void {
    let dropped = 0;
    for (const [id, { length }] of this.#kept) {
      if (dropped >= bytes) break;
      this.#kept.delete(id);
      dropped += length;
    }
    this.#bytes -= dropped;
  }
}
