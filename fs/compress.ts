// compress: bytes of an object with zstd (RFC 8878), when that saves enough. It decides by trying; it knows no packs. The
// library is the one inside of Node and Deno (node:zlib): nothing else is as fast in either, and nothing is added for it.
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { compressBytesMin, compressSavesMin, compressTrialBytes } from "./limits.ts";

const compress = promisify(zlib.zstdCompress);
/** Level 1: of all the fastest that finds repetitions; 3 takes half as long again to save one byte in twenty-five more. */
const options = { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } };

/**
 * The bytes compressed, or undefined when that saves less than the share `compressSavesMin` of them. Of long ones a part
 * is tried first. Runs beside the event loop; several calls at once use several processors.
 */
export async function compressed(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  if (bytes.length < compressBytesMin) return undefined;
  if (bytes.length > 2 * compressTrialBytes) {
    const start = bytes.length >> 1;
    const trial = bytes.subarray(start, start + compressTrialBytes);
    if (!saves(zlib.zstdCompressSync(trial, options), trial)) return undefined;
  }
  const out = await compress(bytes, options);
  return saves(out, bytes) ? out : undefined;
}

const saves = (out: Uint8Array, bytes: Uint8Array) => out.length <= bytes.length * (1 - compressSavesMin);

/** What was compressed, `size` bytes; undefined when it does not come out as so many. */
export function decompressed(bytes: Uint8Array, size: number): Uint8Array | undefined {
  try {
    const out = zlib.zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, size) });
    // Not as a Buffer: a slice of that is no copy.
    return out.length === size ? new Uint8Array(out.buffer, out.byteOffset, size) : undefined;
  } catch {
    return undefined; // damaged: what it should be is known by its hash, so that is said there
  }
}
