// tree: the nodes of a directory tree as objects: their bytes, their limits, and walking them. It never looks at a
// disk: capture.ts makes nodes from files, restore.ts makes files from nodes.
import { type Cbor, compareBytes, decode, encode, Fault, fromHex, toHex } from "../mq/mod.ts";
import { nodeBytesMax, nodeInlineBytesMax, pageBytes, pagesMax, runsMax, treeDepthMax } from "./limits.ts";
import { components, showPath } from "./path.ts";
import type { Id, Store } from "./store.ts";

/** One extended attribute: [name, value], bytes both. POSIX ACLs and file capabilities are such attributes too. */
export type Xattr = [name: Uint8Array, value: Uint8Array];

/** What every node has. */
export interface Meta {
  /** Permission bits with setuid, setgid and sticky: 07777. */
  mode: number;
  uid: number;
  gid: number;
  /** Modification time as [seconds since 1970, nanoseconds]. */
  mtime: [sec: number, nsec: number];
  /** Sorted by name; left out when there are none. */
  xattrs?: Xattr[];
}

export interface FileNode extends Meta {
  kind: "file";
  size: number;
  /** Its manifest. */
  content: Id;
  /** Of a sparse file, where its data is, as [offset, length]; `content` is then that data and nothing else. */
  runs?: [offset: number, length: number][];
  /** Files of one tree with the same number are one file with several names. */
  hard?: number;
}

export interface LinkNode extends Meta {
  kind: "link";
  target: Uint8Array;
}

/** A directory. Its entries stand in `entries` or, when there are many, in objects of their own, the pages. */
export interface DirNode extends Meta {
  kind: "dir";
  entries?: Entry[];
  pages?: Id[];
}

export type Node = FileNode | LinkNode | DirNode;

/** A name and its node; directories and large nodes are objects of their own. */
export type Entry = [name: Uint8Array, node: FileNode | LinkNode | Id];

function lying(id: Id, what: string): Fault {
  return new Fault("tree.read", "corrupt", `tree object ${id}: ${what}`, { hint: "isconf fsck" });
}

/** A node as it stands in its directory or, encoded, as an object. */
export function nodeToCbor(node: Node): Cbor {
  const { mode, uid, gid, mtime, xattrs = [] } = node;
  const out: { [key: string]: Cbor } = { v: 1, kind: node.kind, mode, uid, gid, mtime };
  if (xattrs.length > 0) out.xattrs = xattrs;
  switch (node.kind) {
    case "file":
      out.size = node.size;
      out.content = fromHex(node.content);
      if (node.runs !== undefined) out.runs = node.runs;
      if (node.hard !== undefined) out.hard = node.hard;
      break;
    case "link":
      out.target = node.target;
      break;
    case "dir":
      if (node.entries !== undefined) out.entries = node.entries.map(entryToCbor);
      if (node.pages !== undefined) out.pages = node.pages.map(fromHex);
      break;
  }
  return out;
}

function entryToCbor([name, node]: Entry): Cbor {
  return [name, typeof node === "string" ? fromHex(node) : nodeToCbor(node)];
}

/**
 * The bytes of a node.
 * @throws {Fault} refused, when they are more than `nodeBytesMax`
 */
export function encodeNode(node: Node): Uint8Array {
  const bytes = encode(nodeToCbor(node));
  if (bytes.length <= nodeBytesMax) return bytes;
  throw tooLarge(bytes.length);
}

export function tooLarge(bytes: number): Fault {
  return new Fault(
    "tree.write",
    "refused",
    `attributes and runs of ${bytes} bytes, at most ${nodeBytesMax}`,
    {
      hint: "isconf snap --help",
    },
  );
}

type Fields = Record<string, Cbor | undefined>;

const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const isId32 = (v: unknown): v is number => isCount(v) && v < 0xffffffff;
const isBytes = (v: unknown): v is Uint8Array => v instanceof Uint8Array;
const isHash = (v: unknown): v is Uint8Array => isBytes(v) && v.length === 32;

/** Whether `name` can be a name in a directory: 1 to 255 bytes, no slash, no zero, not "." or "..". */
export function isName(name: Uint8Array): boolean {
  const isDots = name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e));
  return name.length > 0 && name.length <= 255 && !isDots && !name.includes(0x2f) && !name.includes(0);
}

/** Reads a decoded node of the object `id` and refuses one that is not exactly as capture would have written it. */
export function parseNode(id: Id, value: Cbor): Node {
  if (value === null || typeof value !== "object" || Array.isArray(value) || isBytes(value)) {
    throw lying(id, "not a node");
  }
  const { v, kind, mode, uid, gid, mtime, xattrs, ...rest } = value as Fields;
  if (v !== 1) throw lying(id, "of a version that is not known here");
  const meta = parseMeta(id, mode, uid, gid, mtime, xattrs);
  switch (kind) {
    case "file":
      return { kind, ...meta, ...parseFile(id, rest) };
    case "link": {
      const { target, ...unknown } = rest;
      const isTarget = isBytes(target) && target.length > 0 && target.length < 4096 && !target.includes(0);
      if (!isTarget || Object.keys(unknown).length > 0) throw lying(id, "wrong link");
      return { kind, ...meta, target };
    }
    case "dir": {
      const { entries, pages, ...unknown } = rest;
      if (Object.keys(unknown).length > 0 || (entries === undefined) === (pages === undefined)) {
        throw lying(id, "wrong directory");
      }
      if (entries !== undefined) return { kind, ...meta, entries: parseEntries(id, entries) };
      if (!Array.isArray(pages) || pages.length > pagesMax || !pages.every(isHash)) {
        throw lying(id, "wrong pages");
      }
      return { kind, ...meta, pages: pages.map(toHex) };
    }
    default:
      throw lying(id, "of a kind that is not known here");
  }
}

