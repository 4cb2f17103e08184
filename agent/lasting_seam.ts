// Lasting seam: the way to a net half that may die: another is started in its place, the later the more of them died young.
// Not how one is started (agent_main.ts).
import type { Cancel, Clock } from "../mq/mod.ts";
import { netAgainFirstMs, netAgainMsMax, netSteadyMs } from "./limits.ts";
import type { Ask, NetRequest } from "./seam.ts";

/** One net half, as long as it lives. */
export interface NetLife {
  ask: Ask<NetRequest>;
  /** What became of it, when it is gone. Never rejects. */
  ended: Promise<string>;
  /** Its process, where it has one of its own. */
  pid?: number | undefined;
  close(): Promise<void>;
}

export interface LastingSeamOptions {
  clock: Clock;
  start(): NetLife;
  /** The net half has died, or another is there: it knows nothing of what the one before was told. */
  changed(isThere: boolean): void;
  log(line: string): void;
}

export class LastingSeam {
  readonly #o: LastingSeamOptions;
  #life: NetLife;
  #pauseMs = netAgainFirstMs;
  #cancel: Cancel = () => {};
  #closed = false;
  /** Who waits for another one. */
  #wanted: (() => void)[] = [];

  /** Starts the first net half. */
  constructor(options: LastingSeamOptions) {
    this.#o = options;
    this.#life = this.#begin();
  }

  /** Asks the net half that is there; while there is none, that is what it says. */
  readonly ask: Ask<NetRequest> = (...question) => this.#life.ask(...question);

  /** The process of the net half that is there, or was there last. */
  get pid(): number | undefined {
    return this.#life.pid;
  }

  /** Ends the net half that is there, and waits until the next has been told what it has to know. */
  restart(): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted.push(resolve);
      void this.#life.close();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#life.close();
    for (const told of this.#wanted.splice(0)) told(); // there will be no other
  }

  #begin(): NetLife {
    const { clock, start } = this.#o;
    const life = start();
    const sinceMs = clock.now();
    void life.ended.then((how) => this.#lost(how, clock.now() - sinceMs));
    return life;
  }

  #lost(how: string, livedMs: number): void {
    if (this.#closed) return;
    const { clock, changed, log } = this.#o;
    if (livedMs >= netSteadyMs) this.#pauseMs = netAgainFirstMs;
    const isWanted = this.#wanted.length > 0;
    const pauseMs = isWanted ? 0 : this.#pauseMs;
    if (!isWanted) this.#pauseMs = Math.min(2 * pauseMs, netAgainMsMax);
    log(`the net half has ended: ${isWanted ? "it was to" : how}; another is started in ${pauseMs} ms`);
    changed(false);
    this.#cancel = clock.after(pauseMs, () => {
      this.#life = this.#begin();
      changed(true);
      for (const told of this.#wanted.splice(0)) told();
    });
  }
}
