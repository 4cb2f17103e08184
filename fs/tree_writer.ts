// tree_writer: makes the objects of a tree out of what somebody who walks through it tells. It looks at no disk and believes
// no order, no name and no depth: who tells may sit on the other side of a socket.
import { compareBytes, Fault } from "../mq/mod.ts";
import { othersMax } from "./limits.ts";
import { putBytes } from "./manifest.ts";
import type { Id, KeyedStore } from "./store.ts";
import { checkDepth, DirWriter, encodeNode, isName } from "./tree.ts";
import type { FileNode, LinkNode, Meta, Node } from "./tree.ts";

/** What a walk through a tree tells, in order of names; the name of the root is empty, and it comes once. */
export interface TreeSink {
  /** Where the bytes of a file may be read to that is told next. */
  room(size: number): Uint8Array;
  /** A directory, into which the walk goes. */
  dir(name: Uint8Array, meta: Meta): Promise<void>;
  /** Out of the directory again. */
  up(): Promise<void>;
  /** A small file with its bytes. With `hard`, one of several names of it in this tree. */
  file(name: Uint8Array, meta: Meta, bytes: Uint8Array, hard?: number): Promise<void>;
  /** A link, or a file whose content is in the store. */
  node(name: Uint8Array, node: FileNode | LinkNode): Promise<void>;
}

/** Tells `sink`, inside a directory that it is in, of a tree whose root has that name there. */
export function below(sink: TreeSink, name: Uint8Array): TreeSink {
  const named = (told: Uint8Array) => told.length === 0 ? name : told; // only a root has none
  return {
    room: (size) => sink.room(size),
    dir: (told, meta) => sink.dir(named(told), meta),
    up: () => sink.up(),
    file: (told, meta, bytes, hard) => sink.file(named(told), meta, bytes, hard),
    node: (told, node) => sink.node(named(told), node),
  };
}

interface Open {
  name: Uint8Array;
  meta: Meta;
  writer: DirWriter;
  last: Uint8Array | undefined;
}

/** Puts what it is told into a store that takes our word for what hashes to what. */
export class TreeWriter implements TreeSink {
  /** Contents that were told by their ids, which somebody else has put; undefined when they are more than `othersMax`. */
  others: Set<Id> | undefined = new Set();
  readonly #store: KeyedStore;
  readonly #open: Open[] = [];
  #root: Node | undefined;

  constructor(store: KeyedStore) {
    this.#store = store;
  }

  room(size: number): Uint8Array {
    return new Uint8Array(size);
  }

  dir(name: Uint8Array, meta: Meta): Promise<void> {
    checkDepth(this.#open.length);
    this.#checkName(name);
    this.#open.push({ name, meta, writer: new DirWriter(this.#store), last: undefined });
    return Promise.resolve();
  }

  async up(): Promise<void> {
    const dir = this.#open.pop();
    if (dir === undefined) throw wrong("out of a directory into which nobody went");
    await this.#add(dir.name, await dir.writer.finish(dir.meta));
  }

  async file(name: Uint8Array, meta: Meta, bytes: Uint8Array, hard?: number): Promise<void> {
    this.#checkName(name);
    const { id, size } = await putBytes(this.#store, bytes);
    const node: FileNode = { kind: "file", ...meta, size, content: id };
    if (hard !== undefined) node.hard = hard;
    await this.#add(name, node);
  }

  async node(name: Uint8Array, node: FileNode | LinkNode): Promise<void> {
    this.#checkName(name);
    if (node.kind === "file" && this.others?.add(node.content).size === othersMax + 1) {
      this.others = undefined;
    }
    await this.#add(name, node);
  }

  /** Puts the root, as the last object; its id. */
  async finish(): Promise<Id> {
    if (this.#root === undefined || this.#open.length > 0) throw wrong("an end in the middle of it");
    const [id] = await this.#store.put([encodeNode(this.#root)]);
    return id!;
  }

  async #add(name: Uint8Array, node: Node): Promise<void> {
    const dir = this.#open.at(-1);
    if (dir === undefined) this.#root = node;
    else await dir.writer.add(name, node);
  }

  #checkName(name: Uint8Array): void {
    const dir = this.#open.at(-1);
    if (dir === undefined) {
      if (this.#root !== undefined || name.length > 0) throw wrong("a second root, or one with a name");
      return;
    }
    if (!isName(name)) throw wrong("a name that no file has");
    if (dir.last !== undefined && compareBytes(dir.last, name) >= 0) throw wrong("names out of order");
    dir.last = name;
  }
}

function wrong(what: string): Fault {
  return new Fault("tree.write", "refused", `what was told of a tree has ${what}`, { hint: "isconf doctor" });
}
