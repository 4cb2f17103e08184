// Seam: the short table of requests between the root half and the net half, named alike on both sides.
// The only file of the agent that both halves import. Root believes nothing that comes back without checking it.
import type { Duplex } from "node:stream";
import { batchBytesMax, type Id, isId, objectBytesMax, type Store } from "../fs/mod.ts";
import {
  type Cbor,
  type Clock,
  decode,
  encode,
  encodeFrame,
  Fault,
  readFrames,
  sha256,
  toHex,
} from "../mq/mod.ts";
import { seamAskMs } from "./limits.ts";

/** What people put into isfs by themselves, with a label. */
export interface ShelfRow {
  id: Id;
  kind: string;
  size: number;
  sha256: string;
  label: string;
  addedMs: number;
}

/** The list of what people put; contents are in the {@link Store}. */
export interface Shelf {
  add(row: ShelfRow): Promise<void>;
  list(): Promise<ShelfRow[]>;
  /** By id, unique beginning of an id, SHA-256 of the whole file, or label. */
  find(text: string): Promise<ShelfRow | undefined>;
}

/** Every request that can cross the seam: what root sends and what net answers. There are no others. */
export const REQUESTS = ["missing", "put", "get", "shelfAdd", "shelfList", "shelfFind", "stop"] as const;
export type Request = typeof REQUESTS[number];

/** One side's answers, by the name of the request. */
export type Answers = Record<Request, (value: Cbor) => Promise<Cbor>>;

/** Sends one request over and returns the answer. */
export type Ask = (request: Request, value: Cbor) => Promise<Cbor>;

const FRAME = { ask: 1, answer: 2, fault: 3 } as const;
/** Messages of the seam carry contents, so they are longer than what any peer may send. */
const SEAM_FRAME = { bodyBytesMax: batchBytesMax + objectBytesMax + 1024 * 1024 };
const SEAM_CBOR = { bytesMax: SEAM_FRAME.bodyBytesMax };

/** Net's side: answers requests from the pipe, one after the other, until it closes. */
export async function serveSeam(pipe: Duplex, clock: Clock, answers: Answers): Promise<void> {
  for await (const frame of readFrames(pipe, clock, SEAM_FRAME)) {
    const [id, request, value] = decode(frame.body, SEAM_CBOR) as [number, string, Cbor];
    const reply = (type: number, body: Cbor) =>
      void pipe.write(encodeFrame({ type, channel: 0, body: encode(body) }, SEAM_FRAME));
    if (frame.type !== FRAME.ask || !REQUESTS.includes(request as Request)) {
      reply(FRAME.fault, [id, "usage", `no request ${String(request)}`, "isconf doctor"]);
      continue;
    }
    try {
      reply(FRAME.answer, [id, await answers[request as Request](value)]);
    } catch (e) {
      const fault = Fault.from(request, e);
      reply(FRAME.fault, [id, fault.kind, fault.message, fault.hint]);
    }
  }
}

/** Root's side: a function that asks over the pipe. When the pipe closes every open question ends in a fault. */
export function askSeam(pipe: Duplex, clock: Clock): Ask {
  let next = 1;
  let closed = false;
  const open = new Map<
    number,
    { resolve: (v: Cbor) => void; reject: (e: Fault) => void; cancel: () => void }
  >();
  const gone = (why: string) => new Fault("seam", "gone", why, { hint: "isconf restart" });
  const settle = (id: unknown) => {
    const waiting = typeof id === "number" ? open.get(id) : undefined;
    if (waiting !== undefined) {
      open.delete(id as number);
      waiting.cancel();
    }
    return waiting;
  };
  const closeAll = (why: string) => {
    closed = true;
    for (const id of [...open.keys()]) settle(id)?.reject(gone(why));
    pipe.destroy();
  };
  const read = async () => {
    for await (const frame of readFrames(pipe, clock, SEAM_FRAME)) {
      const message = decode(frame.body, SEAM_CBOR);
      if (!Array.isArray(message)) throw gone("the net half does not speak the seam's language");
      const waiting = settle(message[0]);
      if (frame.type === FRAME.answer) waiting?.resolve(message[1] as Cbor);
      else {waiting?.reject(
          Fault.fromJSON({ op: "store", kind: message[1], message: message[2], hint: message[3] }),
        );}
    }
    closeAll("the net half has ended");
  };
  read().catch((e) => closeAll(`the net half was cut off: ${Fault.from("seam", e).message}`));
  return (request, value) =>
    new Promise((resolve, reject) => {
      if (closed) return reject(gone("the net half is not running"));
      const id = next++;
      const cancel = clock.after(seamAskMs, () =>
        settle(id)?.reject(gone(`the net half did not answer ${request}`)));
      open.set(id, { resolve, reject, cancel });
      pipe.write(
        encodeFrame({ type: FRAME.ask, channel: 0, body: encode([id, request, value]) }, SEAM_FRAME),
      );
    });
}

