// COSE_Sign1: the one form, the binding to a context, and that nothing else is accepted.
import { test } from "node:test";
import assert from "node:assert/strict";
import { bytesEqual, concat, fromHex, toHex } from "./bytes.ts";
import type { Cbor } from "./cbor.ts";
import { decode, encode } from "./cbor.ts";
import { VirtualClock } from "./clock.ts";
import { generateKeyPair, keyId, keyPairFromSecret, signRaw, verifyRaw } from "./ed25519.ts";
import { Fault } from "./fault.ts";
import { sha256 } from "./hash.ts";
import type { SignContext } from "./sign.ts";
import { open1, sign1, verify1 } from "./sign.ts";

const corrupt = (e: unknown) => e instanceof Fault && e.kind === "corrupt";
const clock = new VirtualClock(9052);
const pair = generateKeyPair(clock);
const payload = encode({ message: "hello", seq: 1 });
const context: SignContext = { type: "isconf/entry/1", domain: new Uint8Array(32).fill(1), branch: "web" };
const message = sign1(pair, context, payload);

test("golden bytes: the form of a signed message does not change", () => {
  const fixed = keyPairFromSecret(new Uint8Array(32).fill(7));
  const kid = keyId(fixed.publicKey);
  const out = sign1(fixed, context, fromHex("a0"));
  const header = `a201270458${"20"}${kid}`;
  const signed = "84" + "6a5369676e617475726531" + "5826" + header + // "Signature1", protected header
    "5836" + "83" + "6e6973636f6e662f656e7472792f31" + "5820" + "01".repeat(32) + "63776562" + // context
    "41a0"; // payload
  const signature = toHex(signRaw(fixed, fromHex(signed)));
  assert.equal(toHex(out), "84" + "5826" + header + "a0" + "41a0" + "5840" + signature);
});

test("a message opens to its payload byte for byte, names its key, and verifies", () => {
  const opened = open1(message);
  assert.deepEqual(opened.payload, payload);
  assert.equal(opened.kid, keyId(pair.publicKey));
  assert.deepEqual(verify1(message, context, pair.publicKey), payload);
  const any = clock.random(70_000);
  assert.deepEqual(verify1(sign1(pair, context, any), context, pair.publicKey), any);
});

test("a signature copied to another type, domain or branch is refused", () => {
  const others: SignContext[] = [
    { ...context, type: "isconf/vote/1" },
    { ...context, domain: new Uint8Array(32).fill(2) },
    { ...context, domain: new Uint8Array(0) },
    { ...context, branch: "db" },
    { ...context, branch: "" },
    { ...context, type: "isconf/entry/1web", branch: "" },
  ];
  for (const other of others) assert.throws(() => verify1(message, other, pair.publicKey), corrupt);
});

test("another key is refused, also when the message claims its id", () => {
  const other = generateKeyPair(clock);
  assert.throws(() => verify1(message, context, other.publicKey), corrupt);
  const { payload, signature } = open1(message);
  const forged = encode([
    concat(fromHex("a20127045820"), sha256(other.publicKey)),
    {},
    payload,
    signature,
  ]);
  assert.throws(() => verify1(forged, context, other.publicKey), corrupt);
});

test("a message that names another key than it was signed with is refused", () => {
  const header = concat(fromHex("a20127045820"), sha256(generateKeyPair(clock).publicKey));
  const aad = encode([context.type, context.domain, context.branch]);
  const signature = signRaw(pair, encode(["Signature1", header, aad, payload]));
  assert.throws(() => verify1(encode([header, {}, payload, signature]), context, pair.publicKey), corrupt);
});

test("a raw signature of the payload is no signed message, and the other way round", () => {
  const raw = signRaw(pair, payload);
  const { signature } = open1(message);
  assert.equal(verifyRaw(payload, signature, pair.publicKey), false);
  const [header] = decode(message) as Cbor[];
  assert.throws(() => verify1(encode([header!, {}, payload, raw]), context, pair.publicKey), corrupt);
});

test("every other form is refused: one message, one encoding", () => {
  const [header, , body, signature] = decode(message) as Uint8Array[];
  const kid = sha256(pair.publicKey);
  const protect = (value: Cbor) => encode(value);
  const map = (...pairs: [number, Cbor][]) => protect(new Map(pairs));
  const forms: Record<string, Cbor> = {
    "three parts": [header!, {}, body!],
    "five parts": [header!, {}, body!, signature!, 0],
    "a map": { header: header! },
    "detached payload": [header!, {}, null, signature!],
    "payload that is text": [header!, {}, "text", signature!],
    "unprotected header with a key id": [header!, new Map([[4, kid]]), body!, signature!],
    "unprotected header as array": [header!, [], body!, signature!],
    "unprotected header as bytes": [header!, fromHex("a0"), body!, signature!],
    "no protected header": [new Uint8Array(0), {}, body!, signature!],
    "no algorithm": [map([4, kid]), {}, body!, signature!],
    "no key id": [map([1, -8]), {}, body!, signature!],
    "another algorithm": [map([1, -7], [4, kid]), {}, body!, signature!],
    "short key id": [map([1, -8], [4, kid.subarray(0, 31)]), {}, body!, signature!],
    "one more header": [map([1, -8], [4, kid], [5, 0]), {}, body!, signature!],
    "short signature": [header!, {}, body!, signature!.subarray(0, 63)],
    "long signature": [header!, {}, body!, concat(signature!, Uint8Array.of(0))],
  };
  for (const [name, form] of Object.entries(forms)) {
    assert.throws(() => open1(encode(form)), corrupt, name);
    assert.throws(() => verify1(encode(form), context, pair.publicKey), corrupt, name);
  }
  assert.throws(() => open1(concat(fromHex("d2"), message)), corrupt, "tag 18");
  assert.throws(() => open1(concat(message, Uint8Array.of(0))), corrupt, "trailing byte");
  assert.throws(() => open1(new Uint8Array(0)), corrupt, "nothing");
});

test("no single flipped bit of a message verifies", () => {
  for (let bit = 0; bit < 8 * message.length; bit++) {
    const flipped = message.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.ok(!bytesEqual(flipped, message));
    assert.throws(() => verify1(flipped, context, pair.publicKey), corrupt, `bit ${bit}`);
  }
});
