// MqNode: asking and publishing over a network that loses, doubles, reorders and lies.
import { test } from "node:test";
import assert from "node:assert/strict";
import type { Cbor } from "./cbor.ts";
import { decode, encode } from "./cbor.ts";
import { VirtualClock } from "./clock.ts";
import { Fault } from "./fault.ts";
import {
  answerMs,
  askMs,
  asksPerPeerMax,
  messageBytesMax,
  rumourPeersMax,
  seenPerPeerMax,
} from "./limits.ts";
import { writeMessage } from "./message.ts";
import { MqNode } from "./node.ts";
import type { Link } from "./transport_memory.ts";
import { MemoryNetwork } from "./transport_memory.ts";

const isFault = (kind: string) => (e: unknown) => e instanceof Fault && e.kind === kind;

/** Nodes a, b and c on one network, their transports, and what they log. */
async function world(link: Partial<Link> = {}, seed = 1) {
  const clock = new VirtualClock(seed);
  const network = new MemoryNetwork(clock, { link });
  const log: string[] = [];
  const make = async (name: string) => {
    const transport = network.attach(name);
    const node = new MqNode(transport, clock, { log: (line) => log.push(`${name}: ${line}`) });
    await transport.start();
    return { transport, node };
  };
  const [a, b, c] = [await make("a"), await make("b"), await make("c")];
  await clock.advance(10);
  /** What comes of a promise while the clock runs for `ms`. */
  const outcome = async <T>(promise: Promise<T>, ms = 100_000) => {
    let result: { value: T } | { thrown: unknown } | undefined;
    promise.then((value) => result = { value }, (thrown) => result = { thrown });
    await clock.advance(ms);
    assert.ok(result !== undefined, "still waiting");
    if ("thrown" in result) throw result.thrown;
    return result.value;
  };
  return { clock, network, log, a, b, c, outcome };
}

test("a question is answered, by value or by promise, and the answerer knows who asks", async () => {
  const { a, b, clock, outcome } = await world();
  b.node.answer("add", (from, value) => [from, (value as number[])[0]! + (value as number[])[1]!]);
  b.node.answer("later", async (_, value) => await Promise.resolve(value));
  assert.deepEqual(await outcome(a.node.ask("b", "add", [2, 3])), ["a", 5]);
  assert.deepEqual(await outcome(a.node.ask("b", "later", "x"), 10), "x");
  assert.equal(clock.pending, 0);
  assert.deepEqual(a.node.peers(), ["b", "c"]);
});

test("a fault travels with its kind, message and hint; a bug stays here and is logged", async () => {
  const { a, b, log, outcome } = await world();
  b.node.answer("lock", () => {
    throw new Fault("lock", "locked", "held by luke", { hint: "isconf unlock" });
  });
  b.node.answer("bug", () => {
    throw new TypeError("/secret/path is not a function");
  });
  b.node.answer("float", () => 0.5);
  b.node.answer("huge", () => new Uint8Array(messageBytesMax));
  await assert.rejects(outcome(a.node.ask("b", "lock", null)), {
    kind: "locked",
    message: "held by luke",
    hint: "isconf unlock",
  });
  for (const method of ["bug", "float", "huge"]) {
    await assert.rejects(
      outcome(a.node.ask("b", method, null)),
      (e) => isFault("gone")(e) && !/secret/.test(String(e)),
    );
  }
  assert.equal(log.length, 3);
  await assert.rejects(outcome(a.node.ask("b", "nothing", null)), isFault("notFound"));
});

test("an unreachable peer, a lost one, a silent one and a stopped node are gone", async () => {
  const { a, b, c, clock, network, outcome } = await world();
  await assert.rejects(outcome(a.node.ask("nobody", "m", null), 0), isFault("gone"));
  b.node.answer("never", () => new Promise(() => {}));
  const asked = a.node.ask("b", "never", null, { timeoutMs: 500 });
  asked.catch(() => {});
  await clock.advance(499);
  await assert.rejects(outcome(asked, 1), isFault("gone"));
  const lost = outcome(a.node.ask("b", "never", null), 10);
  network.partition([["a", "c"], ["b"]]);
  await assert.rejects(lost, isFault("gone"));
  c.node.answer("never", () => new Promise(() => {}));
  const open = outcome(a.node.ask("c", "never", null), 10);
  a.node.stop();
  await assert.rejects(open, isFault("gone"));
  await assert.rejects(outcome(a.node.ask("c", "never", null), 0), isFault("gone"));
});

