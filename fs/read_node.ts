// read_node: the bytes of a file of a tree, its holes as zeros. A file that is no node is read by readFile (manifest.ts).
import { type ByteRange, readFile } from "./manifest.ts";
import { readBytes } from "./limits.ts";
import type { Store } from "./store.ts";
import type { FileNode } from "./tree.ts";

/**
 * The bytes of `node`, or of a range of it, in pieces, each checked.
 * @throws {Fault} corrupt, when anything does not match; notFound, when an object is not here
 */
export async function* readNodeFile(
  store: Store,
  node: FileNode,
  { offset = 0, length = node.size }: Partial<ByteRange> = {},
): AsyncGenerator<Uint8Array> {
  const end = Math.min(node.size, offset + length);
  if (node.runs === undefined) return yield* readFile(store, node.content, { offset, length });
  let at = Math.min(offset, end); // where in the file we are
  let dataAt = 0; // where in its data the run begins
  for (const [start, bytes] of node.runs) {
    if (start >= end) break;
    if (start + bytes > at) {
      yield* zeros(start - at);
      at = Math.max(at, start);
      const to = Math.min(end, start + bytes);
      yield* readFile(store, node.content, { offset: dataAt + at - start, length: to - at });
      at = to;
    }
    dataAt += bytes;
  }
  yield* zeros(end - at);
}

function* zeros(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= readBytes) yield new Uint8Array(Math.min(left, readBytes));
}
