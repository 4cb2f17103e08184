// The contract of Store: what every implementation promises. Not a test file by itself; each store's test calls it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { FileRef, SharingStore, Store } from "../../fs/mod.ts";
import {
  batchBytesMax,
  batchIdsMax,
  fixedCutter,
  objectBytesMax,
  objectsOf,
  putFile,
  readManifest,
} from "../../fs/mod.ts";

/** A store to be tried, how to damage or count what it holds from outside, and how to end it. */
export interface StoreUnderTest {
  store: SharingStore;
  /** Removes objects. */
  drop(ids: string[]): void;
  /** Flips one bit of a stored object. */
  flip(id: string): void;
  /** Grows whenever something is written. */
  writes(): number;
  /** The same content as seen by somebody who opens it anew. */
  reopen(): SharingStore;
  close(): void;
}

const bytes = (text: string) => new TextEncoder().encode(text);
/** A file of many small chunks, stored. */
async function manyChunks(store: Store, count: number): Promise<FileRef> {
  const content = Uint32Array.from({ length: 2 * Math.max(count, 1000) }, (_, i) => i);
  async function* source() {
    yield await Promise.resolve(new Uint8Array(content.buffer, 0, 8 * count));
  }
  return await putFile(store, source(), fixedCutter(8));
}

