// finder: the finders that need no DHT, under the one contract, and how several of them are joined.
import assert from "node:assert/strict";
import { test } from "node:test";
import { finderContract, type FinderWorld } from "../tests/contract/finder.ts";
import { Fault, fromHex, sleep, VirtualClock } from "../mq/mod.ts";
import { TestNet } from "./fetch_fixture.ts";
import { type Finder, MemoryDirectory, MemoryFinder, StaticFinder } from "./finder.ts";
import { joinFinders } from "./finder_join.ts";
import { LanFinder } from "./finder_lan.ts";
import { lanWaveMs, lanWaveMsMax, lanWavePeers } from "./limits.ts";
import { type Id, idOf } from "./store.ts";

const names = ["a", "b", "c", "d"];

/** Hosts on a network in memory, with finders made by `make`. */
async function world(make: (net: TestNet, name: string, lan: LanFinder) => Finder): Promise<FinderWorld> {
  const net = new TestNet(names);
  const hosts = [];
  for (const name of names) {
    const host = await net.host(name);
    hosts.push({
      self: name,
      finder: make(net, name, new LanFinder(host.node, net.clock)),
      keep: async (bytes: Uint8Array) => void await host.store.putShared(new Map([[idOf(bytes), bytes]])),
    });
  }
  return {
    hosts,
    outcome: async (promise) => (await net.outcome(promise)).value,
    end: () => Promise.resolve(),
  };
}

const others = (name: string) => names.filter((other) => other !== name);

finderContract("StaticFinder", () => world((_net, name) => new StaticFinder(others(name))), false);
finderContract("LanFinder", () => world((_net, _name, lan) => lan));
finderContract("MemoryFinder", () => {
  const directory = new MemoryDirectory();
  return world((_net, name) => new MemoryFinder(name, directory));
});
finderContract("joinFinders", () => {
  const directory = new MemoryDirectory();
  return world(({ clock }, name, lan) =>
    joinFinders([lan, new MemoryFinder(name, directory)], { clock, log: (line) => assert.fail(line) })
  );
});

const id = idOf(new Uint8Array(1));

/** A finder that names `peers` after so many milliseconds each, and counts its searches. */
class Slow implements Finder {
  searches = 0;
  ended = 0;
  readonly #clock: VirtualClock;
  readonly #ms: number;
  readonly #peers: string[];

  constructor(clock: VirtualClock, ms: number, peers: string[]) {
    [this.#clock, this.#ms, this.#peers] = [clock, ms, peers];
  }

  async *find(_: Id, signal: AbortSignal): AsyncGenerator<string> {
    this.searches++;
    try {
      for (const peer of this.#peers) {
        await sleep(this.#clock, this.#ms);
        if (signal.aborted) return;
        yield peer;
      }
    } finally {
      this.ended++;
    }
  }

  announce(): Promise<void> {
    return Promise.reject(new Error("cannot"));
  }
}

test("joined finders: the next is not asked when the first has found somebody in its time alone", async () => {
  const clock = new VirtualClock(1);
  const [near, far] = [new Slow(clock, 10, ["a", "b"]), new Slow(clock, 1000, ["c"])];
  const joined = joinFinders([near, far], { clock, headStartMs: 100, log: () => {} });
  const stop = new AbortController();
  const peers: string[] = [];
  const search = (async () => {
    for await (const peer of joined.find(id, stop.signal)) {
      peers.push(peer);
      if (peers.length === 2) stop.abort();
    }
  })();
  await clock.advance(5000);
  await search;
  assert.deepEqual([peers, near.searches, far.searches], [["a", "b"], 1, 0]);
  assert.equal(clock.pending, 0);
});

test("joined finders: the next begins when the first is over or slow; the same peer is named once", async () => {
  const clock = new VirtualClock(1);
  const finders = [
    new Slow(clock, 10, ["a"]),
    new Slow(clock, 1000, ["a", "b"]),
    new Slow(clock, 50, ["b", "c"]),
  ];
  const joined = joinFinders(finders, { clock, headStartMs: 100, log: () => {} });
  const peers: [string, number][] = [];
  const search = (async () => {
    for await (const peer of joined.find(id, new AbortController().signal)) peers.push([peer, clock.now()]);
  })();
  await clock.advance(5000);
  await search;
  assert.deepEqual(peers, [["a", 10], ["b", 160], ["c", 210]]);
});

test("joined finders: one that fails is logged, and the others are asked", async () => {
  const clock = new VirtualClock(1);
  const log: string[] = [];
  // deno-lint-ignore require-yield
  async function* broken(): AsyncGenerator<string> {
    throw await Promise.resolve(new Error("broken"));
  }
  const bad: Finder = { find: broken, announce: () => Promise.reject(new Error("cannot")) };
  const joined = joinFinders([bad, new StaticFinder(["a"])], { clock, log: (line) => log.push(line) });
  const peers: string[] = [];
  for await (const peer of joined.find(id, new AbortController().signal)) peers.push(peer);
  await joined.announce([id]);
  assert.deepEqual(peers, ["a"]);
  assert.match(log[0]!, /broken/);
  assert.match(log[1]!, /cannot/);
});

test("a directory in memory forgets what it was told first", () => {
  const directory = new MemoryDirectory();
  const ids = Array.from({ length: 65_537 }, (_, i) => `${i}`);
  for (const each of ids) directory.add(each, "a");
  assert.deepEqual([directory.holders("0"), directory.holders("1")], [[], ["a"]]);
});

test("LanFinder: of many that have an object few are asked; when nobody has it all are, once, and silence holds up nobody", async () => {
  const clock = new VirtualClock(1);
  const peers = Array.from({ length: 60 }, (_, i) => `peer${i}`);
  const world = (has: (peer: string) => boolean | undefined) => {
    const asked: string[] = [];
    const ask = (peer: string) => {
      asked.push(peer);
      const answer = has(peer);
      if (answer === undefined) return sleep(clock, 2_000).then(() => Promise.reject(silent));
      return Promise.resolve(answer ? [fromHex(id)] : []);
    };
    return { asked, finder: new LanFinder({ peers: () => [...peers], tellers: () => tellers, ask }, clock) };
  };
  let tellers: string[] = [];
  const silent = new Fault("ask", "gone", "silent", { hint: "isconf status" });
  const first = async (finder: LanFinder) => {
    for await (const peer of finder.find(id, new AbortController().signal)) return peer;
  };

  const all = world(() => true);
  assert.ok(peers.includes(await first(all.finder) as string));
  await clock.advance(1_000);
  assert.equal(all.asked.length, lanWavePeers);

  const nobody = world(() => false);
  const none = first(nobody.finder);
  await clock.advance(60 / lanWavePeers * lanWaveMsMax);
  assert.deepEqual([await none, nobody.asked.toSorted()], [undefined, peers.toSorted()]);

  const one = world((peer) => peer === "peer7" ? true : undefined);
  const found = first(one.finder);
  await clock.advance(2_000 + 60 / lanWavePeers * lanWaveMsMax);
  assert.equal(await found, "peer7");

  tellers = ["peer3", "peer8"];
  const late = world((peer) => peer === "peer3" && clock.now() >= hasMs);
  const hasMs = clock.now() + lanWaveMs / 2;
  const told = first(late.finder);
  await clock.advance(1_000);
  assert.deepEqual([await told, late.asked], ["peer3", ["peer3", "peer3", "peer8"]]);
});
