// put_whole: bytes that somebody reads for us straight into a store on this disk: cut, hashed and appended window by window
// without ever being copied. putFile (manifest.ts) does the same for any store, from a stream.
import { createHash, hash } from "node:crypto";
import { cutAfter } from "./cutter_content.ts";
import { cutBytesMax, inlineBytesMax, putWindowBytes } from "./limits.ts";
import { type FileRef, ManifestWriter, putInline } from "./manifest.ts";
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
  let storing: Promise<void> = Promise.resolve();
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
      const chunks: Keyed[] = [];
      let from = 0;
      while (isEnd ? from < have : have - from >= cutBytesMax) {
        const end = cutAfter(window, from, have);
        const chunk = window.subarray(from, end);
        chunks.push([hash("sha256", chunk), chunk]);
        from = end;
      }
      whole.update(window.subarray(0, from));
      await storing; // the other window is free again
      done += from;
      storing = keep(store, manifest, chunks).then(() => progress(done));
      storing.catch(() => {}); // who awaits it hears of it
      const next: Uint8Array = window === windows[0] ? windows[1] : windows[0];
      next.set(window.subarray(from, have));
      [window, have] = [next, have - from];
    }
  } finally {
    await storing; // nobody is told an end while something goes on
  }
  return await manifest.finish(whole.digest());
}

async function keep(store: SqliteStore, manifest: ManifestWriter, chunks: Keyed[]): Promise<void> {
  await store.putKeyed(chunks);
  for (const [id, { length }] of chunks) await manifest.add(id, length);
}
