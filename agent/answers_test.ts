// answers: a keeper's answers that are longer than a message, handed out in parts: to who asked, whole, and for a while only.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, encode, Fault, VirtualClock } from "../mq/mod.ts";
import { faultOf } from "../tests/world.ts";
import { Answers, whole } from "./answers.ts";
import { answersMax, stageIdleMs, stagePartBytesMax } from "./limits.ts";

const NONCE = new Uint8Array(16);
const LONG = { votes: Array.from({ length: 30_000 }, (_, i) => new Uint8Array(150).fill(i)) } as Cbor;

test("an answer that fits is sent as it is; a longer one comes in parts and is the same", async () => {
  const answers = new Answers(new VirtualClock(1));
  const short = { votes: [new Uint8Array(150)] };
  assert.equal(answers.fit("hosta", NONCE, short), short);
  assert.equal(await whole(short, () => Promise.reject(new Error("nothing more is asked for"))), short);
  const first = answers.fit("hosta", NONCE, LONG);
  assert.ok(encode(first).length < 100);
  const offsets: number[] = [];
  const all = await whole(first, (offset) => {
    offsets.push(offset);
    return Promise.resolve(answers.part("hosta", NONCE, offset));
  });
  assert.deepEqual(encode(all), encode(LONG));
  assert.deepEqual(offsets, [0, 1, 2, 3, 4].map((i) => i * stagePartBytesMax));
  await assert.rejects(async () => await answers.part("hosta", NONCE, 0), /does not keep that answer/);
});

test("nobody else gets it; it is forgotten after a while, and when there are many", async () => {
  const clock = new VirtualClock(1);
  const answers = new Answers(clock);
  const isKept = (from: string, nonce: Uint8Array) => {
    try {
      return (answers.part(from, nonce, 0) as { part: Uint8Array }).part.length === stagePartBytesMax;
    } catch (e) {
      assert.equal(Fault.from("test", e).kind, "gone");
      return false;
    }
  };
  answers.fit("hosta", NONCE, LONG);
  assert.deepEqual([isKept("hosta", NONCE), isKept("hostb", NONCE)], [true, false]);
  await clock.advance(stageIdleMs + 1);
  assert.equal(isKept("hosta", NONCE), false);
  const nonces = Array.from({ length: answersMax + 1 }, (_, i) => new Uint8Array(16).fill(i));
  for (const nonce of nonces) answers.fit("hosta", nonce, LONG);
  assert.deepEqual(nonces.map((nonce) => isKept("hosta", nonce)), [
    false,
    ...nonces.slice(1).map(() => true),
  ]);
});

test("parts that are missing, too long, empty or changed are not taken for the answer", async () => {
  const answers = new Answers(new VirtualClock(1));
  const first = answers.fit("hosta", NONCE, LONG) as { long: { bytes: number; sha256: Uint8Array } };
  const partOf = (offset: number) => (answers.part("hosta", NONCE, offset) as { part: Uint8Array }).part;
  const bad: [Cbor, (offset: number) => Cbor][] = [
    [first, () => null],
    [first, () => ({ part: new Uint8Array(0) })],
    [first, () => ({ part: new Uint8Array(first.long.bytes + 1) })],
    [first, (offset) => ({ part: partOf(offset).with(7, 1) })],
    [{ long: { ...first.long, sha256: new Uint8Array(32) } }, (offset) => ({ part: partOf(offset) })],
    [{ long: { ...first.long, bytes: 2 ** 40 } }, () => ({ part: new Uint8Array(9) })],
    [{ long: { ...first.long, bytes: -1 } }, () => ({ part: new Uint8Array(9) })],
    [{ long: 7 }, () => ({ part: new Uint8Array(9) })],
  ];
  for (const [answer, more] of bad) {
    answers.fit("hosta", NONCE, LONG);
    const fault = await faultOf(() => whole(answer, (offset) => Promise.resolve(more(offset))));
    assert.equal(fault.kind, "corrupt");
  }
});
