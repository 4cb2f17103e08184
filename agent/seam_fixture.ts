// Seam fixture: a compromised net half in a test's hand, in front of a real one: honest until the test says what it does with a
// request instead, and free to write anything into the pipe. Not part of the product.
import * as fs from "node:fs";
import * as path from "node:path";
import { type Duplex, duplexPair } from "node:stream";
import {
  type Cbor,
  type Clock,
  decode,
  encode,
  encodeFrame,
  Fault,
  readFrames,
  systemClock,
} from "../mq/mod.ts";
import type { Surroundings } from "./daemon.ts";
import { LastingSeam, type NetLife } from "./lasting_seam.ts";
import { openNet } from "./net.ts";
import { type Ask, type NetRequest, openSeam, type RootRequest } from "./seam.ts";

/** What is done with a request of root's instead of answering it. */
export type Lie = (half: Half, id: number, value: Cbor) => unknown;

/** Numbers of the frames, as the seam has them. */
export const TYPE = { ask: 1, answer: 2, fault: 3 } as const;
const bytesMax = 64 * 1024 * 1024;

/** The real clock, for who has less patience: nobody waits longer than `waitMs`, but who waits for ever. */
export class Impatient implements Clock {
  waitMs: number;
  readonly now = systemClock.now;
  readonly wall = systemClock.wall;
  readonly random = systemClock.random;
  readonly pause = systemClock.pause;

  constructor(waitMs = 10_000) {
    this.waitMs = waitMs;
  }

  after(ms: number, fn: () => void) {
    return systemClock.after(ms === Infinity ? ms : Math.min(ms, this.waitMs), fn);
  }
}

const frameOf = (type: number, body: Cbor) =>
  encodeFrame({ type, channel: 0, body: encode(body) }, { bodyBytesMax: bytesMax });

/** A net half, and what it says that no net half says. */
export class Half {
  /** Root's end of the pipe. */
  readonly root: Duplex;
  /** What is done instead of answering honestly, for each request. */
  readonly lies: Map<NetRequest, Lie>;
  /** How often root has asked for each. */
  readonly asked = new Map<NetRequest, number>();
  /** What the honest half has asked root. */
  readonly heard: [request: RootRequest, value: Cbor][] = [];
  readonly #pipe: Duplex;
  readonly #net: ReturnType<typeof openNet>;
  readonly #open = new Map<number, (said: Cbor[], isFault: boolean) => void>();
  #next = 1;
  readonly ended: Promise<void>;

  constructor(dir: string, lies: Map<NetRequest, Lie>, log: (line: string) => void) {
    this.lies = lies;
    [this.root, this.#pipe] = duplexPair();
    this.root.once("close", () => this.#pipe.destroy()); // as the ends of a pipe in the kernel do
    const ask: Ask<RootRequest> = (request, value) => {
      this.heard.push([request, value]);
      return this.ask(request, value);
    };
    this.#net = openNet(dir, { clock: systemClock, ask, stop: () => this.#pipe.end(), log });
    this.ended = this.#read().catch(() => {}).then(() => this.#net.close());
  }

  async #read(): Promise<void> {
    for await (const { type, body } of readFrames(this.#pipe, systemClock, { bodyBytesMax: bytesMax })) {
      const [id, ...said] = decode(body, { bytesMax }) as [number, ...Cbor[]];
      if (type === TYPE.ask) void this.#asked(id, said[0] as NetRequest, said[1] as Cbor);
      else this.#open.get(id)?.(said, type === TYPE.fault);
    }
  }

  async #asked(id: number, request: NetRequest, value: Cbor): Promise<void> {
    this.asked.set(request, (this.asked.get(request) ?? 0) + 1);
    const lie = this.lies.get(request);
    if (lie !== undefined) await lie(this, id, value);
    else await this.honest(id, request, value);
  }

  /** Answers as a real net half does. */
  async honest(id: number, request: NetRequest, value: Cbor): Promise<void> {
    this.write(await this.answerTo(id, request, value));
  }

  /** What a real net half writes. */
  async answerTo(id: number, request: NetRequest, value: Cbor): Promise<Uint8Array> {
    try {
      return frameOf(TYPE.answer, [id, await this.#net.answers[request](value)]);
    } catch (e) {
      const { kind, message, hint } = Fault.from("half", e);
      return frameOf(TYPE.fault, [id, kind, message, hint]);
    }
  }

  /** One frame to root, whatever is in it. */
  say(type: number, body: Cbor): void {
    this.write(frameOf(type, body));
  }

  /** Bytes as they are. */
  write(bytes: Uint8Array): void {
    if (!this.#pipe.destroyed) this.#pipe.write(bytes);
  }

  /** Ends the pipe. */
  end(): void {
    this.#pipe.end();
  }

  /** Asks root; its fault is thrown. */
  ask(request: string, value: Cbor): Promise<Cbor> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#open.set(id, ([first, message, hint], isFault) => {
        this.#open.delete(id);
        if (isFault) reject(Fault.fromJSON({ op: "half", kind: first, message, hint }));
        else resolve(first as Cbor);
      });
      void this.ended.then(() =>
        reject(new Fault("half", "gone", "root has cut this half off", { hint: "" }))
      );
      this.say(TYPE.ask, [id, request, value]);
    });
  }
}

/** A way to net halves that a test has in its hand, one after the other as in the executable. */
export class Halves {
  readonly clock = new Impatient();
  readonly lies = new Map<NetRequest, Lie>();
  readonly logged: string[] = [];
  /** Each half that was started. */
  readonly all: Half[] = [];
  #ask: Ask<NetRequest> | undefined;

  /** The half that is there now. */
  get now(): Half {
    return this.all.at(-1) as Half;
  }

  /** Asks the net half that is there, as root does. */
  readonly ask: Ask<NetRequest> = (...question) => (this.#ask as Ask<NetRequest>)(...question);

  readonly openSeam: Surroundings["openSeam"] = (home, answers, changed) => {
    const log = (line: string) => void this.logged.push(line);
    const start = (): NetLife => {
      const half = new Half(path.join(home.state, "store"), this.lies, log);
      this.all.push(half);
      const seam = openSeam<RootRequest, NetRequest>(half.root, this.clock, answers, "the net half");
      const ended = seam.ended.then(async (why) => {
        await half.ended;
        return why;
      });
      return {
        ask: seam.ask,
        ended,
        async close() {
          half.root.end();
          await half.ended;
          half.root.destroy();
          await ended;
        },
      };
    };
    const soon = new Impatient(10); // the next half comes at once
    const lasting = new LastingSeam({ clock: soon, start, changed, log });
    this.#ask = lasting.ask;
    return Promise.resolve(lasting);
  };
}

/** Every file below a directory with mode, owner and contents, but for what is the net half's own or a database's. */
export function filesBelow(dir: string): string {
  const own = /^var\/(store|agent\.db|agent\.log)/;
  return fs.readdirSync(dir, { recursive: true }).map(String).filter((name) => !own.test(name)).sort().map(
    (name) => {
      const st = fs.lstatSync(path.join(dir, name));
      const text = st.isFile() ? fs.readFileSync(path.join(dir, name), "latin1") : "";
      return `${name} ${st.mode} ${st.uid} ${text}`;
    },
  ).join("\n");
}
