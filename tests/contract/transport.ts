// The contract of Transport: what every implementation must do, run against each of them.
// Not for faults of the network: those are simulated, with transport_memory.ts.
import { test } from "node:test";
import assert from "node:assert/strict";
import type { PeerId, Transport } from "../../mq/mod.ts";
import { Fault, messageBytesMax } from "../../mq/mod.ts";

/** A network to try transports on, made anew for each test. */
export interface TransportWorld {
  /** A transport of this network, not started; `name` is for people. Started ones find each other by themselves. */
  make(name: string): Promise<Transport>;
  /** Waits until `condition` holds; rejects when it does not come to hold. */
  until(condition: () => boolean): Promise<void>;
  /** Waits as long as anything that was sent could still arrive. */
  settle(): Promise<void>;
  /** Makes `to` stop reading what `from` sends; the result ends that. Left out: the test of it is skipped. */
  stall?(from: Transport, to: Transport): () => void;
  /** Lets go of everything. */
  end(): Promise<void>;
}

/** Runs the contract as tests named `name: …`. */
export function transportContract(name: string, makeWorld: () => Promise<TransportWorld>): void {
  const contract = (what: string, run: (world: TransportWorld) => Promise<unknown>) =>
    test(`${name}: ${what}`, async (t) => {
      const world = await makeWorld();
      try {
        if (await run(world) === "skip") t.skip("this implementation cannot stall a reader");
      } finally {
        await world.end();
      }
    });

  contract("a message arrives once, whole, from who sent it, at whom it was sent to", async (world) => {
    const [a, b, c] = await connected(world, "a", "b", "c");
    const heardB = listen(b);
    const heardC = listen(c);
    for (const size of [0, 1, 1000, messageBytesMax]) assert.ok(a.send(b.self, new Uint8Array(size).fill(7)));
    await world.until(() => heardB.messages.length === 4);
    await world.settle();
    assert.deepEqual(heardB.messages.map((m) => [m.from, m.bytes.length]), [
      [a.self, 0],
      [a.self, 1],
      [a.self, 1000],
      [a.self, messageBytesMax],
    ]);
    assert.ok(heardB.messages.every((m) => m.bytes.every((byte) => byte === 7)));
    assert.deepEqual(heardC.messages, []);
  });

  contract("sender and receiver own their bytes", async (world) => {
    const [a, b] = await connected(world, "a", "b");
    const heard = listen(b);
    const bytes = Uint8Array.of(1, 2, 3);
    a.send(b.self, bytes);
    bytes.fill(9);
    await world.until(() => heard.messages.length === 1);
    assert.deepEqual([...heard.messages[0]!.bytes], [1, 2, 3]);
    heard.messages[0]!.bytes.fill(8);
    assert.deepEqual([...bytes], [9, 9, 9]);
  });

  contract("one byte too many is a usage fault, and nothing arrives", async (world) => {
    const [a, b] = await connected(world, "a", "b");
    const heard = listen(b);
    const big = new Uint8Array(messageBytesMax + 1);
    assert.throws(() => a.send(b.self, big), isUsage);
    await world.settle();
    assert.deepEqual(heard.messages, []);
  });

  contract("nobody is reached under an unknown name, nor before start, nor oneself", async (world) => {
    const [a] = await connected(world, "a", "b");
    const other = await world.make("other");
    assert.equal(a.send("nobody", new Uint8Array(1)), false);
    assert.equal(a.send("", new Uint8Array(1)), false);
    assert.equal(a.send(a.self, new Uint8Array(1)), false);
    assert.equal(a.send(other.self, new Uint8Array(1)), false);
    assert.equal(other.send(a.self, new Uint8Array(1)), false);
    assert.deepEqual(other.peers(), []);
  });

  contract("peers come up and go down, and both sides are told", async (world) => {
    const [a, b] = await connected(world, "a", "b");
    const heard = listen(a);
    assert.deepEqual(a.peers(), [b.self]);
    const c = await world.make("c");
    const heardC = listen(c);
    await c.start();
    await world.until(() => heard.peers.length > 0 && heardC.peers.length === 2);
    assert.deepEqual(heard.peers, [{ peer: c.self, up: true }]);
    assert.deepEqual(new Set(heardC.peers.map((p) => p.peer)), new Set([a.self, b.self]));
    await c.stop();
    await world.until(() => heard.peers.length === 2);
    assert.deepEqual(heard.peers[1], { peer: c.self, up: false });
    assert.deepEqual(a.peers(), [b.self]);
    assert.equal(a.send(c.self, new Uint8Array(1)), false);
  });

  contract("a reader that does not read fills its own queue only", async (world) => {
    if (world.stall === undefined) return "skip";
    const [a, b, c] = await connected(world, "a", "b", "c");
    const [heardB, heardC] = [listen(b), listen(c)];
    const resume = world.stall(a, b);
    const message = new Uint8Array(messageBytesMax);
    let sent = 0;
    while (a.send(b.self, message)) assert.ok(++sent < 1000, "the queue has no end");
    assert.ok(sent > 0);
    assert.ok(a.send(c.self, message));
    await world.until(() => heardC.messages.length === 1);
    for (let i = 0; i < 5; i++) {
      await world.settle();
      while (a.send(b.self, message)) assert.ok(++sent < 30, "somebody reads or keeps what is sent");
    }
    assert.equal(heardB.messages.length, 0);
    resume();
    await world.until(() => heardB.messages.length === sent);
    assert.ok(a.send(b.self, message));
    await world.until(() => heardB.messages.length === sent + 1);
  });

  contract("who no longer listens hears nothing", async (world) => {
    const [a, b] = await connected(world, "a", "b");
    let first = 0;
    const off = b.onMessage(() => first++);
    const heard = listen(b);
    a.send(b.self, Uint8Array.of(1));
    await world.until(() => heard.messages.length === 1);
    off();
    off();
    a.send(b.self, Uint8Array.of(2));
    await world.until(() => heard.messages.length === 2);
    assert.equal(first, 1);
  });

  contract("nothing is heard or sent after stop, and to stop or start twice is harmless", async (world) => {
    const [a, b] = await connected(world, "a", "b");
    const heard = listen(b);
    await b.start();
    a.send(b.self, new Uint8Array(10));
    await b.stop();
    await b.stop();
    const count = heard.messages.length + heard.peers.length;
    assert.equal(b.send(a.self, new Uint8Array(1)), false);
    assert.deepEqual(b.peers(), []);
    await world.settle();
    assert.equal(heard.messages.length + heard.peers.length, count);
    await world.until(() => a.peers().length === 0);
  });
}

const isUsage = (e: unknown) => e instanceof Fault && e.kind === "usage";

/** Starts transports and waits until each is connected with each. */
async function connected<Names extends string[]>(
  world: TransportWorld,
  ...names: Names
): Promise<{ [I in keyof Names]: Transport }> {
  const made: Transport[] = [];
  for (const name of names) made.push(await world.make(name));
  for (const transport of made) await transport.start();
  await world.until(() => made.every((t) => t.peers().length === made.length - 1));
  await world.settle();
  return made as { [I in keyof Names]: Transport };
}

function listen(transport: Transport) {
  const heard = {
    messages: [] as { from: PeerId; bytes: Uint8Array }[],
    peers: [] as { peer: PeerId; up: boolean }[],
  };
  transport.onMessage((from, bytes) => heard.messages.push({ from, bytes }));
  transport.onPeer((peer, up) => heard.peers.push({ peer, up }));
  return heard;
}
