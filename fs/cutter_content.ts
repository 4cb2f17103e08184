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
 * Chunks of `min` to `max` bytes, cut after a byte where the highest bits of the hash of the 32 bytes before are zero: the
 * same bytes are cut the same way, however they come in pieces.
 */
export function contentCutter({ min, normal, max }: CutSizes = SIZES): Cutter {
  const bits = Math.log2(normal);
  const strict = bits + normalization, loose = bits - normalization;
  return {
    async *cut(source) {
      let pieces: Uint8Array[] = [];
      let have = 0; // bytes of the chunk that begins in `pieces`
      const hash = new RollingHash();
      for await (let piece of source) {
        while (piece.length > 0) {
          // All indices are of `piece`; the chunk begins `have` bytes before it.
          const last = Math.min(piece.length, max - have);
          const first = Math.min(last, Math.max(0, min - have));
          const turn = Math.min(last, Math.max(first, normal - have));
          let end = hash.find(piece, first, turn, strict);
          if (end === 0) end = hash.find(piece, turn, last, loose);
          const isCut = end > 0 || have + last === max;
          if (end === 0) end = last;
          pieces.push(piece.subarray(0, end));
          have += end;
          piece = piece.subarray(end);
          if (!isCut) continue;
          yield pieces.length === 1 ? pieces[0]! : concat(...pieces);
          [pieces, have] = [[], 0];
          hash.clear();
        }
      }
      if (have > 0) yield pieces.length === 1 ? pieces[0]! : concat(...pieces);
    },
  };
}

class RollingHash {
  #hash = 0;

  clear(): void {
    this.#hash = 0;
  }

  /** Goes on over the bytes from `from` up to `to`; the end of the first where the `bits` highest bits are zero, or 0. */
  find(bytes: Uint8Array, from: number, to: number, bits: number): number {
    const gear = GEAR, rest = 32 - bits; // those on which most bytes had a say
    let hash = this.#hash;
    for (let i = from; i < to; i++) {
      hash = (hash << 1) + (gear[bytes[i]!] as number) | 0;
      if (hash >>> rest === 0) return i + 1;
    }
    this.#hash = hash;
    return 0;
  }
}
