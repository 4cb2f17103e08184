// tree_steps, tree_writer and kept: a tree that is told of is the tree that a capture makes; what is told wrongly is refused;
// what one job has put is shared at once, and nothing else.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { type Cbor, decode, encode, Fault } from "../mq/mod.ts";
import { capture, captureInto } from "./capture.ts";
import { sh, testIn, trySetXattr } from "./fixture.ts";
import { Kept } from "./kept.ts";
import { smallFileBytes, stepBytes, stepItemsMax, treeDepthMax } from "./limits.ts";
import { PutBatch } from "./put_batch.ts";
import { MemoryStore, type Store } from "./store.ts";
import { idsIn, idsOf, noise, putNoise, withStore } from "./store_fixture.ts";
import { StepSender, tellSteps } from "./tree_steps.ts";
import { TreeWriter } from "./tree_writer.ts";

const name = (text: string) => new TextEncoder().encode(text);
const meta = [0o644, 1, 2, [3, 4], null] as Cbor[];
const some = () => new TextEncoder().encode("some");

const writerOf = (store: Store = new MemoryStore()) => new TreeWriter(new PutBatch(store));

/** Sends what a walk tells as bytes, as over a socket, to a writer with a store of its own kind. */
async function throughWire(dir: string, tree: TreeWriter, store: Store): Promise<number> {
  let messages = 0;
  const sender = new StepSender(async (steps, bytes) => {
    messages++;
    const sent = decode(encode([steps, bytes]), { bytesMax: 8 * stepBytes }) as [Cbor, Cbor];
    await new Promise((resolve) => setTimeout(resolve, 1)); // meanwhile the walk goes on
    await tellSteps(tree, ...sent);
  });
  const batch = new PutBatch(store);
  await captureInto({ tree: sender, store: batch }, dir);
  await batch.flush();
  await sender.flush();
  return messages;
}

testIn(
  "a tree that is told of over a wire is the one that capture makes, with all its objects",
  async (dir) => {
    sh(
      dir,
      `mkdir -p t/a/b t/empty; printf one > t/a/one; ln t/a/one t/zwei; ln -s one t/a/link; : > t/zero
    head -c 300000 /dev/urandom > t/large; ln t/large t/a/large2; truncate -s 1M t/hole; printf x >> t/hole
    for i in $(seq 40); do head -c 100000 /dev/urandom > t/a/b/$i; done; printf y > $'t/\\xff\\n'`,
    );
    trySetXattr(join(dir, "t/zero"), "user.isconf", new Uint8Array(300).fill(9));
    const own = new MemoryStore(), far = new MemoryStore();
    const { id } = await capture(own, join(dir, "t"));
    const batch = new PutBatch(far);
    const tree = new TreeWriter(batch);
    assert.ok(await throughWire(join(dir, "t"), tree, far) > 3, "in several messages");
    assert.equal(await tree.finish(), id);
    await batch.flush();
    assert.deepEqual(await idsOf(far, id), await idsOf(own, id));
    assert.equal(tree.others?.size, 2, "the large file and the sparse one");
    for (const root of ["t/zero", "t/a/link", "t/large"]) {
      const alone = writerOf(far);
      await throughWire(join(dir, root), alone, far);
      assert.equal(await alone.finish(), (await capture(own, join(dir, root))).id, root);
    }
  },
);

test("what is told wrongly is refused, and no tree comes of it", async () => {
  const node = (kind: string, more: { [key: string]: Cbor }): Cbor => ({
    v: 1,
    kind,
    mode: 0o777,
    uid: 0,
    gid: 0,
    mtime: [0, 0],
    ...more,
  });
  const root: Cbor = [1, name(""), ...meta];
  const file = (text: string, length: Cbor = 4, hard: Cbor = null): Cbor => [
    2,
    name(text),
    ...meta,
    length,
    hard,
  ];
  const wrong: [what: string, steps: Cbor, bytes?: Cbor][] = [
    ["no list", 7],
    ["no step", [7]],
    ["an unknown step", [root, [4, name("a"), ...meta]]],
    ["a root with a name", [[1, name("r"), ...meta]]],
    ["a file as a root with a name", [file("f")], some()],
    ["two roots", [root, [0], file("")], some()],
    ["out of nothing", [[0]]],
    ["out of the root twice", [root, [0], [0]]],
    ["the same name twice", [root, file("a"), file("a")], new Uint8Array(8)],
    ["names out of order", [root, file("b"), file("a")], new Uint8Array(8)],
    ["out of order behind a directory", [root, [1, name("b"), ...meta], [0], file("a")], some()],
    ...["", ".", "..", "a/b", "a\0", "x".repeat(256)].map((text): [string, Cbor, Cbor] => [
      `the name ${JSON.stringify(text)}`,
      [root, file(text)],
      some(),
    ]),
    ["a name that is text", [root, [2, "a", ...meta, 4, null]], some()],
    ["more bytes than there are", [root, file("a", 5)], some()],
    ["fewer bytes than there are", [root, file("a", 3)], some()],
    ["a negative length", [root, file("a", -1)], some()],
    ["a length that is none", [root, file("a", null)], some()],
    ["too large a file", [root, file("a", smallFileBytes + 1)], new Uint8Array(smallFileBytes + 1)],
    ["bytes that are none", [root, file("a")], "some"],
    ["a negative number", [root, file("a", 4, -1)], some()],
    ["a wrong mode", [root, [2, name("a"), 0o10000, 1, 2, [3, 4], null, 4, null]], some()],
    ["a wrong time", [root, [2, name("a"), 0o644, 1, 2, [3], null, 4, null]], some()],
    ["wrong attributes", [root, [2, name("a"), 0o644, 1, 2, [3, 4], [[name("b")]], 4, null]], some()],
    ["a directory as a node", [root, [3, name("a"), node("dir", { entries: [] })]]],
    ["a link to nothing", [root, [3, name("a"), node("link", { target: new Uint8Array(0) })]]],
    ["a node that is none", [root, [3, name("a"), 7]]],
  ];
  const isFault = (e: unknown) => e instanceof Fault && ["corrupt", "refused"].includes(e.kind);
  for (const [what, steps, bytes = new Uint8Array(0)] of wrong) {
    await assert.rejects(tellSteps(writerOf(), steps, bytes), isFault, what);
  }
  const deep = writerOf();
  const down: Cbor[] = Array.from(
    { length: treeDepthMax + 2 },
    (_, i) => [1, name(i === 0 ? "" : "d"), ...meta],
  );
  await assert.rejects(tellSteps(deep, down, new Uint8Array(0)), isFault, "too deep");
  for (const steps of [[], [root], [root, file("a")]] as Cbor[][]) {
    const half = writerOf();
    await tellSteps(half, steps, steps.length === 2 ? some() : new Uint8Array(0));
    await assert.rejects(half.finish(), isFault, "an end in the middle");
  }
});

