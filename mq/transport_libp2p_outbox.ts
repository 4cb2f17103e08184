// Outbox: frames on their way into a stream of libp2p. Small ones are gathered, because each piece that libp2p is given
// costs it an encryption, and a long queue of pieces costs it much more. Not a limit: who sends looks at `waitingBytes`.
import type { Stream } from "@libp2p/interface";
import { encodeFrame, encodeHeader } from "./frame.ts";

const SLAB_BYTES = 64 * 1024;
/** Bodies from this length on go into the stream as they are. */
const LARGE_BYTES = SLAB_BYTES / 4;

export class Outbox {
  readonly #stream: Stream;
  /** Where frames are gathered: written up to `#end`, given to the stream up to `#start`. */
  #slab = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #isFlushDue = false;

  constructor(stream: Stream) {
    this.#stream = stream;
    stream.addEventListener("idle", () => this.#flushSoon());
  }

  /** Bytes that have not gone into the connection yet. */
  get waitingBytes(): number {
    return this.#end - this.#start + this.#stream.writeBufferLength;
  }

  get isClosed(): boolean {
    return this.#stream.writeStatus === "closed";
  }

  /**
   * Puts a frame behind the others; a long body is not copied and must not change. False: the stream is closed, or being
   * closed.
   */
  put(type: number, body: Uint8Array): boolean {
    if (this.#stream.writeStatus !== "writable") return false;
    const frame = { type, channel: 0, body };
    if (body.length >= LARGE_BYTES) {
      this.#gather(encodeHeader(frame));
      this.#flush();
      this.#stream.send(body);
    } else {
      this.#gather(encodeFrame(frame));
    }
    return true;
  }

  /** Sends what there is, and then no more. */
  async close(signal: AbortSignal): Promise<void> {
    this.#flush();
    await this.#stream.close({ signal });
  }

  #gather(bytes: Uint8Array): void {
    if (this.#end + bytes.length > this.#slab.length) {
      this.#flush();
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#start = this.#end = 0;
    }
    this.#slab.set(bytes, this.#end);
    this.#end += bytes.length;
    if (this.#stream.writeBufferLength === 0) this.#flushSoon(); // else when the stream is idle, or the slab full
  }

  /** Not at once: more may come, and libp2p forgets what it is given while it says that it is idle. */
  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    queueMicrotask(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#start === this.#end || this.#stream.writeStatus !== "writable") return;
    const gathered = this.#slab.subarray(this.#start, this.#end);
    this.#start = this.#end;
    this.#stream.send(gathered);
  }
}
