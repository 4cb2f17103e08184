// fsck: finds what is wrong with a store, wherever it is, and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { flipObject, withStore } from "./store_fixture.ts";
import { fsck } from "./fsck.ts";

test("every flipped object is found, and only those; drop and put mend them", async () => {
  await withStore(async (store) => {
    const objects = Array.from({ length: 300 }, (_, i) => new Uint8Array([i, i >> 8, 7]));
    const ids = await store.put(objects);
    const damaged = async () => (await fsck(store, [], { look: "bytes" })).damaged;
    assert.deepEqual(await damaged(), []);
    const bad = [ids[0]!, ids[150]!, ids[299]!];
    bad.forEach((id) => flipObject(store, id));
    assert.deepEqual(await damaged(), bad);
    store.drop(bad);
    assert.deepEqual(await store.missing(ids), bad);
    await store.put(objects);
    assert.deepEqual(await damaged(), []);
  });
});
