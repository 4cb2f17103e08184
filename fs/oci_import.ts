// oci_import: an image of an OCI archive as a tree in a store. Everything in the archive may be a trap. It runs nothing,
// writes to no disk, and keeps of an image its files only: not what it would start, nor as whom.
import { pause } from "../mq/mod.ts";
import type { Captured } from "./capture.ts";
import { ociBytesMax } from "./limits.ts";
import type { OciArchive } from "./oci_archive.ts";
import { readArchive } from "./oci_archive.ts";
import type { Choice, Image } from "./oci_choose.ts";
import { chooseImage } from "./oci_choose.ts";
import { wrong } from "./oci_json.ts";
import { itemOf, namesOf } from "./tar_items.ts";
import { OciTree } from "./oci_tree.ts";
import { Budget, unpackLayer } from "./oci_unpack.ts";
import { showPath } from "./path.ts";
import { PutBatch } from "./put_batch.ts";
import type { Store } from "./store.ts";
import { fromLatin1 } from "./tar.ts";
import type { TarEntry } from "./tar_read.ts";
import { readTar } from "./tar_read.ts";
import { isName } from "./tree.ts";
import { TreeWriter } from "./tree_writer.ts";

export interface ImportOptions extends Choice {
  /** Leaves out devices and fifos, which a tree cannot hold, instead of refusing the image. */
  skipSpecial?: boolean;
  /** Most bytes of the archive, and most that its layers unpack to; `ociBytesMax` unless told otherwise. */
  bytesMax?: number;
}

/** What was imported: `bytes` of content, a file with several names counted once; `skipped` devices and fifos left out. */
export interface Imported extends Captured {
  skipped: number;
}

/**
 * Keeps the files of an image in the OCI archive `source`, a tar of an OCI image layout, and returns the root of its tree
 * when every object is durable. The archive is read once, as it comes; its blobs are stored on the way, since the
 * document that orders them may come last. What is stored when it fails is no root and nothing points to it. With several
 * images in the archive `ref` and `architecture` pick one. Layers are tar, gzip or zstd. A directory that no layer
 * describes is root's, 0755, of 1970. Source: OCI image-spec 1.0, image-layout.md, layer.md.
 * @throws {Fault} corrupt, for what does not match its hash or size, ends early, is no image, or contradicts itself;
 *   refused, for names that lead out of the tree, what a tree cannot hold and more than the limits; usage, when the image
 *   is not told from others, naming them
 */
export async function importOci(
  store: Store,
  source: AsyncIterable<Uint8Array>,
  options: ImportOptions = {},
): Promise<Imported> {
  const batch = new PutBatch(store);
  const bytesMax = options.bytesMax ?? ociBytesMax;
  const archive = await readArchive(batch, new Budget(bytesMax, "an archive of").count(source));
  const image = await chooseImage(archive, options);
  const tree = await layTree(batch, archive, image, new Budget(bytesMax, "layers that unpack to"), options);
  const writer = new TreeWriter(batch);
  const counts = await tree.tell(writer);
  const id = await writer.finish();
  await batch.flush();
  return { id, kind: "dir", ...counts };
}

/** All layers of the image, one over the other. */
async function layTree(
  store: Store,
  archive: OciArchive,
  { manifest, config }: Image,
  budget: Budget,
  options: ImportOptions,
): Promise<OciTree> {
  const { layers } = manifest;
  if (layers.length !== config.diffIds.length) {
    throw wrong(
      "corrupt",
      `an image of ${layers.length} layers whose configuration lists ${config.diffIds.length}`,
    );
  }
  const tree = new OciTree();
  for (const [i, layer] of layers.entries()) {
    const plain = unpackLayer(archive.open(layer), layer, config.diffIds[i]!, budget);
    let count = 0;
    for await (const entry of readTar(plain, (kind, what) => wrong(kind, `layer ${layer.sha256}: ${what}`))) {
      await lay(store, tree, entry, i + 1, options.skipSpecial ?? false);
      if (++count % 64 === 0) await pause();
    }
  }
  return tree;
}

const DELETED = ".wh.";
const DELETED_ALL = ".wh..wh..opq";

async function lay(
  store: Store,
  tree: OciTree,
  entry: TarEntry,
  layer: number,
  skipSpecial: boolean,
): Promise<void> {
  const names = namesOf(entry.path);
  const last = names.at(-1);
  const above = names.slice(0, -1);
  if (above.some((name) => name.startsWith(DELETED))) {
    throw wrong("corrupt", `${showPath(entry.path)} stands below a deleted name`);
  }
  if (last === DELETED_ALL) return tree.hideAll(above, layer);
  if (last?.startsWith(DELETED)) {
    const deleted = last.slice(DELETED.length);
    if (!isName(fromLatin1(deleted)) || deleted.startsWith(DELETED)) {
      throw wrong("corrupt", `${showPath(entry.path)} deletes what cannot be a name`);
    }
    return tree.hide([...above, deleted], layer);
  }
  const item = await itemOf(store, tree, entry, skipSpecial);
  tree.put(names, layer, item);
}
