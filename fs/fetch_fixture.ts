// fetch_fixture: hosts on one network in memory, each with a store, that serve and fetch. Not part of the product.
import {
  type Cbor,
  type Clock,
  Fault,
  MemoryNetwork,
  MqNode,
  pause,
  type PeerId,
  sleep,
  VirtualClock,
} from "../mq/mod.ts";
import { fixedCutter } from "./cutter.ts";
import { Fetcher, type FetcherOptions } from "./fetch.ts";
import { type Finder, StaticFinder } from "./finder.ts";
import { type FileRef, putFile } from "./manifest.ts";
import { objectsOf } from "./objects.ts";
import { GET, readIds } from "./questions.ts";
import { serveObjects } from "./serve.ts";
import { type Id, idOf, MemoryStore, type Store } from "./store.ts";

/** One host: what it keeps, and how often each object was asked of it. */
export interface TestHost {
  name: PeerId;
  store: MemoryStore;
  node: MqNode;
  fetcher: Fetcher;
  asked: Map<Id, number>;
  log: string[];
  stop(): Promise<void>;
}

/** What a host does instead of answering honestly. */
export type Tamper = (method: string, value: Cbor, honest: () => Promise<Cbor>) => Promise<Cbor>;

export class TestNet {
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly names: PeerId[];

  constructor(names: PeerId[], seed = 1) {
    this.clock = new VirtualClock(seed);
    this.network = new MemoryNetwork(this.clock);
    this.names = names;
  }

  /** Starts a host; the others are known to it by name. `store` is what a host of this name had before. */
  async host(
    name: PeerId,
    options: Partial<FetcherOptions> & { store?: MemoryStore; tamper?: Tamper } = {},
  ): Promise<TestHost> {
    const { clock } = this;
    const { store = new MemoryStore(), tamper = (_method, _value, honest) => honest() } = options;
    const log: string[] = [];
    const say = (line: string) => void log.push(line);
    const transport = this.network.attach(name);
    const node = new MqNode(transport, clock, { log: say });
    const asked = new Map<Id, number>();
    serveObjects({
      answer: (method, fn) =>
        node.answer(method, (from, value) => {
          if (method === GET) {
            for (const id of readIds(value, 1e6)) asked.set(id, (asked.get(id) ?? 0) + 1);
          }
          return tamper(method, value, () => fn(from, value));
        }),
    }, store.shared);
    const finder: Finder = new StaticFinder(this.names.filter((other) => other !== name));
    const fetcher = new Fetcher({ finder, node, clock, log: say, ...options, store });
    await transport.start();
    await clock.advance(1);
    return { name, store, node, fetcher, asked, log, stop: () => transport.stop() };
  }

  /** What comes of `promise` while time goes on, and how long that took in milliseconds. */
  async outcome<T>(promise: Promise<T>, msMax = 600_000): Promise<{ value: T; ms: number }> {
    const since = this.clock.now();
    let result: { value: T } | { thrown: unknown } | undefined;
    promise.then((value) => result = { value }, (thrown) => result = { thrown });
    while (result === undefined) {
      if (this.clock.now() - since > msMax) throw new Error(`nothing came of it in ${msMax} ms`);
      await this.clock.advance(1);
      await pause();
    }
    if ("thrown" in result) throw result.thrown;
    return { value: result.value, ms: this.clock.now() - since };
  }
}

/** A host that sends so many bytes a millisecond, one answer after the other. */
export function uplink(clock: Clock, bytesPerMs: number): Tamper {
  let freeMs = 0;
  return async (method, _value, honest) => {
    const answer = await honest();
    if (method !== GET) return answer;
    const bytes = (answer as (Uint8Array | null)[]).reduce((sum, object) => sum + (object?.length ?? 0), 0);
    freeMs = Math.max(freeMs, clock.now()) + bytes / bytesPerMs;
    await sleep(clock, freeMs - clock.now());
    return answer;
  };
}

/** Stores and shares a file of `chunks` different chunks. */
export async function shareFile(store: MemoryStore, chunks: number, chunkBytes = 1000): Promise<FileRef> {
  const file = await putFile(store, content(chunks, chunkBytes), fixedCutter(chunkBytes));
  await store.share(file.id);
  return file;
}

export async function* content(chunks: number, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < chunks; i++) {
    const chunk = new Uint8Array(chunkBytes).fill(i);
    new DataView(chunk.buffer).setUint32(0, i);
    yield await Promise.resolve(chunk);
  }
}

/** Every object of a root, by id. */
export async function idsOf(store: Store, root: Id): Promise<Id[]> {
  const ids = new Set<Id>();
  for await (const id of objectsOf(store, root)) ids.add(id);
  return [...ids];
}

/** A host "b" that fetches, and others that all have one file; those named in `tampers` are not honest. */
export async function world(
  tampers: Record<string, Tamper>,
  honest: string[] = [],
  chunks = 200,
  chunkBytes = 10_000,
) {
  const names = [...Object.keys(tampers), ...honest];
  const net = new TestNet(["b", ...names]);
  const b = await net.host("b", { nameOf: (peer) => `host${peer}` });
  const hosts: Record<string, TestHost> = {};
  let root = "";
  for (const name of names) {
    const tamper = tampers[name];
    hosts[name] = await net.host(name, tamper && { tamper });
    root = (await shareFile(hosts[name]!.store, chunks, chunkBytes)).id;
  }
  const ids = names.length === 0 ? [] : await idsOf(hosts[names[0]!]!.store, root);
  return { net, b, hosts, root, ids };
}

/** Keeps and shares objects. */
export async function putShared(store: MemoryStore, objects: Uint8Array[]): Promise<Id[]> {
  const ids = objects.map(idOf);
  await store.putShared(new Map(ids.map((id, i) => [id, objects[i]!])));
  return ids;
}

/** The fault that a promise ends with, and when. */
export async function faultOf(
  net: TestNet,
  promise: Promise<unknown>,
): Promise<{ fault: Fault; ms: number }> {
  const since = net.clock.now();
  try {
    await net.outcome(promise);
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    return { fault: thrown, ms: net.clock.now() - since };
  }
  throw new Error("it did not fail");
}
