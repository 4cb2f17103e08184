// The second door of fs: the DHT over libp2p. It stands beside mod.ts so that who imports that one, the command line and
// the half without a network, does not load libp2p. Not a place for code.
export type { DhtFinderOptions } from "./finder_dht.ts";
export { DhtFinder } from "./finder_dht.ts";
export type { DhtOptions } from "./finder_dht_service.ts";
export { dhtService } from "./finder_dht_service.ts";
export { openDhtDatabase } from "./finder_dht_store.ts";
export type { Reachable } from "./finder_reach.ts";
export { reachThrough } from "./finder_reach.ts";
export type { PeerRecord } from "./peer_record.ts";
export { peerRecordKey, readPeerRecord, writePeerRecord } from "./peer_record.ts";