test("a value that cannot be sent is a usage fault and leaves nothing open", async () => {
  const { a, clock, outcome } = await world();
  await assert.rejects(outcome(a.node.ask("b", "m", 0.5)), isFault("usage"));
  await assert.rejects(outcome(a.node.ask("b", "", null)), isFault("usage"));
  await assert.rejects(outcome(a.node.ask("b", "m", new Uint8Array(messageBytesMax))), isFault("usage"));
  assert.throws(() => a.node.publish("t", 0.5), isFault("usage"));
  assert.equal(clock.pending, 0);
});

test("over a link that doubles and reorders, each question is worked on once and answered once", async () => {
  const { a, b, clock } = await world({ duplicate: 0.5, reorder: 0.5, jitterMs: 20 });
  const worked: Cbor[] = [];
  b.node.answer("count", (_, value) => (worked.push(value), value));
  const answers: Cbor[] = [];
  for (let i = 0; i < 200; i++) {
    a.node.ask("b", "count", i).then((value) => answers.push(value), (e) => assert.fail(String(e)));
    await clock.advance(10);
  }
  await clock.advance(1000);
  const all = Array.from({ length: 200 }, (_, i) => i);
  assert.deepEqual(worked.toSorted((x, y) => Number(x) - Number(y)), all);
  assert.deepEqual(answers.toSorted((x, y) => Number(x) - Number(y)), all);
});

test("over a link that loses and corrupts, every question ends, with an answer or as gone, in time", async () => {
  const { a, b, clock } = await world({ loss: 0.2, corrupt: 0.2 }, 4);
  b.node.answer("id", () => "ok");
  const ends: string[] = [];
  for (let i = 0; i < 100; i++) {
    a.node.ask("b", "id", null).then((v) => ends.push(String(v)), (e: Fault) => ends.push(e.kind));
    await clock.advance(10);
  }
  await clock.advance(askMs);
  assert.equal(ends.length, 100);
  assert.ok(ends.filter((end) => end === "ok").length > 30 && ends.includes("gone"), ends.join());
  assert.equal(clock.pending, 0);
});

test("a reply from another peer, to another id, or too late changes nothing", async () => {
  const { a, b, c, clock } = await world();
  b.node.answer("slow", async () => {
    await new Promise<void>((resolve) => void clock.after(1000, resolve));
    return "right";
  });
  let id: Uint8Array | undefined;
  b.transport.onMessage((_, bytes) => id = (decode(bytes) as Cbor[])[2] as Uint8Array);
  const asked = a.node.ask("b", "slow", null);
  await clock.advance(10);
  c.transport.send("a", writeMessage({ kind: "reply", id: id!, value: "forged" }));
  b.transport.send("a", writeMessage({ kind: "reply", id: clock.random(16), value: "guessed" }));
  await clock.advance(2000);
  assert.equal(await asked, "right");
  b.transport.send("a", writeMessage({ kind: "reply", id: id!, value: "again" }));
  const short = a.node.ask("b", "slow", null, { timeoutMs: 500 });
  short.catch(() => {});
  await clock.advance(2000);
  await assert.rejects(short, isFault("gone"));
});

test("questions open to one peer, and from one peer, are bounded; other peers are served", async () => {
  const { a, b, c, clock, outcome } = await world();
  let working = 0;
  b.node.answer("hang", () => (working++, new Promise(() => {})));
  b.node.answer("ping", () => "pong");
  for (let i = 0; i < asksPerPeerMax; i++) a.node.ask("b", "hang", null, { timeoutMs: 10 }).catch(() => {});
  await assert.rejects(outcome(a.node.ask("b", "ping", null), 0), isFault("gone"));
  await clock.advance(10);
  await assert.rejects(outcome(a.node.ask("b", "ping", null), 10), /too many questions/);
  assert.equal(working, asksPerPeerMax);
  assert.equal(await outcome(c.node.ask("b", "ping", null), 10), "pong");
  await clock.advance(answerMs);
  assert.equal(await outcome(a.node.ask("b", "ping", null), 10), "pong");
});