const hex = (b: Uint8Array) => createHash("sha256").update(b).digest("hex");
const named = (...texts: string[]) => new Map(texts.map((text) => [hex(bytes(text)), bytes(text)]));

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

  promise(
    "what was only put is not there for peers: they are answered as about what nobody ever had",
    async ({ store, reopen }) => {
      const [mine] = await store.put([bytes("mine")]);
      const never = hex(bytes("never"));
      for (const { shared } of [store, reopen()]) {
        assert.deepEqual(await shared.have([mine!, never]), []);
        assert.deepEqual(await shared.get([mine!, never], 100), [undefined, undefined]);
      }
    },
  );

  promise("what came from peers is shared, also when it was here before, and stays so", async (t) => {
    const { store } = t;
    const [a] = await store.put([bytes("a")]);
    assert.deepEqual(await store.putShared(named("b", "a")), []);
    await store.put([bytes("b"), bytes("c")]);
    const asked = [hex(bytes("c")), a!, hex(bytes("b"))];
    for (const { shared } of [store, t.reopen()]) {
      assert.deepEqual(await shared.have(asked), asked.slice(1));
      assert.deepEqual(await shared.get(asked, 100), [undefined, bytes("a"), bytes("b")]);
    }
    const before = t.writes();
    await store.putShared(named("a"));
    assert.equal(t.writes(), before);
  });

  promise("what does not match the id under which it came is named, and not kept", async ({ store }) => {
    const [a, b] = [hex(bytes("a")), hex(bytes("b"))];
    assert.deepEqual(await store.putShared(new Map([[a, bytes("b")], [b, bytes("b")]])), [a]);
    assert.deepEqual(await store.missing([a, b]), [a]);
    assert.deepEqual(await store.putShared(new Map([[a, bytes("c")]])), [a]);
    assert.deepEqual(await store.missing([a, hex(bytes("c"))]), [a, hex(bytes("c"))]);
    await assert.rejects(store.putShared(new Map([[a, new Uint8Array(objectBytesMax + 1)]])), {
      kind: "usage",
    });
  });

  promise(
    "share gives everything that a root needs, and nothing else; again it writes nothing",
    async (t) => {
      const { store } = t;
      const file = await manyChunks(store, 10_000);
      const [other] = await store.put([bytes("other")]);
      const ids: string[] = [];
      for await (const id of objectsOf(store, file.id)) ids.push(id);
      await store.share(file.id);
      for (const { shared } of [store, t.reopen()]) {
        for (let i = 0; i < ids.length; i += batchIdsMax) {
          const some = ids.slice(i, i + batchIdsMax);
          assert.deepEqual(await shared.have(some), some);
        }
        assert.deepEqual(await shared.have([other!]), []);
      }
      const before = t.writes();
      await store.share(file.id);
      await t.reopen().share(file.id);
      assert.equal(t.writes(), before);
    },
  );

  promise("a share that was broken off is finished by the next one", async ({ store, drop }) => {
    const file = await manyChunks(store, 10_000);
    const [first, second] = (await readManifest(store, file.id)).parts.map(([id]) => id);
    const ids: string[] = [];
    for await (const id of objectsOf(store, second!)) ids.push(id);
    const [manifest] = await store.get([second!]);
    drop([second!]);
    await assert.rejects(store.share(file.id), { name: "Fault", kind: "notFound" });
    assert.deepEqual(await store.shared.have([first!, ...ids]), [first]);
    await store.put([manifest!]);
    await store.share(file.id);
    assert.deepEqual(await store.shared.have([first!, ...ids]), [first, ...ids]);
  });

  promise("a root of which a chunk is not here is not taken for done", async ({ store, drop }) => {
    const file = await manyChunks(store, 1000);
    const [chunk] = (await readManifest(store, file.id)).parts.at(-1)!;
    const [content] = await store.get([chunk]);
    drop([chunk]);
    await store.share(file.id);
    await store.put([content!]);
    assert.deepEqual(await store.shared.have([file.id, chunk]), [file.id]);
    await store.share(file.id);
    assert.deepEqual(await store.shared.have([file.id, chunk]), [file.id, chunk]);
  });

  promise(
    "what is dropped while its root is being shared is shared when it has come back",
    async ({ store, drop }) => {
      const file = await manyChunks(store, 10_000);
      const ids: string[] = [];
      for await (const id of objectsOf(store, file.id)) ids.push(id);
      const chunk = ids.at(-1)!;
      const [content] = await store.get([chunk]);
      const sharing = store.share(file.id);
      for (let isMarked = false; !isMarked;) {
        await new Promise((resolve) => setImmediate(resolve));
        isMarked = (await store.shared.have([chunk])).length > 0;
      }
      drop([chunk]);
      await sharing;
      await store.put([content!]);
      await store.share(file.id);
      assert.deepEqual(await store.shared.have([chunk]), [chunk]);
    },
  );

  promise("what was dropped is not shared when it comes back, until it is shared again", async (t) => {
    const file = await manyChunks(t.store, 1000);
    const [manifest] = await t.store.get([file.id]);
    await t.store.share(file.id);
    t.drop([file.id]);
    assert.deepEqual(await t.store.shared.get([file.id], 100), [undefined]);
    await t.store.put([manifest!]);
    assert.deepEqual(await t.store.shared.have([file.id]), []);
    await t.store.share(file.id);
    assert.deepEqual(await t.store.shared.have([file.id]), [file.id]);
  });

  promise(
    "peers get as many objects as fit, one at least, and never a damaged one",
    async ({ store, flip }) => {
      await store.putShared(named("aaaa", "bbbb", "cccc"));
      const [a, b, c] = ["aaaa", "bbbb", "cccc"].map((text) => hex(bytes(text)));
      const counts = [0, 4, 7, 8, 11, 12];
      const got = await Promise.all(counts.map((max) => store.shared.get([a!, b!, c!], max)));
      assert.deepEqual(got.map((list) => list.length), [1, 1, 1, 2, 2, 3]);
      const never = hex(bytes("never"));
      assert.deepEqual(await store.shared.get([never, a!, never, b!], 4), [
        undefined,
        bytes("aaaa"),
        undefined,
      ]);
      flip(b!);
      assert.deepEqual(await store.shared.get([a!, b!, c!], 12), [bytes("aaaa"), undefined, bytes("cccc")]);
      (await store.shared.get([a!], 4))[0]!.fill(0);
      assert.deepEqual(await store.shared.get([a!], 4), [bytes("aaaa")]);
    },
  );

  promise("too many ids, and what is no id, are refused to peers as well", async ({ store: { shared } }) => {
    const usage = { name: "Fault", kind: "usage" };
    const tooMany = new Array(batchIdsMax + 1).fill(hex(bytes("a")));
    await assert.rejects(shared.have(tooMany), usage);
    await assert.rejects(shared.get(tooMany, 1), usage);
    await assert.rejects(shared.have(["x"]), usage);
    await assert.rejects(shared.get(["x"], 1), usage);
  });
}
