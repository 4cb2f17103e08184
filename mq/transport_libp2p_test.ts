// Transport over libp2p, on loopback: the contract, who gets connected with whom, and what it takes and leaves behind.
// What strangers and peers that keep to no rule can do to it: transport_libp2p_strangers_test.ts.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";
import { gateOf, having, make, openGate, tell, until } from "../tests/contract/libp2p.ts";
import { transportContract } from "../tests/contract/transport.ts";
import { concat } from "./bytes.ts";
import { sleep, systemClock } from "./clock.ts";
import type { Transport } from "./transport.ts";
import type { Libp2pTransport } from "./transport_libp2p.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (of: Uint8Array) => new TextDecoder().decode(of);

transportContract("libp2p", () => {
  const made: Libp2pTransport[] = [];
  return Promise.resolve({
    make() {
      const transport = make();
      const { start } = transport;
      transport.start = async () => {
        await start.call(transport);
        tell(transport, ...made.filter((other) => other.addresses().length > 0));
      };
      made.push(transport);
      return Promise.resolve(transport);
    },
    until: async (condition) => void await until(condition),
    settle: () => sleep(systemClock, 100),
    stall: (from: Transport, to: Transport) => (to as Libp2pTransport).hold(from.self),
    async end() {
      await Promise.all(made.map((transport) => transport.stop()));
    },
  });
});

test("a reader that is slower than the sender holds it back, and loses nothing", async () => {
  const a = make(), b = make();
  await having([a, b], async () => {
    tell(a, b);
    await until(() => a.peers().length === 1 && b.peers().length === 1);
    let heard = 0, lost = 0;
    b.onPeer(() => lost++);
    b.onMessage(() => {
      heard++;
      for (const endMs = systemClock.now() + 15; systemClock.now() < endMs;);
    });
    for (let sent = 0; sent < 60;) {
      if (a.send(b.self, new Uint8Array(500_000))) sent++;
      else await sleep(systemClock, 1);
    }
    await until(() => heard === 60);
    assert.equal(lost, 0);
  });
});

test("a flood of small messages arrives whole and in order", async () => {
  const a = make(), b = make();
  await having([a, b], async () => {
    tell(a, b);
    await until(() => a.peers().length === 1 && b.peers().length === 1);
    let heard = 0, inOrder = true;
    b.onMessage((_, message) => inOrder &&= new DataView(message.buffer).getUint32(0) === heard++);
    const message = new Uint8Array(100);
    for (let sent = 0; sent < 100_000;) {
      new DataView(message.buffer).setUint32(0, sent);
      if (a.send(b.self, message)) sent++;
      else await sleep(systemClock, 1);
    }
    await until(() => heard === 100_000);
    assert.ok(inOrder);
  });
});

test("who is no longer let in is cut off at once, and not let in again until the gate says so", async () => {
  const gate = gateOf();
  const lines: string[] = [];
  const a = make({ gate, log: (line) => lines.push(line) }), b = make();
  gate.names.add(b.self);
  await having([a, b], async () => {
    tell(a, b);
    tell(b, a);
    await until(() => a.peers().length === 1 && b.peers().length === 1);
    const heard: [string, boolean][] = [];
    a.onPeer((_, up) => heard.push(["a", up]));
    b.onPeer((_, up) => heard.push(["b", up]));
    gate.names.clear();
    a.recheck();
    assert.deepEqual(a.peers(), []);
    assert.equal(a.send(b.self, new Uint8Array(1)), false);
    assert.ok(await until(() => b.peers().length === 0) < 500, "cut off at once");
    await sleep(systemClock, 1500);
    assert.deepEqual(heard, [["a", false], ["b", false]]);
    assert.deepEqual(a.known(), []);
    assert.deepEqual(lines, [`peer ${b.self} at 127.0.0.1: is no longer let in`]);
    gate.names.add(b.self);
    a.recheck();
    await until(() => a.peers().length === 1 && b.peers().length === 1);
  });
});

test("two strangers ask each other, let each other in, and messages flow", async () => {
  const gates = ["A", "B"].map((name) => {
    const gate = gateOf();
    gate.answer = (_, question) => Promise.resolve(bytes(`${text(question)}, I am ${name}`));
    gate.meet = async (peer, ask) => {
      if (/^Who\?, I am [AB]$/.test(text(await ask(bytes("Who?"))))) gate.names.add(peer);
    };
    return gate;
  });
  const [a, b] = gates.map((gate) => make({ gate })) as [Libp2pTransport, Libp2pTransport];
  await having([a, b], async () => {
    tell(a, b);
    const heard: string[] = [];
    b.onMessage((from, message) => from === a.self && heard.push(text(message)));
    await until(() => a.peers().length === 1 && b.peers().length === 1);
    a.send(b.self, bytes("hello"));
    await until(() => heard.length === 1);
  });
});

