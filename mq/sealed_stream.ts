// The web streams of the age library as async generators, like all else here. Knows nothing of what is in them.
import { pause } from "./clock.ts";
import { sealSliceBytes } from "./limits.ts";

/** The longest piece given to the library, in bytes: all that comes of one piece waits in its queue at once. */
const pieceBytes = 65_536;

/**
 * What `change` makes of `source`, piece by piece. The source is read a few pieces ahead of what is taken here, and
 * closed when the reader here stops early: then, or when the piece has come that it was just asked for. What the source
 * throws is thrown on; for what the library throws, `refuse` says what is thrown in its place.
 */
export async function* through(
  source: AsyncIterable<Uint8Array>,
  change: (stream: ReadableStream<Uint8Array>) => Promise<ReadableStream<Uint8Array>>,
  refuse: (thrown: unknown) => Error,
): AsyncGenerator<Uint8Array> {
  const inlet = new Inlet(source);
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const read = async () => {
    try {
      reader ??= (await change(inlet.stream)).getReader();
      return await reader.read();
    } catch (thrown) {
      reader = undefined;
      throw inlet.threw(thrown) ? thrown : refuse(thrown);
    }
  };
  try {
    let slice = 0;
    for (let next = await read(); !next.done; next = await read()) {
      if (next.value.length > 0) yield next.value;
      slice += next.value.length;
      if (slice < sealSliceBytes) continue;
      slice = 0;
      await pause(); // streams alone never let the event loop turn
    }
  } finally {
    await reader?.cancel();
    await inlet.close();
  }
}

/** A source as a web stream that asks for nothing before it is asked. */
class Inlet {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #pieces: AsyncGenerator<Uint8Array>;
  #failure: { thrown: unknown } | undefined;
  #waits = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#pieces = cut(source);
    this.stream = new ReadableStream({ pull: (controller) => this.#pull(controller) }, { highWaterMark: 0 });
  }

  /** Whether `thrown` is what the source threw. */
  threw(thrown: unknown): boolean {
    return this.#failure !== undefined && this.#failure.thrown === thrown;
  }

  /** Closes the source; a source that is just being waited for closes when it comes, and nobody waits for that. */
  async close(): Promise<void> {
    const closed = this.#pieces.return(undefined);
    if (this.#waits) closed.catch(() => {}); // whoever reads has heard what counts
    else await closed;
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#waits = true;
    try {
      const next = await this.#pieces.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    } catch (thrown) {
      this.#failure = { thrown };
      controller.error(thrown);
    } finally {
      this.#waits = false;
    }
  }
}

async function* cut(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    for (let at = 0; at < piece.length; at += pieceBytes) yield piece.subarray(at, at + pieceBytes);
  }
}