test("garbage, an unknown version and an unknown kind are each logged once per peer; the peer is still served", async () => {
  const { a, b, c, clock, log, outcome } = await world();
  b.node.answer("ping", () => "pong");
  const id = new Uint8Array(16);
  for (let i = 0; i < 20; i++) {
    for (const from of [a, c]) {
      from.transport.send("b", clock.random(i));
      from.transport.send("b", encode([2 + i, 0, id, null]));
      from.transport.send("b", encode([1, 9 + i, id, null]));
    }
    await clock.advance(10);
  }
  assert.equal(log.length, 6, log.join("\n"));
  assert.equal(new Set(log).size, 6);
  assert.equal(await outcome(a.node.ask("b", "ping", null), 10), "pong");
});

test("what is published is heard once by each subscriber of the topic, until it ends that", async () => {
  const { a, b, c, clock, log } = await world({ duplicate: 1 });
  const heard: string[] = [];
  b.node.subscribe("t", () => {
    throw new Error("bang");
  });
  const off = b.node.subscribe("t", (from, value) => heard.push(`b ${from} ${value}`));
  c.node.subscribe("other", (from, value) => heard.push(`c ${from} ${value}`));
  a.node.subscribe("t", (from, value) => heard.push(`a ${from} ${value}`));
  a.node.publish("t", 1);
  await clock.advance(10);
  assert.deepEqual(heard, ["b a 1"]);
  assert.equal(log.length, 1);
  off();
  off();
  a.node.publish("t", 2);
  await clock.advance(10);
  assert.deepEqual(heard, ["b a 1"]);
  b.node.stop();
  a.node.publish("t", 3);
  await clock.advance(10);
  assert.equal(log.length, 2);
});

interface At {
  transport: ReturnType<MemoryNetwork["attach"]>;
  node: MqNode;
}

test("a rumour is told to some peers only, and to others each time", async () => {
  const clock = new VirtualClock(7);
  const network = new MemoryNetwork(clock);
  const heard = new Map<string, number>();
  const nodes: MqNode[] = [];
  for (let i = 0; i < 20; i++) {
    const transport = network.attach(`n${i}`);
    const node = new MqNode(transport, clock);
    node.subscribe("t", () => void heard.set(`n${i}`, (heard.get(`n${i}`) ?? 0) + 1));
    nodes.push(node);
    await transport.start();
  }
  await clock.advance(10);
  nodes[0]!.publish("t", 1);
  await clock.advance(10);
  assert.equal(heard.size, rumourPeersMax);
  for (let i = 0; i < 30; i++) nodes[0]!.publish("t", 1);
  await clock.advance(10);
  assert.equal(heard.size, 19);
  assert.equal([...heard.values()].reduce((a, b) => a + b), 31 * rumourPeersMax);
});

test("who told rumours is known, the latest first, as long as it is connected; questions are no rumours", async () => {
  const clock = new VirtualClock(7);
  const network = new MemoryNetwork(clock);
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => {
    const transport = network.attach(name);
    return { transport, node: new MqNode(transport, clock) };
  }) as [At, At, At, At];
  for (const { transport } of [a, b, c, d]) await transport.start();
  await clock.advance(10);
  for (const { node } of [b, c, b]) {
    node.publish("t", 1);
    await clock.advance(10);
  }
  d.node.ask("a", "what", 1).catch(() => {});
  await clock.advance(10);
  assert.deepEqual(a.node.tellers(), ["b", "c"]);
  await b.transport.stop();
  await clock.advance(10);
  assert.deepEqual(a.node.tellers(), ["c"]);
});

test("a message sent again within the window is not worked on again", async () => {
  const { a, b, clock } = await world();
  let worked = 0;
  b.node.answer("once", () => worked++);
  const replay = writeMessage({ kind: "ask", id: new Uint8Array(16), method: "once", value: null });
  const other = () => writeMessage({ kind: "event", id: clock.random(16), topic: "t", value: 1 });
  for (let i = 0; i < seenPerPeerMax; i++) {
    a.transport.send("b", i % 2 ? replay : other());
    await clock.advance(2);
  }
  assert.equal(worked, 1);
});
