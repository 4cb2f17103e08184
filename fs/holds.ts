// holds: who works with objects to which nothing points yet, or no longer, says so with a lock, and gc waits for those who
// began before it. It asks no clock, and a lock goes with its process. What is dropped, gc.ts decides.
import { closeSync, constants, mkdirSync, openSync, readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { Fault, flock, pause } from "../mq/mod.ts";
import type { Db } from "./db.ts";

/** Something is in use until `release` is called, which may be done twice. */
export interface Hold {
  release(): void;
}

/** A lock file for each time that gc has marked something; only those who began before it have an older one. */
export class Holds {
  readonly #db: Db;
  readonly #dir: string;

  constructor(db: Db, dir: string) {
    this.#db = db;
    this.#dir = dir;
  }

  /** From now on gc leaves what was there at this moment, and what is put or asked for meanwhile. */
  async hold(): Promise<Hold> {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    for (;;) {
      const turn = turnOf(this.#db);
      const fd = openSync(this.#path(turn), constants.O_RDWR | constants.O_CREAT, 0o600);
      if (flock(fd, true) && turnOf(this.#db) === turn) {
        let isHeld = true;
        return {
          release() {
            if (isHeld) closeSync(fd);
            isHeld = false;
          },
        };
      }
      closeSync(fd);
      await pause();
    }
  }

  /** How many locks are still held by who began before turn `turn`; the files of the others are removed. */
  heldBefore(turn: number): number {
    let held = 0;
    for (const old of this.#turns()) {
      if (old >= turn) continue;
      const fd = openSync(this.#path(old), "r+");
      if (flock(fd)) unlinkSync(this.#path(old));
      else held++;
      closeSync(fd);
    }
    return held;
  }

  #turns(): number[] {
    try {
      return readdirSync(this.#dir).map(Number).filter(Number.isSafeInteger);
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw Fault.from("gc", e);
    }
  }

  #path(turn: number): string {
    return join(this.#dir, String(turn));
  }
}

/** How often gc has marked something. */
export function turnOf(db: Db): number {
  return db.read((r) => r.get<{ turn: number }>("SELECT turn FROM gc")!.turn);
}
