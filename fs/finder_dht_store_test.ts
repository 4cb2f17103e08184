// finder_dht_store: what kad-dht asks of a datastore, and that it does not grow.
import assert from "node:assert/strict";
import { Key } from "interface-datastore";
import { generateKeyPair, peerIdOf, VirtualClock } from "../mq/mod.ts";
import type { Db } from "./db.ts";
import { DhtStore, openDhtDatabase } from "./finder_dht_store.ts";
import { testIn } from "./fixture.ts";
import { dhtAgeMs, dhtRowsMax, dhtRowsPerPeerMax, dhtValueBytesMax } from "./limits.ts";

const value = (n: number) => new Uint8Array([n]);
const provider = (cid: string | number, peer: string) => new Key(`/dht/provider/${cid}/${peer}`);

function testStore(
  title: string,
  fn: (store: DhtStore, clock: VirtualClock, db: Db) => Promise<void> | void,
): void {
  testIn(title, async (dir) => {
    const clock = new VirtualClock(1);
    const db = openDhtDatabase(`${dir}/dht.db`);
    await fn(new DhtStore(db, clock), clock, db);
    db.close();
  });
}

async function keysBelow(store: DhtStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.query({ prefix })) keys.push(key.toString());
  return keys.sort();
}

testStore("what is put is there, can be replaced, found by prefix and deleted", async (store) => {
  store.put(provider("x", "a"), value(1));
  store.put(provider("x", "b"), value(2));
  store.put(provider("xy", "a"), value(3));
  store.put(provider("x", "a"), value(4));
  assert.deepEqual([...store.get(provider("x", "a"))], [4]);
  assert.ok(store.has(provider("x", "b")));
  assert.deepEqual(await keysBelow(store, "/dht/provider/x/"), ["/dht/provider/x/a", "/dht/provider/x/b"]);
  const keys: string[] = [];
  for await (const key of store.queryKeys({})) keys.push(key.toString());
  assert.equal(keys.length, 3);
  store.delete(provider("x", "a"));
  assert.throws(() => store.get(provider("x", "a")), { name: "NotFoundError" });
  assert.ok(!store.has(provider("x", "a")));
});

testStore("a row counts for its time only", async (store, clock) => {
  store.put(provider("x", "a"), value(1));
  await clock.advance(dhtAgeMs - 1);
  assert.ok(store.has(provider("x", "a")));
  await clock.advance(1);
  assert.ok(!store.has(provider("x", "a")));
  assert.throws(() => store.get(provider("x", "a")), { name: "NotFoundError" });
  assert.deepEqual(await keysBelow(store, "/"), []);
});

testStore("a value too large is refused", (store) => {
  assert.throws(() => store.put(provider("x", "a"), new Uint8Array(dhtValueBytesMax + 1)), { kind: "usage" });
});

testStore("one peer's flood pushes out its own records only", (store, _, db) => {
  store.put(provider("x", "a"), value(1));
  for (let i = 0; i < dhtRowsPerPeerMax + 100; i++) store.put(provider(i, "flood"), value(2));
  assert.ok(store.has(provider("x", "a")));
  assert.ok(!store.has(provider(99, "flood")));
  assert.ok(store.has(provider(100, "flood")));
  assert.equal(db.read((r) => r.get<{ n: number }>("SELECT count(*) n FROM row"))!.n, dhtRowsPerPeerMax + 1);
});

testStore("many peers' floods stay within the rows there may be", (store, _, db) => {
  // As if the last put but a few had been long ago.
  db.write((tx) =>
    tx.run(
      `WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?)
       INSERT INTO row (key, owner, value, at_ms) SELECT '/dht/provider/' || i || '/p' || i, 'p' || i, x'00', ? FROM c`,
      dhtRowsMax,
      new VirtualClock(1).wall(),
    )
  );
  for (let i = 0; i < 10; i++) store.put(provider("new", `q${i}`), value(1));
  assert.equal(db.read((r) => r.get<{ n: number }>("SELECT count(*) n FROM row"))!.n, dhtRowsMax);
  assert.ok(!store.has(provider(10, "p10")));
  assert.ok(store.has(provider(11, "p11")));
});

testStore(
  "the newest record of a peer is remembered, also by the next who opens the database",
  (store, clock, db) => {
    const peer = peerIdOf(generateKeyPair(clock).publicKey);
    assert.equal(store.newest.get(peer), undefined);
    store.newest.set(peer, 7);
    store.newest.set("other", 3);
    store.newest.set(peer, 9);
    assert.equal(new DhtStore(db, clock).newest.get(peer), 9);
  },
);
