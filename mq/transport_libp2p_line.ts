// Line: the messages between two peers on one connection: a stream of frames each way, opened by who sends on it.
// It is up when both are open, which takes that both sides let the other in. What frames mean is a table in README.md.
import type { Connection, Stream } from "@libp2p/interface";
import type { Cancel, Clock } from "./clock.ts";
import { Fault } from "./fault.ts";
import { encodeFrame, readFrames } from "./frame.ts";
import { messageBytesMax } from "./limits.ts";
import { Outbox } from "./transport_libp2p_outbox.ts";
import { chunksOf, within } from "./transport_libp2p_streams.ts";

/** Types of the frames of a message stream. */
export const LINE_FRAMES = { message: 0, pulse: 1, addresses: 2 } as const;

export interface LineLimits {
  queueBytesPerPeerMax: number;
  reopenMs: number;
  questionMs: number;
  silenceMs: number;
  streamWindowBytesMax: number;
}

export interface LineOptions {
  connection: Connection;
  protocol: string;
  clock: Clock;
  limits: LineLimits;
  onUp(): void;
  onMessage(bytes: Uint8Array): void;
  onAddresses(body: Uint8Array): void;
  /** The line is of no more use: `reason` in words for the log, undefined when it was put aside in good order. */
  onEnd(reason: string | undefined): void;
}

export class Line {
  /** Whether messages flow in both directions. */
  up = false;
  readonly #opts: LineOptions;
  readonly #ended = new AbortController();
  #out: Outbox | undefined;
  #in: Stream | undefined;
  #opening = false;
  #retry: Cancel = () => {};
  #retired = false;
  #mayEnd = false;
  #readAll = false;
  #heardMs: number;
  #held: Promise<void> | undefined;

  constructor(opts: LineOptions) {
    this.#opts = opts;
    this.#heardMs = opts.clock.now();
    void this.#open();
  }

  /** Whether messages may be sent here: it is up and not being put aside. */
  get usable(): boolean {
    return this.up && !this.#retired;
  }

  /** Takes the stream on which the peer sends; telling it so by a first pulse. */
  accept(stream: Stream): void {
    if (this.#in !== undefined || this.#ended.signal.aborted) {
      return stream.abort(new Error("there is one already"));
    }
    this.#in = stream;
    stream.maxReadBufferLength = this.#opts.limits.streamWindowBytesMax; // it is held back before it has that much
    stream.send(encodeFrame({ type: LINE_FRAMES.pulse, channel: 0, body: new Uint8Array(0) }));
    if (this.#out === undefined) void this.#open(); // who opens to us lets us in
    else this.#begin();
  }

  /** Puts a message, which must not change any more, into the queue; false when it is full or the line not usable. */
  send(bytes: Uint8Array): boolean {
    const out = this.#out;
    if (!this.usable || out === undefined) return false;
    if (out.waitingBytes + bytes.length > this.#opts.limits.queueBytesPerPeerMax) return false;
    return out.put(LINE_FRAMES.message, bytes);
  }

  tellAddresses(body: Uint8Array): void {
    this.#out?.put(LINE_FRAMES.addresses, body);
  }

  /** Called every so often: says that we are there, and ends the line when the peer has been silent for too long. */
  pulse(): void {
    const { clock, limits } = this.#opts;
    if (!this.up) return;
    if (this.#held === undefined && clock.now() - this.#heardMs > limits.silenceMs) {
      return this.end("was silent for too long");
    }
    this.#out?.put(LINE_FRAMES.pulse, new Uint8Array(0));
  }

  /** Puts the line aside: what is queued on both sides is still sent and read, then it ends without a reason. */
  retire(): void {
    this.#mayEnd = true;
    this.#sendNoMore();
  }

  /** Stops reading until the result is called: the peer's queue fills. */
  hold(): () => void {
    let release = () => {};
    this.#held = new Promise((resolve) => release = resolve);
    return () => {
      this.#held = undefined;
      this.#heardMs = this.#opts.clock.now();
      release();
    };
  }

  end(reason: string | undefined): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(new Error("the line has ended"));
    this.#retry();
    this.up = false;
    this.#opts.onEnd(reason);
  }

  /** Opens our stream; as long as the peer does not let us in, it refuses, and we try again later. */
  async #open(): Promise<void> {
    if (this.#opening || this.#ended.signal.aborted) return;
    this.#opening = true;
    this.#retry();
    const { clock, connection, protocol, limits } = this.#opts;
    let stream: Stream | undefined;
    try {
      await within(clock, limits.questionMs, this.#ended.signal, async (signal) => {
        const open = stream = await connection.newStream([protocol], { signal });
        const chunks = chunksOf(open);
        signal.addEventListener("abort", () => open.abort(new Error("too late")));
        const first = await chunks.next();
        if (first.done) throw new Error("refused");
        this.#out = new Outbox(open);
        void this.#watch(chunks);
      });
      this.#begin();
    } catch {
      stream?.abort(new Error("not accepted")); // the peer does not let us in yet, or the connection goes
      if (!this.#ended.signal.aborted) this.#retry = clock.after(limits.reopenMs, () => void this.#open());
    } finally {
      this.#opening = false;
    }
  }

  #begin(): void {
    if (this.up || this.#in === undefined || this.#out === undefined || this.#ended.signal.aborted) return;
    this.up = true;
    this.#heardMs = this.#opts.clock.now();
    this.#opts.onUp();
    void this.#read(this.#in);
  }

  async #read(stream: Stream): Promise<void> {
    const { clock } = this.#opts;
    try {
      for await (
        const { type, body } of readFrames(chunksOf(stream), clock, { bodyBytesMax: messageBytesMax })
      ) {
        if (this.#held !== undefined) await this.#held;
        if (this.#ended.signal.aborted) return;
        this.#heardMs = clock.now();
        if (type === LINE_FRAMES.message) this.#opts.onMessage(body);
        else if (type === LINE_FRAMES.addresses) this.#opts.onAddresses(body);
      }
    } catch (thrown) {
      return this.end(thrown instanceof Fault ? thrown.message : "the connection broke");
    }
    this.#readAll = true;
    this.#sendNoMore(); // the peer puts this line aside, and ends it when it has read our last message
    this.#endWhenDone();
  }

  #sendNoMore(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#out?.close(this.#ended.signal).then(
      () => this.#endWhenDone(),
      () => this.end("the connection broke"),
    );
  }

  #endWhenDone(): void {
    if (this.#mayEnd && this.#readAll && this.#out?.isClosed === true) this.end(undefined);
  }

  /** Notices that our own stream is reset; nothing comes back on it after the first pulse. */
  async #watch(chunks: AsyncGenerator<Uint8Array>): Promise<void> {
    try {
      while (!(await chunks.next()).done);
    } catch {
      this.end("the connection broke");
    }
  }
}
