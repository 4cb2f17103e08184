// The X25519 keys of sealed files, made of a host's Ed25519 keys. Not the sealing itself (sealed.ts), not signatures.
//
// One key pair signs and opens what is sealed. That is sound here: Ed25519 and an X25519 KEM that hashes the shared
// secret together with the ephemeral and the recipient's key, as age's X25519 stanzas do, are proved secure together in
// the random oracle model (E. Thormarker, "On using the same key pair for Ed25519 and an X25519 based KEM", 2021). age
// does the same with keys of type ssh-ed25519. In return a host's certificate is all that is needed to seal for it, and
// whoever rotates its key rotates both uses. The secret scalar must never be put to a third one.
import { createHash } from "node:crypto";
import { bech32 } from "@scure/base";
import { toHex } from "./bytes.ts";
import { checkPublicKey, KEY_BYTES, type KeyPair } from "./ed25519.ts";
import { Fault } from "./fault.ts";

/** The prime of the field, 2^255 - 19. */
const P = 2n ** 255n - 19n;

/**
 * The X25519 public key of a host as age writes it, `age1…`, 62 characters. `publicKey` is the host's Ed25519 key, 32
 * bytes; of its point (x, y) the result is u = (1 + y) / (1 - y), the birational map of RFC 7748 4.1, for which the sign
 * of x counts nothing.
 * @throws {Fault} corrupt, for what {@link checkPublicKey} refuses: no point that is of small order becomes a recipient
 */
export function recipientOf(publicKey: Uint8Array): string {
  checkPublicKey(publicKey);
  const littleEndian = publicKey.toReversed();
  const y = BigInt(`0x${toHex(littleEndian)}`) & (2n ** 255n - 1n);
  const u = (1n + y) * inverse(P + 1n - y) % P; // y is not 1: that point is of small order
  const bytes = Uint8Array.from({ length: KEY_BYTES }, (_, i) => Number(u >> BigInt(8 * i) & 0xffn));
  return bech32.encodeFromBytes("age", bytes);
}

/**
 * The X25519 secret key of a host as age writes it, `AGE-SECRET-KEY-1…`, 74 characters: the first half of the SHA-512
 * of its Ed25519 seed, clamped (RFC 8032 5.1.5, RFC 7748 5). It opens what is sealed for `recipientOf(pair.publicKey)`,
 * and who has it can sign too: it is kept like the seed.
 * @throws {Fault} corrupt, when the seed has another length than 32 bytes
 */
export function identityOf(pair: KeyPair): string {
  if (pair.secretKey.length !== KEY_BYTES) {
    throw new Fault("key", "corrupt", `the key has ${pair.secretKey.length} bytes, not ${KEY_BYTES}`, {
      hint: "isconf doctor",
    });
  }
  const hash = createHash("sha512").update(pair.secretKey).digest();
  const scalar = new Uint8Array(hash.subarray(0, KEY_BYTES));
  scalar[0]! &= 0xf8;
  scalar[31]! = scalar[31]! & 0x7f | 0x40;
  const text = bech32.encodeFromBytes("AGE-SECRET-KEY-", scalar).toUpperCase();
  hash.fill(0);
  scalar.fill(0);
  return text;
}

/** a^(p - 2), which is 1/a (Fermat). Of public numbers only: the time it takes tells what they are. */
function inverse(a: bigint): bigint {
  let result = 1n, power = a % P;
  for (let e = P - 2n; e > 0n; e >>= 1n) {
    if (e & 1n) result = result * power % P;
    power = power * power % P;
  }
  return result;
}
