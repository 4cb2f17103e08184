// The contract of Store: what every implementation promises. Not a test file by itself; each store's test calls it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Store } from "../../fs/mod.ts";
import { batchBytesMax, batchIdsMax, objectBytesMax } from "../../fs/mod.ts";

/** A store to be tried, how to damage or count what it holds from outside, and how to end it. */
export interface StoreUnderTest {
  store: Store;
  /** Flips one bit of a stored object. */
  flip(id: string): void;
  /** Grows whenever something is written. */
  writes(): number;
  /** The same content as seen by somebody who opens it anew. */
  reopen(): Store;
  close(): void;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const hex = (b: Uint8Array) => createHash("sha256").update(b).digest("hex");

/** Runs the contract on what `make` makes, anew for each promise. */
export function storeContract(name: string, make: () => StoreUnderTest): void {
  const promise = (title: string, fn: (t: StoreUnderTest) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      const t = make();
      try {
        await fn(t);
      } finally {
        t.close();
      }
    });

  promise("an id is the SHA-256, and get gives the same bytes in the order asked", async ({ store }) => {
    const objects = [bytes("a"), bytes(""), bytes("b"), new Uint8Array([0, 255])];
    const ids = await store.put(objects);
    assert.deepEqual(ids, objects.map(hex));
    const order = [3, 1, 0, 2, 3];
    const got = await store.get(order.map((i) => ids[i]!));
    assert.deepEqual(got, order.map((i) => objects[i]!));
  });

  promise("no ids, no objects: nothing", async ({ store }) => {
    assert.deepEqual(await store.put([]), []);
    assert.deepEqual(await store.get([]), []);
    assert.deepEqual(await store.missing([]), []);
  });

  promise("a repeated put writes nothing, also within one batch", async ({ store, writes }) => {
    const [a] = await store.put([bytes("a"), bytes("a")]);
    const before = writes();
    assert.deepEqual(await store.put([bytes("a")]), [a]);
    assert.equal(writes(), before);
  });

  promise("missing names what is not here, in order", async ({ store }) => {
    const [a] = await store.put([bytes("a")]);
    const [x, y] = [hex(bytes("x")), hex(bytes("y"))];
    assert.deepEqual(await store.missing([y, a!, x]), [y, x]);
  });

  promise("get of what is not here is notFound and names it", async ({ store }) => {
    const x = hex(bytes("x"));
    await assert.rejects(
      store.get([x]),
      (e: Error & { kind: string }) => e.kind === "notFound" && e.message.includes(x),
    );
  });

  promise("a flipped bit is corrupt and names the object", async ({ store, flip }) => {
    const [a, b] = await store.put([bytes("aaaa"), bytes("b")]);
    flip(a!);
    await assert.rejects(
      store.get([b!, a!]),
      (e: Error & { kind: string }) => e.kind === "corrupt" && e.message.includes(a!),
    );
    assert.deepEqual(await store.get([b!]), [bytes("b")]);
  });

  promise("what was put is there for the next one who opens it", async ({ store, reopen }) => {
    const [a] = await store.put([bytes("a")]);
    assert.deepEqual(await reopen().get([a!]), [bytes("a")]);
  });

  promise("the store keeps its own bytes: neither giver nor taker can change them", async ({ store }) => {
    const mine = bytes("mine");
    const [id] = await store.put([mine]);
    mine[0] = 0;
    (await store.get([id!]))[0]!.fill(0);
    assert.deepEqual(await store.get([id!]), [bytes("mine")]);
  });

  promise(
    "too large an object, batch or list of ids, and what is no id, are refused and nothing is kept",
    async ({ store, writes }) => {
      const before = writes();
      const usage = { name: "Fault", kind: "usage" };
      await assert.rejects(store.put([bytes("a"), new Uint8Array(objectBytesMax + 1)]), usage);
      const part = objectBytesMax;
      const batch = Array.from({ length: batchBytesMax / part + 1 }, (_, i) => new Uint8Array(part).fill(i));
      await assert.rejects(store.put(batch), usage);
      await assert.rejects(store.missing(new Array(batchIdsMax + 1).fill(hex(bytes("a")))), usage);
      await assert.rejects(store.get(["../../etc/passwd"]), usage);
      await assert.rejects(store.get([hex(bytes("a")).toUpperCase()]), usage);
      assert.equal(writes(), before);
      const ids = await store.put(batch.slice(1));
      const [first] = await store.put(batch.slice(0, 1));
      await assert.rejects(store.get([first!, ...ids]), usage);
      assert.equal((await store.get(ids)).length, ids.length);
    },
  );
}
