// Ed25519 (RFC 8032): keys, and the one strict verifier of isconf. Not a message format: that is sign.ts.
// The accept set is a table in README.md; the byte checks here carry it, whatever library verifies behind them.
import type { KeyObject } from "node:crypto";
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { Buffer } from "node:buffer";
import { Point } from "@noble/ed25519";
import { concat, fromHex, toHex } from "./bytes.ts";
import type { Clock } from "./clock.ts";
import { Fault } from "./fault.ts";
import { sha256 } from "./hash.ts";
import { keysReadyMax } from "./limits.ts";

/** An Ed25519 key pair: 32 raw bytes each; `secretKey` is the seed of RFC 8032 5.1.5. */
export interface KeyPair {
  publicKey: Uint8Array;
  secretKey: Uint8Array;
}

export const KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** A new key pair, from the chance of `clock`. */
export function generateKeyPair(clock: Clock): KeyPair {
  return keyPairFromSecret(clock.random(KEY_BYTES));
}

/**
 * The key pair of a 32-byte seed.
 * @throws {Fault} corrupt, when `secretKey` has another length
 */
export function keyPairFromSecret(secretKey: Uint8Array): KeyPair {
  const spki = createPublicKey(privateKeyOf(secretKey)).export({ format: "der", type: "spki" });
  return { publicKey: new Uint8Array(spki.subarray(-KEY_BYTES)), secretKey: secretKey.slice() };
}

/** The id of a key: lowercase hexadecimal SHA-256 of its 32 raw bytes. */
export function keyId(publicKey: Uint8Array): string {
  let id = ids.get(publicKey);
  if (id === undefined) ids.set(publicKey, id = toHex(sha256(publicKey)));
  return id;
}

/** Ids of keys by the arrays that hold them, which nobody changes: each is asked for again and again. */
const ids = new WeakMap<Uint8Array, string>();

/**
 * Returns when `publicKey` is one that {@link verifyRaw} may accept signatures of.
 * @throws {Fault} corrupt, for a wrong length, a y of p or more, a point of small order, no point of the curve
 */
export function checkPublicKey(publicKey: Uint8Array): void {
  if (publicKey.length !== KEY_BYTES) refuseKey(`has ${publicKey.length} bytes, not ${KEY_BYTES}`);
  if (isSmallOrder(publicKey)) {
    refuseKey("is of small order: some signatures hold for every message under it");
  }
  try {
    Point.fromBytes(publicKey, false);
  } catch (cause) {
    refuseKey("is not the canonical encoding of a point of the curve", cause);
  }
}

/** The 64-byte signature of `message` (RFC 8032 5.1.6). Protocols use `sign1`, which binds a context. */
export function signRaw(pair: KeyPair, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, message, privateKeyOf(pair.secretKey)));
}

/**
 * Whether `signature` of `message` holds under `publicKey`, by RFC 8032 5.1.7 read strictly: both points canonical
 * and not of small order, S < L, and the equation without cofactor. Never throws, whatever the bytes.
 */
export function verifyRaw(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  if (!isStrictForm(signature)) return false;
  const key = readyKey(publicKey);
  return key !== undefined && verify(null, message, key, signature);
}

/**
 * Whether `signature` has 64 bytes, an R that is canonical and not of small order, and S < L. Libraries differ here:
 * OpenSSL 3.5 refuses an R of small order, OpenSSL 3.0 and Deno accept it.
 */
export function isStrictForm(signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const r = signature.subarray(0, 32);
  return isBelow(r, FIELD, 0x7f) && !isSmallOrder(r) && isBelow(signature.subarray(32), ORDER);
}

/** p = 2^255 - 19 and the group order L, little-endian. */
const FIELD = fromHex("ed" + "ff".repeat(30) + "7f");
const ORDER = fromHex("edd3f55c1a631258d69cf7a2def9de14" + "00".repeat(15) + "10");

/** The y of the eight points of small order, little-endian: 1, -1, 0 and two of order 8; x has either sign. */
const SMALL_ORDER_Y = [
  "01" + "00".repeat(31),
  "ec" + "ff".repeat(30) + "7f",
  "00".repeat(32),
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
].map(fromHex);

/** Also finds "minus zero", the one odd encoding whose y is below p: both points with x = 0 are of small order. */
function isSmallOrder(point: Uint8Array): boolean {
  return SMALL_ORDER_Y.some((y) => y.every((byte, i) => byte === (i === 31 ? point[i]! & 0x7f : point[i])));
}

/** Whether the little-endian `a`, its top byte masked, is below `b`; both are 32 bytes. */
function isBelow(a: Uint8Array, b: Uint8Array, topMask = 0xff): boolean {
  for (let i = 31; i >= 0; i--) {
    const byte = i === 31 ? a[i]! & topMask : a[i]!;
    if (byte !== b[i]) return byte < b[i]!;
  }
  return false;
}

/** Checked public keys, the least recently used first. */
const ready = new Map<string, KeyObject>();

function readyKey(publicKey: Uint8Array): KeyObject | undefined {
  const name = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString("latin1");
  let key = ready.get(name);
  if (key === undefined) {
    if (!isAcceptable(publicKey)) return undefined;
    const der = Buffer.from(concat(SPKI_PREFIX, publicKey));
    key = createPublicKey({ key: der, format: "der", type: "spki" });
    if (ready.size >= keysReadyMax) ready.delete(ready.keys().next().value!);
  }
  ready.delete(name);
  ready.set(name, key);
  return key;
}

function isAcceptable(publicKey: Uint8Array): boolean {
  try {
    checkPublicKey(publicKey);
    return true;
  } catch (e) {
    if (e instanceof Fault) return false;
    throw e;
  }
}

/** What RFC 8410 puts before the 32 bytes of a public and of a secret key. */
const SPKI_PREFIX = fromHex("302a300506032b6570032100");
const PKCS8_PREFIX = fromHex("302e020100300506032b657004220420");

function privateKeyOf(secretKey: Uint8Array): KeyObject {
  if (secretKey.length !== KEY_BYTES) refuseKey(`has ${secretKey.length} bytes, not ${KEY_BYTES}`);
  return createPrivateKey({
    key: Buffer.from(concat(PKCS8_PREFIX, secretKey)),
    format: "der",
    type: "pkcs8",
  });
}

function refuseKey(why: string, cause?: unknown): never {
  throw new Fault("key", "corrupt", `the key ${why}`, { hint: "isconf doctor", cause });
}
