// put_whole: what is stored is what was read, however it is read and whatever of it is there already. What it is cut into is
// cutter_content_test.ts's, and the way to a real store's thread content_server_test.ts's, in agent/.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { putWindowBytes } from "./limits.ts";
import { readFile } from "./manifest.ts";
import { putWhole } from "./put_whole.ts";
import { noise, withStore } from "./store_fixture.ts";
import type { SqliteStore } from "./store_sqlite.ts";

/** Reads `bytes` in pieces of these lengths, again and again. */
function filler(bytes: Uint8Array, lengths: number[]) {
  let at = 0, n = 0;
  return (into: Uint8Array) => {
    const piece = bytes.subarray(at, at + Math.min(into.length, lengths[n++ % lengths.length]!));
    into.set(piece);
    at += piece.length;
    return piece.length;
  };
}

async function needStored(
  store: SqliteStore,
  bytes: Uint8Array,
  lengths = [putWindowBytes],
): Promise<string> {
  const told: number[] = [];
  const { id, size, sha256 } = await putWhole(store, filler(bytes, lengths), (n) => told.push(n));
  assert.deepEqual([size, sha256], [bytes.length, createHash("sha256").update(bytes).digest("hex")]);
  const whole = createHash("sha256");
  for await (const piece of readFile(store, id)) whole.update(piece);
  assert.equal(whole.digest("hex"), sha256);
  assert.deepEqual(told, told.toSorted((a, b) => a - b), "progress only goes on");
  return id;
}

for (const compress of [false, true]) {
  test(
    `files of many windows, read in whatever pieces, in a store that has nothing or some of it${
      compress ? ", and compresses" : ""
    }`,
    () => manyWindows(compress),
  );
}

async function manyWindows(compress: boolean): Promise<void> {
  await withStore(async (store) => {
    const bytes = noise(1, 5 * putWindowBytes + 12_345);
    const id = await needStored(store, bytes);
    assert.equal(await needStored(store, bytes, [1, 70_000, 3]), id);
    const other = bytes.slice();
    for (let at = 100_000; at < other.length; at += putWindowBytes / 2) other.fill(at & 0xff, at, at + 1000);
    await needStored(store, other, [1_000_003]);
    for (const length of [0, 1, putWindowBytes, putWindowBytes + 1]) {
      await needStored(store, noise(2, length));
    }
  }, { compress });
}

test("what gc has marked, and drops while a file is put that has it, is written again", async () => {
  await withStore(async (store) => {
    const bytes = noise(3, 3 * putWindowBytes);
    await needStored(store, bytes);
    // One of three objects is gone, one is marked, and dropped at the first write that follows.
    store.db.write((tx) => {
      tx.run("DELETE FROM object WHERE n % 3 = 0");
      tx.run("UPDATE object SET dead = 1 WHERE n % 3 = 1");
    });
    const { write } = store.db;
    let isDropped = false;
    store.db.write = function <T>(this: typeof store.db, fn: Parameters<typeof write<T>>[0]): T {
      if (!isDropped) {
        isDropped = true;
        write.call(store.db, (tx) => void tx.run("DELETE FROM object WHERE dead = 1"));
      }
      return write.call(store.db, fn as never) as T;
    };
    await needStored(store, bytes);
    assert.ok(isDropped);
  });
});

test("a store that is slow to write finds the bytes that it was given", async () => {
  await withStore(async (store) => {
    const slow: SqliteStore = Object.create(store, {
      putKeyed: {
        value: async (...args: Parameters<SqliteStore["putKeyed"]>) => {
          await new Promise((resolve) => setTimeout(resolve, 100));
          return await store.putKeyed(...args);
        },
      },
    });
    const bytes = noise(4, 4 * putWindowBytes);
    const { id, sha256 } = await putWhole(slow, filler(bytes, [putWindowBytes]));
    const whole = createHash("sha256");
    for await (const piece of readFile(store, id)) whole.update(piece);
    assert.equal(whole.digest("hex"), sha256);
  });
});

test("a read that fails ends it with that fault, and leaves nothing under way", async () => {
  await withStore(async (store) => {
    let reads = 0;
    const fill = (into: Uint8Array) => {
      if (++reads > 3) throw new Error("the disk is gone");
      into.set(noise(reads, into.length));
      return into.length;
    };
    await assert.rejects(() => putWhole(store, fill), /the disk is gone/);
    await needStored(store, noise(9, 100_000));
  });
});
