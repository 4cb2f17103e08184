// sealed_padding.ts: lengths by Padmé, there and back in pieces of any size, and what is not padding.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concat, toHex } from "./bytes.ts";
import { Fault } from "./fault.ts";
import { sealPaddedBytesMin } from "./limits.ts";
import { pad, paddedBytes, TRAILER_BYTES, unpad } from "./sealed_padding.ts";

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return concat(...parts);
}

const refused = (bytes: Uint8Array, message: RegExp) =>
  assert.rejects(
    whole(unpad(pieces(bytes, 7))),
    (e) => e instanceof Fault && e.kind === "corrupt" && message.test(e.message),
  );

/** Padmé as algorithm 1 of the paper has it, in whole numbers. */
function padme(length: bigint): bigint {
  const bits = (n: bigint) => BigInt(n.toString(2).length);
  const e = bits(length) - 1n, s = bits(e), mask = (1n << (e - s)) - 1n;
  return (length + mask) & ~mask;
}

test("lengths are those of the paper's algorithm, and at least the shortest", () => {
  assert.equal(paddedBytes(0), sealPaddedBytesMin);
  assert.equal(paddedBytes(sealPaddedBytesMin - TRAILER_BYTES), sealPaddedBytesMin);
  assert.equal(paddedBytes(sealPaddedBytesMin - TRAILER_BYTES + 1), 272);
  const powers = Array.from({ length: 44 }, (_, i) => 2 ** (i + 8));
  for (const n of powers.flatMap((p) => [p - 9, p - 8, p - 7, p - 1, p, p + 1, p + 12345])) {
    if (n + TRAILER_BYTES < sealPaddedBytesMin) continue;
    assert.equal(BigInt(paddedBytes(n)), padme(BigInt(n + TRAILER_BYTES)), String(n));
    assert.ok(paddedBytes(n) <= (n + TRAILER_BYTES) * 1.0625);
  }
});

test("of a million lengths few are told apart", () => {
  const lengths = new Set<number>();
  for (let n = 0; n < 1_000_000; n++) lengths.add(paddedBytes(n));
  assert.ok(lengths.size < 320, String(lengths.size));
});

test("what is padded comes back, in pieces of any size, with zeros anywhere", async () => {
  const bytes = fc.array(fc.tuple(fc.constantFrom(0, 0, 1, 255), fc.nat(300)), { maxLength: 8 })
    .map((runs) => concat(...runs.map(([byte, count]) => new Uint8Array(count).fill(byte))));
  await fc.assert(fc.asyncProperty(bytes, fc.integer({ min: 1, max: 400 }), async (content, size) => {
    const padded = await whole(pad(pieces(content, size)));
    assert.equal(padded.length, paddedBytes(content.length));
    assert.equal(toHex(await whole(unpad(pieces(padded, size)))), toHex(content));
  }));
});

test("every other byte in the padding, and every other length, is refused", async () => {
  const padded = await whole(pad(pieces(new Uint8Array(20).fill(7), 9)));
  for (let i = 20; i < padded.length - TRAILER_BYTES; i++) {
    await refused(padded.map((byte, at) => at === i ? 1 : byte), /padding that is not zero/);
  }
  const said = (length: bigint) => {
    const copy = padded.slice();
    new DataView(copy.buffer).setBigUint64(copy.length - TRAILER_BYTES, length);
    return copy;
  };
  for (const length of [0n, 19n]) await refused(said(length), /padding that is not zero/);
  for (const length of [249n, 1n << 32n, (1n << 53n) - 1n, 1n << 53n, (1n << 64n) - 1n]) {
    await refused(said(length), /a length that its end does not give/);
  }
  for (const count of [1, 8, 255, 256]) {
    await refused(padded.subarray(0, -count), /length/);
    await refused(concat(padded, new Uint8Array(count)), /length/);
    await refused(padded.subarray(count), /length/);
  }
});

test("zeros are counted, not kept", async () => {
  const step = 1 << 20, sizes: number[] = [];
  let given = 0;
  async function* zeros() {
    for (let i = 0; i < 128; i++) yield new Uint8Array(step);
  }
  for await (const piece of unpad(pad(zeros()))) {
    given += piece.length;
    sizes.push(piece.length);
  }
  assert.equal(given, 128 * step);
  assert.ok(Math.max(...sizes) <= 65_536);
});
