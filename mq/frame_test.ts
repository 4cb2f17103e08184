// Frames: round trips, hostile headers, slow and broken streams.
import { test } from "node:test";
import assert from "node:assert/strict";
import process from "node:process";
import { systemClock, VirtualClock } from "./clock.ts";
import { concat } from "./bytes.ts";
import { Fault } from "./fault.ts";
import type { Frame } from "./frame.ts";
import { encodeFrame, FRAME_HEADER_BYTES, FrameDecoder, readFrames } from "./frame.ts";
import { frameBytesMax } from "./limits.ts";

const faultOf = (kind: string) => (e: unknown) => e instanceof Fault && e.kind === kind;
const frame = (type: number, channel: number, size: number): Frame => ({
  type,
  channel,
  body: new Uint8Array(size).fill(type),
});

function header(version: number, length: number): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_BYTES);
  out[0] = version;
  new DataView(out.buffer).setUint32(4, length);
  return out;
}

async function* chunksOf(...chunks: Uint8Array[]) {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

/** A stream fed by hand; it ends when `end` is called. */
function handFed() {
  const waiting: ((r: IteratorResult<Uint8Array>) => void)[] = [];
  const ready: IteratorResult<Uint8Array>[] = [];
  const give = (r: IteratorResult<Uint8Array>) => {
    const taker = waiting.shift();
    if (taker) taker(r);
    else ready.push(r);
  };
  return {
    push: (chunk: Uint8Array) => give({ done: false, value: chunk }),
    end: () => give({ done: true, value: undefined }),
    [Symbol.asyncIterator]: () => ({
      next: () =>
        new Promise<IteratorResult<Uint8Array>>((resolve) => {
          const r = ready.shift();
          if (r) resolve(r);
          else waiting.push(resolve);
        }),
    }),
  };
}

test("frames come out as they went in, however the stream is cut", () => {
  const frames = [frame(1, 0, 0), frame(255, 65535, 1), frame(7, 300, 5000)];
  const bytes = concat(...frames.map(encodeFrame));
  for (const step of [1, 2, 7, 8, 9, 4096, bytes.length]) {
    const decoder = new FrameDecoder();
    const out: Frame[] = [];
    for (let at = 0; at < bytes.length; at += step) out.push(...decoder.push(bytes.subarray(at, at + step)));
    assert.deepEqual(out, frames);
    assert.equal(decoder.partial, false);
  }
});

test("a body is a copy: the chunk may be used again", () => {
  const chunk = encodeFrame(frame(3, 0, 10));
  const [out] = new FrameDecoder().push(chunk);
  chunk.fill(0);
  assert.deepEqual(out?.body, new Uint8Array(10).fill(3));
});

test("a header that claims 4 GiB is refused before room is made for it", () => {
  const memory = () => process.memoryUsage().external + process.memoryUsage().rss;
  const before = memory();
  for (let i = 0; i < 5; i++) {
    assert.throws(() => new FrameDecoder().push(header(1, 0xffffffff)), faultOf("corrupt"));
  }
  assert.ok(memory() - before < 1024 * 1024, `memory grew by ${memory() - before} bytes`);
});

test("one byte over the limit is refused, the limit itself is not", () => {
  assert.throws(() => new FrameDecoder({ bodyBytesMax: 10 }).push(header(1, 11)), faultOf("corrupt"));
  const decoder = new FrameDecoder({ bodyBytesMax: 10 });
  assert.equal(decoder.push(encodeFrame(frame(1, 1, 10))).length, 1);
  assert.throws(() => new FrameDecoder().push(header(1, frameBytesMax + 1)), faultOf("corrupt"));
  assert.throws(() => encodeFrame(frame(1, 1, frameBytesMax + 1)), faultOf("usage"));
  assert.throws(() => encodeFrame(frame(256, 1, 0)), faultOf("usage"));
  assert.throws(() => encodeFrame(frame(1, -1, 0)), faultOf("usage"));
});

test("an unknown version is refused, and the stream stays refused", () => {
  const decoder = new FrameDecoder();
  assert.throws(() => decoder.push(header(2, 0)), faultOf("corrupt"));
  assert.throws(() => decoder.push(encodeFrame(frame(1, 1, 1))), faultOf("corrupt"));
});

test("a mebibyte fed one byte at a time costs linear time", () => {
  const cost = (size: number) => {
    const bytes = encodeFrame(frame(1, 1, size));
    const decoder = new FrameDecoder();
    const start = systemClock.now();
    for (let i = 0; i < bytes.length; i++) decoder.push(bytes.subarray(i, i + 1));
    return systemClock.now() - start;
  };
  cost(64 * 1024);
  const small = cost(128 * 1024);
  const large = cost(1024 * 1024);
  assert.ok(large < 8 * small * 4 + 50, `128 KiB took ${small} ms, 1 MiB ${large} ms`);
});

test("10,000 frames in one chunk come in order and let the event loop run", async () => {
  const count = 10_000;
  const chunk = concat(...Array.from({ length: count }, (_, i) => encodeFrame(frame(i % 256, i, 8))));
  let best = Infinity;
  for (let attempt = 0; attempt < 3 && best >= 100; attempt++) {
    const lag = watchLag();
    let seen = 0;
    for await (const f of readFrames(chunksOf(chunk), systemClock)) {
      assert.equal(f.channel, seen++);
      const busyUntil = systemClock.now() + 0.05;
      while (systemClock.now() < busyUntil) continue;
    }
    assert.equal(seen, count);
    best = Math.min(best, lag.worstMs());
  }
  assert.ok(best < 100, `the event loop stood still for ${best} ms`);
});

/** Measures for how long the event loop does not turn, until `worstMs` is called. */
function watchLag() {
  let worst = 0;
  let last = systemClock.now();
  const look = () => {
    worst = Math.max(worst, systemClock.now() - last);
    last = systemClock.now();
  };
  const tick = () => {
    look();
    cancel = systemClock.after(1, tick);
  };
  let cancel = systemClock.after(1, tick);
  return {
    worstMs: () => {
      cancel();
      look();
      return worst;
    },
  };
}

test("a stream that ends inside a frame is a gone fault; one that ends between frames is not", async () => {
  const bytes = encodeFrame(frame(1, 1, 10));
  const read = async (...chunks: Uint8Array[]) => {
    let n = 0;
    for await (const _ of readFrames(chunksOf(...chunks), new VirtualClock(1))) n++;
    return n;
  };
  assert.equal(await read(bytes, bytes), 2);
  for (const cut of [1, 7, 8, 17]) {
    await assert.rejects(read(bytes, bytes.subarray(0, cut)), faultOf("gone"));
  }
});

test("a header in 1-byte writes, one every 5 s, is given up at the deadline of the frame", async () => {
  const clock = new VirtualClock(1);
  const stream = handFed();
  const bytes = encodeFrame(frame(1, 1, 10));
  let ended: unknown;
  const reading = (async () => {
    for await (const _ of readFrames(stream, clock, { partialFrameMs: 12_000 })) {
      assert.fail("no frame is whole");
    }
  })().catch((e: unknown) => ended = e);
  await clock.advance(60_000);
  assert.equal(ended, undefined, "silence between frames is not limited");
  for (const i of [0, 1, 2]) {
    stream.push(bytes.subarray(i, i + 1));
    await clock.advance(i < 2 ? 5000 : 1999);
  }
  assert.equal(ended, undefined);
  await clock.advance(1);
  assert.ok(faultOf("gone")(ended));
  await reading;
  assert.equal(clock.pending, 0);
});

test("a slow stream of whole frames is not given up", async () => {
  const clock = new VirtualClock(1);
  const stream = handFed();
  const bytes = encodeFrame(frame(1, 1, 10));
  let seen = 0;
  const reading = (async () => {
    for await (const _ of readFrames(stream, clock, { partialFrameMs: 12_000 })) seen++;
  })();
  stream.push(bytes.subarray(0, 5));
  for (let i = 0; i < 10; i++) {
    await clock.advance(10_000);
    stream.push(concat(bytes.subarray(5), bytes.subarray(0, 5)));
  }
  await clock.advance(10_000);
  stream.push(bytes.subarray(5));
  stream.end();
  await clock.advance(1000);
  await reading;
  assert.equal(seen, 11);
});
