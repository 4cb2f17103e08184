// Seam store: root's view of the store and the shelf that net keeps. Every object that comes back is hashed here.
// Not the pipe (seam.ts), and not where bytes are kept (fs/).
import {
  batchBytesMax,
  type FsckOptions,
  type FsckReport,
  type GcReport,
  type Id,
  idOf,
  isId,
  type Keyed,
  type KeyedStore,
  type RoomLimits,
  verifyObject,
} from "../fs/mod.ts";
import { type Cbor, type Clock, Fault, sleep } from "../mq/mod.ts";
import type { ContentMay } from "./content.ts";
import { rebuildPollMs, rebuildPollsMax, timeMsMax } from "./limits.ts";
import {
  type Ask,
  malformed,
  type NetRequest,
  type NewShelfRow,
  readCount,
  readIds,
  readObjects,
  type Shelf,
  type ShelfRow,
} from "./seam.ts";

/** How a store on the other side of a pipe is asked: in batches that fit into one message. */
export interface StoreQuestions {
  missing(ids: Id[]): Promise<Cbor>;
  put(objects: Uint8Array[]): Promise<Cbor>;
  /** As many of the objects as fit into one answer, at least one. */
  get(ids: Id[]): Promise<Cbor>;
}

/** A store on the other side of a pipe: every object that comes back is hashed here before anybody sees it. */
export class FarStore implements KeyedStore {
  readonly #far: StoreQuestions;

  constructor(far: StoreQuestions) {
    this.#far = far;
  }

