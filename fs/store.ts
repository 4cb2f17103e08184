// store: objects by the SHA-256 of their bytes: what every store promises, and the one in memory. It knows no files,
// no names and no peers; which of its objects peers may have, it is told.
import { Fault, sha256, toHex } from "../mq/mod.ts";
import { batchBytesMax, batchIdsMax, objectBytesMax } from "./limits.ts";
import { shareAll } from "./share.ts";

/** The name of an object: SHA-256 of its bytes as 64 lowercase hex digits. */
export type Id = string;

/** Whether `text` is written like an {@link Id}. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** The id of `bytes`. */
export function idOf(bytes: Uint8Array): Id {
  return toHex(sha256(bytes));
}

/**
 * Objects by id. In batches, because it is also spoken across a process seam: at most `batchIdsMax` ids a call,
 * `objectBytesMax` an object, `batchBytesMax` a call or an answer; more is a usage fault.
 */
export interface Store {
  /** Those of `ids` that are not here, in the same order. */
  missing(ids: Id[]): Promise<Id[]>;
  /** Keeps all objects or none, durable when it returns; gives their ids in order. What is here already writes nothing. */
  put(objects: Uint8Array[]): Promise<Id[]>;
  /**
   * The objects of `ids` in the same order, each checked against its id.
   * @throws {Fault} notFound or corrupt, naming the id
   */
  get(ids: Id[]): Promise<Uint8Array[]>;
}

/** An object and its id. */
export type Keyed = [id: Id, bytes: Uint8Array];

/** A store that takes the word of its caller for what the id of an object is: of one who has just hashed it. */
export interface KeyedStore extends Store {
  /** As `put`. */
  putKeyed(objects: Keyed[]): Promise<void>;
}

/** What of a store peers may have. An object that is not shared is, for who asks here, not there at all. */
export interface SharedObjects {
  /** Those of `ids` that are here, in the same order. */
  have(ids: Id[]): Promise<Id[]>;
  /**
   * The objects of the first of `ids` in order, undefined where one is not here or is damaged: as many as are at most
   * `bytesMax` bytes together, one at least.
   */
  get(ids: Id[], bytesMax: number): Promise<(Uint8Array | undefined)[]>;
}

/** A store that tells what peers may have from what is only its host's: work in progress, snapshots of people. */
export interface SharingStore extends Store {
  /**
   * Keeps what came from peers, as `put` does, when it matches the id under which it was asked for: shared from then on,
   * also when it was here already. Gives the ids of what does not match; of that nothing is kept.
   */
  putShared(objects: Map<Id, Uint8Array>): Promise<Id[]>;
  /**
   * Shares everything reachable from `root`. Can be broken off at any time and called again; costs nothing when it
   * was done before.
   * @throws {Fault} notFound, when an object is not here; corrupt, refused, when it is no tree and no file
   */
  share(root: Id): Promise<void>;
  readonly shared: SharedObjects;
}

/** Returns when `bytes` are the object `id`; for every store, and for whoever has objects from somewhere else. */
export function verifyObject(id: Id, bytes: Uint8Array): void {
  if (idOf(bytes) === id) return;
  throw new Fault("store.get", "corrupt", `object ${id} does not match its hash`, { hint: "isconf fsck" });
}

export function notFound(id: Id): Fault {
  return new Fault("store.get", "notFound", `object ${id} is not here`, { hint: "isconf status" });
}

function tooMuch(op: string, message: string): Fault {
  return new Fault(op, "usage", message, { hint: "isconf doctor" });
}

export function checkIds(op: string, ids: Id[]): void {
  if (ids.length > batchIdsMax) throw tooMuch(op, `${ids.length} ids in one call, at most ${batchIdsMax}`);
  const bad = ids.find((id) => !isId(id));
  if (bad !== undefined) throw tooMuch(op, `not an id: ${JSON.stringify(bad)}`);
}

export function checkObjects(objects: Uint8Array[]): void {
  if (objects.length > batchIdsMax) {
    throw tooMuch("store.put", `more than ${batchIdsMax} objects in one call`);
  }
  let bytes = 0;
  for (const object of objects) {
    bytes += object.length;
    if (object.length > objectBytesMax) {
      throw tooMuch("store.put", `an object of ${object.length} bytes, at most ${objectBytesMax}`);
    }
  }
  if (bytes > batchBytesMax) {
    throw tooMuch("store.put", `${bytes} bytes in one call, at most ${batchBytesMax}`);
  }
}

