// fetch, when peers lie, withhold, die or dawdle, and when links lose and garble.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cbor } from "../mq/mod.ts";
import { faultOf, idsOf, shareFile, type Tamper, TestNet, uplink, world } from "./fetch_fixture.ts";
import { fetchPatienceMs } from "./limits.ts";
import { GET } from "./questions.ts";
import { idOf, MemoryStore } from "./store.ts";

const never = new Promise<never>(() => {});

/** The honest answers to `isfs/get`, changed. */
function gets(change: (objects: Cbor[]) => Promise<Cbor> | Cbor): Tamper {
  return async (method, _value, honest) => method === GET ? await change(await honest() as Cbor[]) : honest();
}

const flipped = gets((objects) =>
  objects.map((bytes) =>
    bytes instanceof Uint8Array ? bytes.map((byte, i) => i === 0 ? byte ^ 1 : byte) : null
  )
);

test("a peer that lies: nothing of it is kept, the others are asked, it is named once and never asked again", async () => {
  const { net, b, hosts, root, ids } = await world({ liar: flipped }, ["c"]);
  await net.outcome(b.fetcher.fetch([root]));
  assert.deepEqual(await b.store.missing(ids), []);
  assert.ok([...b.store.objects].every(([id, bytes]) => idOf(bytes) === id));
  assert.equal(b.store.objects.size, ids.length);
  assert.equal(b.log.filter((line) => line.includes("liar sent wrong bytes")).length, 1);
  b.store.drop(ids);
  hosts.liar!.asked.clear();
  await net.outcome(b.fetcher.fetch([root]));
  assert.equal(hosts.liar!.asked.size, 0);
});

test("only liars: nothing is kept, and the fault says who they are", async () => {
  const { net, b, root } = await world({ x: flipped, y: flipped });
  const { fault } = await faultOf(net, b.fetcher.fetch([root]));
  assert.equal(fault.kind, "notFound");
  assert.match(fault.message, /hostx \(sent wrong bytes\), hosty \(sent wrong bytes\)/);
  assert.equal(b.store.objects.size, 0);
});

test("a peer that says it has and gives nothing: the others are asked", async () => {
  const { net, b, root, ids } = await world({ a: gets((objects) => objects.map(() => null)) }, ["c"]);
  const { ms } = await net.outcome(b.fetcher.fetch([root]));
  assert.deepEqual(await b.store.missing(ids), []);
  assert.ok(ms < 2000, `${ms}`);
});

test("a peer that does not answer: the others are asked; alone it costs a bounded time", async () => {
  const mute: Tamper = () => never;
  const { net, b, root, ids } = await world({ a: mute }, ["c"]);
  const { ms } = await net.outcome(b.fetcher.fetch([root]));
  assert.deepEqual(await b.store.missing(ids), []);
  assert.ok(ms < 2000, `${ms}`);
  const alone = await world({ a: mute });
  const ended = await faultOf(alone.net, alone.b.fetcher.fetch([alone.root]));
  assert.match(ended.fault.message, /hosta \(did not answer\)/);
  assert.ok(ended.ms <= 2 * fetchPatienceMs, `${ended.ms}`);
});

test("a peer that withholds one object of all", async () => {
  const withhold = (id: string): Tamper =>
    gets((objects) =>
      objects.map((bytes) => bytes instanceof Uint8Array && idOf(bytes) === id ? null : bytes)
    );
  const { ids } = await world({}, ["a"]);
  const missing = ids.at(-1)!;
  const two = await world({ a: withhold(missing) }, ["c"]);
  await two.net.outcome(two.b.fetcher.fetch([two.root]));
  assert.deepEqual(await two.b.store.missing(ids), []);
  const one = await world({ a: withhold(missing) });
  const { fault, ms } = await faultOf(one.net, one.b.fetcher.fetch([one.root]));
  assert.ok(fault.message.startsWith(`object ${missing}: nobody has it; asked hosta (does not have it)`));
  assert.ok(ms < 2 * fetchPatienceMs, `${ms}`);
  assert.deepEqual(await one.b.store.missing(ids), [missing]);
});

