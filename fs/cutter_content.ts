// cutter_content: cuts where the content says so (FastCDC), so that an insertion moves the cuts around it and no others.
// It stores and hashes nothing; the bytes that make a cut have no meaning beyond it.
// W. Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach", USENIX ATC 2016.
import { concat, sha256 } from "../mq/mod.ts";
import type { Cutter } from "./cutter.ts";
import { cutBytes, cutBytesMax, cutBytesMin } from "./limits.ts";

/** Lengths of chunks, in bytes. */
export interface CutSizes {
  min: number;
  /** About the mean, a power of two of at most 16 MiB. */
  normal: number;
  max: number;
}

const SIZES: CutSizes = { min: cutBytesMin, normal: cutBytes, max: cutBytesMax };

/** What each byte adds to the rolling hash: the first four bytes of the SHA-256 of "isfs gear" and that byte. */
const GEAR = Int32Array.from({ length: 256 }, (_, byte) => {
  const text = new TextEncoder().encode("isfs gear");
  return new DataView(sha256(concat(text, Uint8Array.of(byte))).buffer).getInt32(0);
});

/** How many bits more, and fewer, must be zero before and after the normal length (the paper's NC2). */
const normalization = 2;

/**
 * Where the chunk ends that begins at `from`: after a byte where the highest bits of the hash of the 32 bytes before are
 * zero, `min` to `max` bytes on. `to`, when the bytes up to there do not say: more of them are needed.
 */
export function cutAfter(bytes: Uint8Array, from: number, to: number, sizes: CutSizes = SIZES): number {
  const { min, normal, max } = sizes;
  const gear = GEAR, bits = Math.log2(normal);
  const last = Math.min(to, from + max), turn = Math.min(last, from + normal);
  let hash = 0, i = Math.min(turn, from + min);
  let rest = 32 - bits - normalization; // those bits on which most bytes had a say decide
  while (i < turn) {
    hash = (hash << 1) + (gear[bytes[i++]!] as number) | 0;
    if (hash >>> rest === 0) return i;
  }
  rest = 32 - bits + normalization;
  while (i < last) {
    hash = (hash << 1) + (gear[bytes[i++]!] as number) | 0;
    if (hash >>> rest === 0) return i;
  }
  return last;
}

/** Chunks whose ends {@link cutAfter} finds: the same bytes are cut the same way, however they come in pieces. */
export function contentCutter(sizes: CutSizes = SIZES): Cutter {
  return {
    async *cut(source) {
      let pieces: Uint8Array[] = [];
      let have = 0;
      for await (const piece of source) {
        pieces.push(piece);
        have += piece.length;
        if (have < 2 * sizes.max) continue; // else many small pieces would be joined again and again
        const bytes = joined(pieces, have);
        let from = 0;
        while (have - from >= sizes.max) {
          yield bytes.subarray(from, from = cutAfter(bytes, from, have, sizes));
        }
        [pieces, have] = [[bytes.subarray(from)], have - from];
      }
      const bytes = joined(pieces, have);
      for (let from = 0; from < have;) yield bytes.subarray(from, from = cutAfter(bytes, from, have, sizes));
    },
  };
}

function joined(pieces: Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const out = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
