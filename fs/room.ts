// room: how much a store may take of its disk: a quota for its packs, and what has to stay free. It drops nothing.
import { statfsSync } from "node:fs";
import { Fault } from "../mq/mod.ts";
import { diskReserveBytes, roomLookBytes } from "./limits.ts";

/** Both in bytes. */
export interface RoomLimits {
  /** What the packs may take together; Infinity: no matter how much. */
  quotaBytes: number;
  /** What stays free on the disk, at least `diskReserveBytes`. */
  reserveBytes: number;
}

export class Room {
  limits: RoomLimits = { quotaBytes: Infinity, reserveBytes: diskReserveBytes };
  readonly #dir: string;
  readonly #usedBytes: () => number;
  /** What the packs take, as of the last look and what was added since. */
  #used: { bytes: number; added: number } | undefined;

  /** `usedBytes` says what the packs in `dir` take; it is asked now and then. */
  constructor(dir: string, usedBytes: () => number) {
    this.#dir = dir;
    this.#usedBytes = usedBytes;
  }

  /**
   * Returns when there is room for so many bytes more.
   * @throws {Fault} refused, when that is more than the quota; environment, when too little of the disk stays free
   */
  need(bytes: number): void {
    const { quotaBytes, reserveBytes } = this.limits;
    const { bavail, bsize, blocks } = statfsSync(this.#dir);
    // Dropping objects takes room too, in the log of the database: a store that has filled its disk could not give
    // anything back.
    const stay = Math.max(reserveBytes, diskReserveBytes);
    if (blocks > 0 && bavail * bsize < bytes + stay) { // some file systems do not say
      throw new Fault(
        "store.put",
        "environment",
        `no space left on the disk of ${this.#dir} but what stays free`,
        {
          hint: "isconf rm what is not needed, then isconf gc",
        },
      );
    }
    if (quotaBytes === Infinity) return;
    if (this.#used === undefined || this.#used.added > roomLookBytes) {
      this.#used = { bytes: this.#usedBytes(), added: 0 };
    }
    // Before anybody hears that it is full, it is looked again: gc may have been here.
    if (this.#used.bytes + this.#used.added + bytes > quotaBytes) {
      this.#used = { bytes: this.#usedBytes(), added: 0 };
    }
    if (this.#used.bytes + bytes > quotaBytes) {
      throw new Fault(
        "store.put",
        "refused",
        `the store would take more than its quota of ${quotaBytes} bytes`,
        {
          hint: "isconf rm what is not needed, then isconf gc; or a larger quota in isconf.conf",
        },
      );
    }
    this.#used.added += bytes;
  }
}
