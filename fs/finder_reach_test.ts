// finder_reach: a peer that the DHT names is dialled through the transport. With a DHT that only says what it is told to.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../mq/mod.ts";
import { DhtFinder } from "./finder_dht.ts";
import { type Reachable, reachThrough } from "./finder_reach.ts";
import { idOf } from "./store.ts";

test("a holder is dialled where the DHT says it is, also when it was named without an address before", async () => {
  const id = idOf(new Uint8Array([6]));
  const peer = (name: string, ...addresses: string[]) => ({
    id: { toString: () => name },
    multiaddrs: addresses.map((address) => ({ toString: () => address })),
  });
  const events = [
    { name: "PROVIDER", providers: [peer("a"), peer("self", "/ip4/10.0.0.9/tcp/1")] },
    { name: "DIAL_PEER" },
    {
      name: "PEER_RESPONSE",
      providers: [peer("a", "/ip4/10.0.0.1/tcp/1", "/dns4/x/tcp/2", "/ip6/::1/tcp/3")],
    },
    { name: "PROVIDER", providers: [peer("b", "/ip4/10.0.0.2/tcp/1"), peer("out", "/ip4/10.0.0.3/tcp/1")] },
  ];
  async function* findProviders() {
    yield* await Promise.resolve(events);
  }
  const clock = new VirtualClock(1);
  const listeners = new Set<(peer: string, up: boolean) => void>();
  const remembered: string[] = [];
  const transport: Reachable = {
    peers: () => [],
    onPeer: (fn) => {
      listeners.add(fn);
      return () => listeners.delete(fn);
    },
    remember: (known) => remembered.push(...known.map(({ peer, address }) => `${peer} ${address}`)),
  };
  const finder = new DhtFinder({
    dht: () => ({ routingTable: { size: 1 }, findProviders }),
    self: "self",
    admits: (name) => name !== "out",
    clock,
    log: (line) => assert.fail(line),
    reach: reachThrough(transport, clock),
  });
  const found: string[] = [];
  const search = (async () => {
    for await (const each of finder.find(id, new AbortController().signal)) found.push(each);
  })();
  await clock.advance(100);
  assert.deepEqual(remembered, ["a 10.0.0.1:1", "a [::1]:3", "b 10.0.0.2:1"]);
  for (const fn of [...listeners]) fn("a", true);
  await clock.advance(10_000);
  await search;
  assert.deepEqual(found, ["a"]);
  assert.deepEqual([listeners.size, clock.pending], [0, 0]);
});
