// oci_tree: the names of an image while its layers are laid one over the other, and the tree that they come to. It holds
// names and attributes in memory, within a limit, and contents only by their ids. It reads no archive.
import { pause } from "../mq/mod.ts";
import { HOST_ATTRIBUTE } from "./disk.ts";
import { ociNameBytes, ociTreeBytesMax } from "./limits.ts";
import { wrong } from "./oci_json.ts";
import { showPath } from "./path.ts";
import { fromLatin1, latin1 } from "./tar.ts";
import type { FileNode, LinkNode, Meta } from "./tree.ts";
import { checkDepth } from "./tree.ts";
import type { TreeSink } from "./tree_writer.ts";

export interface Dir {
  kind: "dir";
  meta: Meta;
  /** By name as latin1, which sorts as bytes do. */
  places: Map<string, Place>;
}

/** One file, however many names it has. */
export interface File {
  kind: "file";
  node: FileNode;
}

export interface Link {
  kind: "link";
  node: LinkNode;
}

/** A device or fifo: it takes its name, and is left out of the tree. */
export interface Special {
  kind: "special";
}

export type Item = Dir | File | Link | Special;

/** A name in a directory. `touched` is the last layer that put it or something below it, `put` the last that put it. */
export interface Place {
  item: Item;
  touched: number;
  put: number;
}

/** What a directory has that no layer says anything about. */
const IMPLIED: Meta = { mode: 0o755, uid: 0, gid: 0, mtime: [0, 0] };

/** All names of an image, from the root down. */
export class OciTree {
  readonly root: Place = { item: { kind: "dir", meta: IMPLIED, places: new Map() }, touched: 0, put: 0 };
  #bytes = 0;

  /** What is at `names`, undefined when nothing is. A link is not followed. */
  find(names: string[]): Place | undefined {
    let place: Place | undefined = this.root;
    for (const name of names) place = place?.item.kind === "dir" ? place.item.places.get(name) : undefined;
    return place;
  }

  /**
   * The directory at `names` for something that `layer` puts into it, made where nobody made it.
   * @throws {Fault} corrupt, when a file or link stands on the way; refused, when it is too deep
   */
  enter(names: string[], layer: number): Dir {
    checkDepth(names.length);
    let place = this.root;
    place.touched = layer;
    for (const [i, name] of names.entries()) {
      const { places } = place.item as Dir;
      let next = places.get(name);
      if (next === undefined) {
        next = { item: { kind: "dir", meta: IMPLIED, places: new Map() }, touched: layer, put: 0 };
        this.charge(name.length);
        places.set(name, next);
      }
      if (next.item.kind !== "dir") {
        throw wrong(
          "corrupt",
          `${show(names.slice(0, i + 1))} is no directory, and a name below it is wanted`,
        );
      }
      next.touched = layer;
      place = next;
    }
    return place.item as Dir;
  }

  /**
   * Gives `item` its name. A directory over a directory keeps what is in it; anything else of a lower layer is replaced.
   * @throws {Fault} corrupt, when the same layer has put that name, or something below it, already
   */
  put(names: string[], layer: number, item: Item): void {
    if (item.kind === "dir") checkDepth(names.length);
    const name = names.at(-1);
    const places = name === undefined ? undefined : this.enter(names.slice(0, -1), layer).places;
    const old = places === undefined ? this.root : places.get(name!);
    const isMerged = old?.item.kind === "dir" && item.kind === "dir";
    if (places === undefined && !isMerged) throw wrong("corrupt", "the root of a layer is no directory");
    if (old !== undefined && (old.put === layer || (old.touched === layer && !isMerged))) {
      throw wrong("corrupt", `${show(names)} is in one layer twice`);
    }
    this.charge(name?.length ?? 0);
    if (isMerged) {
      old.item = { ...item, places: (old.item as Dir).places };
      [old.touched, old.put] = [layer, layer];
    } else places!.set(name!, { item, touched: layer, put: layer });
  }

