// Net: the half that parses what strangers send. It keeps the content store, talks to other hosts, and owns no uid but its
// own. It never sees a private signing key, and root believes nothing it says unchecked.
import * as fs from "node:fs";
import * as path from "node:path";
import { type Duplex, duplexPair } from "node:stream";
import {
  batchBytesMax,
  Catalog,
  type FetchOptions,
  type Hold,
  type Id,
  isComplete,
  openStoreDatabase,
  SqliteStore,
} from "../fs/mod.ts";
import { type Cbor, type Clock, Fault, toHex } from "../mq/mod.ts";
import { BlobMemory } from "./blob_memory.ts";
import { CONTENT_MAY, type ContentMay } from "./content.ts";
import { Contents } from "./contents.ts";
import { KeyRing } from "./keys.ts";
import type { Library } from "./locate.ts";
import { mendStore, wishRebuild } from "./net_mend.ts";
import { EtcdCells } from "./net_etcd.ts";
import { NetHttp } from "./net_http.ts";
import { NetMesh } from "./net_mesh.ts";
import { NetNetboot } from "./net_netboot.ts";
import { pageFile } from "./page_files.ts";
import {
  type Answers,
  type Ask,
  malformed,
  type NetRequest,
  type NewShelfRow,
  openSeam,
  readIds,
  readObjects,
  type RootRequest,
  type RootsAsked,
  type Seam,
  type ShelfRow,
} from "./seam.ts";
import { answerCells } from "./seam_cells.ts";
import { rowToCbor, shelve } from "./shelve.ts";

/** Whom root lets in to the contents, and for what. */
function readAdmission(v: Cbor): [uid: number, may: ContentMay] {
  const [uid, may] = Array.isArray(v) ? v : [];
  const known = CONTENT_MAY.find((one) => one === may);
  if (typeof uid !== "number" || known === undefined) throw malformed();
  return [uid, known];
}

/** A net half that is open: its answers to root, and its end. */
export interface Net {
  answers: Answers<NetRequest>;
  close(): Promise<void>;
}

/** What a net half needs of its surroundings. */
export interface NetAround {
  clock: Clock;
  /** Asks root. */
  ask: Ask<RootRequest>;
  /** Called when root wants it to end. */
  stop(): void;
  log(line: string): void;
}

/** Opens the store in a directory of the net half's own and makes its answers. Command lines come to `socket`. */
export function openNet(dir: string, around: NetAround, socket = path.join(dir, "s")): Net {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const db = openStoreDatabase(path.join(dir, "store.db"));
  const store = new SqliteStore(db);
  const catalog = new Catalog(db);
  const key = new KeyRing(path.join(dir, "keys"), around.clock).obtain("net");
  const mesh = new NetMesh({ ...around, dir, key, store });
  const holds = new Map<number, Hold>();
  let lastHold = 0;
  const holding = async <T>(fn: () => Promise<T>): Promise<T> => {
    const hold = await store.holds.hold();
    try {
      return await fn();
    } finally {
      hold.release();
    }
  };
  const fetch = (roots: Id[], options: FetchOptions = {}) =>
    holding(async () => {
      const wanted = roots.filter((id) => !store.isWhole(id)); // a large root takes long to walk
      if (wanted.length > 0) await mesh.fetch(wanted, options);
    });
  const announce = (roots: Id[]) => mesh.announce(roots);
  const parts = { store, catalog, clock: around.clock, announce };
  const { close: closeEtcd, ...etcd } = answerCells((settings) => new EtcdCells(settings, around.clock));
  const roots = async (which: RootsAsked) => readRoots(await around.ask("roots", which));
  const contents = new Contents({ ...around, dir, socket, fetch, announce, roots });
  const bring = async (id: Id) => void (store.isWhole(id) || await fetch([id]));
  const http = new NetHttp({
    ...around,
    blobs: {
      store,
      holding,
      fetch: bring,
      has: (id) => Promise.resolve(catalog.resolve(id)?.id === id),
      add: async (row) => rowToCbor(await shelve(parts, row)) as unknown as ShelfRow,
      memory: new BlobMemory(around.clock),
      log: around.log,
    },
    find: (text) => Promise.resolve(catalog.resolve(text)),
    page: pageFile,
  });
  const find: Library["find"] = async (text) => {
    const id = await around.ask("name", [text, null]);
    if (typeof id === "string") return { id };
    return catalog.resolve(text);
  };
  const netboot = new NetNetboot({
    ...around,
    dir,
    library: { op: "netboot", store, find, fetch: bring },
    reading: () => store.reading(),
  });
  const answers: Answers<NetRequest> = {
    ...http.answers,
    ...netboot.answers,
    missing: async (v) => await store.missing(readIds(v)),
    put: async (v) => await store.put(readObjects(v)),
    // Root hashes what it gets; a batch fits into one frame.
    get: async (v) => await store.read(readIds(v), batchBytesMax),
    take: async (v) => {
      const ids = readIds(v);
      for (let { step } = mesh; step !== undefined; { step } = mesh) {
        if ((await store.missing(ids.slice(0, 1))).length === 0) break;
        await step;
      }
      return await store.read(ids, batchBytesMax);
    },
    share: async (v) => {
      const [root] = readIds([v]) as [Id];
      await store.share(root);
      mesh.announce([root]);
      return null;
    },
    fetch: async (v) => {
      await fetch(readIds(v));
      return null;
    },
    room: async (v) => {
      const [quota, reserveBytes] = v as [number | null, number];
      store.packs.room.limits = { quotaBytes: quota ?? Infinity, reserveBytes };
      await contents.limit(store.packs.room.limits);
      return null;
    },
    hold: async () => {
      holds.set(++lastHold, await store.holds.hold());
      return lastHold;
    },
    release: (v) => {
      holds.get(v as number)?.release();
      holds.delete(v as number);
      return Promise.resolve(null);
    },
    content: async (v) => {
      await contents.admit(...readAdmission(v));
      return null;
    },
    shelfAdd: async (v) => rowToCbor(await shelve(parts, v as unknown as NewShelfRow)),
    shelfList: () => Promise.resolve(catalog.list().map(rowToCbor)),
    shelfFind: (v) => {
      const row = catalog.resolve(String(v));
      return Promise.resolve(row === undefined ? null : rowToCbor(row));
    },
    shelfRemove: (v) => {
      const [id, uid] = v as [Id, number | null];
      return Promise.resolve(catalog.remove(id, uid ?? undefined));
    },
    gc: async (isTrial) => await contents.run("gc", isTrial) as Cbor,
    fsck: async (v) => {
      const [look, n, of] = v as ["structure" | "bytes", number, number];
      return await contents.run("fsck", { look, ...(n > 0 && { part: { n, of } }) }) as Cbor;
    },
    drop: (v) => {
      store.drop(readIds(v));
      return Promise.resolve(null);
    },
    rebuild: () => {
      wishRebuild(dir);
      around.stop();
      return new Promise(() => {}); // who asked sees us go
    },
    whole: async (v) => {
      const [ids, who] = v as [Cbor, string];
      const asked = who === "peers" ? await store.shared.have(readIds(ids)) : readIds(ids);
      const whole: Id[] = [];
      for (const id of asked) if (await isComplete(store, id)) whole.push(id);
      return whole;
    },
    shelfPin: (v) => {
      const [id, isPinned, uid] = v as [Id, boolean, number | null];
      return Promise.resolve(catalog.pin(id, isPinned, uid ?? undefined));
    },
    identity: () => Promise.resolve(key.publicKey),
    ...mesh.answers,
    ...etcd,
  };
  return {
    answers,
    async close() {
      await http.close();
      await netboot.close();
      await contents.stop();
      await mesh.stop();
      closeEtcd();
      for (const hold of holds.values()) hold.release();
      store.close();
      db.close();
    },
  };
}

