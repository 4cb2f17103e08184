// Signed messages: COSE_Sign1 (RFC 9052 4.2) with Ed25519, in exactly one form, bound to a context.
// Says that a key signed these bytes for this purpose, never whether that key may: that is policy.
import { bytesEqual, concat, fromHex, toHex } from "./bytes.ts";
import { decode, encode } from "./cbor.ts";
import type { KeyPair } from "./ed25519.ts";
import { KEY_BYTES, keyId, SIGNATURE_BYTES, signRaw, verifyRaw } from "./ed25519.ts";
import { Fault } from "./fault.ts";

/** What a signature is good for. It is signed with the payload but not sent: the verifier must know it. */
export interface SignContext {
  /** What kind of message, for example "isconf/entry/1". */
  type: string;
  /** The id of the domain, raw. */
  domain: Uint8Array;
  /** The branch, or "" where there is none. */
  branch: string;
}

/** The parts of a signed message, not verified. `kid` is the `keyId` of the key it says it was signed with. */
export interface Opened {
  kid: string;
  payload: Uint8Array;
  signature: Uint8Array;
}

/** Protected header up to the key id: a map of two, 1 (alg): -8 (EdDSA), 4 (kid): 32 bytes. */
export const PROTECTED_PREFIX: string = "a20127045820";
const prefix = fromHex(PROTECTED_PREFIX);

/** Signs `payload` for `context`. The payload goes into the message byte for byte. */
export function sign1(pair: KeyPair, context: SignContext, payload: Uint8Array): Uint8Array {
  const header = headerOf(pair.publicKey);
  const signature = signRaw(pair, signedBytes(header, context, payload));
  return encode([header, {}, payload, signature]);
}

/**
 * Takes a signed message apart and verifies nothing; for finding the key by its id.
 * @throws {Fault} corrupt, when `bytes` are not a message in the one form that {@link sign1} writes
 */
export function open1(bytes: Uint8Array): Opened {
  const { header, payload, signature } = parse(bytes);
  return { kid: toHex(header.subarray(prefix.length)), payload, signature };
}

/**
 * The payload of a message that the owner of `publicKey` signed for `context`.
 * @throws {Fault} corrupt, when the message has another form, names another key, or the signature does not hold
 */
export function verify1(bytes: Uint8Array, context: SignContext, publicKey: Uint8Array): Uint8Array {
  const { header, payload, signature } = parse(bytes);
  if (!bytesEqual(header, headerOf(publicKey))) throw refused("it was signed by another key");
  if (!verifyRaw(signedBytes(header, context, payload), signature, publicKey)) {
    throw refused(`the signature does not hold for ${context.type}`);
  }
  return payload;
}

function headerOf(publicKey: Uint8Array): Uint8Array {
  return concat(prefix, fromHex(keyId(publicKey)));
}

/** The Sig_structure of RFC 9052 4.4, the bytes that the signature covers. */
function signedBytes(header: Uint8Array, context: SignContext, payload: Uint8Array): Uint8Array {
  const externalAad = encode([context.type, context.domain, context.branch]);
  return encode(["Signature1", header, externalAad, payload]);
}

function parse(bytes: Uint8Array): { header: Uint8Array; payload: Uint8Array; signature: Uint8Array } {
  const parts = decode(bytes, { bytesMax: bytes.length, depthMax: 2, itemsMax: 5 });
  if (!Array.isArray(parts) || parts.length !== 4) throw refused("it is not an array of four");
  const [header, unprotected, payload, signature] = parts;
  if (!(header instanceof Uint8Array) || header.length !== prefix.length + KEY_BYTES) {
    throw refused("odd header");
  }
  if (!bytesEqual(header.subarray(0, prefix.length), prefix)) throw refused("odd header");
  if (toHex(encode(unprotected!)) !== "a0") throw refused("its unprotected header is not an empty map");
  if (!(payload instanceof Uint8Array)) throw refused("its payload is not attached");
  if (!(signature instanceof Uint8Array) || signature.length !== SIGNATURE_BYTES) {
    throw refused("odd signature");
  }
  return { header, payload, signature };
}

function refused(why: string): Fault {
  return new Fault("sign", "corrupt", `signed message refused: ${why}`, { hint: "isconf doctor" });
}
