// The contract of Finder: what every implementation promises. Not a test file by itself; each finder's test calls it.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Finder, Id } from "../../fs/mod.ts";
import { idOf } from "../../fs/mod.ts";

/** One host of a network: how it finds, what it is called, and how it comes to have an object. */
export interface FinderHost {
  self: string;
  finder: Finder;
  /** Keeps and shares an object; whoever is asked would say so. */
  keep(bytes: Uint8Array): Promise<void>;
}

/** A network of hosts that know each other, made anew for each promise. */
export interface FinderWorld {
  hosts: FinderHost[];
  /** What comes of `promise`; where time is virtual, it goes on meanwhile. */
  outcome<T>(promise: Promise<T>): Promise<T>;
  end(): Promise<void>;
}

/** Runs the contract. `make` gives at least four hosts. `knows`: it tells who has an object from who has not. */
export function finderContract(name: string, make: () => Promise<FinderWorld>, knows = true): void {
  const promise = (title: string, fn: (world: FinderWorld) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      const world = await make();
      try {
        await fn(world);
      } finally {
        await world.end();
      }
    });

  /** Makes a host have an object, and says so. */
  const give = async ({ outcome }: FinderWorld, host: FinderHost, bytes: Uint8Array): Promise<Id> => {
    await host.keep(bytes);
    await outcome(host.finder.announce([idOf(bytes)]));
    return idOf(bytes);
  };
  const found = async ({ outcome }: FinderWorld, host: FinderHost, id: Id): Promise<string[]> => {
    const all = async () => {
      const peers: string[] = [];
      for await (const peer of host.finder.find(id, new AbortController().signal)) peers.push(peer);
      return peers;
    };
    return await outcome(all());
  };

  promise("who has an object and said so is found, by everybody else, and once", async (world) => {
    const [a, b, c] = world.hosts as [FinderHost, FinderHost, FinderHost];
    const id = await give(world, a, new Uint8Array([1]));
    await give(world, a, new Uint8Array([1]));
    for (const host of [b, c]) {
      const peers = await found(world, host, id);
      assert.equal(peers.filter((peer) => peer === a.self).length, 1);
      if (knows) assert.deepEqual(peers, [a.self]);
    }
  });

  promise("all who have it are found, and nobody finds himself", async (world) => {
    const holders = world.hosts.slice(0, 3);
    let id = "";
    for (const host of holders) id = await give(world, host, new Uint8Array([2]));
    for (const host of world.hosts) {
      const peers = await found(world, host, id);
      assert.equal(new Set(peers).size, peers.length);
      assert.ok(!peers.includes(host.self));
      const others = holders.map(({ self }) => self).filter((self) => self !== host.self);
      assert.ok(new Set(others).isSubsetOf(new Set(peers)), `${peers} of ${others}`);
    }
  });

  promise("what nobody has: the search ends", async (world) => {
    const peers = await found(world, world.hosts[0]!, idOf(new Uint8Array([3])));
    if (knows) assert.deepEqual(peers, []);
  });

  promise("an aborted search ends, before it begins and while it runs", async (world) => {
    const [a, b] = world.hosts as [FinderHost, FinderHost];
    const id = await give(world, a, new Uint8Array([4]));
    const none = [];
    for await (const peer of b.finder.find(id, AbortSignal.abort())) none.push(peer);
    assert.deepEqual(none, []);
    const stop = new AbortController();
    const search = async () => {
      for await (const _ of b.finder.find(id, stop.signal)) stop.abort();
    };
    await world.outcome(search());
    const early = new AbortController();
    const never = async () => {
      for await (const _ of b.finder.find(idOf(new Uint8Array([5])), early.signal)) {
        assert.ok(knows === false);
      }
    };
    const ended = never();
    early.abort();
    await world.outcome(ended);
  });

  promise("who takes one and goes away leaves the finder in order", async (world) => {
    const [a, b] = world.hosts as [FinderHost, FinderHost];
    const id = await give(world, a, new Uint8Array([6]));
    const first = async () => {
      for await (const peer of b.finder.find(id, new AbortController().signal)) return peer;
    };
    assert.notEqual(await world.outcome(first()), undefined);
    assert.ok((await found(world, b, id)).includes(a.self));
  });

  promise("nothing, and many at once, are announced without harm", async (world) => {
    const [a, b] = world.hosts as [FinderHost, FinderHost];
    await world.outcome(a.finder.announce([]));
    const many = Array.from({ length: 20 }, (_, i) => new Uint8Array([7, i]));
    for (const bytes of many) await a.keep(bytes);
    await world.outcome(a.finder.announce(many.map(idOf)));
    assert.ok((await found(world, b, idOf(many.at(-1)!))).includes(a.self));
  });
}
