// Ed25519: RFC 8032 and Wycheproof vectors, the ZIP 215 set, the edge cases of "Taming the many EdDSAs" (Chalkias,
// Garillot, Nikolaenko, 2020), made here from the curve. @noble/ed25519 is the independent second opinion.
import { test } from "node:test";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { hashes, Point, verify as nobleVerify } from "@noble/ed25519";
import { concat, fromHex, toHex } from "./bytes.ts";
import { VirtualClock } from "./clock.ts";
import {
  checkPublicKey,
  generateKeyPair,
  isStrictForm,
  keyId,
  keyPairFromSecret,
  SIGNATURE_BYTES,
  signRaw,
  verifyRaw,
} from "./ed25519.ts";
import { Fault } from "./fault.ts";
import { keysReadyMax } from "./limits.ts";
import { readmeTable } from "../tests/contract/readme.ts";

const sha512 = (bytes: Uint8Array) => new Uint8Array(createHash("sha512").update(bytes).digest());
hashes.sha512 = sha512;
const reference = (message: Uint8Array, signature: Uint8Array, key: Uint8Array) =>
  nobleVerify(signature, message, key, { zip215: false });

const { p: P, n: L } = Point.CURVE();
const corrupt = (e: unknown) => e instanceof Fault && e.kind === "corrupt";
const text = (s: string) => new TextEncoder().encode(s);
const fromLE = (bytes: Uint8Array) => BigInt("0x" + toHex(bytes.toReversed()));
const toLE = (n: bigint) => fromHex(n.toString(16).padStart(64, "0")).reverse();
const modL = (n: bigint) => ((n % L) + L) % L;

/** The 14 encodings of the 8 points of small order, those that ZIP 215 accepts. */
function smallOrderEncodings(): Uint8Array[] {
  const withSign = (y: bigint, sign: bigint) => toLE(y | (sign << 255n));
  const eight = Point.fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
  const ys = [0n, 1n, P - 1n, P, P + 1n, eight.y, P - eight.y];
  return ys.flatMap((y) => [withSign(y, 0n), withSign(y, 1n)]);
}