test("who is let in by the other side already waits for it to be so on both", async () => {
  const gate = gateOf();
  const a = make({ gate, limits: { reopenMs: 50 } }), b = make({ limits: { reopenMs: 50 } });
  await having([a, b], async () => {
    tell(b, a);
    await until(() => a.connections().length === 1 && b.connections().length === 1);
    await sleep(systemClock, 300);
    assert.deepEqual([a.peers(), b.peers()], [[], []]);
    assert.deepEqual([a.connections()[0]!.state, b.connections()[0]!.state], ["stranger", "let in"]);
    gate.names.add(b.self);
    a.recheck();
    assert.ok(await until(() => a.peers().length === 1 && b.peers().length === 1) < 1000);
  });
});

test("introduce: questions to who does not let us in; the connection goes unless they do by then", async () => {
  const gate = gateOf();
  gate.answer = (peer, question) => {
    if (text(question) === "let me in") gate.names.add(peer);
    return Promise.resolve(concat(question, bytes(` ${peer}`)));
  };
  let met = 0;
  const a = make({ gate: { ...gateOf(), meet: () => Promise.resolve(void met++) } }),
    b = make({ gate }),
    c = make();
  await having([a, b, c], async () => {
    const address = b.addresses()[0]!;
    const answer = await a.introduce(address, async (peer, ask) => {
      assert.equal(peer, b.self);
      return text(await ask(bytes("hello")));
    });
    assert.equal(answer, `hello ${a.self}`);
    await until(() => b.connections().length === 0);
    await c.introduce(address, (_, ask) => ask(bytes("let me in")));
    await until(() => c.peers().includes(b.self) && b.peers().includes(c.self));
    assert.deepEqual([a.peers(), b.peers(), met], [[], [c.self], 0]);
    await assert.rejects(a.introduce(address, () => Promise.reject(new Error("own"))), /own/);
    await assert.rejects(a.introduce("127.0.0.1:1", () => Promise.resolve()), { kind: "gone" });
    await assert.rejects(a.introduce("nonsense", () => Promise.resolve()), { kind: "usage" });
  });
  await assert.rejects(a.introduce("127.0.0.1:1", () => Promise.resolve()), { kind: "notRunning" });
});

test("two connections between one pair: one goes, no message is lost and nobody goes up or down", async () => {
  const one = make(), other = make();
  const filling = new Uint8Array(500_000); // so that much is on its way at any time
  const [small, great] = one.self < other.self ? [one, other] : [other, one];
  await having([small, great], async () => {
    for (const [first, second] of [[small, great], [great, small]] as const) {
      tell(first, second);
      await until(() => first.peers().length === 1 && second.peers().length === 1);
      const heard: string[] = [], changes: unknown[] = [];
      const offs = [first, second].map((transport) => transport.onPeer((...change) => changes.push(change)));
      offs.push(first.onMessage((_, message) => heard.push(text(message.subarray(0, 6)).trimEnd())));
      const introduced = second.introduce(first.addresses()[0]!, () => {
        both = second.connections().length;
        return Promise.resolve();
      });
      let sent = 0, both = 0;
      for (const endMs = systemClock.now() + 500; systemClock.now() < endMs; await sleep(systemClock, 2)) {
        const message = () => concat(bytes(`${sent}`.padEnd(6)), filling);
        while (sent < 200 && second.send(first.self, message())) sent++;
      }
      await introduced;
      await until(() => first.connections().length === 1 && second.connections().length === 1);
      await until(() => heard.length === sent);
      assert.deepEqual(heard.toSorted((a, b) => +a - +b), Array.from({ length: sent }, (_, i) => `${i}`));
      assert.equal(both, 2, "there were two");
      assert.equal(first.connections()[0]!.dialled, first === small, "what the smaller name dialled stays");
      assert.deepEqual(changes, []);
      offs.forEach((off) => off());
      if (second === great) {
        await second.stop();
        await until(() => first.peers().length === 0);
        await second.start();
      }
    }
  });
});

test("a lost connection is back within a second", async () => {
  const gate = gateOf();
  const a = make({ gate }), b = make();
  await having([a, b], async () => {
    gate.names.add(b.self);
    tell(b, a);
    for (let i = 0; i < 3; i++) {
      await until(() => a.peers().length === 1 && b.peers().length === 1);
      gate.names.clear();
      a.recheck();
      gate.names.add(b.self);
      await until(() => b.peers().length === 0);
      assert.ok(await until(() => a.peers().length === 1 && b.peers().length === 1) < 1000);
    }
  });
});

