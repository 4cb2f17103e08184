// serve: what a peer is answered, and that every answer fits into one message.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, encode, fromHex, messageBytesMax, type PeerId } from "../mq/mod.ts";
import { getIdsMax, haveIdsMax, objectBytesMax } from "./limits.ts";
import { GET, HAVE } from "./questions.ts";
import { serveObjects } from "./serve.ts";
import { idOf, MemoryStore } from "./store.ts";

/** The answers of a host with a store; `ask` calls them as a peer would. */
function served() {
  const store = new MemoryStore();
  const answers = new Map<string, (from: PeerId, value: Cbor) => Promise<Cbor>>();
  serveObjects({ answer: (method, fn) => void answers.set(method, fn) }, store.shared);
  const share = async (...objects: Uint8Array[]) => {
    const ids = objects.map(idOf);
    await store.putShared(new Map(ids.map((id, i) => [id, objects[i]!])));
    return ids.map(fromHex);
  };
  return { store, share, ask: (method: string, value: Cbor) => answers.get(method)!("peer", value) };
}

test("what is shared is there and is given, in the order asked; what is not is not there", async () => {
  const { store, share, ask } = served();
  const [a, b] = await share(new Uint8Array([1]), new Uint8Array([2]));
  const [mine] = (await store.put([new Uint8Array([3])])).map(fromHex);
  const never = new Uint8Array(32);
  assert.deepEqual(await ask(HAVE, [b!, mine!, never, a!]), [b, a]);
  assert.deepEqual(await ask(GET, [b!, mine!, never, a!]), [
    new Uint8Array([2]),
    null,
    null,
    new Uint8Array([1]),
  ]);
  assert.deepEqual(await ask(HAVE, []), []);
  assert.deepEqual(await ask(GET, []), []);
});

test("an answer has as many objects as fit, one at least, and always fits into a message", async () => {
  const { share, ask } = served();
  const large = await share(...[1, 2, 3].map((i) => new Uint8Array(objectBytesMax).fill(i)));
  const half = await share(...[4, 5, 6].map((i) => new Uint8Array(objectBytesMax / 2).fill(i)));
  const counts = await Promise.all([large, half].map(async (ids) => (await ask(GET, ids) as Cbor[]).length));
  assert.deepEqual(counts, [1, 2]);
  const small = await share(
    ...Array.from(
      { length: getIdsMax },
      (_, i) => new Uint8Array(Math.floor(objectBytesMax / getIdsMax)).fill(i),
    ),
  );
  const answers = [await ask(GET, large), await ask(GET, small), await ask(HAVE, small)];
  assert.equal((answers[1] as Cbor[]).length, getIdsMax);
  for (const answer of answers) {
    assert.ok(encode([1, 2, new Uint8Array(16), answer]).length <= messageBytesMax);
  }
  const ids = new Array(haveIdsMax).fill(large[0]!);
  assert.ok(encode([1, 2, new Uint8Array(16), await ask(HAVE, ids)]).length <= messageBytesMax);
});

test("a malformed question is a usage fault", async () => {
  const { ask } = served();
  const id = new Uint8Array(32);
  const bad: Cbor[] = [null, 1, "x", {}, id, [1], ["x"], [[id]], [new Uint8Array(31)], [new Uint8Array(33)], [
    null,
  ]];
  for (const value of bad) {
    for (const method of [HAVE, GET]) {
      await assert.rejects(ask(method, value), { name: "Fault", kind: "usage" });
    }
  }
  await assert.rejects(ask(HAVE, new Array(haveIdsMax + 1).fill(id)), { kind: "usage" });
  await assert.rejects(ask(GET, new Array(getIdsMax + 1).fill(id)), { kind: "usage" });
  await ask(HAVE, new Array(haveIdsMax).fill(id));
  await ask(GET, new Array(getIdsMax).fill(id));
});
