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

  /**
   * From now on gc leaves every object that it has not marked yet, and of the marked ones those that are put or asked for
   * with `missing`: who counts on an object asks for it, or finds it below a root that is still one after this returned.
   * @throws {Fault} environment, when the disk does not take the lock file
   */
  async hold(): Promise<Hold> {
    for (;;) {
      const turn = turnOf(this.#db);
      const fd = openLock(this.#dir, String(turn), "store.hold");
      let isOurs = false;
      try {
        isOurs = flock(fd, true) && turnOf(this.#db) === turn;
      } finally {
        if (!isOurs) closeSync(fd);
      }
      if (isOurs) return releasing(fd);
      await pause();
    }
  }

  /** Makes the lock file of `turn`, so that who works with objects needs no room on the disk for it. */
  prepare(turn: number): void {
    closeSync(openLock(this.#dir, String(turn), "gc"));
  }

  /** How many turns before `turn` are still held by who began in them; nothing is changed. */
  heldBefore(turn: number): number {
    return this.#turns().filter((old) => old < turn && !this.#isFree(old, () => undefined)).length;
  }

  /** Removes the lock files of turns before `turn` that nobody holds. Nobody can take one of these any more. */
  sweepBefore(turn: number): void {
    for (const old of this.#turns()) {
      if (old < turn) this.#isFree(old, () => unlinkSync(this.#path(old)));
    }
  }

  #isFree(turn: number, then: () => void): boolean {
    const fd = openLock(this.#dir, String(turn), "gc");
    try {
      const isFree = flock(fd);
      if (isFree) then();
      return isFree;
    } finally {
      closeSync(fd);
    }
  }

  #turns(): number[] {
    return turnsHeld(this.#dir);
  }

  #path(turn: number): string {
    return join(this.#dir, String(turn));
  }
}

/** The turns of which there is a lock file in `dir`. */
export function turnsHeld(dir: string): number[] {
  try {
    return readdirSync(dir).filter((name) => /^\d+$/.test(name)).map(Number);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw Fault.from("gc", e);
  }
}

/** How often gc has marked something. */
export function turnOf(db: Db): number {
  return db.read((r) => r.get<{ turn: number }>("SELECT turn FROM gc")!.turn);
}

/**
 * Until it is released, only its caller drops objects of the store in `dir`, or makes its database anew.
 * @throws {Fault} refused, when somebody does already; environment
 */
export function lockStore(dir: string, op: string): Hold {
  const fd = openLock(join(dir, "holds"), "gc", op);
  if (flock(fd)) return releasing(fd);
  closeSync(fd);
  throw new Fault(op, "refused", "objects are being dropped, or the database made anew, at this moment", {
    hint: "isconf status",
  });
}

function openLock(dir: string, name: string, op: string): number {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return openSync(join(dir, name), constants.O_RDWR | constants.O_CREAT, 0o600);
  } catch (e) {
    throw Fault.from(op, e);
  }
}

function releasing(fd: number): Hold {
  let isHeld = true;
  return {
    release() {
      if (isHeld) closeSync(fd);
      isHeld = false;
    },
  };
}
