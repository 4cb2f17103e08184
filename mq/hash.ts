// Hash: SHA-256 (FIPS 180-4) of bytes in memory. Not for streams, and not for passwords.
import { hash } from "node:crypto";

/** SHA-256 of `bytes`: 32 new bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash("sha256", bytes, "buffer"));
}
