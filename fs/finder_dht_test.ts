// finder_dht: the DHT among real libp2p nodes on loopback: the contract of Finder, who gets in, and what it keeps.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type KadDHT, kadDHT } from "@libp2p/kad-dht";
import { multiaddr } from "@multiformats/multiaddr";
import { CID, digest } from "multiformats";
import { Libp2pTransport } from "../mq/libp2p.ts";
import {
  fromHex,
  type Gate,
  generateKeyPair,
  type KeyPair,
  MqNode,
  peerIdOf,
  sleep,
  systemClock,
} from "../mq/mod.ts";
import { finderContract } from "../tests/contract/finder.ts";
import { type Db } from "./db.ts";
import { DhtFinder } from "./finder_dht.ts";
import { dhtService, insideOf } from "./finder_dht_service.ts";
import { openDhtDatabase } from "./finder_dht_store.ts";
import { peerRecordKey, readPeerRecord, writePeerRecord } from "./peer_record.ts";
import { serveObjects } from "./serve.ts";
import { idOf, MemoryStore } from "./store.ts";

interface Host {
  self: string;
  finder: DhtFinder;
  transport: Libp2pTransport;
  db: Db;
  pair: KeyPair;
  dht(): KadDHT;
  keep(bytes: Uint8Array): Promise<void>;
}

async function until(condition: () => boolean, what: string, ms = 20_000): Promise<void> {
  const endMs = systemClock.now() + ms;
  while (!condition()) {
    if (systemClock.now() > endMs) assert.fail(`${what} does not come to hold`);
    await sleep(systemClock, 20);
  }
}

const sizeOf = ({ transport }: Host) =>
  (transport.service("dht") as { routingTable: { size: number } }).routingTable.size;

/** Hosts that all know each other; `admits` says whom each lets in. */
class DhtNet {
  readonly dir = mkdtempSync(join(tmpdir(), "isconf-dht-"));
  readonly hosts: Host[] = [];
  readonly log: string[] = [];
  #count = 0;

  async add(admits: (peer: string) => boolean = () => true, make = dhtService): Promise<Host> {
    const db = openDhtDatabase(join(this.dir, `${this.#count++}.db`));
    const gate: Gate = {
      admits,
      meet: () => Promise.resolve(),
      answer: () => Promise.reject(new Error("nobody asks")),
    };
    const pair = generateKeyPair(systemClock);
    const transport = new Libp2pTransport({
      clock: systemClock,
      secretKey: pair.secretKey,
      network: "test",
      listen: ["127.0.0.1:0"],
      discover: false,
      gate,
      services: {
        dht: make({
          network: "test",
          admits,
          db,
          clock: systemClock,
          log: (line) => this.log.push(line),
        }) as never,
      },
    });
    await transport.start();
    const store = new MemoryStore();
    serveObjects(new MqNode(transport, systemClock), store.shared);
    const host: Host = {
      self: transport.self,
      transport,
      db,
      pair,
      dht: () => transport.service("dht") as KadDHT,
      finder: new DhtFinder({
        dht: () => transport.service("dht"),
        self: transport.self,
        admits,
        clock: systemClock,
        log: (line) => this.log.push(line),
      }),
      keep: async (bytes) => void await store.putShared(new Map([[idOf(bytes), bytes]])),
    };
    for (const other of this.hosts) {
      transport.remember(other.transport.addresses().map((address) => ({ peer: other.self, address })));
    }
    this.hosts.push(host);
    return host;
  }

