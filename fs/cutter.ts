// cutter: decides where a stream of bytes is cut into chunks. It stores and hashes nothing.
import { concat } from "../mq/mod.ts";

/** Cuts the bytes of `source`, whose pieces may have any length, into chunks of 1 to `objectBytesMax` bytes. */
export interface Cutter {
  cut(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

/** Chunks of `bytes` bytes each, the last one shorter. */
export function fixedCutter(bytes: number): Cutter {
  return {
    async *cut(source) {
      let pieces: Uint8Array[] = [];
      let have = 0;
      for await (let piece of source) {
        while (have + piece.length >= bytes) {
          const head = piece.subarray(0, bytes - have);
          yield have === 0 ? head : concat(...pieces, head);
          piece = piece.subarray(head.length);
          [pieces, have] = [[], 0];
        }
        if (piece.length > 0) pieces.push(piece);
        have += piece.length;
      }
      if (have > 0) yield pieces.length === 1 ? pieces[0]! : concat(...pieces);
    },
  };
}