/** What every node has, as far as it is right; attributes may be left out. */
export function parseMeta(
  id: Id,
  mode: Cbor | undefined,
  uid: Cbor | undefined,
  gid: Cbor | undefined,
  mtime: Cbor | undefined,
  xattrs: Cbor | undefined,
): Meta {
  if (!isCount(mode) || mode > 0o7777 || !isId32(uid) || !isId32(gid)) throw lying(id, "wrong mode or owner");
  const isPair = Array.isArray(mtime) && mtime.length === 2;
  const [sec, nsec] = isPair ? mtime : [];
  if (!Number.isSafeInteger(sec) || !isCount(nsec) || nsec >= 1e9) throw lying(id, "wrong time");
  const meta: Meta = { mode, uid, gid, mtime: [sec as number, nsec] };
  if (xattrs !== undefined) meta.xattrs = parseXattrs(id, xattrs);
  return meta;
}

function parseXattrs(id: Id, value: Cbor): Xattr[] {
  if (!Array.isArray(value) || value.length === 0) throw lying(id, "wrong attributes");
  const list = value.map((pair): Xattr => {
    const [name, bytes, ...more] = Array.isArray(pair) ? pair : [];
    const isPair = isBytes(name) && name.length > 0 && name.length <= 255 && !name.includes(0) &&
      isBytes(bytes);
    if (!isPair || bytes.length > 65536 || more.length > 0) throw lying(id, "wrong attribute");
    return [name, bytes];
  });
  if (!isSorted(list.map(([name]) => name))) throw lying(id, "attributes out of order");
  return list;
}

function parseFile(
  id: Id,
  { size, content, runs, hard, ...unknown }: Fields,
): Omit<FileNode, "kind" | keyof Meta> {
  if (!isCount(size) || !isHash(content) || Object.keys(unknown).length > 0) throw lying(id, "wrong file");
  const file: Omit<FileNode, "kind" | keyof Meta> = { size, content: toHex(content) };
  if (hard !== undefined) {
    if (!isCount(hard)) throw lying(id, "wrong link group");
    file.hard = hard;
  }
  if (runs !== undefined) {
    if (!Array.isArray(runs) || runs.length > runsMax) throw lying(id, "wrong runs");
    let end = -1;
    file.runs = runs.map((run): [number, number] => {
      const [offset, length, ...more] = Array.isArray(run) ? run : [];
      const isRun = isCount(offset) && isCount(length) && length > 0 && more.length === 0;
      if (!isRun || offset <= end || offset + length > size) throw lying(id, "wrong run");
      end = offset + length;
      return [offset, length];
    });
  }
  return file;
}

function isSorted(names: Uint8Array[]): boolean {
  return names.every((name, i) => i === 0 || compareBytes(names[i - 1]!, name) < 0);
}

function parseEntries(id: Id, value: Cbor): Entry[] {
  if (!Array.isArray(value)) throw lying(id, "wrong entries");
  const entries = value.map((entry): Entry => {
    const [name, node, ...more] = Array.isArray(entry) ? entry : [];
    if (!isBytes(name) || !isName(name) || node === undefined || more.length > 0) {
      throw lying(id, "wrong entry");
    }
    if (isHash(node)) return [name, toHex(node)];
    const inline = parseNode(id, node);
    if (inline.kind === "dir") throw lying(id, "a directory inside a directory's object");
    return [name, inline];
  });
  if (!isSorted(entries.map(([name]) => name))) throw lying(id, "names out of order");
  return entries;
}

/** Reads the decoded page `id` of a directory; it has at least one entry. */
export function parsePage(id: Id, value: Cbor): Entry[] {
  const { v, kind, entries } = (value ?? {}) as Fields;
  if (v !== 1 || kind !== "page") throw lying(id, "not a page");
  const list = parseEntries(id, entries ?? null);
  if (list.length === 0) throw lying(id, "an empty page");
  return list;
}

/** The node with this id. */
export async function readNode(store: Pick<Store, "get">, id: Id): Promise<Node> {
  const [bytes] = await store.get([id]);
  return parseNode(id, decode(bytes!));
}

