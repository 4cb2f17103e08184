// PeerId of a key: the name libp2p gives the owner of an Ed25519 key. Needs no libp2p, so that the half of isconf
// without a network can tell names from certificates. Not a proof: that is the transport's handshake.
import { concat, fromHex } from "./bytes.ts";
import { Fault } from "./fault.ts";
import { KEY_BYTES } from "./ed25519.ts";
import type { PeerId } from "./transport.ts";

/** Identity multihash (00) of 36 bytes (24): the protobuf of a public key of type Ed25519 (08 01) and 32 bytes (12 20). */
const PREFIX = fromHex("002408011220");
/** The Bitcoin alphabet: no 0, O, I and l. */
const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const PEER_ID = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/;

/**
 * libp2p's name of the owner of this Ed25519 public key: base58 of its multihash (peer-ids of the libp2p specs).
 * @throws {Fault} corrupt, when `publicKey` has not 32 bytes
 */
export function peerIdOf(publicKey: Uint8Array): PeerId {
  if (publicKey.length !== KEY_BYTES) {
    throw new Fault("peer", "corrupt", `a key has ${KEY_BYTES} bytes, not ${publicKey.length}`, {
      hint: "isconf doctor",
    });
  }
  return base58(concat(PREFIX, publicKey));
}

/**
 * The public key of whom a name of {@link peerIdOf} names.
 * @throws {Fault} corrupt, when `peer` is no such name
 */
export function publicKeyOf(peer: PeerId): Uint8Array {
  if (!isPeerId(peer)) throw noPeer();
  const value = [...peer].reduce((sum, digit) => sum * 58n + BigInt(BASE58.indexOf(digit)), 0n);
  const bytes = fromHex(value.toString(16).padStart(2 * (PREFIX.length + KEY_BYTES), "0"));
  const key = bytes.slice(PREFIX.length);
  if (peerIdOf(key) !== peer) throw noPeer();
  return key;
}

function noPeer(): Fault {
  return new Fault("peer", "corrupt", "no key has that name", { hint: "isconf doctor" });
}

/** Whether this text has the form of a name that {@link peerIdOf} gives; anything else never gets into a log or a book. */
export function isPeerId(text: string): boolean {
  return PEER_ID.test(text);
}

function base58(bytes: Uint8Array): string {
  let value = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  let text = "";
  for (; value > 0n; value /= 58n) text = BASE58[Number(value % 58n)] + text;
  for (let i = 0; bytes[i] === 0; i++) text = "1" + text;
  return text;
}
