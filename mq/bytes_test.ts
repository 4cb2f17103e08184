// Bytes and hash: joining, order, hexadecimal, SHA-256.
import { test } from "node:test";
import assert from "node:assert/strict";
import { bytesEqual, compareBytes, concat, fromHex, toHex } from "./bytes.ts";
import { Fault } from "./fault.ts";
import { sha256 } from "./hash.ts";

test("hexadecimal goes there and back, and has one spelling", () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  assert.deepEqual(fromHex(toHex(all)), all);
  assert.equal(toHex(Uint8Array.of(0, 10, 255)), "000aff");
  for (const bad of ["0", "0g", "AB", " 00", "00\n", "0x00"]) {
    assert.throws(() => fromHex(bad), (e) => e instanceof Fault && e.kind === "usage", bad);
  }
});

test("order is bytewise, a prefix first; equal means same length and bytes", () => {
  const sorted = ["", "00", "0001", "01", "7f", "80", "ff", "ff00"].map(fromHex);
  for (let i = 0; i < sorted.length; i++) {
    for (let j = 0; j < sorted.length; j++) {
      assert.equal(Math.sign(compareBytes(sorted[i]!, sorted[j]!)), Math.sign(i - j));
      assert.equal(bytesEqual(sorted[i]!, sorted[j]!), i === j);
    }
  }
});

test("concat copies", () => {
  const a = Uint8Array.of(1);
  const joined = concat(a, new Uint8Array(0), Uint8Array.of(2, 3));
  a[0] = 9;
  assert.deepEqual(joined, Uint8Array.of(1, 2, 3));
});

test("SHA-256 of abc, the example of FIPS 180-4, as plain bytes", () => {
  const out = sha256(new TextEncoder().encode("abc"));
  assert.equal(toHex(out), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert.equal(Object.getPrototypeOf(out), Uint8Array.prototype);
});