/** The entries of a directory in order of their names; `id`, when it is known, is for the words of a fault. */
export async function* entriesOf(
  store: Pick<Store, "get">,
  dir: DirNode,
  id: Id = "",
): AsyncGenerator<Entry> {
  if (dir.entries !== undefined) yield* dir.entries;
  let last: Uint8Array | undefined;
  for (const page of dir.pages ?? []) {
    const [bytes] = await store.get([page]);
    const entries = parsePage(page, decode(bytes!));
    if (last !== undefined && compareBytes(last, entries[0]![0]) >= 0) throw lying(id, "pages out of order");
    last = entries.at(-1)![0];
    yield* entries;
  }
}

/** Gathers the entries of one directory, in order of their names, into a node and as many pages as it takes. */
export class DirWriter {
  #store: Store;
  #entries: Entry[] = [];
  #bytes = 0;
  #pages: Id[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  /** Adds one name, stores its node apart when it is a directory or large. */
  async add(name: Uint8Array, node: Node): Promise<void> {
    const guess = guessBytes(node);
    const isApart = node.kind === "dir" || guess > nodeInlineBytesMax;
    const bytes = name.length + (isApart ? 40 : guess);
    if (this.#bytes + bytes > pageBytes) await this.#turn();
    this.#entries.push([name, isApart ? (await this.#store.put([encodeNode(node)]))[0]! : node]);
    this.#bytes += bytes;
  }

  async #turn(): Promise<void> {
    if (this.#pages.length === pagesMax) {
      throw new Fault("tree.write", "refused", "a directory with more names than a tree holds", {
        hint: "isconf snap --help",
      });
    }
    const page = encode({ v: 1, kind: "page", entries: this.#entries.map(entryToCbor) });
    this.#pages.push((await this.#store.put([page]))[0]!);
    [this.#entries, this.#bytes] = [[], 0];
  }

  /** The directory's node, its pages stored. */
  async finish(meta: Meta): Promise<DirNode> {
    if (this.#pages.length === 0) return { kind: "dir", ...meta, entries: this.#entries };
    await this.#turn();
    return { kind: "dir", ...meta, pages: this.#pages };
  }
}

/** About how long the node is when encoded, never much less. */
function guessBytes(node: Node): number {
  const xattrs = (node.xattrs ?? []).reduce((sum, [name, value]) => sum + name.length + value.length + 8, 0);
  const own = node.kind === "file"
    ? 19 * (node.runs?.length ?? 0)
    : node.kind === "link"
    ? node.target.length
    : 0;
  return 140 + xattrs + own;
}

/**
 * The node at `path` below the node `id`, names joined by slashes; an empty path is that node. Links are not followed.
 * @throws {Fault} notFound, naming what is not there
 */
export async function nodeAt(
  store: Pick<Store, "get">,
  id: Id,
  path: Uint8Array,
): Promise<{ id: Id; node: Node }> {
  let at = { id, node: await readNode(store, id) };
  for (const name of components(path)) {
    let found: Entry | undefined;
    if (at.node.kind === "dir") {
      for await (const entry of entriesOf(store, at.node, at.id)) {
        if (compareBytes(entry[0], name) === 0) found = entry;
      }
    }
    if (found === undefined) {
      throw new Fault("tree.read", "notFound", `${showPath(path)} is not in ${id}`, {
        hint: `isconf tree ${id}`,
      });
    }
    const child = found[1];
    at = typeof child === "string"
      ? { id: child, node: await readNode(store, child) }
      : { id: at.id, node: child };
  }
  return at;
}

/** A node of a tree and where it stands: the names from the root, joined by slashes; the root's path is empty. */
export interface TreeEntry {
  path: Uint8Array;
  node: Node;
}

/** Every node of a tree, a directory before what is in it, in order of names; `id` is for the words of a fault. */
export async function* listTree(
  store: Pick<Store, "get">,
  tree: Id | Node,
  id: Id = "",
): AsyncGenerator<TreeEntry> {
  if (typeof tree === "string") yield* walk(store, tree, await readNode(store, tree), new Uint8Array(0), 0);
  else yield* walk(store, id, tree, new Uint8Array(0), 0);
}

async function* walk(
  store: Pick<Store, "get">,
  id: Id,
  node: Node,
  path: Uint8Array,
  depth: number,
): AsyncGenerator<TreeEntry> {
  yield { path, node };
  if (node.kind !== "dir") return;
  checkDepth(depth);
  for await (const [name, child] of entriesOf(store, node, id)) {
    const below = path.length === 0 ? name : joinPath(path, name);
    if (typeof child === "string") yield* walk(store, child, await readNode(store, child), below, depth + 1);
    else yield { path: below, node: child };
  }
}

/** `path/name`, as bytes. */
export function joinPath(path: Uint8Array, name: Uint8Array): Uint8Array {
  const out = new Uint8Array(path.length + 1 + name.length);
  out.set(path);
  out[path.length] = 0x2f;
  out.set(name, path.length + 1);
  return out;
}

/** @throws {Fault} refused, when a directory at `depth` below its root lies deeper than `treeDepthMax` */
export function checkDepth(depth: number): void {
  if (depth <= treeDepthMax) return;
  throw new Fault("tree.walk", "refused", `directories nested more than ${treeDepthMax} deep`, {
    hint: "isconf snap a directory further down",
  });
}
