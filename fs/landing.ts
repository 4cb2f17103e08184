// landing: objects that have come, on their way into the store, which verifies them: many in one transaction, and others
// run in between.
import { type Cancel, type Clock, pause, type PeerId } from "../mq/mod.ts";
import { fetchBacklogBytes, fetchBatchBytes, fetchBatchObjects, fetchFlushMs } from "./limits.ts";
import type { Piece } from "./source.ts";
import { countWithin, type SharingStore } from "./store.ts";

/** A piece that has come, and who gave it. */
export interface Landed {
  piece: Piece;
  bytes: Uint8Array;
  from: PeerId;
}

/** What became of a batch: durable, or not what it should be; or nothing of it could be stored. */
export interface Stored {
  kept: Landed[];
  wrong: Landed[];
  failure?: { batch: Landed[]; thrown: unknown };
}

export class Landing {
  readonly #store: Pick<SharingStore, "putShared">;
  readonly #clock: Clock;
  readonly #stored: (result: Stored) => void;
  #waiting: Landed[] = [];
  #bytes = 0;
  #isStoring = false;
  #timer: Cancel | undefined;

  constructor(
    store: Pick<SharingStore, "putShared">,
    clock: Clock,
    stored: (result: Stored) => void,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#stored = stored;
  }

  /** Whether so much waits that nothing more should be asked for. */
  get isFull(): boolean {
    return this.#bytes >= fetchBacklogBytes;
  }

  add(landed: Landed): void {
    this.#waiting.push(landed);
    this.#bytes += landed.bytes.length;
    if (this.#isBatch) void this.#run();
    else this.#later();
  }

  get #isBatch(): boolean {
    return this.#bytes >= fetchBatchBytes || this.#waiting.length >= fetchBatchObjects;
  }

  #later(): void {
    this.#timer ??= this.#clock.after(fetchFlushMs, () => void this.#run());
  }

  async #run(): Promise<void> {
    this.#timer?.();
    this.#timer = undefined; // also while something is being stored: else nobody would set it again
    if (this.#isStoring) return;
    this.#isStoring = true;
    do {
      const sizes = this.#waiting.slice(0, fetchBatchObjects).map(({ bytes }) => bytes.length);
      const batch = this.#waiting.splice(0, countWithin(sizes, fetchBatchBytes));
      const result = await this.#put(batch);
      for (const { bytes } of batch) this.#bytes -= bytes.length;
      this.#stored(result);
      await pause();
    } while (this.#isBatch);
    this.#isStoring = false;
    if (this.#waiting.length > 0) this.#later();
  }

  async #put(batch: Landed[]): Promise<Stored> {
    try {
      const objects = new Map(batch.map(({ piece, bytes }) => [piece.id, bytes]));
      const wrong = new Set(await this.#store.putShared(objects));
      return {
        kept: batch.filter(({ piece }) => !wrong.has(piece.id)),
        wrong: batch.filter(({ piece }) => wrong.has(piece.id)),
      };
    } catch (thrown) {
      return { kept: [], wrong: [], failure: { batch, thrown } };
    }
  }
}
