// Contents: the net half's side of its content thread: begun when somebody wants it, ended when nobody has for a while. It
// touches no content itself.
import type { Brought, ContentMay } from "./content.ts";
import { Worker } from "node:worker_threads";
import type { Fetched, FetchOptions, Id, RoomLimits } from "../fs/mod.ts";
import { type Cancel, type Clock, Fault } from "../mq/mod.ts";
import type { ContentThreadData, ThreadFetch } from "./content_thread.ts";
import { contentIdleMs, progressMs } from "./limits.ts";
import { openPort, type Port } from "./port.ts";
import { isSea, loadedAddonPath, threadSource } from "./sea.ts";
import type { RootsAsked } from "./seam.ts";
import { seldom } from "./seldom.ts";

export interface ContentsOptions {
  clock: Clock;
  log(line: string): void;
  dir: string;
  fetch(roots: Id[], options: FetchOptions): Promise<void>;
  announce(roots: Id[]): void;
  /** The roots that the root half counts on: what is to stay, or what is to be here. */
  roots(which: RootsAsked): Promise<Id[]>;
  /** Path of the socket that callers find it at. */
  socket: string;
}

interface Thread {
  worker: Worker;
  port: Port;
  ready: Promise<void>;
  ended: Promise<void>;
}

export class Contents {
  readonly #o: ContentsOptions;
  #thread: Thread | undefined;
  #idle: Cancel = () => {};
  /** When somebody was let in who may not be there yet. */
  #calledMs = 0;
  #limits: RoomLimits | undefined;
  /** How much is being done that nobody is connected for. */
  #running = 0;
  /** One beginning or end at a time: both are about the same socket. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: ContentsOptions) {
    this.#o = options;
  }

  /** Lets `uid` in for this at the socket; resolves when it can be reached. */
  async admit(uid: number, may: ContentMay): Promise<void> {
    await (await this.#begun()).port.ask("admit", [uid, may]);
  }

  /** How much of its disk the store may take: this thread's, and those that come. */
  async limit(limits: RoomLimits): Promise<void> {
    this.#limits = limits;
    await this.#thread?.port.ask("room", limits);
  }

  /** Has something done in the thread. */
  async run(request: "gc" | "fsck", value: unknown): Promise<unknown> {
    const { port } = await this.#begun();
    this.#running++;
    try {
      return await port.ask(request, value);
    } finally {
      this.#running--;
      this.#lookLater();
    }
  }

  /** The thread, which runs for a while from now on. */
  async #begun(): Promise<Thread> {
    return await this.#inTurn(async () => {
      const thread = this.#thread ??= this.#start();
      await thread.ready;
      this.#calledMs = this.#o.clock.now();
      this.#lookLater();
      return thread;
    });
  }

  stop(): Promise<void> {
    return this.#inTurn(() => this.#end());
  }

  #inTurn<T>(fn: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(fn);
    this.#turn = turn.then(() => {}, () => {}); // who asked for it hears of it
    return turn;
  }

  async #end(): Promise<void> {
    this.#idle();
    const thread = this.#thread;
    this.#thread = undefined;
    if (thread === undefined) return;
    await thread.port.ask("stop").catch(() => {}); // it has ended by itself
    await thread.worker.terminate();
    await thread.ended;
  }

  #start(): Thread {
    const { clock, dir, socket, fetch, announce, roots, log } = this.#o;
    const workerData: ContentThreadData = { dir, socket, addon: loadedAddonPath(), limits: this.#limits };
    const worker = isSea()
      ? new Worker(threadSource("content_thread"), { eval: true, workerData, execArgv: [], env: {} })
      : new Worker(new URL("./content_thread.ts", import.meta.url), { workerData });
    const ready = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    const port = openPort(worker, {
      ready: () => ready.resolve(),
      fetch: ({ n, roots, only }: ThreadFetch) => {
        const tell = (brought: Brought) => void port.ask("brought", [n, brought]).catch(() => {}); // it has ended
        const often = seldom(clock, progressMs, tell);
        const progress = ({ bytes, of }: Fetched) => often({ bytes, of });
        return fetch(roots, { progress, ...(only === undefined ? {} : { only }) });
      },
      announce,
      roots,
      log,
    });
    const end = (why: string) => {
      port.lost(why);
      ready.reject(new Fault("contents", "gone", why, { hint: "isconf doctor" }));
      if (this.#thread === thread) this.#thread = undefined;
      ended.resolve();
    };
    worker.on("error", (e) => log(`the content thread: ${e instanceof Error ? e.stack : e}`));
    worker.on("exit", () => end("the content thread has ended"));
    ready.promise.catch(() => {}); // who waits for it hears of it
    const thread: Thread = { worker, port, ready: ready.promise, ended: ended.promise };
    return thread;
  }

  /** Ends the thread when for `contentIdleMs` nobody was let in and nobody is there. */
  #lookLater(): void {
    this.#idle();
    this.#idle = this.#o.clock.after(contentIdleMs, () => void this.#inTurn(() => this.#endIfIdle()));
  }

  async #endIfIdle(): Promise<void> {
    const { clock } = this.#o;
    const sessions = await this.#thread?.port.ask("sessions").catch(() => 0);
    const isIdle = sessions === 0 && this.#running === 0 && clock.now() - this.#calledMs >= contentIdleMs;
    if (isIdle) await this.#end();
    else if (this.#thread !== undefined) this.#lookLater();
  }
}
