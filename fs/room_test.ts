// room: a store keeps to its quota and leaves the disk what it is told, and gc makes room again.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { statfsSync } from "node:fs";
import { test } from "node:test";
import { gc } from "./gc.ts";
import { idOf } from "./store.ts";
import { withStore } from "./store_fixture.ts";

const MiB = 1 << 20;
const some = () => new Uint8Array(randomBytes(MiB));

test("more than the quota is refused and changes nothing; what is there already is no more; gc makes room", async () => {
  await withStore(async (store) => {
    store.packs.room.limits = { quotaBytes: 3 * MiB, reserveBytes: 0 };
    const first = some();
    await store.put([first, some()]);
    const late = some();
    await assert.rejects(store.put([late, some()]), { kind: "refused", message: /quota of 3145728 bytes/ });
    assert.deepEqual(await store.missing([idOf(late)]), [idOf(late)]);
    await store.put([first]);
    await gc(store, () => Promise.resolve([]));
    await store.put([late, some()]);
    assert.deepEqual(await store.missing([idOf(late)]), []);
  });
});

test("what is to stay free of the disk stays free", async () => {
  await withStore(async (store, dir) => {
    const { bavail, bsize } = statfsSync(dir);
    store.packs.room.limits = { quotaBytes: Infinity, reserveBytes: 2 * bavail * bsize };
    await assert.rejects(store.put([some()]), { kind: "environment", message: /stays free/ });
    store.packs.room.limits = { quotaBytes: Infinity, reserveBytes: 0 };
    await store.put([some()]);
  });
});
