// API listing: a directory of a tree as JSON, entry by entry, so that one with a million names needs no more memory than
// one with a hundred. Not how people are shown one.
import {
  type DirNode,
  entriesOf,
  type FileNode,
  type Id,
  type LinkNode,
  type Node,
  readNode,
  showPath,
  type Store,
} from "../fs/mod.ts";
import { listingPieceChars } from "./limits.ts";

/** One name of a directory, as JSON. */
export interface ListedEntry {
  /** As people are shown it. */
  name: string;
  /** Its bytes, when they are not those of `name`: it is no UTF-8, or something in it had to be escaped. */
  nameBase64?: string;
  kind: Node["kind"];
  /** Of a file its bytes, of a link those of its target, of a directory 0. */
  size: number;
  /** 07777. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970, nanoseconds. */
  mtime: [number, number];
  /** Of a link, in the same two forms. */
  target?: string;
  targetBase64?: string;
}

/** The entries of a directory as the text of a JSON list, in order of their names, one on a line. */
export async function* listing(store: Store, dir: DirNode, id: Id): AsyncGenerator<Uint8Array> {
  let text = "[";
  let between = "\n";
  for await (const [name, child] of entriesOf(store, dir, id)) {
    const node = typeof child === "string" ? await readNode(store, child) : child;
    text += between + JSON.stringify(listed(name, node));
    between = ",\n";
    if (text.length < listingPieceChars) continue;
    yield Buffer.from(text);
    text = "";
  }
  yield Buffer.from(`${text}\n]\n`);
}

function listed(name: Uint8Array, node: FileNode | LinkNode | DirNode): ListedEntry {
  const { kind, mode, uid, gid, mtime } = node;
  const size = kind === "file" ? node.size : kind === "link" ? node.target.length : 0;
  const target = kind === "link" ? shown("target", node.target) : {};
  return { ...shown("name", name), kind, size, mode, uid, gid, mtime, ...target } as ListedEntry;
}

/** Bytes as they are shown, and in base64 when that is something else. */
function shown(key: string, bytes: Uint8Array): Record<string, string> {
  const text = showPath(bytes), raw = Buffer.from(bytes);
  return raw.equals(Buffer.from(text))
    ? { [key]: text }
    : { [key]: text, [`${key}Base64`]: raw.toString("base64") };
}