test("peers tell each other of peers; only who is let in is dialled and told of", async () => {
  const gate = gateOf();
  const a = make(), b = make(), c = make({ gate }), d = make({ gate });
  gate.names.add(a.self).add(b.self);
  await having([a, b, c, d], async () => {
    tell(b, a);
    tell(d, a);
    await until(() => a.peers().length === 2);
    c.remember([{ address: a.addresses()[0]! }]);
    await until(() => c.peers().includes(b.self) && d.peers().includes(b.self), "they find each other");
    await sleep(systemClock, 300);
    assert.ok(c.connections().every(({ peer, dialled }) => peer !== d.self || !dialled), "only hearsay");
    assert.deepEqual(new Set(c.known().map(({ peer }) => peer)), new Set([a.self, b.self]));
    assert.ok(c.known().every(({ address }) => /^127\.0\.0\.1:\d+$/.test(address)));
  });
});

test("another network: never connected, a stranger to nobody, and not dialled for ever", async () => {
  const met: string[] = [];
  const gate = {
    ...openGate,
    admits: () => false,
    meet: (peer: string) => Promise.resolve(void met.push(peer)),
  };
  const limits = { redialFirstMs: 5, foreignTriesMax: 4 };
  const a = make({ gate, limits }), b = make({ gate, network: "other" });
  await having([a, b], async () => {
    const [host, port] = b.addresses()[0]!.split(":");
    let dials = 0;
    const proxy = createServer((socket) => {
      dials++;
      const there = connect(Number(port), host);
      socket.pipe(there).pipe(socket);
      for (const end of [socket, there]) end.on("error", () => {}); // either side may reset it
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    a.remember([{ address: `127.0.0.1:${(proxy.address() as { port: number }).port}` }]);
    await until(() => dials === 4);
    await sleep(systemClock, 500);
    assert.equal(dials, 4);
    assert.deepEqual([met, a.connections(), b.connections(), a.known()], [[], [], [], []]);
    await new Promise((resolve) => proxy.close(resolve));
  });
});

test("whoever answers at a given address is taken; our own address is forgotten", async () => {
  const a = make(), b = make();
  await having([a, b], async () => {
    a.remember([{ address: a.addresses()[0]! }, {
      address: b.addresses()[0]!.replace("127.0.0.1", "localhost"),
    }]);
    await until(() => a.peers().length === 1);
    await until(() => a.known().length === 1, "b tells its address");
    assert.deepEqual(a.known(), [{ peer: b.self, address: b.addresses()[0] }]);
    assert.throws(() => a.remember([{ address: "no address" }]), { kind: "usage" });
    assert.throws(() => a.remember([{ address: "1.2.3.4:5", peer: "no name" }]), { kind: "usage" });
  });
});

test("1,000 sockets that never shake hands: few are kept, and a peer is connected within 5 seconds", async () => {
  const limits = { handshakeMs: 5000 };
  const a = make({ limits }), b = make();
  await having([a, b], async () => {
    const [host, port] = a.addresses()[0]!.split(":");
    const open = new Set<Socket>(), begun = new Set<Socket>();
    for (let i = 0; i < 1000; i++) {
      const socket = connect({ host, port: Number(port), localAddress: "127.0.0.2" });
      socket.on("connect", () => {
        open.add(socket);
        begun.add(socket);
        if (i % 3 === 0) socket.write(new Uint8Array(100).fill(i)); // garbage
        if (i % 3 === 1) socket.write("\x13/multistream/1.0.0\n"); // half of a handshake
      });
      socket.on("close", () => begun.add(socket) && open.delete(socket));
      socket.on("error", () => {}); // a reset is what most of them get
    }
    tell(b, a);
    assert.ok(await until(() => b.peers().length === 1) < 5000);
    await until(() => begun.size === 1000);
    await until(() => open.size <= 8, "few are kept of one address", 2500);
    await until(() => open.size === 0, "the last handshake ends");
    await until(() => a.peers().length === 1);
  });
});

test("an address that is taken is a fault of the environment, and leaves nothing behind", async () => {
  const a = make();
  await having([a], async () => {
    const b = make({ listen: a.addresses() });
    await assert.rejects(b.start(), (fault: Error) => {
      assert.match(fault.message, /cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE/);
      return (fault as { kind?: unknown }).kind === "environment";
    });
    assert.deepEqual(b.addresses(), []);
  });
  assert.throws(() => make({ network: "Not/this" }), { kind: "usage" });
  assert.throws(() => make({ listen: ["4726"] }), { kind: "usage" });
  assert.throws(() => make({ secretKey: new Uint8Array(31) }), { kind: "corrupt" });
});

test("a process in which everything is stopped ends by itself", async (t) => {
  if ("Deno" in globalThis) {
    return t.skip("in Deno a channel of mortice, which libp2p locks with, keeps a process");
  }
  const script = `
    import { having, make, tell, until } from ${
    JSON.stringify(new URL("../tests/contract/libp2p.ts", import.meta.url))
  };
    const a = make(), b = make({ discover: true });
    await having([a, b], async () => {
      tell(a, b);
      await until(() => a.peers().length === 1);
      b.send(a.self, new Uint8Array(100_000));
    });
    console.log("stopped");`;
  const args = ["--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  assert.equal(stdout, "stopped\n");
});
