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
 * none: a restore would leave them alone.
 */
export async function* compare(store: Store, id: Id, target: Uint8Array | string): AsyncGenerator<Drift> {
  const root = await readNode(store, id);
  let place;
  try {
    place = openPlace("diff", target);
  } catch (e) {
    if (!(e instanceof Fault) || e.kind !== "notFound") throw e;
    return yield { path: Buffer.from(target), what: "missing" };
  }
  using at = place;
  yield* compareAt(store, id, root, { dir: at.fd, name: at.name, path: at.path }, new Map(), 0);
}

interface At {
  dir: number;
  name: Uint8Array;
  path: Uint8Array;
}

async function* compareAt(
  store: Store,
  id: Id,
  node: Node,
  at: At,
  groups: Map<number, Stat>,
  depth: number,
): AsyncGenerator<Drift> {
  checkDepth(depth);
  try {
    const stat = statOf(at.dir, at.name);
    for await (const what of differences(store, at.dir, at.name, stat, node)) yield { path: at.path, what };
    if (stat === undefined) return;
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
      yield* compareAt(store, childId, childNode, below, groups, depth + 1);
    }
  } catch (e) {
    const isSystem = errnoCode(e) !== undefined && !("path" in (e as object));
    throw Fault.from("diff", isSystem ? Object.assign(e as Error, { path: showPath(at.path) }) : e);
  }
}
