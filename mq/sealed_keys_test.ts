// sealed_keys.ts: a host's keys as X25519 keys, held against node:crypto's X25519 and libsodium's conversion.
import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from "node:crypto";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { bech32 } from "@scure/base";
import { fromHex, toHex } from "./bytes.ts";
import { VirtualClock } from "./clock.ts";
import { generateKeyPair, keyPairFromSecret } from "./ed25519.ts";
import { Fault } from "./fault.ts";
import { identityOf, recipientOf } from "./sealed_keys.ts";

const raw = (text: string) => bech32.decodeToBytes(text).bytes;

function privateKey(scalar: Uint8Array): KeyObject {
  const key = Buffer.from("302e020100300506032b656e04220420" + toHex(scalar), "hex");
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

function publicKey(u: Uint8Array): KeyObject {
  const key = Buffer.from("302a300506032b656e032100" + toHex(u), "hex");
  return createPublicKey({ key, format: "der", type: "spki" });
}

test("the recipient is the public half of the identity, by node:crypto's X25519", () => {
  const clock = new VirtualClock(1);
  for (let i = 0; i < 200; i++) {
    const pair = generateKeyPair(clock);
    const spki = createPublicKey(privateKey(raw(identityOf(pair)))).export({ format: "der", type: "spki" });
    assert.equal(toHex(raw(recipientOf(pair.publicKey))), toHex(spki.subarray(-32)));
  }
});

test("two hosts have one shared secret, by node:crypto's X25519", () => {
  const clock = new VirtualClock(2);
  const [a, b] = [generateKeyPair(clock), generateKeyPair(clock)];
  const shared = (own: typeof a, other: typeof a) =>
    toHex(diffieHellman({
      privateKey: privateKey(raw(identityOf(own))),
      publicKey: publicKey(raw(recipientOf(other.publicKey))),
    }));
  assert.equal(shared(a, b), shared(b, a));
});

test("the conversion is libsodium's (test/default/ed25519_convert)", () => {
  const seed = "421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee";
  const pair = keyPairFromSecret(fromHex(seed));
  assert.equal(
    toHex(raw(recipientOf(pair.publicKey))),
    "f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50",
  );
  assert.equal(
    toHex(raw(identityOf(pair))),
    "8052030376d47112be7f73ed7a019293dd12ad910b654455798b4667d73de166",
  );
});

test("identities are clamped, and both have the form of age", () => {
  const clock = new VirtualClock(3);
  for (let i = 0; i < 32; i++) {
    const pair = generateKeyPair(clock), identity = identityOf(pair), scalar = raw(identity);
    assert.equal(scalar[0]! & 7, 0);
    assert.equal(scalar[31]! >> 6, 1);
    assert.match(identity, /^AGE-SECRET-KEY-1[A-Z0-9]{58}$/);
    assert.match(recipientOf(pair.publicKey), /^age1[a-z0-9]{58}$/);
  }
});

test("a point of small order, not canonical, off the curve or of another length is no recipient", () => {
  const wrong = [
    "01" + "00".repeat(31), // the identity, where the map divides by zero
    "00".repeat(32),
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "ed" + "ff".repeat(30) + "7f", // y = p
    "02" + "00".repeat(31), // off the curve
    "",
    "58" + "66".repeat(30),
  ];
  for (const hex of wrong) {
    assert.throws(() => recipientOf(fromHex(hex)), (e) => e instanceof Fault && e.kind === "corrupt", hex);
  }
});

test("a seed of another length is no identity", () => {
  const pair = { publicKey: new Uint8Array(32), secretKey: new Uint8Array(31) };
  assert.throws(() => identityOf(pair), (e) => e instanceof Fault && e.kind === "corrupt");
});
