// Padding of what is sealed, so that its length tells little: Padmé (Nikitin et al., "Reducing Metadata Leakage from
// Encrypted Files and Communication with PURBs", PETS 2019), with the true length at the end, because whoever pads a
// stream knows it only then. Not encryption, and worth nothing without it.
import { concat } from "./bytes.ts";
import { Fault } from "./fault.ts";
import { sealPaddedBytesMin } from "./limits.ts";

/** Bytes of the true length, a big-endian integer, which ends the padded text. */
export const TRAILER_BYTES = 8;

/** How many zeros are handed out at a time. */
const ZEROS = 65_536;

/**
 * How long `length` bytes are when they are padded, in bytes: with the trailer, rounded up to a multiple of 2^(E - S),
 * where E = floor(log2 of that) and S = floor(log2 E) + 1. That is at most 6.25 % more, and less the longer it is; of a
 * length up to n it tells O(log log n) bits.
 */
export function paddedBytes(length: number): number {
  const whole = Math.max(length + TRAILER_BYTES, sealPaddedBytesMin);
  const exponent = whole.toString(2).length - 1; // exact, as a logarithm is not
  const step = 2 ** (exponent - exponent.toString(2).length);
  return Math.ceil(whole / step) * step;
}

/** The bytes of `source`, zeros, and the trailer. As it comes: nothing of it is kept. */
export async function* pad(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const piece of source) {
    length += piece.length;
    yield piece;
  }
  yield* zeros(paddedBytes(length) - length - TRAILER_BYTES);
  const trailer = new Uint8Array(TRAILER_BYTES);
  new DataView(trailer.buffer).setBigUint64(0, BigInt(length));
  yield trailer;
}

/**
 * What {@link pad} was given. Zeros are counted and held back until it is known that they are no padding, so that what is
 * kept is a number and eight bytes. What was handed out counts only when the end is reached without a fault.
 * @throws {Fault} corrupt, when the length is not that of the trailer by {@link paddedBytes}, or the padding is not zero
 */
export async function* unpad(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let given = 0, held = 0;
  let last: Uint8Array = new Uint8Array(0);
  for await (const piece of source) {
    const joined = concat(last, piece);
    const ready = joined.subarray(0, Math.max(0, joined.length - TRAILER_BYTES));
    last = joined.subarray(ready.length);
    let content = ready.length;
    while (content > 0 && ready[content - 1] === 0) content--;
    if (content > 0) {
      yield* zeros(held);
      yield ready.subarray(0, content);
      given += held + content;
      held = 0;
    }
    held += ready.length - content;
  }
  const length = lengthIn(last);
  if (given + held + TRAILER_BYTES !== paddedBytes(length)) refuse("has a length that its end does not give");
  if (given > length) refuse("has padding that is not zero");
  yield* zeros(length - given);
}

function lengthIn(trailer: Uint8Array): number {
  if (trailer.length < TRAILER_BYTES) refuse("is too short to have a length at its end");
  const length = new DataView(trailer.slice().buffer).getBigUint64(0);
  if (length > BigInt(Number.MAX_SAFE_INTEGER)) refuse("has a length that its end does not give");
  return Number(length);
}

function* zeros(count: number): Generator<Uint8Array> {
  for (let left = count; left > 0; left -= ZEROS) yield new Uint8Array(Math.min(left, ZEROS));
}

function refuse(why: string): never {
  throw new Fault("unseal", "corrupt", `what was sealed ${why}: nothing of it is to be used`, {
    hint: "isconf put --secret: seals it anew, on a host that has the source",
  });
}
