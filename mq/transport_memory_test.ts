// Transport in memory: the contract, and each of its faults: that it happens, and happens again from the same seed.
import { test } from "node:test";
import assert from "node:assert/strict";
import { transportContract } from "../tests/contract/transport.ts";
import { VirtualClock } from "./clock.ts";
import type { Transport } from "./transport.ts";
import type { Link, MemoryNetworkOptions } from "./transport_memory.ts";
import { MemoryNetwork } from "./transport_memory.ts";

transportContract("memory", () => {
  const clock = new VirtualClock(1);
  const network = new MemoryNetwork(clock);
  const made: Transport[] = [];
  return Promise.resolve({
    make(name) {
      const transport = network.attach(name);
      made.push(transport);
      return Promise.resolve(transport);
    },
    async until(condition) {
      for (let i = 0; i < 1000 && !condition(); i++) await clock.advance(1);
      assert.ok(condition(), "it does not come to hold");
    },
    settle: () => clock.advance(1000),
    stall(from, to) {
      network.setLink(from.self, to.self, { stalled: true });
      return () => network.setLink(from.self, to.self, { stalled: false });
    },
    async end() {
      for (const transport of made) await transport.stop();
      await clock.advance(1000);
    },
  });
});

/** Two peers, 1,000 numbered messages from a to b over `link`; what b hears, as text. */
async function run(link: Partial<Link>, seed = 1, opts: MemoryNetworkOptions = {}) {
  const clock = new VirtualClock(seed);
  const network = new MemoryNetwork(clock, opts);
  const [a, b] = [network.attach("a"), network.attach("b")];
  await a.start();
  await b.start();
  network.setLink("a", "b", link);
  const heard: { text: string; atMs: number }[] = [];
  b.onMessage((_, bytes) => heard.push({ text: new TextDecoder().decode(bytes), atMs: clock.now() }));
  for (let i = 0; i < 1000; i++) {
    a.send("b", new TextEncoder().encode(`message ${i}`));
    await clock.advance(1);
  }
  await clock.advance(10_000);
  return heard;
}

const sent = Array.from({ length: 1000 }, (_, i) => `message ${i}`);
const texts = (heard: { text: string }[]) => heard.map((h) => h.text);

test("a perfect link keeps order and takes its latency", async () => {
  const heard = await run({ latencyMs: 25 });
  assert.deepEqual(texts(heard), sent);
  assert.ok(heard.every(({ atMs }, i) => atMs === i + 25));
});

test("jitter delays and keeps order", async () => {
  const heard = await run({ jitterMs: 50 });
  assert.deepEqual(texts(heard), sent);
  assert.ok(heard.some(({ atMs }, i) => atMs > i + 20));
});

test("loss loses, duplicates double, reordering reorders, corruption flips one bit", async () => {
  const lost = texts(await run({ loss: 0.3 }));
  assert.ok(lost.length > 600 && lost.length < 800, `${lost.length}`);
  assert.deepEqual(lost, sent.filter((text) => lost.includes(text)));

  const doubled = texts(await run({ duplicate: 0.3 }));
  assert.ok(doubled.length > 1200 && doubled.length < 1400, `${doubled.length}`);
  assert.deepEqual([...new Set(doubled)], sent);

  const reordered = texts(await run({ reorder: 0.3 }));
  assert.notDeepEqual(reordered, sent);
  assert.deepEqual(reordered.toSorted(), sent.toSorted());

  const corrupted = texts(await run({ corrupt: 0.3 }));
  assert.equal(corrupted.length, 1000);
  const bad = corrupted.filter((text, i) => text !== sent[i]).length;
  assert.ok(bad > 200 && bad < 400, `${bad}`);
});

test("the same seed gives the same run, another seed another", async () => {
  const link = { jitterMs: 20, loss: 0.1, duplicate: 0.1, reorder: 0.1, corrupt: 0.1 };
  assert.deepEqual(await run(link, 7), await run(link, 7));
  assert.notDeepEqual(await run(link, 7), await run(link, 8));
});

async function three() {
  const clock = new VirtualClock(1);
  const network = new MemoryNetwork(clock);
  const all = ["a", "b", "c"].map((name) => network.attach(name));
  const heard: string[] = [];
  for (const t of all) {
    t.onMessage((from) => heard.push(`${from}→${t.self}`));
    t.onPeer((peer, up) => heard.push(`${t.self}: ${peer} ${up ? "up" : "down"}`));
    await t.start();
  }
  await clock.advance(10);
  heard.length = 0;
  const everyoneSends = async () => {
    heard.length = 0;
    for (const from of all) for (const to of all) from.send(to.self, new Uint8Array(1));
    await clock.advance(10);
    return heard.toSorted();
  };
  return { clock, network, all, heard, everyoneSends };
}