test("answers that are none: the peer is not understood, the others are asked", async () => {
  const nonsense: Cbor[] = [
    null,
    7,
    [],
    ["text"],
    [[]],
    [new Uint8Array(1 << 20), 1],
    new Array(200).fill(null),
  ];
  for (const answer of nonsense) {
    const { net, b, root, ids } = await world({ a: gets(() => answer) }, ["c"], 20);
    await net.outcome(b.fetcher.fetch([root]));
    assert.deepEqual(await b.store.missing(ids), []);
  }
  const liesAboutHaving: Tamper = (method, _value, honest) =>
    method === GET ? honest() : Promise.resolve([new Uint8Array(32)]);
  const { net, b, root } = await world({ a: gets(() => []), b2: liesAboutHaving });
  const { fault } = await faultOf(net, b.fetcher.fetch([root]));
  assert.match(fault.message, /hosta \(was not understood\)/);
  assert.match(fault.message, /hostb2 \(was not understood\)/);
});

test("a peer dies in the middle: the others give the rest; all die: a fault that names them, what came is kept", async () => {
  const { net, b, hosts, root, ids } = await world({}, ["a", "c"], 200, 100_000);
  await net.outcome(b.fetcher.fetch([root], { progress: () => void hosts.a!.stop() }));
  assert.deepEqual(await b.store.missing(ids), []);
  const all = await world({}, ["a", "c"], 200, 100_000);
  const stopAll = () => Object.values(all.hosts).forEach((host) => void host.stop());
  const { fault, ms } = await faultOf(all.net, all.b.fetcher.fetch([all.root], { progress: stopAll }));
  assert.match(
    fault.message,
    /nobody has it; asked host[ac] \(is not reachable\), host[ac] \(is not reachable\)/,
  );
  assert.ok(ms < 2 * fetchPatienceMs, `${ms}`);
  const missing = await all.b.store.missing(ids);
  assert.ok(missing.length > 0 && missing.length < ids.length);
  assert.equal(all.net.clock.pending, 0);
});

test("one answer a minute: what it was asked for is asked of another; alone it is given up in bounded time", async () => {
  const minute = (net: TestNet): Tamper => uplink(net.clock, 10_000 / 60_000);
  const names = ["b", "slow", "c"];
  const net = new TestNet(names);
  const b = await net.host("b"),
    slow = await net.host("slow", { tamper: minute(net) }),
    c = await net.host("c");
  const { id } = await shareFile(slow.store, 50, 10_000);
  await shareFile(c.store, 50, 10_000);
  const { ms } = await net.outcome(b.fetcher.fetch([id]));
  assert.ok(ms < 5000, `${ms}`);
  const lonely = new TestNet(["b", "slow"]);
  const b2 = await lonely.host("b"), slow2 = await lonely.host("slow", { tamper: minute(lonely) });
  const file = await shareFile(slow2.store, 50, 10_000);
  const { fault, ms: took } = await faultOf(lonely, b2.fetcher.fetch([file.id]));
  assert.match(fault.message, /slow \(did not answer\)/);
  assert.ok(took < 60_000, `${took}`);
});

test("a fast and a slow peer: the slow one does not hold up the end", async () => {
  const net = new TestNet(["b", "slow", "fast"]);
  const b = await net.host("b");
  const slow = await net.host("slow", { tamper: uplink(net.clock, 100) });
  const fast = await net.host("fast", { tamper: uplink(net.clock, 10_000) });
  const { id, size } = await shareFile(slow.store, 100, 500_000);
  await shareFile(fast.store, 100, 500_000);
  const { value, ms } = await net.outcome(b.fetcher.fetch([id]));
  assert.ok(ms < 1.4 * size / 10_000, `${ms} ms, the fast one alone takes ${size / 10_000}`);
  assert.ok(value.peers.get("fast")! > 10 * (value.peers.get("slow") ?? 0));
});

