// put_whole: bytes that somebody reads for us straight into a store on this disk: cut, hashed and appended window by window
// without ever being copied. putFile (manifest.ts) does the same for any store, from a stream.
import { createHash, webcrypto } from "node:crypto";
import { toHex } from "../mq/mod.ts";
import { cutAfter } from "./cutter_content.ts";
import { cutBytesMax, inlineBytesMax, putWindowBytes, putWindowsMax } from "./limits.ts";
import { type FileRef, ManifestWriter, type Part, putInline } from "./manifest.ts";
import type { Keyed } from "./store.ts";
import type { SqliteStore } from "./store_sqlite.ts";

/** Reads the next bytes into `into`, at least one; how many, or 0 at the end. */
export type Fill = (into: Uint8Array) => number | Promise<number>;

/**
 * Stores everything that `fill` reads and returns where. The manifest is put last, when every byte that it names is
 * durable. `progress` hears how many bytes are durable.
 * @throws what `fill` throws; {Fault} environment
 */
export async function putWhole(
  store: SqliteStore,
  fill: Fill,
  progress: (bytes: number) => void = () => {},
): Promise<FileRef> {
  const whole = createHash("sha256");
  const manifest = new ManifestWriter(store);
  const windows = [new Uint8Array(putWindowBytes), new Uint8Array(putWindowBytes)] as const;
  let window: Uint8Array = windows[0];
  let have = 0, done = 0;
  /** When the other window may be written over, and the ends of what was written and may not be durable yet. */
  let free: Promise<void> = Promise.resolve();
  let storing: Promise<void> = Promise.resolve();
  const under: Promise<void>[] = [];
  try {
    for (let isEnd = false; !isEnd;) {
      while (have < window.length) {
        const read = await fill(window.subarray(have));
        isEnd = read === 0;
        if (isEnd) break;
        have += read;
      }
      if (isEnd && done === 0 && have <= inlineBytesMax) {
        return await putInline(store, window.subarray(0, have));
      }
      const hashing: Promise<Keyed>[] = [];
      let from = 0;
      while (isEnd ? from < have : have - from >= cutBytesMax) {
        const end = cutAfter(window, from, have);
        hashing.push(keyed(window.subarray(from, end)));
        from = end;
      }
      whole.update(window.subarray(0, from)); // while others hash the chunks
      const chunks = await Promise.all(hashing);
      await free;
      const kept = keep(store, chunks);
      free = kept.free;
      const sizes = chunks.map(([id, { length }]): Part => [id, length]);
      const upTo = done += from;
      storing = Promise.all([kept.there, storing]).then(async () => {
        for (const [id, length] of sizes) await manifest.add(id, length);
        progress(upTo);
      });
      storing.catch(() => {}); // who awaits it hears of it
      under.push(storing);
      if (under.length > putWindowsMax) await under.shift();
      const next: Uint8Array = window === windows[0] ? windows[1] : windows[0];
      next.set(window.subarray(from, have));
      [window, have] = [next, have - from];
    }
  } finally {
    await storing; // nobody is told an end while something goes on
  }
  return await manifest.finish(whole.digest());
}

/** A chunk with its id, which is made beside everything else. */
async function keyed(chunk: Uint8Array): Promise<Keyed> {
  const digest = await webcrypto.subtle.digest("SHA-256", chunk as Uint8Array<ArrayBuffer>);
  return [toHex(new Uint8Array(digest)), chunk];
}

/** Puts chunks: when their bytes are needed no more, and when they are durable. */
function keep(store: SqliteStore, chunks: Keyed[]): { free: Promise<void>; there: Promise<void> } {
  let written = () => {};
  const early = new Promise<void>((resolve) => written = resolve);
  const there = store.putKeyed(chunks, 0, undefined, written);
  const free = Promise.race([early, there]);
  free.catch(() => {}); // the same is said of what is durable
  return { free, there };
}
