// Answers: what a keeper answers and does not fit into a message: the votes for a large check-in, or one that was begun. It is
// kept for a while and handed out in parts, to who asked. Not what is answered (keeper_service.ts).
import {
  bytesEqual,
  type Cancel,
  type Cbor,
  type Clock,
  concat,
  decode,
  encode,
  Fault,
  sha256,
  toHex,
} from "../mq/mod.ts";
import { acceptedLimits, answersMax, stageBytesMax, stageIdleMs, stagePartBytesMax } from "./limits.ts";

/** In place of an answer: how long it is, in bytes of CBOR, and what their SHA-256 is. */
interface Long {
  bytes: number;
  sha256: Uint8Array;
}

interface Kept {
  from: string;
  bytes: Uint8Array;
  forget: Cancel;
}

/** The keeper's side. */
export class Answers {
  readonly #clock: Clock;
  /** By the nonce of the question, the oldest first. */
  readonly #kept = new Map<string, Kept>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is sent in answer to a question: all of it, or what will be handed out by {@link part}. */
  fit(from: string, nonce: Uint8Array, body: Cbor): Cbor {
    const bytes = encode(body);
    if (bytes.length <= stagePartBytesMax) return body;
    const name = toHex(nonce);
    this.#drop(name);
    this.#kept.set(name, { from, bytes, forget: this.#clock.after(stageIdleMs, () => this.#drop(name)) });
    const sum = () => [...this.#kept.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
    while (this.#kept.size > 1 && (this.#kept.size > answersMax || sum() > 2 * stageBytesMax)) {
      this.#drop([...this.#kept.keys()][0] as string);
    }
    return { long: { bytes: bytes.length, sha256: sha256(bytes) } };
  }

  /** The part that begins at this byte, for who asked. Throws gone when it is not kept any more. */
  part(from: string, of: Uint8Array, offset: number): Cbor {
    const name = toHex(of);
    const kept = this.#kept.get(name);
    if (kept?.from !== from) {
      throw new Fault("keeper", "gone", "the keeper does not keep that answer any more", {
        hint: "isconf status, then try again",
      });
    }
    const end = offset + stagePartBytesMax;
    if (end >= kept.bytes.length) this.#drop(name);
    return { part: kept.bytes.subarray(offset, end) };
  }

  #drop(name: string): void {
    this.#kept.get(name)?.forget();
    this.#kept.delete(name);
  }
}

/**
 * The whole of an answer, on the side of who asked: `more` gets the part that begins at a byte.
 * @throws {Fault} corrupt, when it is not what the keeper said that it would be; what `more` throws
 */
export async function whole(answer: Cbor, more: (offset: number) => Promise<Cbor>): Promise<Cbor> {
  const { long } = (answer ?? {}) as { long?: unknown };
  if (long === undefined) return answer;
  const { bytes, sha256: hash } = long as Long;
  if (!(hash instanceof Uint8Array) || !(bytes > 0 && bytes <= acceptedLimits.bytesMax)) throw malformed();
  const parts: Uint8Array[] = [];
  for (let had = 0; had < bytes;) {
    const { part } = (await more(had) ?? {}) as { part?: unknown };
    if (!(part instanceof Uint8Array) || part.length === 0 || part.length > bytes - had) throw malformed();
    parts.push(part);
    had += part.length;
  }
  const all = concat(...parts);
  if (!bytesEqual(sha256(all), hash)) throw malformed();
  return decode(all, acceptedLimits);
}

const malformed = () =>
  new Fault("keeper", "corrupt", "a keeper's long answer is malformed", { hint: "isconf version" });
