// compress: what is kept compressed is the same object as what is not, for everybody but the disk.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compressed, decompressed } from "./compress.ts";
import { fsck } from "./fsck.ts";
import { compressBytesMin, objectBytesMax } from "./limits.ts";
import { CODEC } from "./record.ts";
import { idOf } from "./store.ts";
import { flipObject, idsIn, noise, withStore } from "./store_fixture.ts";
import { openStoreDatabase } from "./store_db.ts";
import { rowOf, SqliteStore } from "./store_sqlite.ts";

const text = (length: number) =>
  new TextEncoder().encode("all work and no play ".repeat(length / 20 + 1)).slice(0, length);
/** Short and long, of one byte, of words, of noise, and of noise with something to be saved in its middle. */
const objects = [
  new Uint8Array(0),
  text(compressBytesMin - 1),
  text(compressBytesMin),
  text(objectBytesMax),
  new Uint8Array(objectBytesMax),
  noise(1, 300),
  noise(2, objectBytesMax),
  Uint8Array.from([...noise(3, 20_000), ...new Uint8Array(60_000), ...noise(4, 20_000)]),
];

test("what is put compressed comes back as it was; noise and short objects stand as they are", async () => {
  await withStore(async (store) => {
    const ids = await store.put(objects);
    assert.deepEqual(ids, objects.map(idOf));
    assert.deepEqual(await store.get(ids), objects);
    const { raw, zstd } = CODEC;
    const rows = store.db.read((r) => ids.map((id) => rowOf(r, id)!));
    assert.deepEqual(rows.map(({ codec }) => codec), [raw, raw, zstd, zstd, zstd, raw, raw, zstd]);
    assert.deepEqual(rows.map(({ size }) => size), objects.map(({ length }) => length));
    assert.ok(
      rows.every(({ codec, stored, size }) => codec === raw ? stored === size : stored < size * 15 / 16),
    );
    const { damaged, objects: count } = await fsck(store, () => [], { look: "bytes" });
    assert.deepEqual([damaged, count], [[], objects.length]);
    assert.deepEqual(await store.read(ids.slice(0, 4), objectBytesMax * 2), objects.slice(0, 4));
  }, { compress: true });
});

test("with and without: the same ids, and what one has put the other has", async () => {
  await withStore(async (plain, dir) => {
    const db = openStoreDatabase(`${dir}/store.db`);
    const small = new SqliteStore(db, { compress: true });
    const half = await plain.put(objects.slice(0, 4));
    const ids = await small.put(objects);
    assert.deepEqual(ids.slice(0, 4), half);
    assert.deepEqual(await plain.put(objects), ids);
    assert.equal(idsIn(plain).length, objects.length);
    assert.deepEqual(await plain.get(ids), objects);
    assert.deepEqual(await small.get(ids), objects);
    db.close();
  });
});

test("peers get the object's bytes, and never damaged ones", async () => {
  await withStore(async (store) => {
    const [a, b] = [text(5000), new Uint8Array(6000)];
    assert.deepEqual(await store.putShared(new Map([[idOf(a), a], [idOf(b), b]])), []);
    assert.deepEqual(await store.shared.get([idOf(a), idOf(b)], 11_000), [a, b]);
    assert.equal((await store.shared.get([idOf(a), idOf(b)], 10_999)).length, 1);
    flipObject(store, idOf(a));
    assert.deepEqual(await store.shared.get([idOf(a), idOf(b)], 11_000), [undefined, b]);
    await assert.rejects(store.get([idOf(a)]), { kind: "corrupt" });
    assert.deepEqual((await fsck(store, () => [], { look: "bytes" })).damaged, [idOf(a)]);
  }, { compress: true });
});

test("what does not come out as long as it should be comes out as nothing", async () => {
  const small = (await compressed(text(5000)))!;
  assert.deepEqual(decompressed(small, 5000), text(5000));
  for (const size of [0, 4999, 5001, 2 ** 50]) assert.equal(decompressed(small, size), undefined);
  assert.equal(decompressed(noise(1, 100), 100), undefined);
  assert.equal(decompressed(new Uint8Array(0), 100), undefined);
});
