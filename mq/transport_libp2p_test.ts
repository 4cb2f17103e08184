// Transport over libp2p, on loopback: the contract, and what a gate, strangers and broken networks do to it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { transportContract } from "../tests/contract/transport.ts";
import { concat } from "./bytes.ts";
import { sleep, systemClock } from "./clock.ts";
import type { Gate, Transport } from "./transport.ts";
import { type Libp2pOptions, Libp2pTransport } from "./transport_libp2p.ts";

const open: Gate = {
  admits: () => true,
  meet: () => Promise.resolve(),
  answer: () => Promise.reject(new Error("nobody asks")),
};

function make(opts: Partial<Libp2pOptions> = {}): Libp2pTransport {
  return new Libp2pTransport({
    clock: systemClock,
    secretKey: systemClock.random(32),
    network: "test",
    listen: ["127.0.0.1:0"],
    discover: false,
    gate: open,
    ...opts,
  });
}

async function until(condition: () => boolean, what = "it", ms = 8000): Promise<void> {
  const endMs = systemClock.now() + ms;
  while (!condition()) {
    if (systemClock.now() > endMs) assert.fail(`${what} does not come to hold`);
    await sleep(systemClock, 10);
  }
}

transportContract("libp2p", () => {
  const made: Libp2pTransport[] = [];
  return Promise.resolve({
    make() {
      const transport = make();
      const { start } = transport;
      transport.start = async () => {
        await start.call(transport);
        const known = made.filter((other) => other !== transport)
          .flatMap((other) => other.addresses().map((address) => ({ peer: other.self, address })));
        transport.remember(known);
      };
      made.push(transport);
      return Promise.resolve(transport);
    },
    until,
    settle: () => sleep(systemClock, 100),
    stall: (from: Transport, to: Transport) => (to as Libp2pTransport).hold(from.self),
    async end() {
      await Promise.all(made.map((transport) => transport.stop()));
    },
  });
});

/** A gate that lets in who stands in `names`; `meet` does nothing. */
function gateOf(...names: string[]): Gate & { names: Set<string> } {
  const names_ = new Set(names);
  return { ...open, names: names_, admits: (peer) => names_.has(peer) };
}

/** Runs `work` with transports, started, and stops them. */
async function having<T>(transports: Libp2pTransport[], work: () => Promise<T>): Promise<T> {
  try {
    await Promise.all(transports.map((transport) => transport.start()));
    return await work();
  } finally {
    await Promise.all(transports.map((transport) => transport.stop()));
  }
}

function tell(to: Libp2pTransport, ...about: Libp2pTransport[]): void {
  to.remember(about.map((other) => ({ peer: other.self, address: other.addresses()[0]! })));
}

test("who is no longer let in is cut off at once, and not let in again", async () => {
  const gate = gateOf();
  const a = make({ gate });
  const b = make();
  gate.names.add(b.self);
  await having([a, b], async () => {
    tell(a, b);
    tell(b, a);
    await until(() => a.peers().length === 1 && b.peers().length === 1);
    const heard: [string, boolean][] = [];
    a.onPeer((_, up) => heard.push(["a", up]));
    b.onPeer((_, up) => heard.push(["b", up]));
    gate.names.clear();
    const startMs = systemClock.now();
    a.recheck();
    assert.deepEqual(a.peers(), []);
    assert.equal(a.send(b.self, new Uint8Array(1)), false);
    await until(() => b.peers().length === 0);
    assert.ok(systemClock.now() - startMs < 500, "cut off at once");
    await sleep(systemClock, 1500);
    assert.deepEqual(heard, [["a", false], ["b", false]]);
    gate.names.add(b.self);
    a.recheck();
    await until(() => a.peers().length === 1 && b.peers().length === 1);
  });
});

test("a stranger is asked, let in, and messages flow; both sides may be strangers", async () => {
  const text = (s: string) => new TextEncoder().encode(s);
  const meeting = (self: () => Libp2pTransport, mark: string) => {
    const gate = gateOf();
    gate.answer = (_, question) => Promise.resolve(text(`${new TextDecoder().decode(question)} ${mark}`));
    gate.meet = async (peer, ask) => {
      assert.equal(new TextDecoder().decode(await ask(text("who"))), mark === "A" ? "who B" : "who A");
      gate.names.add(peer);
      void self;
    };
    return gate;
  };
  const a: Libp2pTransport = make({ gate: meeting(() => a, "A") });
  const b: Libp2pTransport = make({ gate: meeting(() => b, "B") });
  await having([a, b], async () => {
    tell(a, b);
    await until(() => a.peers().length === 1 && b.peers().length === 1);
  });
});

test("introduce: questions to who does not let us in; the connection goes afterwards", async () => {
  const a = make({ gate: gateOf() });
  const gate = gateOf();
  gate.answer = (peer, question) => Promise.resolve(concat(question, new TextEncoder().encode(peer)));
  const b = make({ gate });
  await having([a, b], async () => {
    const answer = await a.introduce(b.addresses()[0]!, async (peer, ask) => {
      assert.equal(peer, b.self);
      return new TextDecoder().decode(await ask(new TextEncoder().encode("hello ")));
    });
    assert.equal(answer, `hello ${a.self}`);
    assert.deepEqual([a.peers(), b.peers()], [[], []]);
    await assert.rejects(a.introduce("127.0.0.1:1", () => Promise.resolve()), { kind: "gone" });
  });
});
