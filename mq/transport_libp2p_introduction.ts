// Introduction: one question and one answer per stream, between peers of which one is not let in yet.
// Not messages: those flow only between peers that let each other in. What is asked is the gate's business.
import type { Connection, Stream } from "@libp2p/interface";
import type { Clock } from "./clock.ts";
import { Fault } from "./fault.ts";
import { encodeFrame, readFrames } from "./frame.ts";
import { chunksOf, within } from "./transport_libp2p_streams.ts";

export interface IntroductionLimits {
  questionBytesMax: number;
  questionMs: number;
}

/** Asks over a stream of its own. @throws {Fault} gone, when there is no answer: refused, cut off, too late */
export async function ask(
  connection: Connection,
  protocol: string,
  question: Uint8Array,
  clock: Clock,
  limits: IntroductionLimits,
): Promise<Uint8Array> {
  const frame = encodeFrame({ type: 0, channel: 0, body: question }, {
    bodyBytesMax: limits.questionBytesMax,
  });
  let stream: Stream | undefined;
  try {
    return await within(clock, limits.questionMs, undefined, async (signal) => {
      const open = stream = await connection.newStream([protocol], { signal });
      signal.addEventListener("abort", () => open.abort(signal.reason));
      open.send(frame);
      const answer = await readOne(open, clock, limits);
      await open.close({ signal });
      return answer;
    });
  } catch (cause) {
    stream?.abort(new Error("no answer"));
    throw new Fault("introduction", "gone", "the peer did not answer", { hint: "isconf status", cause });
  }
}

/** Answers the one question of a stream. When `answer` throws, the stream is reset and the asker not told why. */
export async function serve(
  stream: Stream,
  answer: (question: Uint8Array) => Promise<Uint8Array>,
  clock: Clock,
  limits: IntroductionLimits,
): Promise<void> {
  try {
    await within(clock, limits.questionMs, undefined, async (signal) => {
      signal.addEventListener("abort", () => stream.abort(signal.reason));
      const body = await answer(await readOne(stream, clock, limits));
      signal.throwIfAborted();
      stream.send(encodeFrame({ type: 0, channel: 0, body }, { bodyBytesMax: limits.questionBytesMax }));
      await stream.close({ signal });
    });
  } catch (thrown) {
    stream.abort(new Error("refused"));
    throw thrown;
  }
}

async function readOne(stream: Stream, clock: Clock, limits: IntroductionLimits): Promise<Uint8Array> {
  for await (
    const { body } of readFrames(chunksOf(stream), clock, { bodyBytesMax: limits.questionBytesMax })
  ) {
    return body;
  }
  throw new Error("the stream ended without a frame");
}
