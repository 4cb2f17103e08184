// objects: every object that a root needs, for bundles, pins and copying. It reads structure only, never chunks.
import { decode } from "../mq/mod.ts";
import type { Manifest } from "./manifest.ts";
import { parseManifest, readManifest, subManifests } from "./manifest.ts";
import type { Id, Store } from "./store.ts";
import type { Node } from "./tree.ts";
import { checkDepth, entriesOf, parseNode, readNode } from "./tree.ts";

/**
 * The id of every object reachable from the root `id`, a file's manifest or a tree's node, the root itself first. An
 * object that is named twice comes twice. Chunks are named without being read.
 */
export async function* objectsOf(store: Store, id: Id): AsyncGenerator<Id> {
  const [bytes] = await store.get([id]);
  const value = decode(bytes!);
  const isNode = value !== null && typeof value === "object" && "kind" in value;
  yield id;
  if (isNode) yield* belowNode(store, id, parseNode(id, value), 0);
  else yield* belowManifest(store, id, parseManifest(id, value));
}

async function* belowNode(store: Store, id: Id, node: Node, depth: number): AsyncGenerator<Id> {
  if (node.kind === "link") return;
  if (node.kind === "file") {
    yield node.content;
    yield* belowManifest(store, node.content, await readManifest(store, node.content));
    return;
  }
  checkDepth(depth);
  yield* node.pages ?? [];
  for await (const [, child] of entriesOf(store, node, id)) {
    if (typeof child === "string") {
      yield child;
      yield* belowNode(store, child, await readNode(store, child), depth + 1);
    } else yield* belowNode(store, id, child, depth);
  }
}

async function* belowManifest(store: Store, id: Id, m: Manifest): AsyncGenerator<Id> {
  for (const [part] of m.parts) yield part;
  for await (const sub of subManifests(store, id, m)) yield* belowManifest(store, sub.id, sub.manifest);
}