/** The net half's whole life: serves the seam until the pipe closes. Refuses to go on with a way back to root. */
export async function runNet(
  dir: string,
  pipe: Duplex,
  clock: Clock,
  options: { mustDrop: boolean; socket: string; log(line: string): void },
): Promise<void> {
  if (options.mustDrop) proveDropped();
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  await mendStore(dir, options.log);
  const { net, seam } = joinSeam(dir, pipe, clock, options.log, options.socket);
  await seam.ended;
  await net.close();
}

/** A net half at one end of a pipe. */
function joinSeam(
  dir: string,
  pipe: Duplex,
  clock: Clock,
  log: (line: string) => void,
  socket?: string,
): { net: Net; seam: Seam<RootRequest> } {
  const ask: Ask<RootRequest> = (...question) => seam.ask(...question); // nobody asks before this function has returned
  const net = openNet(dir, { clock, ask, stop: () => pipe.end(), log }, socket);
  const seam: Seam<RootRequest> = openSeam(pipe, clock, net.answers, "the root half");
  return { net, seam };
}

/** Ids of 32 bytes each, one after the other. */
function readRoots(v: Cbor): Id[] {
  if (!(v instanceof Uint8Array) || v.length % 32 !== 0) throw malformed();
  const all = toHex(v);
  return Array.from({ length: v.length / 32 }, (_, i) => all.slice(64 * i, 64 * (i + 1)));
}

/** Dropped rights must be gone for good: trying to take them back has to fail. */
function proveDropped(): void {
  const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()];
  let back = false;
  try {
    process.setuid?.(0);
    back = true;
  } catch {
    back = false; // refused by the kernel, as it must be
  }
  if (back || ids.includes(0)) {
    throw new Fault("net", "denied", "the net half still has root's rights", { hint: "isconf doctor" });
  }
}

/** Both halves in one process, the seam between them a pair of pipes in memory: for tests. */
export function openSeamInside(
  dir: string,
  clock: Clock,
  answers: Answers<RootRequest>,
  log: (line: string) => void = () => {},
): { ask: Ask<NetRequest>; close(): Promise<void> } {
  const [root, inner] = duplexPair();
  root.once("close", () => inner.destroy()); // as the ends of a pipe in the kernel do
  const { net, seam } = joinSeam(dir, inner, clock, log);
  return {
    ask: openSeam<RootRequest, NetRequest>(root, clock, answers, "the net half").ask,
    async close() {
      root.end();
      await seam.ended;
      await net.close();
    },
  };
}
