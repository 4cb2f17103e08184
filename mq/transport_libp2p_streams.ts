// Streams of libp2p as isconf reads them: chunk by chunk, the sender held back until the reader wants more.
// Not a protocol: what is in them is the business of transport_libp2p_line.ts and transport_libp2p_introduction.ts.
import type { Stream, StreamCloseEvent, StreamMessageEvent } from "@libp2p/interface";
import type { Clock } from "./clock.ts";

/** Gives bytes to a stream; false when it is closed, or its connection is just going: who reads it notices. */
export function sent(stream: Stream, bytes: Uint8Array): boolean {
  try {
    stream.send(bytes);
    return true;
  } catch {
    return false; // libp2p has reset the stream
  }
}

/**
 * What arrives on a stream. At most one window of it waits here and one in the stream; the rest waits at the sender.
 * @throws {Error} when the stream is reset or its connection breaks
 */
export async function* chunksOf(stream: Stream): AsyncGenerator<Uint8Array, void, void> {
  let waiting: Uint8Array[] = [];
  let ended = stream.readableEnded;
  let broken: Error | undefined;
  let isResuming = false;
  let wake = () => {};
  const onMessage = ({ data }: StreamMessageEvent) => {
    if (!isResuming) stream.pause();
    waiting.push(...(data instanceof Uint8Array ? [data] : data));
    wake();
  };
  const onEnd = () => {
    ended = true;
    wake();
  };
  const onClose = ({ error }: StreamCloseEvent) => {
    broken = error;
    onEnd();
  };
  stream.addEventListener("message", onMessage);
  stream.addEventListener("end", onEnd);
  stream.addEventListener("close", onClose);
  try {
    for (;;) {
      const taken = waiting;
      waiting = [];
      yield* taken;
      if (broken !== undefined) throw broken;
      if (stream.readStatus === "paused") {
        isResuming = true;
        stream.resume(); // hands out what has waited in the stream, if anything; a pause before its end is lost
        isResuming = false;
      }
      if (waiting.length > 0) {
        if (stream.readStatus === "readable") stream.pause();
        continue;
      }
      if (ended) return;
      await new Promise<void>((resolve) => wake = resolve);
    }
  } finally {
    stream.removeEventListener("message", onMessage);
    stream.removeEventListener("end", onEnd);
    stream.removeEventListener("close", onClose);
  }
}

/** Runs `work` with a signal that aborts after `ms` milliseconds of `clock`, or with `outer`. */
export async function within<T>(
  clock: Clock,
  ms: number,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = new AbortController();
  const cancel = clock.after(ms, () => timeout.abort(new Error(`not done within ${ms} ms`)));
  try {
    return await work(outer === undefined ? timeout.signal : AbortSignal.any([timeout.signal, outer]));
  } finally {
    cancel();
  }
}
