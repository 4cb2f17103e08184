// objects: which objects an object names, and with them every object that a root needs: for bundles, sharing and
// fetching. It reads structure only, never chunks.
import { decode, Fault } from "../mq/mod.ts";
import { parseManifest, parsePart } from "./manifest.ts";
import type { Id, Store } from "./store.ts";
import type { Entry, Node } from "./tree.ts";
import { checkDepth, parseNode, parsePage } from "./tree.ts";

/** An object, and what it is for the one that names it. Chunks name nothing and are not looked into. */
export type Link =
  | { as: "root"; id: Id }
  | { as: "node" | "page"; id: Id; depth: number }
  | { as: "manifest"; id: Id }
  | { as: "part"; id: Id; level: number; size: number }
  | { as: "chunk"; id: Id; size: number };

/**
 * The objects that the object of `link`, whose bytes these are, names, in order.
 * @throws {Fault} corrupt, when it is not what `link` says; refused, when it lies too deep
 */
export function linksOf(link: Link, bytes: Uint8Array): Link[] {
  const { id } = link;
  if (link.as === "chunk") return [];
  const value = decode(bytes);
  switch (link.as) {
    case "root": {
      const isNode = value !== null && typeof value === "object" && "kind" in value;
      return isNode ? inNode(parseNode(id, value), 0) : inManifest(parseManifest(id, value));
    }
    case "node":
      return inNode(parseNode(id, value), link.depth);
    case "page":
      return inEntries(parsePage(id, value), link.depth);
    case "manifest":
      return inManifest(parseManifest(id, value));
    case "part":
      return inManifest(parsePart(id, value, link));
  }
}

/** What a root is, of what kind: a file by its manifest, or a tree by its node. */
export interface RootKind {
  id: Id;
  kind: "file" | "tree";
  /** Bytes of a file, also of one that is a node; 0 of a directory, which nobody has added up. */
  size: number;
  /** Of a whole file. */
  sha256?: Id;
}

/**
 * What the object `id` is as a root.
 * @throws {Fault} notFound; corrupt, when it is no tree and no file
 */
export async function readRoot(store: Pick<Store, "get">, id: Id): Promise<RootKind> {
  const [bytes] = await store.get([id]);
  const value = decode(bytes!);
  if (value !== null && typeof value === "object" && "kind" in value) {
    const node = parseNode(id, value);
    return { id, kind: "tree", size: node.kind === "file" ? node.size : 0 };
  }
  const { size, sha256 } = parseManifest(id, value);
  if (sha256 === undefined) {
    throw new Fault("store", "corrupt", `object ${id} is only a part of a file`, { hint: "isconf ls" });
  }
  return { id, kind: "file", size, sha256 };
}

function inNode(node: Node, depth: number): Link[] {
  if (node.kind === "link") return [];
  if (node.kind === "file") return [{ as: "manifest", id: node.content }];
  checkDepth(depth);
  const pages = (node.pages ?? []).map((id): Link => ({ as: "page", id, depth }));
  return [...pages, ...inEntries(node.entries ?? [], depth)];
}

function inEntries(entries: Entry[], depth: number): Link[] {
  return entries.flatMap(([, child]): Link[] =>
    typeof child === "string" ? [{ as: "node", id: child, depth: depth + 1 }] : inNode(child, depth)
  );
}

function inManifest({ level, parts }: ReturnType<typeof parseManifest>): Link[] {
  return parts.map(([id, size]) =>
    level === 0 ? { as: "chunk", id, size } : { as: "part", id, level: level - 1, size }
  );
}

/**
 * The id of every object reachable from the root `id`, a file's manifest or a tree's node, the root itself first. An
 * object that is named twice comes twice. Chunks are named without being read.
 */
export async function* objectsOf(store: Pick<Store, "get">, id: Id): AsyncGenerator<Id> {
  const stack: Link[] = [{ as: "root", id }];
  for (let link = stack.pop(); link !== undefined; link = stack.pop()) {
    if (link.as !== "chunk") {
      const [bytes] = await store.get([link.id]);
      stack.push(...linksOf(link, bytes!).reverse());
    }
    yield link.id;
  }
}
