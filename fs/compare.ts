// compare: what on a disk differs from a tree, for drift and dry runs. It changes nothing.
import { errnoCode, Fault, type Stat } from "../mq/mod.ts";
import type { Difference } from "./differ.ts";
import { differences } from "./differ.ts";
import { showPath } from "./path.ts";
import { isDir, isSameFile, openDir, openPlace, statOf } from "./safepath.ts";
import type { Id, Store } from "./store.ts";
import type { Node } from "./tree.ts";
import { checkDepth, entriesOf, joinPath, readNode } from "./tree.ts";

/** One difference: the path on the disk, and what is not as in the tree. */
export interface Drift {
  path: Uint8Array;
  what: Difference;
}

/**
 * Every difference between the tree `id` and the disk at `target`. Names on the disk that the tree does not have are
 * none: a restore would leave them alone. `wants` is asked of every path of the tree and its node, parents first; where it
 * says no, that path is not compared, but what is below it is. Of a directory that is missing nothing below is told.
 */
export async function* compare(
  store: Store,
  id: Id,
  target: Uint8Array | string,
  wants: (path: Uint8Array, node: Node) => boolean = () => true,
): AsyncGenerator<Drift> {
  const root = await readNode(store, id);
  let place;
  try {
    place = openPlace("diff", target);
  } catch (e) {
    if (!(e instanceof Fault) || e.kind !== "notFound") throw e;
    const path = Buffer.from(target);
    if (wants(path, root)) yield { path, what: "missing" };
    return await askBelow({ store, wants }, id, root, path, 0);
  }
  using at = place;
  const top = { dir: at.fd, name: at.name, path: at.path };
  yield* compareAt({ store, wants, groups: new Map() }, id, root, top, 0);
}

interface At {
  dir: number;
  name: Uint8Array;
  path: Uint8Array;
}

/** Asks of everything in a directory that is missing, too. */
async function askBelow(
  comparison: Pick<Comparison, "store" | "wants">,
  id: Id,
  node: Node,
  path: Uint8Array,
  depth: number,
): Promise<void> {
  checkDepth(depth);
  if (node.kind !== "dir") return;
  const { store, wants } = comparison;
  for await (const [name, child] of entriesOf(store, node, id)) {
    const [childId, childNode] = typeof child === "string"
      ? [child, await readNode(store, child)]
      : [id, child];
    wants(joinPath(path, name), childNode);
    await askBelow(comparison, childId, childNode, joinPath(path, name), depth + 1);
  }
}

interface Comparison {
  store: Store;
  wants(path: Uint8Array, node: Node): boolean;
  /** The first file seen of each group of hard links. */
  groups: Map<number, Stat>;
}

async function* compareAt(
  comparison: Comparison,
  id: Id,
  node: Node,
  at: At,
  depth: number,
): AsyncGenerator<Drift> {
  const { store, wants, groups } = comparison;
  checkDepth(depth);
  try {
    const stat = statOf(at.dir, at.name);
    if (wants(at.path, node)) {
      for await (const what of differences(store, at.dir, at.name, stat, node)) yield { path: at.path, what };
    }
    if (stat === undefined) return await askBelow(comparison, id, node, at.path, depth);
    if (node.kind === "file" && node.hard !== undefined) {
      const first = groups.get(node.hard);
      if (first === undefined) groups.set(node.hard, stat);
      else if (!isSameFile(first, stat)) yield { path: at.path, what: "hard link" };
    }
    if (node.kind !== "dir" || !isDir(stat)) return;
    using dir = openDir(at.dir, at.name);
    for await (const [name, child] of entriesOf(store, node, id)) {
      const below = { dir: dir.fd, name, path: joinPath(at.path, name) };
      const [childId, childNode] = typeof child === "string"
        ? [child, await readNode(store, child)]
        : [id, child];
      yield* compareAt(comparison, childId, childNode, below, depth + 1);
    }
  } catch (e) {
    const isSystem = errnoCode(e) !== undefined && !("path" in (e as object));
    throw Fault.from("diff", isSystem ? Object.assign(e as Error, { path: showPath(at.path) }) : e);
  }
}