  /** Takes away what lower layers have at `names`; what `layer` itself has put there stays. */
  hide(names: string[], layer: number): void {
    const dir = this.find(names.slice(0, -1))?.item;
    if (dir?.kind === "dir") prune(dir, names.at(-1)!, layer);
  }

  /** The same for everything in the directory `names`, not for itself. */
  hideAll(names: string[], layer: number): void {
    const dir = this.find(names)?.item;
    if (dir?.kind !== "dir") return;
    for (const name of [...dir.places.keys()]) prune(dir, name, layer);
  }

  /** Counts memory for a name of an image and `bytes` with it; what a higher layer takes away counts on. */
  charge(bytes: number): void {
    this.#bytes += ociNameBytes + bytes;
    if (this.#bytes <= ociTreeBytesMax) return;
    throw wrong("refused", `names and attributes of more than ${ociTreeBytesMax} bytes`);
  }

  /** Tells `sink` of all of it. `files`, `bytes` and `skipped` are what it has. */
  async tell(sink: TreeSink): Promise<{ files: number; bytes: number; skipped: number }> {
    const job: Job = { sink, names: new Map(), hard: new Map(), files: 0, bytes: 0, skipped: 0 };
    const root = this.root.item as Dir;
    countNames(root, job.names);
    await tellDir(job, "", root);
    return { files: job.files, bytes: job.bytes, skipped: job.skipped };
  }
}

/** Removes the name unless `layer` has touched it; then only what it has not touched below. */
function prune(dir: Dir, name: string, layer: number): void {
  const place = dir.places.get(name);
  if (place === undefined) return;
  if (place.touched !== layer) dir.places.delete(name);
  else if (place.item.kind === "dir") {
    for (const below of [...place.item.places.keys()]) prune(place.item, below, layer);
  }
}

interface Job {
  sink: TreeSink;
  /** How many names each file has. */
  names: Map<File, number>;
  /** Files with several names that had one already: their number, given in order of names, as capture does. */
  hard: Map<File, number>;
  files: number;
  bytes: number;
  skipped: number;
}

function countNames(dir: Dir, names: Map<File, number>): void {
  for (const { item } of dir.places.values()) {
    if (item.kind === "dir") countNames(item, names);
    else if (item.kind === "file") names.set(item, (names.get(item) ?? 0) + 1);
  }
}

async function tellDir(job: Job, name: string, dir: Dir): Promise<void> {
  await job.sink.dir(fromLatin1(name), dir.meta);
  for (const [i, below] of [...dir.places.keys()].sort().entries()) {
    const { item } = dir.places.get(below)!;
    if (item.kind === "special") job.skipped++;
    else if (item.kind === "dir") await tellDir(job, below, item);
    else await job.sink.node(fromLatin1(below), nodeOf(job, item));
    if (i % 64 === 63) await pause();
  }
  await job.sink.up();
}

function nodeOf(job: Job, item: File | Link): FileNode | LinkNode {
  job.files++;
  if (item.kind === "link") return item.node;
  const hasMore = job.names.get(item)! > 1;
  const isFirst = !job.hard.has(item);
  if (isFirst) job.bytes += item.node.size;
  if (!hasMore) return item.node;
  if (isFirst) job.hard.set(item, job.hard.size);
  return { ...item.node, hard: job.hard.get(item)! };
}

/**
 * What a node keeps of the head of an entry.
 * @throws {Fault} refused, for an attribute that no kernel takes
 */
export function metaOf({ mode, uid, gid, mtime, xattrs = [] }: Meta, path: Uint8Array): Meta {
  const kept = xattrs.filter(([name]) => latin1(name) !== HOST_ATTRIBUTE);
  for (const [name, value] of kept) {
    const isPossible = name.length > 0 && name.length <= 255 && !name.includes(0) && value.length <= 65_536;
    if (!isPossible) throw wrong("refused", `${showPath(path)} has an attribute that cannot be`);
  }
  return { mode, uid, gid, mtime, ...(kept.length > 0 && { xattrs: kept }) };
}

function show(names: string[]): string {
  return names.length === 0 ? "the root" : showPath(fromLatin1(names.join("/")));
}
