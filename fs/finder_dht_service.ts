// finder_dht_service: kad-dht as isconf runs it: only peers that are let in, own records only, limits, hardly a wake-up.
// It mends what kad-dht does not do by itself; how it is used is in finder_dht.ts.
import { type KadDHT, kadDHT } from "@libp2p/kad-dht";
import { type Cancel, type Clock, Fault, type PeerId } from "../mq/mod.ts";
import type { Db } from "./db.ts";
import { DhtStore } from "./finder_dht_store.ts";
import { dhtKeepMs, dhtKeepMsMax, dhtSelfQueryFirstMs, dhtSelfQueryMs, dhtStreamsMax } from "./limits.ts";
import { PEER_RECORDS, PeerRecords } from "./peer_record.ts";

export interface DhtOptions {
  /** As in the transport: separates networks. */
  network: string;
  /** Whether a peer may stand in the routing table and be told to others. */
  admits(peer: PeerId): boolean;
  /** A database of `openDhtDatabase`. */
  db: Db;
  clock: Clock;
  log: (line: string) => void;
}

type Components = Parameters<ReturnType<typeof kadDHT>>[0];
type Libp2pPeerId = Components["peerId"];
type Multiaddrs = ReturnType<Components["addressManager"]["getAddresses"]>;

/** Timers of libp2p cannot wait longer, in milliseconds; what waits this long is off. */
export const never = 2 ** 31 - 1;

/** What of kad-dht is needed and not in its interface. */
interface Inside {
  routingTable: {
    size: number;
    kb: { toIterable(): Iterable<{ peerId: Libp2pPeerId }> };
    find(peer: Libp2pPeerId): Promise<Libp2pPeerId | undefined>;
    remove(peer: Libp2pPeerId): Promise<void>;
    closestPeerTagger: { stop(): void };
  };
  onPeerConnect(peer: { id: Libp2pPeerId; multiaddrs: Multiaddrs }): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export function insideOf(dht: KadDHT): Inside {
  return dht as KadDHT & Inside;
}

/** The DHT as a service of libp2p: for the option `services` of the transport. */
export function dhtService(options: DhtOptions): (components: Components) => KadDHT {
  const { network, admits, db, clock } = options;
  const protocol = `/isconf/${network}/kad/1.0.0`;
  const store = new DhtStore(db, clock);
  const records = new PeerRecords(network, admits, store.newest);
  const make = kadDHT({
    protocol,
    clientMode: false,
    validators: { [PEER_RECORDS]: (key, value) => records.validate(key, value), pk: refuse },
    selectors: { [PEER_RECORDS]: (key, values) => records.select(key, values) },
    peerInfoMapper: (info) => admits(info.id.toString()) ? info : { ...info, multiaddrs: [] },
    // Does not scale (it reads every record), and would not know what we still have: the agent announces again.
    reprovide: { interval: never },
    querySelfInterval: dhtSelfQueryMs,
    initialQuerySelfInterval: dhtSelfQueryFirstMs,
    maxInboundStreams: dhtStreamsMax,
    maxOutboundStreams: dhtStreamsMax,
  });
  return (components) => {
    const { peerId, privateKey, registrar, addressManager, connectionManager, events, logger, ping } =
      components;
    const parts: Components = {
      peerId,
      privateKey,
      registrar,
      addressManager,
      connectionManager,
      events,
      logger,
      ping,
      datastore: store,
      peerStore: withoutHearsay(components.peerStore),
    };
    const dht = make(parts);
    const put = dht.put.bind(dht);
    dht.put = (key, value, more) => {
      records.validate(key, value); // kad-dht checks what others put, not what it keeps itself
      return put(key, value, more);
    };
    keep(insideOf(dht), parts, protocol, options);
    return dht;
  };
}

/** Public keys are in the names of peers; nobody needs to store them here. */
function refuse(): never {
  throw new Fault("dht", "denied", "records of this kind are not kept", { hint: "isconf status" });
}

/**
 * The peer store as the DHT may use it. Addresses that others tell are not noted: they have no limit there, and the
 * transport keeps its own book. Of a peer that it does not know, nothing is known: kad-dht fails to answer otherwise.
 */
function withoutHearsay(store: Components["peerStore"]): Components["peerStore"] {
  const changed: Partial<Components["peerStore"]> = {
    merge: (id, { multiaddrs: _, addresses: __, ...data }, options) => store.merge(id, data, options),
    get: async (id, options) => {
      try {
        return await store.get(id, options);
      } catch (thrown) {
        if ((thrown as { name?: unknown }).name !== "NotFoundError") throw thrown;
        return { id, addresses: [], protocols: [], metadata: new Map(), tags: new Map() };
      }
    },
  };
  return new Proxy(store, {
    get(target, name) {
      const own = (changed as Record<string | symbol, unknown>)[name];
      const value = own ?? Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/**
 * Tries again to get connected peers into the routing table. kad-dht does so once, when they get connected, with a ping
 * that a second connection on its way out or a busy machine can lose; a host could stay alone then. Only as long as
 * somebody is missing, less and less often; a new connection begins anew.
 */
function keep(
  dht: Inside,
  components: Components,
  protocol: string,
  { clock, admits, log }: DhtOptions,
): void {
  const { events, connectionManager, peerStore } = components;
  let cancel: Cancel = () => {};
  let isRunning = false;
  const isMissing = async (peer: Libp2pPeerId): Promise<boolean> => {
    if (!admits(peer.toString()) || await dht.routingTable.find(peer) !== undefined) return false;
    const { protocols, addresses } = await peerStore.get(peer);
    if (protocols.includes(protocol)) {
      await dht.onPeerConnect({ id: peer, multiaddrs: addresses.map(({ multiaddr }) => multiaddr) });
    }
    return true;
  };
  const look = async (waitMs: number): Promise<void> => {
    const peers = connectionManager.getConnections().map(({ remotePeer }) => remotePeer);
    const missing = await Promise.all(peers.map(isMissing));
    if (missing.includes(true)) again(Math.min(dhtKeepMsMax, 2 * waitMs));
  };
  const again = (waitMs: number) => {
    cancel();
    if (isRunning) cancel = clock.after(waitMs, () => void look(waitMs).catch(failed));
  };
  const failed = (thrown: unknown) => log(`the DHT's peers: ${Fault.from("dht", thrown).message}`);
  const connected = () => again(dhtKeepMs);
  const { start, stop } = dht;
  dht.start = async () => {
    await start.call(dht);
    isRunning = true;
    dht.routingTable.closestPeerTagger.stop(); // tags every five seconds whom libp2p should keep: the transport does
    events.addEventListener("peer:connect", connected);
  };
  dht.stop = async () => {
    events.removeEventListener("peer:connect", connected);
    isRunning = false;
    cancel();
    await stop.call(dht);
  };
}