test("an object that nobody has, and nobody to ask: a fault in bounded time", async () => {
  const { net, b } = await world({}, ["a", "c"]);
  const id = idOf(new Uint8Array([1, 2, 3]));
  const { fault, ms } = await faultOf(net, b.fetcher.fetch([id]));
  assert.deepEqual([fault.op, fault.kind, fault.hint], ["fetch", "notFound", "isconf status"]);
  assert.equal(
    fault.message,
    `object ${id}: nobody has it; asked hosta (does not have it), hostc (does not have it)`,
  );
  assert.ok(ms >= fetchPatienceMs && ms < 1.2 * fetchPatienceMs, `${ms}`);
  const alone = await world({});
  const ended = await faultOf(alone.net, alone.b.fetcher.fetch([id]));
  assert.match(ended.fault.message, /no other host is known to ask/);
});

test("somebody who comes later is asked", async () => {
  const net = new TestNet(["b", "late"]);
  const b = await net.host("b");
  const store = new MemoryStore();
  const { id } = await shareFile(store, 10);
  net.clock.after(5000, () => void net.host("late", { store }));
  await net.outcome(b.fetcher.fetch([id]));
});

test("a crash at any batch: a new fetcher on the same store asks only for the rest", async () => {
  const { net, hosts, root, ids } = await world({}, ["a"], 120, 100_000);
  const store = new MemoryStore();
  for (let crashes = 0;; crashes++) {
    const b = await net.host("b", { store });
    const missing = new Set(await store.missing(ids));
    hosts.a!.asked.clear();
    const crash = new AbortController();
    let isDone = false;
    await net.outcome(
      b.fetcher.fetch([root], { progress: () => crash.abort(), signal: crash.signal }).then(
        () => isDone = true,
        () => undefined,
      ),
    );
    await b.stop();
    assert.ok(new Set(hosts.a!.asked.keys()).isSubsetOf(missing), "what was here was asked for again");
    if (isDone) break;
    assert.ok(crashes < 20);
  }
  assert.deepEqual(await store.missing(ids), []);
});

test("broken off by its caller, or not done in time: told at once, and nothing is left running", async () => {
  const { net, b, root } = await world({ a: () => never });
  const { fault, ms } = await faultOf(net, b.fetcher.fetch([root], { timeoutMs: 700 }));
  assert.equal(fault.kind, "gone");
  assert.ok(ms >= 700 && ms < 710);
  assert.equal(
    (await faultOf(net, b.fetcher.fetch([root], { signal: AbortSignal.abort() }))).fault.kind,
    "gone",
  );
  await net.clock.advance(60_000);
  assert.equal(net.clock.pending, 0);
});

test("messages lost, doubled, out of order and garbled: what is kept is right, and it comes", async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const net = new TestNet(["b", "a", "c", "d"], seed);
    const b = await net.host("b");
    const others = [await net.host("a"), await net.host("c"), await net.host("d")];
    let root = "";
    for (const { store } of others) root = (await shareFile(store, 300, 2_000)).id;
    for (const { name } of others) {
      const link = { loss: 0.05, duplicate: 0.1, reorder: 0.3, jitterMs: 20, latencyMs: 5 };
      net.network.setLink("b", name, link);
      net.network.setLink(name, "b", link);
    }
    net.network.setLink("a", "b", { corrupt: 0.3 });
    await net.outcome(b.fetcher.fetch([root]));
    const ids = await idsOf(others[0]!.store, root);
    assert.deepEqual(await b.store.missing(ids), []);
    assert.ok([...b.store.objects].every(([id, bytes]) => idOf(bytes) === id));
    assert.equal(b.store.objects.size, ids.length);
  }
});