test("nodes with as many runs and attributes as there can be go into messages that are taken", async () => {
  const store = new MemoryStore();
  const writer = writerOf(store);
  const items: number[] = [];
  const sender = new StepSender((steps, bytes) => {
    items.push(steps.length);
    return tellSteps(writer, ...decode(encode([steps, bytes]), { bytesMax: 8 * stepBytes }) as [Cbor, Cbor]);
  });
  const own = { mode: 0o644, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
  const runs = Array.from({ length: 16_384 }, (_, i): [number, number] => [i * 10_000, 1]);
  const content = await putNoise(store, noise(1, 5000));
  await sender.dir(name(""), own);
  for (let i = 1000; i < 1030; i++) {
    await sender.node(name(`f${i}`), { kind: "file", ...own, size: 2e8, content, runs });
    for (let k = 0; k < 30; k++) await sender.file(name(`f${i}.${k + 10}`), own, some());
  }
  await sender.up();
  await sender.flush();
  assert.ok(items.length > 20 && Math.max(...items) < stepItemsMax);
  assert.equal(typeof await writer.finish(), "string");
  const value = new Uint8Array(60_000);
  const xattrs = Array.from(
    { length: 20 },
    (_, i): [Uint8Array, Uint8Array] => [name(`user.${10 + i}`), value],
  );
  assert.throws(() => sender.file(name("g"), { ...own, xattrs }, some()), { kind: "refused" });
});

testIn("what one job has put is shared at once, and nothing of what others put meanwhile", async (dir) => {
  sh(
    dir,
    `mkdir -p t/a; for i in $(seq 300); do echo $i > t/a/$i; done; head -c 300000 /dev/urandom > t/large`,
  );
  await withStore(async (store) => {
    const before = await putNoise(store, noise(1, 50_000));
    const kept = new Kept(store);
    const hold = await store.holds.hold();
    const batch = new PutBatch(kept);
    const tree = new TreeWriter(batch);
    await throughWire(join(dir, "t"), tree, store);
    await batch.flush();
    const between = await putNoise(store, noise(2, 50_000));
    const id = await tree.finish();
    await batch.flush();
    const shared = async () => await store.shared.have(idsIn(store));
    assert.deepEqual(await shared(), []);
    assert.ok(!store.isWhole(id));
    await kept.share(id, tree.others!);
    hold.release();
    assert.ok(store.isWhole(id));
    assert.deepEqual(await shared(), await idsOf(store, id));
    assert.ok(!store.isWhole(before) && !store.isWhole(between));
    const again = new Kept(store);
    assert.equal((await capture(again, join(dir, "t"))).id, id, "what is there already counts as put");
  });
});

testIn("where something was dropped since the job began, nothing is said to be whole", async (dir) => {
  sh(dir, "mkdir t; for i in $(seq 50); do echo $i > t/$i; done");
  await withStore(async (store) => {
    const kept = new Kept(store);
    const { id } = await capture(kept, join(dir, "t"));
    store.drop([(await idsOf(store, id)).find((other) => other !== id)!]);
    await kept.share(id, []);
    assert.ok(!store.isWhole(id));
    const other = new Kept(store);
    const { id: same } = await capture(other, join(dir, "t"));
    await other.share(same, ["0".repeat(64)]).then(
      () => assert.ok(!store.isWhole(same)),
      (e) => assert.equal(e.kind, "notFound", "one that somebody else should have put is not here"),
    );
    assert.ok(!store.isWhole(same));
    await other.share(same, []);
    assert.ok(store.isWhole(same));
  });
});
