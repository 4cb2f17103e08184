// Locate: what a name means, by one rule for the command line and the local API. Not the list that names are looked up
// in (fs/catalog.ts), and not what is done with what was found.
import { type Id, isId, type Node, nodeAt, readRoot, type RootKind, type Store } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";
import { inert } from "./names.ts";

/** Where names are looked up: the shelf, other hosts, and the store that both bring contents into. */
export interface Library {
  /** What it is looked up for: the verb that a fault is of. */
  op: string;
  store: Store;
  /** What is on the shelf under that id, beginning of an id, SHA-256 or label. */
  find(text: string): Promise<{ id: Id } | undefined>;
  /** What a root is, where somebody remembers that: the same id, the same root. */
  root?(id: Id): Promise<RootKind>;
  /** Brings a root from other hosts, as far as it is not here. */
  fetch(id: Id): Promise<void>;
}

/** What a name means: a file by itself, or a node of a tree, which stands in the object `at`. */
export type Found = (RootKind & { kind: "file" }) | (RootKind & { kind: "tree"; node: Node; at: Id });

const NOWHERE = new Uint8Array(0);
const SLASH = Uint8Array.of(0x2f);

/**
 * What `text` means: what is on the shelf under that id, beginning of an id, SHA-256 or label; or NAME:PATH, the place
 * PATH in the tree that NAME means; or the id of anything that some host has. `inside` is a place in that.
 * @throws {Fault} notFound; usage, for the beginning of more than one id; corrupt
 */
export async function locate(library: Library, text: string, inside: Uint8Array = NOWHERE): Promise<Found> {
  const whole = text === "" ? undefined : await library.find(text);
  if (whole !== undefined || isId(text)) return await found(library, whole?.id ?? text, inside);
  const colon = text.indexOf(":");
  const name = text.slice(0, Math.max(0, colon));
  const root = colon > 0 ? (await library.find(name))?.id ?? (isId(name) ? name : undefined) : undefined;
  if (root !== undefined) {
    const place = Buffer.from(text.slice(colon + 1));
    return await found(library, root, inside.length === 0 ? place : Buffer.concat([place, SLASH, inside]));
  }
  throw new Fault(library.op, "notFound", `nothing here is called ${inert(text)}`, {
    hint: "isconf ls; isconf names",
  });
}

async function found(
  { op, store, fetch, root: rootOf }: Library,
  id: Id,
  inside: Uint8Array,
): Promise<Found> {
  await fetch(id);
  const root = await (rootOf?.(id) ?? readRoot(store, id));
  if (root.kind === "tree") {
    const { id: at, node } = await nodeAt(store, id, inside);
    return { ...root, kind: "tree", node, at };
  }
  if (inside.every((byte) => byte === 0x2f)) return { ...root, kind: "file" };
  throw new Fault(op, "notFound", `${id} is a file, nothing is in it`, { hint: "isconf ls" });
}