/** Net's answers out of a store and a shelf of its own. */
export function storeAnswers(store: Store, shelf: Shelf, stop: () => void): Answers {
  return {
    missing: async (v) => await store.missing(ids(v)),
    put: async (v) => await store.put(objects(v)),
    get: async (v) => {
      // As many as fit into one frame, at least one: who asked asks again for the rest.
      const out: Uint8Array[] = [];
      let bytes = 0;
      for (const id of ids(v)) {
        const [object] = await store.get([id]) as [Uint8Array];
        if (out.length > 0 && bytes + object.length > batchBytesMax) break;
        out.push(object);
        bytes += object.length;
      }
      return out;
    },
    shelfAdd: async (v) => {
      await shelf.add(v as unknown as ShelfRow);
      return null;
    },
    shelfList: async () => (await shelf.list()).map((row) => ({ ...row })),
    shelfFind: async (v) => {
      const row = await shelf.find(String(v));
      return row === undefined ? null : { ...row };
    },
    stop: () => {
      stop();
      return Promise.resolve(null);
    },
  };
}

function ids(v: Cbor): Id[] {
  if (!Array.isArray(v) || !v.every((x) => typeof x === "string" && isId(x))) throw malformed();
  return v as Id[];
}

function objects(v: Cbor): Uint8Array[] {
  if (!Array.isArray(v) || !v.every((x) => x instanceof Uint8Array)) throw malformed();
  return v as Uint8Array[];
}

const malformed = () =>
  new Fault("seam", "corrupt", "a message across the seam is malformed", { hint: "isconf restart" });

/** Root's view of net's store: every object that comes back is hashed here before anybody sees it. */
export class SeamStore implements Store {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async missing(wanted: Id[]): Promise<Id[]> {
    if (wanted.length === 0) return [];
    const answer = new Set(ids(await this.#ask("missing", wanted)));
    return wanted.filter((id) => answer.has(id));
  }

  async put(objects: Uint8Array[]): Promise<Id[]> {
    const out: Id[] = [];
    for (const batch of batches(objects)) {
      const told = ids(await this.#ask("put", batch));
      const own = batch.map((o) => toHex(sha256(o)));
      if (told.length !== own.length || told.some((id, i) => id !== own[i])) throw malformed();
      out.push(...own);
    }
    return out;
  }

  async get(wanted: Id[]): Promise<Uint8Array[]> {
    const out: Uint8Array[] = [];
    while (out.length < wanted.length) {
      const rest = wanted.slice(out.length, out.length + getIdsMax);
      const got = objects(await this.#ask("get", rest));
      if (got.length === 0 || got.length > rest.length) throw malformed();
      for (const [i, object] of got.entries()) {
        if (toHex(sha256(object)) !== rest[i]) {
          throw new Fault("store", "corrupt", `the store returned other bytes for ${rest[i]}`, {
            hint: "isconf doctor",
          });
        }
        out.push(object);
      }
    }
    return out;
  }
}

/** Ids in one request for objects. */
const getIdsMax = 256;

function* batches(objects: Uint8Array[]): IterableIterator<Uint8Array[]> {
  let batch: Uint8Array[] = [];
  let bytes = 0;
  for (const object of objects) {
    if (batch.length > 0 && bytes + object.length > batchBytesMax) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(object);
    bytes += object.length;
  }
  if (batch.length > 0) yield batch;
}

/** Root's view of net's shelf. What it says is shown to people, never believed. */
export class SeamShelf implements Shelf {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async add(row: ShelfRow): Promise<void> {
    await this.#ask("shelfAdd", { ...row });
  }

  async list(): Promise<ShelfRow[]> {
    const rows = await this.#ask("shelfList", null);
    if (!Array.isArray(rows)) throw malformed();
    return rows.map(shelfRow);
  }

  async find(text: string): Promise<ShelfRow | undefined> {
    const row = await this.#ask("shelfFind", text);
    return row === null ? undefined : shelfRow(row);
  }
}

function shelfRow(v: Cbor): ShelfRow {
  const row = v as unknown as ShelfRow;
  const texts = [row?.id, row?.kind, row?.sha256, row?.label];
  if (!texts.every((t) => typeof t === "string") || !isId(row.id)) throw malformed();
  return { ...row, size: Number(row.size), addedMs: Number(row.addedMs) };
}
