// tree_ahead: the objects of a tree in the order in which restore.ts reads them, for who sends them before they are asked for;
// and a store for who gets them so. Nobody is believed: an object is known by the hash of its bytes, and what does not come
// is asked for.
import { decode } from "../mq/mod.ts";
import {
  aheadBytes,
  aheadNames,
  batchBytesMax,
  objectBytesMax,
  smallFileBytes,
  walkedBytes,
  walkedHeldBytes,
} from "./limits.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import type { Expecting } from "./ahead.ts";
import type { Id, Store } from "./store.ts";
import { idOf } from "./store.ts";
import type { SqliteStore } from "./store_sqlite.ts";
import { checkDepth, entriesOf, parseNode } from "./tree.ts";
import type { Entry, Node } from "./tree.ts";

/** The entries of a directory, some at a time: as many as there may be names and bytes of small files at once. */
export async function* groups(entries: AsyncIterable<Entry>): AsyncGenerator<Entry[]> {
  let group: Entry[] = [];
  let bytes = 0;
  for await (const entry of entries) {
    const size = smallSizeOf(entry);
    if (group.length === aheadNames || (group.length > 0 && bytes + size > aheadBytes)) {
      yield group;
      [group, bytes] = [[], 0];
    }
    group.push(entry);
    bytes += size;
  }
  if (group.length > 0) yield group;
}

const smallSizeOf = ([, node]: Entry): number =>
  typeof node === "object" && node.kind === "file" && node.size <= smallFileBytes ? node.size : 0;

/** The chunks of a file whose content is read before it is asked for. */
export function chunksAhead({ level, parts, size }: Manifest): Id[] {
  return level === 0 && size <= smallFileBytes ? parts.map(([chunk]) => chunk) : [];
}

/** Some objects, one after the other. */
export interface Walked {
  lengths: number[];
  bytes: Uint8Array;
}

/**
 * Everything of the tree `root` that {@link restore} asks for, but for the contents of large files. The bytes of one are gone
 * with the second one after it. Ends where something is not here or is damaged: who asks for that hears of it.
 */
export async function* walkAhead(store: SqliteStore, root: Id): AsyncGenerator<Walked, void> {
  const roomBytes = walkedBytes + objectBytesMax;
  const rooms = [new Uint8Array(roomBytes), new Uint8Array(roomBytes)] as const;
  let turn = 0, used = 0;
  let lengths: number[] = [];
  const give = (): Walked => {
    const walked = { lengths, bytes: rooms[turn]!.subarray(0, used) };
    [turn, used, lengths] = [turn ^ 1, 0, []];
    return walked;
  };
  try {
    for await (const object of objectsAhead(store, root)) {
      rooms[turn]!.set(object, used);
      used += object.length;
      lengths.push(object.length);
      if (used >= walkedBytes) yield give();
    }
  } catch {
    // damaged or missing
  }
  if (used > 0) yield give();
}

async function* objectsAhead(store: SqliteStore, root: Id): AsyncGenerator<Uint8Array> {
  const [bytes] = await store.read([root], batchBytesMax);
  yield bytes!;
  const value = decode(bytes!);
  if (value !== null && typeof value === "object" && "kind" in value) {
    yield* below(store, parseNode(root, value), 0);
  }
}

async function* below(store: SqliteStore, node: Node, depth: number): AsyncGenerator<Uint8Array> {
  if (node.kind !== "dir") return;
  checkDepth(depth);
  const pages: Uint8Array[] = [];
  const entries = entriesOf({
    get: async (ids) => {
      const objects = await store.read(ids, batchBytesMax);
      pages.push(...objects);
      return objects;
    },
  }, node);
  for await (const group of groups(entries)) {
    yield* pages.splice(0);
    const contents = group.flatMap(([, child]) =>
      typeof child === "object" && child.kind === "file" ? [child.content] : []
    );
    const chunks: Id[] = [];
    for await (const [id, bytes] of readAll(store, contents)) {
      yield bytes;
      for (const chunk of chunksAhead(parseManifest(id, decode(bytes)))) chunks.push(chunk);
    }
    for await (const [, bytes] of readAll(store, chunks)) yield bytes;
    for (const [, child] of group) {
      if (typeof child === "object") continue;
      const [bytes] = await store.read([child], batchBytesMax);
      yield bytes!;
      yield* below(store, parseNode(child, decode(bytes!)), depth + 1);
    }
  }
  yield* pages;
}

async function* readAll(store: SqliteStore, ids: Id[]): AsyncGenerator<[Id, Uint8Array]> {
  const wanted = [...new Set(ids)];
  while (wanted.length > 0) {
    const objects = await store.read(wanted, objectBytesMax);
    for (const bytes of objects) yield [wanted.shift()!, bytes];
  }
}

/** A store in front of a store, for who reads a tree as {@link walkAhead} walks: each object that has come is given once. */
export class WalkedStore implements Expecting {
  readonly #next: () => Promise<Walked>;
  readonly #below: Pick<Store, "get" | "missing">;
  /** What has come and was not needed yet, the oldest first, and how often: a walk comes to the same again. */
  readonly #held = new Map<Id, { bytes: Uint8Array; times: number }>();
  #bytes = 0;
  #coming: Promise<Walked> | undefined;
  #isAtEnd = false;

  /** `next` gives what comes next, nothing at the end. */
  constructor(next: () => Promise<Walked>, below: Pick<Store, "get" | "missing">) {
    this.#next = next;
    this.#below = below;
  }

  missing(ids: Id[]): Promise<Id[]> {
    return this.#below.missing(ids);
  }

  get(ids: Id[]): Promise<Uint8Array[]> {
    return this.#below.get(ids);
  }

  /** Those of `ids`, which the walk comes to next, that have come. */
  async ahead(ids: Id[]): Promise<Map<Id, Uint8Array>> {
    const come = new Map<Id, Uint8Array>();
    for (const id of ids) {
      while (!this.#held.has(id) && !this.#isAtEnd) await this.#pull();
      const held = this.#held.get(id);
      if (held === undefined) continue;
      come.set(id, held.bytes);
      if (--held.times === 0) this.#drop(id, held.bytes);
    }
    return come;
  }

  #drop(id: Id, { length }: Uint8Array): void {
    this.#held.delete(id);
    this.#bytes -= length;
  }

  async #pull(): Promise<void> {
    const { lengths, bytes } = await (this.#coming ?? this.#next());
    this.#isAtEnd = lengths.length === 0;
    this.#coming = this.#isAtEnd ? undefined : this.#next();
    this.#coming?.catch(() => {}); // who needs it hears of it
    let at = 0;
    for (const length of lengths) {
      const object = bytes.subarray(at, at += length);
      const id = idOf(object);
      const held = this.#held.get(id);
      if (held !== undefined) held.times++;
      else {
        this.#held.set(id, { bytes: object, times: 1 });
        this.#bytes += object.length;
      }
    }
    for (const [id, { bytes }] of this.#held) {
      if (this.#bytes <= walkedHeldBytes) break;
      this.#drop(id, bytes);
    }
  }
}