/** Adds up an answer of `get` and refuses to let it grow beyond a batch. */
export function answerSize(): (bytes: number) => void {
  let sum = 0;
  return (bytes) => {
    sum += bytes;
    if (sum > batchBytesMax) {
      throw tooMuch("store.get", `an answer of more than ${batchBytesMax} bytes: ask for fewer`);
    }
  };
}

/** A store in memory, for tests and for work that needs no disk. */
export class MemoryStore implements SharingStore {
  readonly objects = new Map<Id, Uint8Array>();
  readonly #shared = new Set<Id>();
  readonly #wholeRoots = new Set<Id>();
  #drops = 0;

  missing(ids: Id[]): Promise<Id[]> {
    return settle(() => {
      checkIds("store.missing", ids);
      return ids.filter((id) => !this.objects.has(id));
    });
  }

  put(objects: Uint8Array[]): Promise<Id[]> {
    return settle(() => {
      checkObjects(objects);
      return objects.map((bytes) => {
        const id = idOf(bytes);
        if (!this.objects.has(id)) this.objects.set(id, new Uint8Array(bytes));
        return id;
      });
    });
  }

  putShared(objects: Map<Id, Uint8Array>): Promise<Id[]> {
    return settle(() => {
      checkObjects([...objects.values()]);
      const wrong: Id[] = [];
      for (const [id, bytes] of objects) {
        if (idOf(bytes) !== id) wrong.push(id);
        else {
          if (!this.objects.has(id)) this.objects.set(id, new Uint8Array(bytes));
          this.#shared.add(id);
        }
      }
      return wrong;
    });
  }

  share(root: Id): Promise<void> {
    return shareAll(this, {
      isWhole: (id) => this.#wholeRoots.has(id),
      mark: (ids) => {
        const here = ids.filter((id) => this.objects.has(id));
        for (const id of here) this.#shared.add(id);
        return here.length === ids.length;
      },
      drops: () => this.#drops,
      remember: (id, drops) => {
        if (drops === this.#drops) this.#wholeRoots.add(id);
      },
    }, root);
  }

  readonly shared: SharedObjects = {
    have: (ids) =>
      settle(() => {
        checkIds("store.have", ids);
        return ids.filter((id) => this.#shared.has(id));
      }),
    get: (ids, bytesMax) =>
      settle(() => {
        checkIds("store.get", ids);
        const sizeOf = (id: Id) => this.#shared.has(id) ? this.objects.get(id)!.length : 0;
        return ids.slice(0, countWithin(ids.map(sizeOf), bytesMax)).map((id) => {
          const bytes = this.#shared.has(id) ? this.objects.get(id)! : undefined;
          return bytes !== undefined && idOf(bytes) === id ? new Uint8Array(bytes) : undefined;
        });
      }),
  };

  get(ids: Id[]): Promise<Uint8Array[]> {
    return settle(() => {
      checkIds("store.get", ids);
      const add = answerSize();
      return ids.map((id) => {
        const bytes = this.objects.get(id);
        if (bytes === undefined) throw notFound(id);
        add(bytes.length);
        verifyObject(id, bytes);
        return new Uint8Array(bytes);
      });
    });
  }

  /** Removes objects, so that a good copy can be put in their place; that copy is shared again when somebody says so. */
  drop(ids: Id[]): void {
    for (const id of ids) {
      this.objects.delete(id);
      this.#shared.delete(id);
    }
    this.#wholeRoots.clear();
    this.#drops++;
  }
}

/** How many of the first `sizes` are at most `max` together; one at least. */
export function countWithin(sizes: number[], max: number): number {
  let sum = 0;
  const over = sizes.findIndex((size) => (sum += size) > max);
  return over < 0 ? sizes.length : Math.max(1, over);
}

/** A value or a throw as a promise, without an async function around work that does not wait. */
export function settle<T>(fn: () => T): Promise<T> {
  try {
    return Promise.resolve(fn());
  } catch (e) {
    return Promise.reject(e);
  }
}
