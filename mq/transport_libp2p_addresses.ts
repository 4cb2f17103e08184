// Addresses that peers tell each other: CBOR of an array of [peer, [address, …]], the teller first.
// Not to be believed: an address is a place to try, and the handshake proves who is there.
import { formatAddress, isName, parseAddress } from "./address.ts";
import type { Cbor } from "./cbor.ts";
import { decode, encode } from "./cbor.ts";
import { isPeerId } from "./peer_id.ts";
import type { PeerId } from "./transport.ts";

export interface Told {
  peer: PeerId;
  /** As "ip:port"; names are not told. */
  addresses: string[];
}

export interface ToldLimits {
  peersToldMax: number;
  addressesPerPeerMax: number;
}

export function writeAddresses(told: Told[]): Uint8Array {
  return encode(told.map(({ peer, addresses }) => [peer, addresses]));
}

/** What a peer told; undefined when it is not in that form, or more than `limits` allow. */
export function readAddresses(body: Uint8Array, limits: ToldLimits): Told[] | undefined {
  const addressBytesMax = 64;
  const itemsMax = 1 + limits.peersToldMax * (3 + limits.addressesPerPeerMax);
  try {
    const list = decode(body, { bytesMax: itemsMax * addressBytesMax, depthMax: 3, itemsMax });
    if (!Array.isArray(list) || list.length > limits.peersToldMax) return undefined;
    const told = list.map(readOne);
    return told.every(({ addresses }) => addresses.length <= limits.addressesPerPeerMax) ? told : undefined;
  } catch {
    return undefined;
  }
}

function readOne(value: Cbor): Told {
  if (!Array.isArray(value) || value.length !== 2) throw new Error("not a pair");
  const [peer, addresses] = value;
  if (typeof peer !== "string" || !isPeerId(peer) || !Array.isArray(addresses)) throw new Error("not a peer");
  return {
    peer,
    addresses: addresses.map((text) => {
      const address = parseAddress(String(text));
      if (isName(address) || address.port === 0) throw new Error("not an address");
      return formatAddress(address);
    }),
  };
}