  async end(): Promise<void> {
    for (const { finder } of this.hosts) finder.stop();
    await Promise.all(this.hosts.map(({ transport }) => transport.stop()));
    for (const { db } of this.hosts) db.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

finderContract("DhtFinder", async () => {
  const net = new DhtNet();
  for (let i = 0; i < 4; i++) await net.add();
  await until(() => net.hosts.every((host) => sizeOf(host) === 3), "everybody knows everybody");
  return {
    hosts: net.hosts,
    outcome: (promise) => promise,
    end: async () => {
      await net.end();
      assert.deepEqual(net.log, []);
    },
  };
});

/** A network, ended after `work`. */
async function having(work: (net: DhtNet) => Promise<void>): Promise<void> {
  const net = new DhtNet();
  try {
    await work(net);
  } finally {
    await net.end();
  }
}

async function holdersOf({ finder }: Host, id: string): Promise<string[]> {
  const peers: string[] = [];
  for await (const peer of finder.find(id, new AbortController().signal)) peers.push(peer);
  return peers;
}

/** Puts a value into the DHT; the errors of those who did not take it. */
async function put({ dht }: Host, key: Uint8Array, value: Uint8Array): Promise<unknown[]> {
  const refusals: unknown[] = [];
  for await (const event of dht().put(key, value)) {
    if (event.name === "QUERY_ERROR") refusals.push(event.error);
  }
  return refusals;
}

/** Puts a value that everybody takes; a connection that is just being replaced by another may need a second try. */
async function putEverywhere(host: Host, key: Uint8Array, value: Uint8Array): Promise<void> {
  const endMs = systemClock.now() + 10_000;
  for (;;) {
    const refusals = await put(host, key, value);
    if (refusals.length === 0) return;
    if (systemClock.now() > endMs) assert.fail(`refused: ${refusals}`);
    await sleep(systemClock, 100);
  }
}

async function get({ dht }: Host, key: Uint8Array): Promise<Uint8Array | undefined> {
  let value: Uint8Array | undefined;
  for await (const event of dht().get(key)) if (event.name === "VALUE") value = event.value;
  return value;
}

test("who is not let in is in no routing table and is named to nobody", () =>
  having(async (net) => {
    const outsiders = new Set<string>();
    const admits = (peer: string) => !outsiders.has(peer);
    const [a, b, c] = [await net.add(admits), await net.add(admits), await net.add(admits)];
    await until(() => [a, b, c].every((host) => sizeOf(host) === 2), "three know each other");
    const x = await net.add();
    outsiders.add(x.self);
    await sleep(systemClock, 1000);
    assert.deepEqual([a, b, c].map(sizeOf), [2, 2, 2]);
    assert.equal(sizeOf(x), 0);
    const id = idOf(new Uint8Array([1]));
    await a.finder.announce([id]);
    assert.deepEqual(await holdersOf(b, id), [a.self]);
    assert.deepEqual(await holdersOf(x, id), []);
    outsiders.add(a.self);
    assert.deepEqual(await holdersOf(b, id), []);
    await b.finder.recheck();
    assert.equal(sizeOf(b), 1);
  }));

/** Gets who has a DHT as it comes to know the others: by itself it does not try again what has failed once. */
async function meetAll(host: Host, others: Host[]): Promise<void> {
  const known = others.flatMap((other) => [...insideOf(other.dht()).routingTable.kb.toIterable()]);
  for (let tries = 0; sizeOf(host) < others.length; tries++) {
    assert.ok(tries < 100, "it does not come to know them");
    for (const { self, transport } of others) {
      const { peerId: id } = known.find(({ peerId }) => peerId.toString() === self)!;
      const multiaddrs = transport.addresses().map((address) =>
        multiaddr(`/ip4/127.0.0.1/tcp/${address.split(":")[1]}`)
      );
      await insideOf(host.dht()).onPeerConnect({ id, multiaddrs });
    }
    await sleep(systemClock, 100);
  }
}

/** A DHT that takes and tells whatever there is. */
const lawless: typeof dhtService = ({ network }) =>
  kadDHT({
    protocol: `/isconf/${network}/kad/1.0.0`,
    clientMode: false,
    initialQuerySelfInterval: 100,
    peerInfoMapper: (info) => info,
    validators: { "isconf-peer": () => undefined, other: () => undefined },
    selectors: { "isconf-peer": () => 0, other: () => 0 },
  });

test("a peer record: the newest is found; older, forged, too large and other ones are taken by nobody", () =>
  having(async (net) => {
    for (let i = 0; i < 3; i++) await net.add();
    const liar = await net.add(undefined, lawless);
    const [a, b, c] = net.hosts as [Host, Host, Host];
    await until(() => [a, b, c].every((host) => sizeOf(host) === 3), "all know all and the liar");
    await meetAll(liar, [a, b, c]);
    const key = peerRecordKey(a.self);
    const record = (seq: number) => writePeerRecord("test", a.pair, { addresses: [`10.0.0.${seq}:1`], seq });
    const addressIn = async (host: Host) => readPeerRecord("test", key, (await get(host, key))!).addresses[0];
    await putEverywhere(a, key, record(1));
    assert.equal(await addressIn(c), "10.0.0.1:1");
    await putEverywhere(a, key, record(2));
    const forged = writePeerRecord("test", b.pair, { addresses: ["10.0.0.9:1"], seq: 9 });
    for (const bad of [record(1), forged, new Uint8Array(5000)]) {
      assert.equal((await put(liar, key, bad)).length, 3);
      for (const host of [a, b, c]) assert.equal(await addressIn(host), "10.0.0.2:1");
    }
    assert.equal((await put(liar, new TextEncoder().encode("/other/x"), new Uint8Array(5))).length, 3);
    await assert.rejects(put(b, key, record(1)), { kind: "refused" });
    await putEverywhere(b, key, record(3));
    assert.equal(await addressIn(c), "10.0.0.3:1");
  }));

test("what was announced is still known after a restart, also while its holder is not connected", () =>
  having(async (net) => {
    const [a, b] = [await net.add(), await net.add()];
    await until(() => sizeOf(a) === 1 && sizeOf(b) === 1, "two know each other");
    const id = idOf(new Uint8Array([2]));
    await a.finder.announce([id]);
    await until(() => b.db.read((r) => r.get("SELECT 1 FROM row")) !== undefined, "it is told");
    const stranger = peerIdOf(generateKeyPair(systemClock).publicKey);
    b.db.write((tx) =>
      tx.run(
        "INSERT INTO row (key, owner, value, at_ms) SELECT replace(key, ?, ?), ?, value, at_ms FROM row",
        a.self,
        stranger,
        stranger,
      )
    );
    await b.transport.stop();
    await a.transport.stop();
    await b.transport.start();
    const c = await net.add();
    await until(() => sizeOf(c) === 1, "c knows b");
    const failed: unknown[] = [];
    const cid = CID.createV1(0x55, digest.create(0x12, fromHex(id)));
    for await (const event of c.dht().findProviders(cid)) {
      if (event.name === "QUERY_ERROR") failed.push(event.error);
    }
    assert.deepEqual(failed, []); // b does not know where they are, and answers all the same
    assert.deepEqual(await holdersOf(c, id), []);
    await a.transport.start();
    b.transport.remember([{ peer: a.self, address: a.transport.addresses()[0]! }]);
    await until(() => sizeOf(b) === 2, "b knows both");
    assert.deepEqual(await holdersOf(c, id), [a.self]);
  }));

test("announced before anybody is known, it is told to the first who comes", () =>
  having(async (net) => {
    const a = await net.add();
    const id = idOf(new Uint8Array([3]));
    const told = a.finder.announce([id]);
    assert.deepEqual(await holdersOf(a, id), []);
    const b = await net.add();
    await told;
    assert.deepEqual(await holdersOf(b, id), [a.self]);
  }));

test("the same is not announced again at once; without a DHT it is logged; stopping ends what waits", () =>
  having(async (net) => {
    const a = await net.add();
    await net.add();
    await until(() => sizeOf(a) === 1, "two know each other");
    let provided = 0;
    const dht = a.dht();
    const { provide } = dht;
    dht.provide = (key, options) => {
      provided++;
      return provide.call(dht, key, options);
    };
    const ids = [1, 2, 3].map((i) => idOf(new Uint8Array([4, i])));
    await Promise.all([a.finder.announce(ids), a.finder.announce(ids)]);
    await a.finder.announce(ids);
    assert.equal(provided, 3);
    const log: string[] = [];
    const alone = new DhtFinder({
      dht: () => undefined,
      self: "x",
      admits: () => true,
      clock: systemClock,
      log: (line) => log.push(line),
    });
    await alone.announce(ids.slice(1));
    assert.equal(log.length, 2);
    assert.match(log[0]!, /no DHT runs/);
    const many = Array.from({ length: 3000 }, (_, i) => idOf(new Uint8Array([5, i, i >> 8])));
    const waiting = a.finder.announce(many);
    a.finder.stop();
    await waiting;
    assert.ok(provided < 10, `${provided}`);
  }));
