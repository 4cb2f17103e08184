// peer_record: where a peer says that it is, signed with its transport key, as the DHT carries it. A newer one replaces
// an older one and never the other way round. Not a proof that somebody is there: the handshake gives that.
import {
  type Cbor,
  compareBytes,
  decode,
  encode,
  Fault,
  isPeerId,
  type KeyPair,
  type PeerId,
  peerIdOf,
  sign1,
  type SignContext,
  verify1,
} from "../mq/mod.ts";
import { peerAddressBytesMax, peerAddressesMax, peerRecordBytesMax } from "./limits.ts";

/** What a record says. `seq` counts up with each new one of the same peer. */
export interface PeerRecord {
  peer: PeerId;
  /** As "ip:port". */
  addresses: string[];
  seq: number;
}

/** The highest `seq` seen of each peer, kept over restarts. */
export interface Newest {
  get(peer: PeerId): number | undefined;
  set(peer: PeerId, seq: number): void;
}

/** The first part of the keys of such records in the DHT. */
export const PEER_RECORDS = "isconf-peer";

/** The key under which the DHT has the record of `peer`: `/isconf-peer/{peer}`. */
export function peerRecordKey(peer: PeerId): Uint8Array {
  return new TextEncoder().encode(`/${PEER_RECORDS}/${peer}`);
}

function contextOf(network: string): SignContext {
  return { type: "isconf/peer/1", domain: new TextEncoder().encode(network), branch: "" };
}

/**
 * The record of the owner of `pair`: a signed message (COSE_Sign1) in an array after the public key.
 * @throws {Fault} usage, when it is more than `peerRecordBytesMax`
 */
export function writePeerRecord(
  network: string,
  pair: KeyPair,
  { addresses, seq }: Omit<PeerRecord, "peer">,
): Uint8Array {
  const value = encode([pair.publicKey, sign1(pair, contextOf(network), encode([addresses, seq]))]);
  if (value.length <= peerRecordBytesMax && addresses.length <= peerAddressesMax) return value;
  throw new Fault("peer.record", "usage", `a record of ${value.length} bytes`, { hint: "isconf doctor" });
}

/**
 * What a record under `key` says.
 * @throws {Fault} corrupt, when it is none, too large, of somebody else than `key` names, or not signed by him
 */
export function readPeerRecord(network: string, key: Uint8Array, value: Uint8Array): PeerRecord {
  const [, kind, peer = "", ...rest] = new TextDecoder().decode(key).split("/");
  if (kind !== PEER_RECORDS || !isPeerId(peer) || rest.length > 0) throw refused("of no peer");
  const parts = decode(value, { bytesMax: peerRecordBytesMax, depthMax: 2, itemsMax: 8 });
  const [publicKey, signed, ...more] = Array.isArray(parts) ? parts : [];
  if (!(publicKey instanceof Uint8Array) || !(signed instanceof Uint8Array) || more.length > 0) {
    throw refused("of another form");
  }
  if (peerIdOf(publicKey) !== peer) throw refused("of another peer");
  const said = decode(verify1(signed, contextOf(network), publicKey), { bytesMax: peerRecordBytesMax });
  const [addresses, seq, ...others] = Array.isArray(said) ? said : [];
  if (!isAddresses(addresses) || !isSeq(seq) || others.length > 0) throw refused("of another form");
  return { peer, addresses, seq };
}

function isAddresses(value: Cbor | undefined): value is string[] {
  return Array.isArray(value) && value.length <= peerAddressesMax &&
    value.every((text) => typeof text === "string" && text.length <= peerAddressBytesMax);
}

function isSeq(value: Cbor | undefined): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

/** What the DHT asks before it keeps a record or hands one out, and which of several it prefers. */
export class PeerRecords {
  readonly #network: string;
  readonly #admits: (peer: PeerId) => boolean;
  readonly #newest: Newest;

  constructor(network: string, admits: (peer: PeerId) => boolean, newest: Newest) {
    this.#network = network;
    this.#admits = admits;
    this.#newest = newest;
  }

  /**
   * Returns when a record may be kept, and remembers its `seq`: kad-dht lets a put replace whatever is there
   * (js-libp2p issue 3377), so that an older record has to be refused here.
   * @throws {Fault} corrupt, when {@link readPeerRecord} does; denied, of a peer that is not let in; refused, when it is
   *   older than one seen before
   */
  validate(key: Uint8Array, value: Uint8Array): void {
    const { peer, seq } = readPeerRecord(this.#network, key, value);
    if (!this.#admits(peer)) {
      throw new Fault("peer.record", "denied", `${peer} is not let in`, { hint: "isconf status" });
    }
    const newest = this.#newest.get(peer) ?? -1;
    if (seq < newest) {
      throw new Fault("peer.record", "refused", `record ${seq} of ${peer} is older than ${newest}`, {
        hint: "isconf status",
      });
    }
    if (seq > newest) this.#newest.set(peer, seq);
  }

  /** The place in `values` of the newest record that is one; equals are ordered by their bytes. */
  select(key: Uint8Array, values: Uint8Array[]): number {
    const seqs = values.map((value) => this.#seqOf(key, value));
    let best = 0;
    for (const [i, seq] of seqs.entries()) {
      const isBetter = seq > seqs[best]! ||
        (seq === seqs[best] && compareBytes(values[i]!, values[best]!) > 0);
      if (isBetter) best = i;
    }
    return best;
  }

  #seqOf(key: Uint8Array, value: Uint8Array): number {
    try {
      return readPeerRecord(this.#network, key, value).seq;
    } catch (thrown) {
      if (thrown instanceof Fault) return -1;
      throw thrown;
    }
  }
}

function refused(what: string): Fault {
  return new Fault("peer.record", "corrupt", `a peer record ${what}`, { hint: "isconf doctor" });
}
