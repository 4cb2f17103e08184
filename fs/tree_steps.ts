// tree_steps: what a walk through a tree tells, as messages, for who makes the objects of the tree somewhere else. It knows
// no socket: whoever sends them says how.
import { type Cbor, Fault } from "../mq/mod.ts";
import { nodeBytesMax, smallFileBytes, stepBytes, stepItemsMax } from "./limits.ts";
import {
  type FileNode,
  type LinkNode,
  type Meta,
  nodeToCbor,
  parseMeta,
  parseNode,
  tooLarge,
} from "./tree.ts";
import type { TreeSink } from "./tree_writer.ts";

/** The first of what a step is made of. The others: */
const STEP = {
  up: 0, // none
  dir: 1, // name, mode, uid, gid, mtime, attributes
  file: 2, // the same, how many of the bytes are its own, its number among those with several names or null
  node: 3, // name, the node as it stands in a directory
} as const;

/** Steps, and the bytes of the files in them, one after the other. Both are the caller's again when it returns. */
export type SendSteps = (steps: Cbor[], bytes: Uint8Array) => Promise<unknown>;

/** Gathers steps, and sends some while the next are being gathered. */
export class StepSender implements TreeSink {
  readonly #send: SendSteps;
  #steps: Cbor[] = [];
  /** How long they are, and of how many items of CBOR. */
  #bytes = 0;
  #items = 0;
  #room = new Uint8Array(stepBytes + smallFileBytes);
  #spare = new Uint8Array(stepBytes + smallFileBytes);
  #used = 0;
  #sending: Promise<unknown> = Promise.resolve();

  constructor(send: SendSteps) {
    this.#send = send;
  }

  room(size: number): Uint8Array {
    return this.#room.subarray(this.#used, this.#used + size);
  }

  dir(name: Uint8Array, meta: Meta): Promise<void> {
    return this.#add([STEP.dir, name, ...metaToCbor(meta)], name.length + sizeOf(meta), itemsIn(meta));
  }

  up(): Promise<void> {
    return this.#add([STEP.up], 0, 2);
  }

  file(name: Uint8Array, meta: Meta, bytes: Uint8Array, hard?: number): Promise<void> {
    const room = this.room(bytes.length);
    if (bytes.byteOffset !== room.byteOffset || bytes.buffer !== room.buffer) room.set(bytes);
    this.#used += bytes.length;
    const step = [STEP.file, name, ...metaToCbor(meta), bytes.length, hard ?? null];
    return this.#add(step, name.length + bytes.length + sizeOf(meta), itemsIn(meta));
  }

  async node(name: Uint8Array, node: FileNode | LinkNode): Promise<void> {
    const runs = node.kind === "file" ? node.runs?.length ?? 0 : 0;
    const target = node.kind === "link" ? node.target.length : 0;
    if (this.#items + 3 * runs > stepItemsMax) await this.#turn();
    const bytes = name.length + target + 18 * runs + sizeOf(node);
    await this.#add([STEP.node, name, nodeToCbor(node)], bytes, itemsIn(node) + 3 * runs);
  }

  /** Returns when all has been told and taken. */
  async flush(): Promise<void> {
    await this.#turn();
    await this.#sending;
  }

  #add(step: Cbor[], bytes: number, items: number): Promise<void> {
    this.#steps.push(step);
    this.#bytes += bytes;
    this.#items += items;
    return this.#bytes >= stepBytes || this.#items >= stepItemsMax ? this.#turn() : DONE;
  }

  async #turn(): Promise<void> {
    const steps = this.#steps, bytes = this.#room.subarray(0, this.#used);
    await this.#sending; // the spare room is free again
    if (steps.length === 0) return;
    this.#sending = this.#send(steps, bytes);
    this.#sending.catch(() => {}); // the next one who waits hears of it
    [this.#room, this.#spare] = [this.#spare, this.#room];
    this.#steps = [];
    this.#bytes = this.#items = this.#used = 0;
  }
}

const DONE = Promise.resolve();

/** How long attributes are. */
function sizeOf({ xattrs = [] }: Meta): number {
  let bytes = 0;
  for (const [name, value] of xattrs) bytes += name.length + value.length;
  if (bytes > nodeBytesMax) throw tooLarge(bytes);
  return bytes;
}

/** Items of CBOR that a step has at most, besides runs. */
const itemsIn = ({ xattrs = [] }: Meta) => 16 + 3 * xattrs.length;

function metaToCbor({ mode, uid, gid, mtime, xattrs }: Meta): Cbor[] {
  return [mode, uid, gid, mtime, xattrs ?? null];
}

/**
 * Tells `tree` what came in a message of {@link SendSteps}.
 * @throws {Fault} corrupt, when it is none; what `tree` throws
 */
export async function tellSteps(tree: TreeSink, steps: Cbor, bytes: Cbor): Promise<void> {
  if (!Array.isArray(steps) || !(bytes instanceof Uint8Array)) throw malformed();
  let used = 0;
  for (const step of steps) {
    if (!Array.isArray(step)) throw malformed();
    const [what, name, mode, uid, gid, mtime, xattrs, length, hard] = step;
    if (what === STEP.up) {
      await tree.up();
      continue;
    }
    if (!(name instanceof Uint8Array)) throw malformed();
    if (what === STEP.node) {
      const node = parseNode("", mode ?? null);
      if (node.kind === "dir") throw malformed();
      await tree.node(name, node);
      continue;
    }
    const meta = parseMeta("", mode, uid, gid, mtime, xattrs ?? undefined);
    if (what === STEP.dir) {
      await tree.dir(name, meta);
      continue;
    }
    const isFile = what === STEP.file && isCount(length) && length <= smallFileBytes &&
      length <= bytes.length - used && (hard === null || isCount(hard));
    if (!isFile) throw malformed();
    await tree.file(name, meta, bytes.subarray(used, used += length), hard ?? undefined);
  }
  if (used !== bytes.length) throw malformed();
}

const isCount = (v: Cbor | undefined): v is number => Number.isSafeInteger(v) && (v as number) >= 0;

const malformed = (): Fault =>
  new Fault("tree.write", "corrupt", "what was told of a tree is malformed", { hint: "isconf restart" });
