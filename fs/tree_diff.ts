// tree_diff: what is different between two trees of a store. It looks at no disk (compare.ts does), and reads no content: two contents
// with one id are one content.
import { compareBytes } from "../mq/mod.ts";
import { sameXattrs } from "./disk.ts";
import type { Difference } from "./differ.ts";
import type { Id, Store } from "./store.ts";
import { checkDepth, type DirNode, entriesOf, type Entry, joinPath, type Node, readNode } from "./tree.ts";

/** A path that is in one of two trees only, or in both and not the same; `before` and `after` are undefined where it is not. */
export interface TreeDifference {
  path: Uint8Array;
  before?: Node;
  after?: Node;
  /** In both: what is not the same, the first of it first. */
  what: Difference[];
}

const ROOT = new Uint8Array(0);

/**
 * Every difference between the trees `before` and `after`, in order of names, a directory before what is in it. Directories that are one
 * object are not gone into: what is the same costs nothing. Of a directory that only one has, everything below is told.
 */
export async function* diffTrees(
  store: Pick<Store, "get">,
  before: Id,
  after: Id,
): AsyncGenerator<TreeDifference> {
  if (before === after) return;
  yield* diffNodes(store, ROOT, await readNode(store, before), await readNode(store, after), 0);
}

async function* diffNodes(
  store: Pick<Store, "get">,
  path: Uint8Array,
  before: Node | undefined,
  after: Node | undefined,
  depth: number,
): AsyncGenerator<TreeDifference> {
  const what = before === undefined || after === undefined ? [] : differencesOf(before, after);
  if (before === undefined || after === undefined || what.length > 0) {
    yield { path, ...(before && { before }), ...(after && { after }), what };
  }
  if (before?.kind !== "dir" && after?.kind !== "dir") return;
  checkDepth(depth);
  const [left, right] = [new Names(store, before), new Names(store, after)];
  for (let l = await left.next(), r = await right.next(); l !== undefined || r !== undefined;) {
    const order = l === undefined ? 1 : r === undefined ? -1 : compareBytes(l[0], r[0]);
    const name = (order <= 0 ? l! : r!)[0];
    const [a, b] = [order <= 0 ? l![1] : undefined, order >= 0 ? r![1] : undefined];
    if (a === undefined || a !== b) {
      const at = path.length === 0 ? name : joinPath(path, name);
      yield* diffNodes(store, at, await nodeOf(store, a), await nodeOf(store, b), depth + 1);
    }
    if (order <= 0) l = await left.next();
    if (order >= 0) r = await right.next();
  }
}

/** The names of a directory, one by one; of anything else none. */
class Names {
  readonly #entries: AsyncIterator<Entry> | undefined;

  constructor(store: Pick<Store, "get">, node: Node | undefined) {
    if (node?.kind === "dir") this.#entries = entriesOf(store, node as DirNode);
  }

  async next(): Promise<Entry | undefined> {
    const next = await this.#entries?.next();
    return next === undefined || next.done ? undefined : next.value;
  }
}

const nodeOf = async (store: Pick<Store, "get">, child: Entry[1] | undefined): Promise<Node | undefined> =>
  typeof child === "string" ? await readNode(store, child) : child;

/** What two nodes of one path differ in. The time of a directory is not compared: it changes with every name in it. */
function differencesOf(before: Node, after: Node): Difference[] {
  if (before.kind !== after.kind) return ["kind"];
  const out: Difference[] = [];
  if (contentOf(before) !== contentOf(after)) out.push("content");
  if (before.kind !== "link" && before.mode !== after.mode) out.push("mode");
  if (before.uid !== after.uid || before.gid !== after.gid) out.push("owner");
  if (before.kind !== "dir" && before.mtime.some((part, i) => part !== after.mtime[i])) out.push("mtime");
  if (!sameXattrs(before.xattrs ?? [], after.xattrs ?? [])) out.push("xattr");
  return out;
}

function contentOf(node: Node): string {
  if (node.kind === "dir") return "";
  if (node.kind === "link") return Buffer.from(node.target).toString("hex");
  return `${node.content} ${node.size} ${JSON.stringify(node.runs ?? [])}`;
}
