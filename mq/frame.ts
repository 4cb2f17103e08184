// Frames: how bytes on a stream become messages with a type and a channel, and back.
// Not a protocol: what a type means is the business of who sends it. The header is a table in README.md.
import { Buffer } from "node:buffer";
import type { Writable } from "node:stream";
import { concat } from "./bytes.ts";
import type { Clock } from "./clock.ts";
import { sleep } from "./clock.ts";
import { Fault } from "./fault.ts";
import { frameBytesMax, loopSliceMs, partialFrameMs } from "./limits.ts";

export const FRAME_VERSION = 1;
export const FRAME_HEADER_BYTES = 8;

/** One message on a stream. `type` is 0 to 255, `channel` 0 to 65535, `body` bounded by {@link FrameOptions}. */
export interface Frame {
  type: number;
  channel: number;
  body: Uint8Array;
}

export interface FrameOptions {
  /** Longest body sent or accepted, in bytes. Default: `frameBytesMax`. */
  bodyBytesMax?: number;
}

/**
 * The bytes of one frame.
 * @throws {Fault} usage, when a field is out of its range or the body longer than the limit
 */
export function encodeFrame(frame: Frame, opts: FrameOptions = {}): Uint8Array {
  return concat(encodeHeader(frame, opts), frame.body);
}

/**
 * The head of a frame alone, for who sends its body after it without making a copy.
 * @throws {Fault} usage, as {@link encodeFrame}
 */
export function encodeHeader(
  { type, channel, body }: Omit<Frame, "body"> & { body: { length: number } },
  opts: FrameOptions = {},
): Uint8Array {
  const bodyBytesMax = opts.bodyBytesMax ?? frameBytesMax;
  if (!isUint(type, 0xff) || !isUint(channel, 0xffff) || body.length > bodyBytesMax) {
    throw new Fault("frame", "usage", `no frame has type ${type}, channel ${channel}, ${body.length} bytes`, {
      hint: "isconf doctor",
    });
  }
  const view = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES));
  view.setUint8(0, FRAME_VERSION);
  view.setUint8(1, type);
  view.setUint16(2, channel);
  view.setUint32(4, body.length);
  return new Uint8Array(view.buffer);
}

/**
 * Puts one frame on a stream without making a copy of its body, which is there in parts and must not change afterwards.
 * @throws {Fault} usage, as {@link encodeFrame}
 */
export function writeFrame(
  stream: Writable,
  frame: Omit<Frame, "body"> & { body: Uint8Array[] },
  opts: FrameOptions = {},
): void {
  const length = frame.body.reduce((sum, part) => sum + part.length, 0);
  const header = encodeHeader({ ...frame, body: { length } }, opts);
  stream.cork();
  stream.write(header);
  for (const part of frame.body) stream.write(part);
  stream.uncork();
}

/** Cuts a stream of bytes into frames. Holds at most one unfinished frame; each body is a copy of its own. */
export class FrameDecoder {
  readonly #bodyBytesMax: number;
  readonly #header = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES));
  #headerLength = 0;
  #body: Uint8Array | undefined;
  #bodyLength = 0;
  #broken: Fault | undefined;

  constructor(opts: FrameOptions = {}) {
    this.#bodyBytesMax = opts.bodyBytesMax ?? frameBytesMax;
  }

  /** Whether a frame was begun and is not finished. */
  get partial(): boolean {
    return this.#headerLength > 0;
  }

  /**
   * Takes the next bytes of the stream and returns the frames they finish, in order.
   * @throws {Fault} corrupt, at a version or a length that is not accepted, before room for the body is made;
   *   then again at every later call, because the stream cannot be followed any more
   */
  push(chunk: Uint8Array): Frame[] {
    if (this.#broken) throw this.#broken;
    const frames: Frame[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#body === undefined) {
        this.#header.setUint8(this.#headerLength++, chunk[at++]!);
        if (this.#headerLength < FRAME_HEADER_BYTES) continue;
        this.#body = unset(this.#acceptedLength());
      }
      const piece = chunk.subarray(at, at + this.#body.length - this.#bodyLength);
      this.#body.set(piece, this.#bodyLength);
      this.#bodyLength += piece.length;
      at += piece.length;
      if (this.#bodyLength === this.#body.length) frames.push(this.#finish(this.#body));
    }
    return frames;
  }

  #acceptedLength(): number {
    const version = this.#header.getUint8(0);
    const length = this.#header.getUint32(4);
    if (version === FRAME_VERSION && length <= this.#bodyBytesMax) return length;
    const message = version !== FRAME_VERSION
      ? `frame of version ${version}, this side speaks ${FRAME_VERSION}`
      : `frame of ${length} bytes, the limit is ${this.#bodyBytesMax}`;
    this.#broken = new Fault("frame", "corrupt", message, { hint: "isconf version" });
    throw this.#broken;
  }

  #finish(body: Uint8Array): Frame {
    const frame = { type: this.#header.getUint8(1), channel: this.#header.getUint16(2), body };
    this.#headerLength = 0;
    this.#body = undefined;
    this.#bodyLength = 0;
    return frame;
  }
}

/** Room for so many bytes, not zeroed: for who fills all of it before anybody sees it. */
function unset(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}

/**
 * The frames of a stream, in order. The event loop gets its turn at least every `loopSliceMs`, however many
 * frames one chunk holds. The stream stays the caller's: it closes it when this throws.
 * @throws {Fault} corrupt, at a header that is not accepted; gone, when the stream ends inside a frame or a frame
 *   takes longer than `partialFrameMs` (milliseconds, default of limits.ts) from its first byte to its last
 */
export async function* readFrames(
  stream: AsyncIterable<Uint8Array>,
  clock: Clock,
  opts: FrameOptions & { partialFrameMs?: number } = {},
): AsyncGenerator<Frame, void, void> {
  const patienceMs = opts.partialFrameMs ?? partialFrameMs;
  const decoder = new FrameDecoder(opts);
  const chunks = stream[Symbol.asyncIterator]();
  let dueMs = Infinity;
  let sliceStart = clock.now();
  for (;;) {
    const next = await (decoder.partial ? before(dueMs, clock, chunks.next()) : chunks.next());
    if (next.done) break;
    const wasPartial = decoder.partial;
    const frames = decoder.push(next.value);
    if (decoder.partial && (!wasPartial || frames.length > 0)) dueMs = clock.now() + patienceMs;
    for (const frame of frames) {
      yield frame;
      if (clock.now() - sliceStart < loopSliceMs) continue;
      await sleep(clock, 0);
      sliceStart = clock.now();
    }
  }
  if (decoder.partial) {
    throw new Fault("frame", "gone", "the stream ended inside a frame", { hint: "isconf status" });
  }
}

/** What `promise` gives if it does so before `dueMs` (of `clock.now`), else a gone fault. */
function before<T>(dueMs: number, clock: Clock, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(Math.max(0, dueMs - clock.now()), () => {
      reject(
        new Fault("frame", "gone", "a frame was begun and not finished in time", { hint: "isconf status" }),
      );
    });
    promise.then(resolve, reject).finally(cancel);
  });
}

function isUint(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}