test("RFC 8032 7.1: keys, signatures and verification", () => {
  const vectors = [
    [
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
  ] as const;
  for (const [secret, publicKey, message, signature] of vectors) {
    const pair = keyPairFromSecret(fromHex(secret));
    assert.equal(toHex(pair.publicKey), publicKey);
    assert.equal(toHex(signRaw(pair, fromHex(message))), signature);
    assert.ok(verifyRaw(fromHex(message), fromHex(signature), pair.publicKey));
    checkPublicKey(pair.publicKey);
  }
});

const wycheproof =
  "/usr/share/gocode/src/github.com/cloudflare/circl/sign/ed25519/testdata/wycheproof_Ed25519.json";
const without = existsSync(wycheproof) ? false : "needs Debian package golang-github-cloudflare-circl-dev";

test("Wycheproof: each verdict is that of the file and of the reference", { skip: without }, () => {
  const file = JSON.parse(readFileSync(wycheproof, "utf8"));
  let seen = 0;
  for (const group of file.testGroups) {
    const key = fromHex(group.key.pk);
    for (const { tcId, msg, sig, result } of group.tests) {
      const verdict = verifyRaw(fromHex(msg), fromHex(sig), key);
      assert.equal(verdict, result === "valid", `tcId ${tcId}`);
      if (sig.length === 2 * SIGNATURE_BYTES) {
        assert.equal(verdict, reference(fromHex(msg), fromHex(sig), key), `tcId ${tcId}`);
      }
      seen++;
    }
  }
  assert.equal(seen, file.numberOfTests);
});

test("196 ZIP 215 vectors: the strict verifier accepts none, ZIP 215 rules all", () => {
  const encodings = smallOrderEncodings();
  assert.equal(new Set(encodings.map(toHex)).size, 14);
  const message = text("Zcash");
  for (const a of encodings) {
    for (const r of encodings) {
      const signature = concat(r, new Uint8Array(32));
      assert.ok(nobleVerify(signature, message, a, { zip215: true }));
      assert.equal(verifyRaw(message, signature, a), false, `A ${toHex(a)} R ${toHex(r)}`);
      assert.equal(reference(message, signature, a), false);
    }
  }
});

/** A message, a signature and a key of each class, made so that the equation holds as the name of the class says. */
function edgeCases(): Record<string, { message: Uint8Array; signature: Uint8Array; key: Uint8Array }> {
  const clock = new VirtualClock(8032);
  const scalar = () => modL(fromLE(clock.random(32)) | 1n);
  const torsion = Point.fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
  const unreduced = toLE(P + 1n); // y = 1: the identity, not reduced
  const a = scalar();
  const r = scalar();
  const A = Point.BASE.multiply(a);
  const R = Point.BASE.multiply(r);
  const mixedA = A.add(torsion);

  /** Looks for a message for which the equation holds exactly (or only times 8), S being r + k·a. */
  const find = (key: Point, nonce: Point, s: (k: bigint) => bigint, exact: boolean) => {
    for (;;) {
      const message = clock.random(16);
      const k = modL(fromLE(sha512(concat(nonce.toBytes(), key.toBytes(), message))));
      const S = modL(s(k));
      const left = S === 0n ? Point.ZERO : Point.BASE.multiply(S);
      const difference = nonce.add(key.multiply(k, false)).subtract(left);
      assert.ok(difference.isSmallOrder());
      if (difference.is0() === exact) {
        return { message, signature: concat(nonce.toBytes(), toLE(S)), key: key.toBytes() };
      }
    }
  };
  /** The same with encodings given: what is hashed may differ from what is sent. */
  const sent = (
    key: Uint8Array,
    nonce: Uint8Array,
    hashedKey: Uint8Array,
    hashedNonce: Uint8Array,
    rr: bigint,
    aa: bigint,
  ) => {
    const message = clock.random(16);
    const k = modL(fromLE(sha512(concat(hashedNonce, hashedKey, message))));
    return { message, signature: concat(nonce, toLE(modL(rr + k * aa))), key };
  };
  const honest = find(A, R, (k) => r + k * a, true);
  const plusL = (times: bigint) => ({
    ...honest,
    signature: concat(
      honest.signature.subarray(0, 32),
      toLE(fromLE(honest.signature.subarray(32)) + times * L),
    ),
  });
  const times = (2n ** 256n - 1n - fromLE(honest.signature.subarray(32))) / L;
  const one = Point.ZERO.toBytes();
  const offCurve = toLE(2n);
  assert.throws(() => Point.fromBytes(offCurve, true));
  return {
    "honest": honest,
    "A small, R small, S = 0": find(torsion, torsion, () => 0n, true),
    "A small, R mixed": find(torsion, R.add(torsion), () => r, true),
    "A mixed, R small, equation holds": find(mixedA, torsion, (k) => k * a, true),
    "A order L, R identity, equation holds": find(A, Point.ZERO, (k) => k * a, true),
    "A mixed, R mixed, equation holds": find(mixedA, R.add(torsion), (k) => r + k * a, true),
    "A mixed, R mixed, equation holds times 8 only": find(mixedA, R.add(torsion), (k) => r + k * a, false),
    "A mixed, R order L, equation holds": find(mixedA, R, (k) => r + k * a, true),
    "A mixed, R order L, equation holds times 8 only": find(mixedA, R, (k) => r + k * a, false),
    "A order L, R mixed, equation holds times 8 only": find(A, R.add(torsion), (k) => r + k * a, false),
    "S + L": plusL(1n),
    "S + largest multiple of L in 32 bytes": plusL(times),
    "R non-canonical, hashed as sent": sent(A.toBytes(), unreduced, A.toBytes(), unreduced, 0n, a),
    "R non-canonical, hashed reduced": sent(A.toBytes(), unreduced, A.toBytes(), one, 0n, a),
    "A non-canonical, hashed as sent": sent(unreduced, R.toBytes(), unreduced, R.toBytes(), r, 0n),
    "A non-canonical, hashed reduced": sent(unreduced, R.toBytes(), one, R.toBytes(), r, 0n),
    "A minus zero": sent(toLE(1n | (1n << 255n)), R.toBytes(), toLE(1n | (1n << 255n)), R.toBytes(), r, 0n),
    "A not on the curve": { ...honest, key: offCurve },
    "R not on the curve": { ...honest, signature: concat(offCurve, honest.signature.subarray(32)) },
  };
}

test("edge cases: the verdicts are those of the table in README.md", () => {
  const rows = readmeTable(new URL("./README.md", import.meta.url), "The accept set");
  const table = Object.fromEntries(rows.map(([name, ours, theirs]) => [name, [ours, theirs]]));
  const verdicts = Object.entries(edgeCases()).map(([name, { message, signature, key }]) => {
    const ours = verifyRaw(message, signature, key);
    const theirs = reference(message, signature, key);
    assert.ok(theirs || !ours, `${name}: accepted against the reference`);
    return [name, [ours, theirs].map((accepted) => accepted ? "accept" : "refuse")];
  });
  assert.deepEqual(Object.fromEntries(verdicts), table);
});

test("the byte checks refuse odd signatures by themselves, whatever the library behind them does", () => {
  const formed = (name: string) => isStrictForm(cases[name]!.signature);
  const cases = edgeCases();
  assert.ok(formed("honest") && formed("A mixed, R order L, equation holds times 8 only"));
  for (const r of smallOrderEncodings()) assert.ok(!isStrictForm(concat(r, toLE(1n))));
  for (const y of [P, P + 2n, 2n ** 255n - 1n]) {
    for (const sign of [0n, 1n]) assert.ok(!isStrictForm(concat(toLE(y | (sign << 255n)), toLE(1n))));
  }
  const r = Point.BASE.toBytes();
  assert.ok(isStrictForm(concat(r, toLE(L - 1n))) && isStrictForm(concat(r, toLE(0n))));
  for (const s of [L, L + 1n, 2n ** 252n + L, 2n ** 256n - 1n]) assert.ok(!isStrictForm(concat(r, toLE(s))));
  assert.ok(isStrictForm(concat(toLE(P - 2n), toLE(1n))), "a canonical y just below p, on the curve or not");
});

test("one flipped bit anywhere: refused here and by the reference", () => {
  const pair = generateKeyPair(new VirtualClock(1));
  const message = text("a message");
  const signature = signRaw(pair, message);
  assert.ok(verifyRaw(message, signature, pair.publicKey));
  for (let bit = 0; bit < 8 * SIGNATURE_BYTES; bit++) {
    const flipped = signature.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(verifyRaw(message, flipped, pair.publicKey), false, `bit ${bit}`);
    if (bit % 16 === 0) assert.equal(reference(message, flipped, pair.publicKey), false, `bit ${bit}`);
  }
  assert.equal(verifyRaw(text("a messagf"), signature, pair.publicKey), false);
  for (const length of [0, 63, 65]) {
    assert.equal(verifyRaw(message, new Uint8Array(length), pair.publicKey), false);
  }
  for (const length of [0, 31, 33]) {
    assert.equal(verifyRaw(message, signature, new Uint8Array(length)), false);
  }
});

test("a public key of small order, not canonical, off the curve or of another length is refused", () => {
  for (const key of smallOrderEncodings()) assert.throws(() => checkPublicKey(key), corrupt, toHex(key));
  const odd = {
    "y = p + 2": toLE(P + 2n),
    "y = 2^255 - 1": toLE(2n ** 255n - 1n),
    "y = 2, off curve": toLE(2n),
  };
  for (const [name, key] of Object.entries(odd)) assert.throws(() => checkPublicKey(key), corrupt, name);
  for (const length of [0, 31, 33, 64]) assert.throws(() => checkPublicKey(new Uint8Array(length)), corrupt);
});

test("keys are reproducible from a seed, and more of them than are kept ready still verify", () => {
  const clock = new VirtualClock(5);
  assert.deepEqual(generateKeyPair(new VirtualClock(5)), generateKeyPair(clock));
  const message = text("m");
  const first = generateKeyPair(clock);
  const signature = signRaw(first, message);
  for (let i = 0; i < keysReadyMax + 2; i++) {
    const pair = generateKeyPair(clock);
    assert.ok(verifyRaw(message, signRaw(pair, message), pair.publicKey));
    assert.equal(verifyRaw(message, signature, pair.publicKey), false);
  }
  assert.ok(verifyRaw(message, signature, first.publicKey));
  assert.match(keyId(first.publicKey), /^[0-9a-f]{64}$/);
  assert.throws(() => keyPairFromSecret(new Uint8Array(31)), corrupt);
});
