// oci_layer: a tree as the one layer of an image: a tar archive as a stream. It reads the tree from a store and knows
// nothing of images but that names beginning with .wh. mean deletions there.
import { Fault, pause } from "../mq/mod.ts";
import { showPath } from "./path.ts";
import { readNodeFile } from "./read_node.ts";
import type { Id, Store } from "./store.ts";
import type { TarHead } from "./tar.ts";
import { fromLatin1, latin1 } from "./tar.ts";
import { TAR_END, tarHeader, tarPadding } from "./tar_write.ts";
import type { Meta, Node } from "./tree.ts";
import { isName, listTree } from "./tree.ts";

const ROOT = fromLatin1(".");
const NO_TARGET = fromLatin1("");

/**
 * The layer of the tree `id`, in pieces: a directory before what is in it, in order of names, the root as "./". A root
 * that is a file or link stands, as `name`, in a directory of its own. Holes become zeros. The same tree gives the same
 * bytes.
 * @throws {Fault} refused, for a name or attribute that a layer cannot have; usage, for a `name` that is none
 */
export async function* layerOf(
  store: Store,
  id: Id,
  name: Uint8Array | undefined,
): AsyncGenerator<Uint8Array> {
  const firsts = new Map<number, Uint8Array>();
  let count = 0;
  for await (const { path, node } of listTree(store, id)) {
    if (path.length > 0 || node.kind === "dir") yield* entryOf(store, path, node, firsts);
    else {
      const { mtime } = node;
      const root: Node = { kind: "dir", mode: 0o755, uid: 0, gid: 0, mtime, entries: [] };
      yield* entryOf(store, path, root, firsts);
      yield* entryOf(store, checkName(name), node, firsts);
    }
    if (++count % 64 === 0) await pause();
  }
  yield TAR_END;
}

function checkName(name: Uint8Array | undefined): Uint8Array {
  if (name !== undefined && isName(name)) return name;
  throw new Fault(
    "oci.export",
    "usage",
    "a single file needs a name of its own in the image, without a slash",
    {
      hint: "isconf help oci",
    },
  );
}

async function* entryOf(
  store: Store,
  path: Uint8Array,
  node: Node,
  firsts: Map<number, Uint8Array>,
): AsyncGenerator<Uint8Array> {
  refuseWhiteout(path);
  const meta: Meta = node;
  const head = (kind: TarHead["kind"], size: number, target: Uint8Array): TarHead => {
    const { mode, uid, gid, mtime, xattrs } = meta;
    const shown = path.length === 0 ? ROOT : path;
    return {
      kind,
      path: shown,
      target,
      size,
      mode,
      uid,
      gid,
      mtime,
      ...(xattrs !== undefined && { xattrs }),
    };
  };
  if (node.kind === "dir") return yield tarHeader(head("dir", 0, NO_TARGET));
  if (node.kind === "link") return yield tarHeader(head("link", 0, node.target));
  const first = node.hard === undefined ? undefined : firsts.get(node.hard);
  if (first !== undefined) return yield tarHeader({ ...head("hard", 0, first), xattrs: [] });
  if (node.hard !== undefined) firsts.set(node.hard, path);
  yield tarHeader(head("file", node.size, NO_TARGET));
  yield* readNodeFile(store, node);
  yield new Uint8Array(tarPadding(node.size));
}

/** In a layer such a name would take another one away. */
function refuseWhiteout(path: Uint8Array): void {
  const name = path.subarray(path.lastIndexOf(0x2f) + 1);
  if (!latin1(name).startsWith(".wh.")) return;
  throw new Fault("oci.export", "refused", `${showPath(path)}: in an image ".wh." means a deleted name`, {
    hint: `isconf exec mv that file to another name, and isconf snap again`,
  });
}
