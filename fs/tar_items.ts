// tar_items: what an entry of a tar archive, of an image's layer or by itself, is in a tree. It reads no archive and lays nothing.
import { putFile } from "./manifest.ts";
import { wrong } from "./oci_json.ts";
import { type Item, metaOf, type OciTree } from "./oci_tree.ts";
import { components, showPath } from "./path.ts";
import type { Store } from "./store.ts";
import { latin1 } from "./tar.ts";
import type { TarEntry } from "./tar_read.ts";
import { isName } from "./tree.ts";

/** The names of a path in an archive, as latin1. Throws refused, for what is none of a tree. */
export function namesOf(path: Uint8Array): string[] {
  const names = components(path);
  if (path.length === 0 || path[0] === 0x2f || !names.every(isName)) {
    throw wrong("refused", `${showPath(path)} cannot be a name in a tree`);
  }
  return names.map(latin1);
}

/**
 * What an entry puts into the tree; the bytes of a file are stored.
 * @throws {Fault} corrupt, refused
 */
export async function itemOf(
  store: Store,
  tree: OciTree,
  entry: TarEntry,
  skipSpecial: boolean,
): Promise<Item> {
  if (entry.kind === "hard") return sameFile(tree, entry);
  const meta = metaOf(entry, entry.path);
  for (const [name, value] of meta.xattrs ?? []) tree.charge(name.length + value.length);
  switch (entry.kind) {
    case "dir":
      return { kind: "dir", meta, places: new Map() };
    case "link": {
      const { target } = entry;
      if (target.length === 0 || target.length >= 4096) {
        throw wrong("corrupt", `${showPath(entry.path)} is a link to what cannot be a path`);
      }
      tree.charge(target.length);
      return { kind: "link", node: { kind: "link", ...meta, target: target.slice() } };
    }
    case "file": {
      const { id, size } = await putFile(store, entry.content);
      return { kind: "file", node: { kind: "file", ...meta, size, content: id } };
    }
    default:
      if (skipSpecial) return { kind: "special" };
      throw wrong(
        "refused",
        `${showPath(entry.path)} is a device or fifo (${entry.kind}), which a tree cannot hold`,
      );
  }
}

/** What a hard link is one more name of. Its own attributes are those of the file. */
function sameFile(tree: OciTree, { path, target }: TarEntry): Item {
  const item = tree.find(namesOf(target))?.item;
  if (item === undefined || item.kind === "dir") {
    throw wrong(
      "corrupt",
      `${showPath(path)} is a hard link to ${showPath(target)}, which is no file of the image`,
    );
  }
  return item;
}
