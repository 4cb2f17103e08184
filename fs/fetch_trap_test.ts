// fetch, when a root is a trap, and when this host has no room: what is refused, and that nothing is left behind.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encode, Fault, fromHex } from "../mq/mod.ts";
import { faultOf, putShared, shareFile, TestNet, world } from "./fetch_fixture.ts";
import { type Id, MemoryStore } from "./store.ts";
import { encodeNode } from "./tree.ts";

test("more than the quota is refused before it is fetched; the disk keeps its reserve", async () => {
  const { net, b, hosts, root, ids } = await world({}, ["a"], 100, 10_000);
  const tib = encode({
    v: 1,
    size: 2 ** 40,
    level: 1,
    sha256: new Uint8Array(32),
    parts: Array.from({ length: 128 }, (_, i) => [new Uint8Array(32).fill(i), 2 ** 33]),
  });
  const [huge] = await putShared(hosts.a!.store, [tib]);
  for (const id of [huge!, root]) {
    hosts.a!.asked.clear();
    const { fault, ms } = await faultOf(net, b.fetcher.fetch([id], { bytesMax: 999_999 }));
    assert.equal(fault.kind, "refused");
    assert.deepEqual([...hosts.a!.asked.keys()], [id]);
    assert.ok(ms < 1000);
  }
  const other = await shareFile(hosts.a!.store, 50, 11_000);
  const both = b.fetcher.fetch([root, other.id], { bytesMax: 1_000_000 });
  assert.equal((await faultOf(net, both)).fault.kind, "refused");
  assert.ok((await b.store.missing(ids)).length > 0);
  await net.outcome(b.fetcher.fetch([root], { bytesMax: 1_000_000 }));
  let free = 1_500_000;
  const names = ["full", "a2"];
  const small = new TestNet(names);
  const full = await small.host("full", { freeBytes: () => free, reserveBytes: 1_000_000 });
  const a2 = await small.host("a2");
  const file = await shareFile(a2.store, 100, 10_000);
  const { fault } = await faultOf(small, full.fetcher.fetch([file.id]));
  assert.deepEqual([fault.kind, a2.asked.size], ["environment", 1]);
  free = 2_020_000;
  await small.outcome(full.fetcher.fetch([file.id]));
});

test("structure that is larger than it looked: the disk keeps its reserve", async () => {
  const net = new TestNet(["a", "b"]);
  const a = await net.host("a");
  const meta = { mode: 0o755, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
  const leaves = Array.from({ length: 100 }, (_, i) => {
    const xattrs: [Uint8Array, Uint8Array][] = [[new Uint8Array([1]), new Uint8Array(60_000).fill(i)]];
    return encodeNode({ kind: "dir", ...meta, xattrs, entries: [] });
  });
  const ids = await putShared(a.store, leaves);
  const entries = ids.map((id, i): [Uint8Array, Id] => [new Uint8Array([1, i < 46 ? i + 1 : i + 2]), id]);
  const [root] = await putShared(a.store, [encodeNode({ kind: "dir", ...meta, entries })]);
  const store = new MemoryStore();
  const used = () => [...store.objects.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  const freeBytes = () => 3_000_000 - used();
  const b = await net.host("b", { store, freeBytes, reserveBytes: 1_000_000 });
  assert.equal((await faultOf(net, b.fetcher.fetch([root!]))).fault.kind, "environment");
  assert.ok(freeBytes() >= 1_000_000);
});

test("a store that cannot keep what came: every fetch is told, and a later one goes on", async () => {
  const { net, hosts, root, ids } = await world({}, ["a"]);
  const store = new MemoryStore();
  const b = await net.host("b", { store });
  const { putShared } = store;
  store.putShared = () =>
    Promise.reject(new Fault("put", "environment", "ENOSPC", { hint: "isconf doctor" }));
  const both = await net.outcome(Promise.allSettled([b.fetcher.fetch([root]), b.fetcher.fetch([root])]));
  for (const each of both.value) assert.match(`${(each as PromiseRejectedResult).reason}`, /ENOSPC/);
  store.putShared = putShared;
  await net.outcome(b.fetcher.fetch([root]));
  assert.deepEqual(await store.missing(ids), []);
  assert.ok(hosts.a!.asked.size > 0);
});

test("a tree that names itself again and again is looked at once", async () => {
  const net = new TestNet(["a", "b"]);
  const [a, b] = [await net.host("a"), await net.host("b")];
  const meta = { mode: 0o755, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
  let [id] = await putShared(a.store, [encodeNode({ kind: "dir", ...meta, entries: [] })]);
  for (let depth = 0; depth < 60; depth++) {
    const entries = ["x", "y"].map((name): [Uint8Array, string] => [new TextEncoder().encode(name), id!]);
    [id] = await putShared(a.store, [encodeNode({ kind: "dir", ...meta, entries })]);
  }
  await net.outcome(b.fetcher.fetch([id!]));
  await net.outcome(b.fetcher.fetch([id!]));
  assert.equal(b.store.objects.size, 61);
});

test("a root too deep, and one that is no root, are refused and end the fetch", async () => {
  const net = new TestNet(["a", "b"]);
  const [a, b] = [await net.host("a"), await net.host("b")];
  const meta = { mode: 0o755, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
  let [id] = await putShared(a.store, [encodeNode({ kind: "dir", ...meta, entries: [] })]);
  for (let depth = 0; depth < 600; depth++) {
    const entries: [Uint8Array, string][] = [[new Uint8Array([0x78]), id!]];
    [id] = await putShared(a.store, [encodeNode({ kind: "dir", ...meta, entries })]);
  }
  assert.equal((await faultOf(net, b.fetcher.fetch([id!]))).fault.kind, "refused");
  const roots = await putShared(a.store, [
    new Uint8Array([0xff]),
    encode({ v: 1, size: 5, level: 0, sha256: new Uint8Array(32), parts: [[new Uint8Array(32), 6]] }),
    encode({ v: 1, size: 5, level: 9, sha256: new Uint8Array(32), parts: [[new Uint8Array(32), 5]] }),
  ]);
  for (const root of roots) {
    const { fault, ms } = await faultOf(net, b.fetcher.fetch([root]));
    assert.equal(fault.kind, "corrupt");
    assert.ok(ms < 1000);
  }
  const lies = encode({
    v: 1,
    size: 9,
    level: 1,
    sha256: new Uint8Array(32),
    parts: [[fromHex(roots[1]!), 9]],
  });
  const [liesAboutPart] = await putShared(a.store, [lies]);
  assert.equal((await faultOf(net, b.fetcher.fetch([liesAboutPart!]))).fault.kind, "corrupt");
});
