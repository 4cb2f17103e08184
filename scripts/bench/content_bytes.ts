// Content bytes: bytes of several kinds and numbers, the same for the same seed. It knows no files.
import { Buffer } from "node:buffer";
import { type Cipheriv, createCipheriv, createHash } from "node:crypto";

/**
 * What a stretch of an image or a whole file is made of: a keystream that nothing makes smaller, words as in a text,
 * records that are alike but for 16 of 64 bytes, zeros.
 */
export type Kind = "random" | "text" | "records" | "zeros";

/** The part of each kind. All but the first can be compressed: 30 % together, about what it is in an installed system. */
const PARTS: [Kind, number][] = [["random", 0.7], ["text", 0.16], ["records", 0.09], ["zeros", 0.05]];

const wordsInAll = 4096;
const recordBytes = 64;
const recordOwnBytes = 16;

export class SeededBytes {
  readonly #cipher: Cipheriv;
  readonly #words: Uint8Array[];
  readonly #record: Uint8Array;

  constructor(seed: string) {
    const key = createHash("sha256").update(seed).digest();
    this.#cipher = createCipheriv("aes-128-ctr", key.subarray(0, 16), key.subarray(16));
    this.#words = Array.from({ length: wordsInAll }, () => this.#word());
    this.#record = this.random(recordBytes);
  }

  /** Bytes of a keystream. */
  random(bytes: number): Uint8Array {
    return this.#cipher.update(new Uint8Array(bytes));
  }

  /** A number from 0 to below 1. */
  part(): number {
    return Buffer.from(this.random(6)).readUIntBE(0, 6) / 2 ** 48;
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.part() * end);
  }

  /** A number whose logarithm is normally distributed (Box and Muller). */
  logNormal(median: number, sigma: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.part())) * Math.cos(2 * Math.PI * this.part());
    return median * Math.exp(sigma * normal);
  }

  /** A kind by chance, as often as its part. */
  kind(): Kind {
    let left = this.part();
    for (const [kind, part] of PARTS) {
      left -= part;
      if (left < 0) return kind;
    }
    return "random";
  }

  of(kind: Kind, bytes: number): Uint8Array {
    if (kind === "text") return this.#text(bytes);
    if (kind === "records") return this.#records(bytes);
    return kind === "zeros" ? new Uint8Array(bytes) : this.random(bytes);
  }

  #word(): Uint8Array {
    const letters = this.random(3 + this.below(7)).map((b) => 0x61 + b % 26);
    return new Uint8Array([...letters, 0x20]);
  }

  #text(bytes: number): Uint8Array {
    const text = new Uint8Array(bytes);
    let picks = this.random(8192);
    let pick = 0;
    for (let at = 0; at < bytes; pick += 2) {
      if (pick === picks.length) {
        picks = this.random(8192);
        pick = 0;
      }
      const number = (picks[pick] as number) << 8 | picks[pick + 1] as number;
      const word = this.#words[number % wordsInAll] as Uint8Array;
      for (let i = 0; i < word.length && at < bytes; i++) text[at++] = word[i] as number;
    }
    return text;
  }

  #records(bytes: number): Uint8Array {
    const records = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += recordBytes) {
      records.set(this.#record.subarray(0, Math.min(recordBytes, bytes - at)), at);
    }
    const own = this.random(Math.ceil(bytes / recordBytes) * recordOwnBytes);
    for (let at = 0, from = 0; at < bytes; at += recordBytes, from += recordOwnBytes) {
      records.set(own.subarray(from, from + Math.min(recordOwnBytes, bytes - at)), at);
    }
    return records;
  }
}
