// read_node: the bytes of a file of a tree, its holes as zeros. A file that is no node is read by readFile (manifest.ts).
import { Fault, pause } from "../mq/mod.ts";
import type { Run } from "./disk.ts";
import { zeroBatch, zeroBytes } from "./limits.ts";
import { boundsIn, type ByteRange, readListed, readManifest } from "./manifest.ts";
import type { Store } from "./store.ts";
import type { FileNode } from "./tree.ts";

/**
 * The bytes of `node`, or of a range of it, in pieces, each checked: exactly as many as the node says. A read of
 * all of its data is checked against the hash of the whole before it ends.
 * @throws {Fault} corrupt, when anything does not match; notFound, when an object is not here; usage, for no range
 */
export async function* readNodeFile(
  store: Pick<Store, "get">,
  node: FileNode,
  range: Partial<ByteRange> = {},
): AsyncGenerator<Uint8Array> {
  const [from, to] = boundsIn(node.size, range);
  const runs: Run[] = node.runs ?? [[0, node.size]];
  const dataBefore = (end: number) =>
    runs.reduce((sum, [start, length]) => sum + Math.min(Math.max(0, end - start), length), 0);
  const manifest = await readManifest(store, node.content);
  if (manifest.size !== dataBefore(node.size)) {
    throw new Fault("file.read", "corrupt", `content ${node.content} has another size than its node says`, {
      hint: "isconf fsck",
    });
  }
  let at = from;
  let count = 0;
  async function* zeros(end: number): AsyncGenerator<Uint8Array> {
    while (at < end) {
      const piece = new Uint8Array(Math.min(zeroBytes, end - at));
      at += piece.length;
      yield piece;
      if (++count % zeroBatch === 0) await pause();
    }
  }
  let run = runs.findIndex(([start, length]) => start + length > from);
  const data = { offset: dataBefore(from), length: dataBefore(to) - dataBefore(from) };
  for await (let piece of readListed(store, node.content, manifest, data)) {
    while (piece.length > 0) {
      const [start, length] = runs[run]!;
      yield* zeros(start);
      const part = piece.subarray(0, start + length - at);
      at += part.length;
      yield part;
      piece = piece.subarray(part.length);
      if (at === start + length) run++;
    }
  }
  yield* zeros(to);
}
