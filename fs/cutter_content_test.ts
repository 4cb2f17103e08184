// cutter_content: the same bytes are cut the same way, and a change moves only the cuts around it.
import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { test } from "node:test";
import { VirtualClock } from "../mq/mod.ts";
import { contentCutter } from "./cutter_content.ts";
import { cutBytes, cutBytesMax, cutBytesMin } from "./limits.ts";

const MiB = 1 << 20;

const GOLDEN = [
  71697,
  66742,
  125983,
  71292,
  21011,
  68679,
  19861,
  101822,
  71385,
  69112,
  63846,
  80578,
  84003,
  21609,
  65724,
  45232,
];

/** Bytes that are the same in each run. */
const some = (length: number, seed = 1): Uint8Array => new VirtualClock(seed).random(length);

/** The chunks of `bytes`, which come in pieces of the lengths in `lengths`, over and over. */
async function cut(bytes: Uint8Array, lengths = [MiB]): Promise<Uint8Array[]> {
  const pieces = async function* () {
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const length = lengths[i % lengths.length] as number;
      yield await Promise.resolve(bytes.subarray(at, at + length));
      at += length;
    }
  };
  return await Array.fromAsync(contentCutter().cut(pieces()));
}

const lengthsOf = (chunks: Uint8Array[]) => chunks.map((chunk) => chunk.length);
const hashesOf = (chunks: Uint8Array[]) =>
  new Set(chunks.map((chunk) => createHash("sha256").update(chunk).digest("hex")));

test("chunks are the stream, within their lengths, of about the normal one", async () => {
  const bytes = some(32 * MiB);
  const chunks = await cut(bytes);
  assert.deepEqual(Buffer.compare(Buffer.concat(chunks), bytes), 0);
  for (const { length } of chunks.slice(0, -1)) assert.ok(length >= cutBytesMin && length <= cutBytesMax);
  const mean = bytes.length / chunks.length;
  assert.ok(mean > cutBytes * 0.9 && mean < cutBytes * 1.3, `${mean}`);
});

test("however the stream comes in pieces, it is cut the same way", async () => {
  const bytes = some(2 * MiB + 17);
  const whole = lengthsOf(await cut(bytes));
  for (const lengths of [[1], [7, 65_536, 3], [cutBytesMin], [cutBytesMax + 1], [4096, 1_000_000]]) {
    assert.deepEqual(lengthsOf(await cut(bytes, lengths)), whole);
  }
});

test("bytes put in, taken out or changed leave all but the chunks around them", async () => {
  const bytes = some(16 * MiB);
  const before = hashesOf(await cut(bytes));
  const at = 5 * MiB + 123;
  const changes = {
    in: [bytes.subarray(0, at), some(1000, 2), bytes.subarray(at)],
    out: [bytes.subarray(0, at), bytes.subarray(at + 1)],
    changed: [bytes.subarray(0, at), some(1, 3), bytes.subarray(at + 1)],
  };
  for (const [name, parts] of Object.entries(changes)) {
    const after = hashesOf(await cut(Buffer.concat(parts)));
    assert.ok(after.difference(before).size <= 4, `${name}: ${after.difference(before).size} new chunks`);
  }
});

test("nothing, little, zeros and bytes that repeat are cut too", async () => {
  assert.deepEqual(await cut(new Uint8Array(0)), []);
  assert.deepEqual(lengthsOf(await cut(some(10))), [10]);
  assert.deepEqual(lengthsOf(await cut(some(cutBytesMin))), [cutBytesMin]);
  const zeros = lengthsOf(await cut(new Uint8Array(2 * cutBytesMax + 5)));
  assert.deepEqual(zeros, [cutBytesMax, cutBytesMax, 5]);
  assert.equal(hashesOf(await cut(Buffer.alloc(8 * MiB, "a line of a log\n"))).size <= 3, true);
});

test("golden cuts: hosts of all releases share chunks", async () => {
  const bytes = createCipheriv("chacha20", Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(MiB));
  assert.deepEqual(lengthsOf(await cut(bytes)), GOLDEN);
});