test("a partition disconnects both ways, takes what was on its way, and heals", async () => {
  const { clock, network, all, heard, everyoneSends } = await three();
  const [a, b] = all as [Transport, Transport];
  a.send("c", new Uint8Array(1));
  network.partition([["a", "b"], ["c"]]);
  assert.deepEqual(a.peers(), ["b"]);
  assert.equal(a.send("c", new Uint8Array(1)), false);
  await clock.advance(10);
  assert.deepEqual(heard.toSorted(), ["a: c down", "b: c down", "c: a down", "c: b down"]);
  assert.deepEqual(await everyoneSends(), ["a→b", "b→a"]);
  network.partition([["a"]]);
  assert.deepEqual([a.peers(), b.peers()], [[], []]);
  network.heal();
  await clock.advance(10);
  assert.equal((await everyoneSends()).length, 6);
});

test("a connection that was lost and came back does not deliver what was sent before", async () => {
  const { clock, network, all, heard } = await three();
  network.setLink("a", "c", { latencyMs: 5 });
  all[0]!.send("c", new Uint8Array(1));
  network.partition([["a", "b"], ["c"]]);
  network.heal();
  await clock.advance(10);
  assert.deepEqual(heard.filter((h) => h.includes("→")), []);
});

test("who stops before it is told of a peer is not told any more", async () => {
  const clock = new VirtualClock(1);
  const network = new MemoryNetwork(clock);
  const [a, b] = [network.attach("a"), network.attach("b")];
  b.onPeer(() => assert.fail("told after stop"));
  await a.start();
  await b.start();
  await b.stop();
  await clock.advance(10);
});

test("a cut in one direction is silent; in both it disconnects", async () => {
  const { clock, network, all, heard, everyoneSends } = await three();
  network.setLink("a", "b", { cut: true });
  assert.deepEqual(all[0]!.peers(), ["b", "c"]);
  assert.deepEqual(await everyoneSends(), ["a→c", "b→a", "b→c", "c→a", "c→b"]);
  heard.length = 0;
  network.setLink("b", "a", { cut: true });
  await clock.advance(10);
  assert.deepEqual(heard.toSorted(), ["a: b down", "b: a down"]);
  network.heal();
  await clock.advance(10);
  assert.equal((await everyoneSends()).length, 6);
});

test("a peer replaced under its name goes down and up, and its former self is mute", async () => {
  const { clock, network, all, heard } = await three();
  const again = network.attach("c");
  await again.start();
  await clock.advance(10);
  assert.deepEqual(heard.filter((h) => h.startsWith("a")), ["a: c down", "a: c up"]);
  assert.equal(all[2]!.send("a", new Uint8Array(1)), false);
  await all[2]!.stop();
  assert.deepEqual(again.peers(), ["a", "b"]);
});

test("the queue to a peer is bounded in bytes while they are under way", async () => {
  const clock = new VirtualClock(1);
  const network = new MemoryNetwork(clock, { queueBytesPerPeerMax: 100, link: { latencyMs: 50 } });
  const [a, b] = [network.attach("a"), network.attach("b")];
  await a.start();
  await b.start();
  assert.deepEqual([60, 40, 1].map((n) => a.send("b", new Uint8Array(n))), [true, true, false]);
  await clock.advance(50);
  assert.ok(a.send("b", new Uint8Array(100)));
});

test("who are no neighbours have no connection, and others come and go without them", async () => {
  const clock = new VirtualClock(1);
  const place = (peer: string) => "abcd".indexOf(peer);
  const network = new MemoryNetwork(clock, { neighbours: (a, b) => Math.abs(place(a) - place(b)) === 1 });
  const all = ["a", "b", "c", "d"].map((name) => network.attach(name)) as [
    Transport,
    Transport,
    Transport,
    Transport,
  ];
  for (const t of all) await t.start();
  const peers = () => all.map((t) => t.peers().toSorted().join(""));
  assert.deepEqual(peers(), ["b", "ac", "bd", "c"]);
  assert.equal(all[0].send("c", new Uint8Array(1)), false);
  network.partition([["a", "b", "d"], ["c"]]);
  assert.deepEqual(peers(), ["b", "a", "", ""]);
  network.heal();
  await all[1].stop();
  assert.deepEqual(peers(), ["", "", "d", "c"]);
  await all[1].start();
  assert.deepEqual(peers(), ["b", "ac", "bd", "c"]);
});
