// Net contents: what the net half gives to other hosts and gets from them: objects, and who has them. Not the mesh itself
// (net_mesh.ts), and not what is worth having: root says that.
import { statfsSync } from "node:fs";
import * as path from "node:path";
import { DhtFinder, dhtService, openDhtDatabase, reachThrough } from "../fs/dht.ts";
import {
  Fetcher,
  type FetchOptions,
  type Finder,
  type Id,
  joinFinders,
  LanFinder,
  serveObjects,
  type SqliteStore,
} from "../fs/mod.ts";
import type { Libp2pTransport } from "../mq/libp2p.ts";
import { type Clock, Fault, type MqNode, type PeerId } from "../mq/mod.ts";
import { dhtMissesMax, storeReserveBytes } from "./limits.ts";

export interface NetContentsOptions {
  clock: Clock;
  log(line: string): void;
  /** A directory of ours. */
  dir: string;
  store: SqliteStore;
  network: string;
  admits(peer: PeerId): boolean;
  /** Whether every host keeps a connection with every other: then the neighbours are all that there is to ask and to tell. */
  isSmall(): boolean;
  /** What people call a peer. */
  nameOf(peer: PeerId): string;
}

export class NetContents {
  /** What the transport must run for us. */
  readonly services: Record<string, (components: never) => unknown>;
  readonly #o: NetContentsOptions;
  readonly #db: ReturnType<typeof openDhtDatabase>;
  #running: { fetcher: Fetcher; finder: Finder; dht: DhtFinder } | undefined;
  /** Whom the DHT has named since the last fetch ended, and how many in a row were of no help. */
  readonly #named = new Set<PeerId>();
  #misses = 0;

  constructor(options: NetContentsOptions) {
    this.#o = options;
    this.#db = openDhtDatabase(path.join(options.dir, "dht.db"));
    this.services = { dht: dhtService({ ...options, db: this.#db }) };
  }

  /** Serves and fetches over a transport that runs {@link services}. */
  start(transport: Libp2pTransport, node: MqNode): void {
    const { clock, log, store, admits, nameOf, dir } = this.#o;
    serveObjects(node, store.shared);
    const reach = reachThrough(transport, clock);
    const dht = new DhtFinder({
      dht: () => transport.service("dht"),
      self: transport.self,
      admits,
      clock,
      log,
      reach,
    });
    const finder = joinFinders([new LanFinder(node, clock), this.#wide(dht)], { clock, log });
    const freeBytes = () => {
      const { bavail, bsize } = statfsSync(dir);
      return bavail * bsize;
    };
    const fetcher = new Fetcher({
      store,
      node,
      finder,
      clock,
      log,
      nameOf,
      freeBytes,
      reserveBytes: storeReserveBytes,
    });
    this.#running = { fetcher, finder, dht };
  }

  /** Brings in all that these roots reach, or some of it. Throws notFound, naming what nobody has and who was asked. */
  async fetch(roots: Id[], options: FetchOptions = {}): Promise<void> {
    if (this.#running === undefined) {
      throw new Fault("fetch", "gone", "nobody can be asked", { hint: "isconf status" });
    }
    this.#named.clear();
    try {
      const { peers } = await this.#running.fetcher.fetch(roots, options);
      if ([...peers.keys()].some((peer) => this.#named.has(peer))) this.#misses = 0;
    } catch (e) {
      if (this.#named.size > 0) this.#misses++;
      throw e;
    }
  }

  /** Resolves when more of what is being fetched is here, or is not fetched any more; undefined when nothing is. */
  get step(): Promise<void> | undefined {
    return this.#running?.fetcher.step;
  }

  /** Whether the DHT has named nobody lately who had what it said they had: somebody in it may be lying. */
  get isSuspect(): boolean {
    return this.#misses >= dhtMissesMax;
  }

  /** Says to others that we have what these roots reach. */
  announce(roots: Id[]): void {
    const { log } = this.#o;
    this.#running?.finder.announce(roots).catch((e) => log(`announcing: ${Fault.from("mesh", e).message}`));
  }

  /** Who is let in has changed. */
  recheck(): void {
    const { log } = this.#o;
    this.#running?.dht.recheck().catch((e) => log(`dht: ${Fault.from("mesh", e).message}`));
  }

  stop(): void {
    this.#running?.dht.stop();
    this.#running = undefined;
    this.#db.close();
  }

  /** The DHT where it is of use: a walk through it costs much, and each host announces each root that it gets. */
  #wide(dht: Finder): Finder {
    const named = this.#named;
    const { isSmall } = this.#o;
    return {
      async *find(id, signal) {
        if (isSmall()) return;
        for await (const peer of dht.find(id, signal)) {
          named.add(peer);
          yield peer;
        }
      },
      announce: (ids) => isSmall() ? Promise.resolve() : dht.announce(ids),
    };
  }
}
