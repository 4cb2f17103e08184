// manifest: round trips of every size, ranges, memory, and manifests that lie.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { encode, fromHex } from "../mq/mod.ts";
import type { Cutter } from "./cutter.ts";
import { fixedCutter } from "./cutter.ts";
import { inlineBytesMax, manifestLevelMax, manifestPartsMax } from "./limits.ts";
import { putFile, readFile, readManifest } from "./manifest.ts";
import type { Store } from "./store.ts";
import { MemoryStore } from "./store.ts";

/** `size` bytes that differ from place to place. */
function some(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 2654435761) >>> 13;
  return bytes;
}

async function* from(...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield await Promise.resolve(piece);
}

async function all(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

const corrupt = { name: "Fault", kind: "corrupt" };

test("files of every awkward size come back, and their sha256 is what sha256sum prints", async () => {
  const store = new MemoryStore();
  const cutter = fixedCutter(8192);
  for (const size of [0, 1, inlineBytesMax, inlineBytesMax + 1, 8191, 8192, 8193, 100_000]) {
    const bytes = some(size);
    const ref = await putFile(store, from(bytes.subarray(0, size >> 1), bytes.subarray(size >> 1)), cutter);
    assert.deepEqual([ref.size, ref.sha256], [size, createHash("sha256").update(bytes).digest("hex")]);
    assert.deepEqual(await all(readFile(store, ref.id)), bytes, `size ${size}`);
  }
});

test("the same bytes give the same id, however they arrive; a small file is one object", async () => {
  const store = new MemoryStore();
  const bytes = some(20_000);
  const cutter = fixedCutter(4096);
  const a = await putFile(store, from(bytes), cutter);
  const b = await putFile(
    store,
    from(...Array.from({ length: 2000 }, (_, i) => bytes.subarray(i * 10, i * 10 + 10))),
    cutter,
  );
  assert.deepEqual(a, b);
  const before = store.objects.size;
  await putFile(store, from(some(1024)));
  assert.equal(store.objects.size, before + 1);
});

test("any range is the slice of the whole, and fetches only what it needs", async () => {
  const memory = new MemoryStore();
  const bytes = some(50_000);
  const { id } = await putFile(memory, from(bytes), fixedCutter(1000));
  let asked = 0;
  const store: Store = {
    missing: (ids) => memory.missing(ids),
    put: (objects) => memory.put(objects),
    get: (ids) => (asked += ids.length, memory.get(ids)),
  };
  for (
    const [offset, length] of [[0, 1], [999, 2], [1000, 1000], [12_345, 6789], [49_999, 1], [49_999, 50], [
      50_000,
      1,
    ], [7, 0]]
  ) {
    const got = await all(readFile(store, id, { offset: offset!, length: length! }));
    assert.deepEqual(got, bytes.slice(offset!, offset! + length!), `${offset}+${length}`);
  }
  assert.deepEqual(await all(readFile(store, id, { offset: 40_000 })), bytes.slice(40_000));
  asked = 0;
  await all(readFile(store, id, { offset: 30_500, length: 10 }));
  assert.equal(asked, 2);
  await assert.rejects(all(readFile(store, id, { offset: -1 })), { kind: "usage" });
});

test("more parts than one manifest holds become manifests of manifests", async () => {
  const store = new MemoryStore();
  const bytes = some(2 * manifestPartsMax + 5);
  const single: Cutter = fixedCutter(1);
  for (const [size, level] of [[manifestPartsMax, 0], [manifestPartsMax + 1, 1], [bytes.length, 1]]) {
    const { id } = await putFile(store, from(bytes.subarray(0, size!)), single);
    assert.equal((await readManifest(store, id)).level, level);
    assert.deepEqual(await all(readFile(store, id)), bytes.subarray(0, size!));
    const range = { offset: manifestPartsMax - 3, length: 6 };
    assert.deepEqual(
      await all(readFile(store, id, range)),
      bytes.subarray(0, size!).slice(range.offset, range.offset + 6),
    );
  }
});

test("memory stays bounded while a file of 200 MiB goes in and out", async () => {
  const MiB = 1024 * 1024;
  const piece = some(MiB);
  const memory = new MemoryStore();
  let largest = 0;
  const store: Store = {
    missing: (ids) => memory.missing(ids),
    put(list) {
      largest = Math.max(largest, list.reduce((n, o) => n + o.length, 0));
      return memory.put(list);
    },
    get: (ids) => memory.get(ids),
  };
  async function* source() {
    for (let i = 0; i < 200; i++) yield await Promise.resolve(piece);
  }
  const { id, size } = await putFile(store, source());
  assert.equal(size, 200 * MiB);
  assert.ok(largest <= 4 * MiB, `a batch of ${largest} bytes`);
  assert.ok(memory.objects.size < 40, `the same bytes are kept ${memory.objects.size} times`);
  let read = 0;
  for await (const p of readFile(store, id)) read += p.length;
  assert.equal(read, size);
});

test("content first, pointer last: the manifest is put after everything it names", async () => {
  const memory = new MemoryStore();
  const order: number[] = [];
  const store: Store = {
    missing: (ids) => memory.missing(ids),
    put: (list) => (order.push(list.length), memory.put(list)),
    get: (ids) => memory.get(ids),
  };
  await putFile(store, from(some(10_000)), fixedCutter(5000));
  assert.deepEqual(order, [2, 1]);
  const failing: Store = { ...store, put: () => Promise.reject(new Error("disk full")) };
  await assert.rejects(putFile(failing, from(some(10_000))), /disk full/);
});

test("manifests that lie are corrupt", async () => {
  const store = new MemoryStore();
  const hash = new Uint8Array(createHash("sha256").update("abc").digest());
  const chunk = fromHex((await store.put([new TextEncoder().encode("abc")]))[0]!);
  const data = new TextEncoder().encode("abc");
  const good = { v: 1, size: 3, level: 0, sha256: hash, parts: [[chunk, 3]] };
  const put = async (value: Parameters<typeof encode>[0]) => (await store.put([encode(value)]))[0]!;
  assert.equal((await all(readFile(store, await put(good)))).length, 3);
  const { sha256: _, ...part } = good;
  const sub = fromHex(await put(part));
  assert.equal((await all(readFile(store, await put({ ...good, level: 1, parts: [[sub, 3]] })))).length, 3);
  const lies: [string, Parameters<typeof encode>[0]][] = [
    ["size too large", { ...good, size: 4 }],
    ["lengths that do not add up", { ...good, parts: [[chunk, 2]] }],
    ["length and size both wrong", { ...good, size: 2, parts: [[chunk, 2]] }],
    ["a length of zero", { ...good, parts: [[chunk, 3], [chunk, 0]] }],
    ["a negative length", { ...good, parts: [[chunk, 4], [chunk, -1]] }],
    ["a petabyte in one chunk", { ...good, size: 2 ** 50, parts: [[chunk, 2 ** 50]] }],
    ["level bomb", { ...good, level: manifestLevelMax + 1 }],
    ["a level that is not there", { ...good, level: 1 }],
    ["a level skipped", { ...good, level: 2, parts: [[sub, 3]] }],
    ["a sub-manifest of another size", { ...good, size: 4, level: 1, parts: [[sub, 4]] }],
    ["another whole hash", { ...good, sha256: chunk.map((b) => b ^ 1) }],
    ["no whole hash", part],
    ["version 2", { ...good, v: 2 }],
    ["an unknown field", { ...good, x: 1 }],
    ["inline and parts", { ...good, data }],
    ["inline of another size", { v: 1, size: 4, level: 0, sha256: hash, data }],
    ["inline with another hash", { v: 1, size: 3, level: 0, sha256: chunk.map((b) => b ^ 1), data }],
    ["a list", [1]],
    ["a text", "abc"],
  ];
  for (const [what, value] of lies) {
    const id = await put(value);
    await assert.rejects(all(readFile(store, id)), corrupt, what);
  }
});
