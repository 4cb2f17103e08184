// Token: what lets a host ask to join: which domain, whom to ask, and a secret that is used as a key and never sent. An open
// token has none: anybody may read it, and who has it proves nothing with it. Not what is done with either (enrol.ts).
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { type Cbor, decode, encode, Fault } from "../mq/mod.ts";

const PREFIX = "isconf1.";

export interface Token {
  /** Id of the domain, so that nobody else's answer is taken for it. */
  domain: Uint8Array;
  /** Under which the host that made the token knows it, in hex. */
  id: string;
  /** 32 bytes; none, of an open token. */
  secret: Uint8Array;
  /** Where that host can be reached, "ip:port", and the public key it proves there. */
  addresses: string[];
  net: Uint8Array;
}

/** Whether it has no secret. */
export function isOpen({ secret }: Pick<Token, "secret">): boolean {
  return secret.length === 0;
}

/** A token as one word to be copied. */
export function writeToken({ domain, id, secret, addresses, net }: Token): string {
  return PREFIX + Buffer.from(encode([domain, id, secret, addresses, net])).toString("base64url");
}

/** Whether a word is meant to be one. */
export const isToken = (word: string): boolean => word.startsWith(PREFIX);

/** The token that a word says. Throws a usage fault. */
export function readToken(word: string): Token {
  const bad = () =>
    new Fault("join", "usage", "that is no token: it begins with isconf1. and is one long word", {
      hint: "isconf token, on a host of the domain",
    });
  if (!isToken(word) || !/^[-_A-Za-z0-9]+$/.test(word.slice(PREFIX.length))) throw bad();
  let parts: Cbor;
  try {
    parts = decode(Buffer.from(word.slice(PREFIX.length), "base64url"));
  } catch {
    throw bad(); // what the decoder says of it helps nobody
  }
  const [domain, id, secret, addresses, net] = Array.isArray(parts) ? parts : [];
  const isKey = (v: unknown): v is Uint8Array => v instanceof Uint8Array && v.length === 32;
  const areTexts = (v: unknown): v is string[] => Array.isArray(v) && v.every((a) => typeof a === "string");
  const isSecret = (v: unknown): v is Uint8Array => isKey(v) || (v instanceof Uint8Array && v.length === 0);
  if (!isKey(domain) || typeof id !== "string" || !isSecret(secret) || !areTexts(addresses) || !isKey(net)) {
    throw bad();
  }
  return { domain, id, secret, addresses, net };
}

/**
 * Proves to who knows the secret that we know it too, for these words and no others (HMAC-SHA-256, RFC 2104). Where there
 * is none it is empty, so that it is never taken for the proof of one: a key of zeros would give the same as an empty key.
 */
export function mac(secret: Uint8Array, purpose: "join" | "joined", words: Cbor): Uint8Array {
  if (isOpen({ secret })) return new Uint8Array(0);
  return createHmac("sha256", secret).update(encode([`isconf/${purpose}/1`, words])).digest();
}

/** Whether `given` is that proof, which is empty for an open token and for no other; takes the same time either way. */
export function checkMac(
  given: unknown,
  secret: Uint8Array,
  purpose: "join" | "joined",
  words: Cbor,
): boolean {
  const right = mac(secret, purpose, words);
  return given instanceof Uint8Array && given.length === right.length && timingSafeEqual(given, right);
}