  async missing(wanted: Id[]): Promise<Id[]> {
    if (wanted.length === 0) return [];
    const answer = new Set(readIds(await this.#far.missing(wanted)));
    return wanted.filter((id) => answer.has(id));
  }

  async put(objects: Uint8Array[]): Promise<Id[]> {
    const keyed = objects.map((bytes): Keyed => [idOf(bytes), bytes]);
    await this.putKeyed(keyed);
    return keyed.map(([id]) => id);
  }

  async putKeyed(objects: Keyed[]): Promise<void> {
    const ids = objects.map(([id]) => id);
    for (const batch of batches(objects.map(([, bytes]) => bytes))) {
      const told = readIds(await this.#far.put(batch));
      const own = ids.splice(0, batch.length);
      if (told.length !== own.length || told.some((id, i) => id !== own[i])) throw malformed();
    }
  }

  async get(wanted: Id[]): Promise<Uint8Array[]> {
    const out: Uint8Array[] = [];
    while (out.length < wanted.length) {
      const rest = wanted.slice(out.length, out.length + getIdsMax);
      const got = readObjects(await this.#far.get(rest));
      if (got.length === 0 || got.length > rest.length) throw malformed();
      got.forEach((object, i) => verifyObject(rest[i]!, object));
      out.push(...got);
    }
    return out;
  }
}

/** Root's view of net's store. */
export class SeamStore extends FarStore {
  readonly #ask: Ask<NetRequest>;

  constructor(ask: Ask<NetRequest>, get: StoreQuestions["get"] = (ids) => ask("get", ids)) {
    super({ missing: (ids) => ask("missing", ids), put: (objects) => ask("put", objects), get });
    this.#ask = ask;
  }

  /** The same store for who reads what is being fetched meanwhile: what is not there yet is waited for. */
  get coming(): SeamStore {
    return new SeamStore(this.#ask, (ids) => this.#ask("take", ids, Infinity));
  }

  /** Lets other hosts have what a root reaches. */
  async share(root: Id): Promise<void> {
    await this.#ask("share", root);
  }

  /** Runs `fn`; until it has ended gc leaves what is in the store and what comes into it. */
  async holding<T>(fn: () => Promise<T>): Promise<T> {
    const hold = readCount(await this.#ask("hold", null));
    try {
      return await fn();
    } finally {
      await this.#ask("release", hold);
    }
  }

  /** Says how much of its disk the store may take. */
  async limit({ quotaBytes, reserveBytes }: RoomLimits): Promise<void> {
    await this.#ask("room", [quotaBytes === Infinity ? null : quotaBytes, reserveBytes]);
  }

  /** Lets `uid` reach the store without us, for one of two things; resolves when the socket is there (paths.ts). */
  async open(uid: number, may: ContentMay): Promise<void> {
    await this.#ask("content", [uid, may]);
  }

  /** What no root needs is dropped, or only counted. Takes as long as it takes. */
  async gc(isTrial: boolean): Promise<GcReport> {
    return readGcReport(await this.#ask("gc", isTrial, Infinity));
  }

  /** What is wrong with the store. */
  async fsck(look: FsckOptions["look"], part?: FsckOptions["part"]): Promise<FsckReport> {
    return readFsckReport(await this.#ask("fsck", [look, part?.n ?? 0, part?.of ?? 0], Infinity));
  }

  /** Takes objects away, so that good ones can come in their place. */
  async drop(ids: Id[]): Promise<void> {
    for (let i = 0; i < ids.length; i += getIdsMax) await this.#ask("drop", ids.slice(i, i + getIdsMax));
  }

  /**
   * Has the store's database made anew from its packs; returns when the store answers again.
   * @throws {Fault} gone, when nobody who could answer comes
   */
  async rebuild(clock: Clock): Promise<void> {
    const isGone = (e: unknown) => {
      if (Fault.from("fsck", e).kind !== "gone") throw e;
      return true;
    };
    await this.#ask("rebuild", null, Infinity).catch(isGone); // it goes instead of an answer
    for (let polls = 0; polls < rebuildPollsMax; polls++) {
      await sleep(clock, rebuildPollMs);
      if (await this.#ask("missing", [], Infinity).catch(isGone) !== true) return;
    }
    throw new Fault("fsck", "gone", "the store does not come back", { hint: "isconf doctor" });
  }

  /** Those of these roots of which everything is here, or that peers may have all of. */
  async whole(roots: Id[], who: "us" | "peers"): Promise<Id[]> {
    const answer = new Set(readIds(await this.#ask("whole", [roots, who])));
    return roots.filter((id) => answer.has(id));
  }

  /** Brings from other hosts what these roots reach and is not here. Throws notFound, saying what and who was asked. */
  async fetch(roots: Id[]): Promise<void> {
    if (roots.length > 0) await this.#ask("fetch", roots, Infinity);
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
  readonly #ask: Ask<NetRequest>;

  constructor(ask: Ask<NetRequest>) {
    this.#ask = ask;
  }

  async add(row: NewShelfRow): Promise<ShelfRow> {
    return shelfRow(await this.#ask("shelfAdd", { ...row }));
  }

  async remove(id: Id, uid?: number): Promise<number> {
    return readCount(await this.#ask("shelfRemove", [id, uid ?? null]));
  }

  async pin(id: Id, pinned: boolean, uid?: number): Promise<number> {
    return readCount(await this.#ask("shelfPin", [id, pinned, uid ?? null]));
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

export function shelfRow(v: Cbor): ShelfRow {
  const { id, kind, sha256, label, pinned, ...numbers } = fieldsOf(v);
  const areTexts = [id, sha256, label].every((t) => typeof t === "string");
  const isRoot = (kind === "file" || kind === "tree") && isId(String(id));
  if (!areTexts || !isRoot || (sha256 !== "" && !isId(String(sha256)))) throw malformed();
  const [size, uid, addedMs] = [readCount(numbers.size), readCount(numbers.uid), readCount(numbers.addedMs)];
  if (addedMs > timeMsMax) throw malformed();
  const text = { sha256: sha256 as string, label: label as string };
  return { id: id as Id, kind, size, ...text, uid, pinned: pinned === true, addedMs };
}

function readGcReport(v: Cbor): GcReport {
  const fields = fieldsOf(v);
  const names = ["kept", "dropped", "droppedBytes", "freedBytes", "waiting", "waitingFor"] as const;
  return Object.fromEntries(names.map((name) => [name, readCount(fields[name])])) as unknown as GcReport;
}

function readFsckReport(v: Cbor): FsckReport {
  const { objects, bytes, damaged, missing, database } = fieldsOf(v);
  if (!Array.isArray(missing) || !Array.isArray(database)) throw malformed();
  if (!database.every((line) => typeof line === "string")) throw malformed();
  const pairs = missing.map((one) => {
    const [id, root] = readIds([fieldsOf(one).id, fieldsOf(one).root] as Cbor) as [Id, Id];
    return { id, root };
  });
  const counts = { objects: readCount(objects), bytes: readCount(bytes) };
  return { ...counts, damaged: readIds(damaged as Cbor), missing: pairs, database: database as string[] };
}

/** The fields of a message that has names for them; those that are not there are undefined. */
function fieldsOf(v: Cbor): Partial<Record<string, Cbor>> {
  const isRecord = typeof v === "object" && v !== null && !Array.isArray(v) && !(v instanceof Map);
  if (!isRecord || v instanceof Uint8Array) throw malformed();
  return v as Record<string, Cbor>;
}
