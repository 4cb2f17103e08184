// Transport over libp2p against who has a key and keeps to no rule: a stranger gets nothing but answers, and not many;
// a peer that is let in and breaks the framing, keeps silent or opens too much is cut off.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection, Stream } from "@libp2p/interface";
import {
  gateOf,
  having,
  make,
  NETWORK,
  openGate,
  type Rogue,
  rogue,
  talk,
  until,
} from "../tests/contract/libp2p.ts";
import { sleep, systemClock } from "./clock.ts";
import { encodeFrame } from "./frame.ts";
import { transportLimits } from "./limits.ts";
import type { Gate } from "./transport.ts";
import type { Libp2pTransport } from "./transport_libp2p.ts";
import { LINE_FRAMES } from "./transport_libp2p_line.ts";
import type { Libp2pOptions } from "./transport_libp2p_options.ts";

const INTRODUCTION = `/isconf/${NETWORK}/introduction/1`;
const MESSAGE = `/isconf/${NETWORK}/message/1`;
const frame = (type: number, body: Uint8Array = new Uint8Array(0)) => encodeFrame({ type, channel: 0, body });
const question = frame(0, Uint8Array.of(1, 2, 3));
const echo: Gate["answer"] = (_, asked) => Promise.resolve(asked);

/** A service of libp2p that says "hi" to whom it serves, and notes of whom it hears. */
function greeter() {
  const heardOf: string[] = [];
  interface Registrar {
    handle(
      protocol: string,
      handler: (stream: { send(b: Uint8Array): void; close(): unknown }) => unknown,
    ): unknown;
    register(protocol: string, topology: { onConnect(peer: { toString(): string }): void }): unknown;
  }
  const factory = ({ registrar }: { registrar: Registrar }) => ({
    heardOf,
    start: async () => {
      await registrar.register(`/isconf/${NETWORK}/ping/1.0.0`, {
        onConnect: (peer) => void heardOf.push(peer.toString()),
      });
      await registrar.handle("/greet", (stream) => {
        stream.send(new TextEncoder().encode("hi"));
        return stream.close();
      });
    },
    stop: () => {},
  });
  return { heardOf, factory };
}

/** Runs `work` with a transport and a peer that keeps to no rule, connected with it. */
function against(
  opts: Partial<Libp2pOptions>,
  work: (to: Libp2pTransport, connection: Connection, peer: Rogue) => Promise<void>,
): Promise<void> {
  const transport = make(opts);
  return having([transport], async () => {
    const peer = await rogue();
    try {
      // It accepts our stream as a peer does, so that messages come to flow when it opens its own.
      await peer.libp2p.handle(MESSAGE, (stream) => void stream.send(frame(LINE_FRAMES.pulse)));
      await peer.libp2p.handle(INTRODUCTION, () => {}); // never answers
      await work(transport, await peer.dial(transport), peer);
    } finally {
      await peer.libp2p.stop();
    }
  });
}

/** Opens the stream that makes the rogue a peer with which messages flow. */
async function getUp(transport: Libp2pTransport, connection: Connection) {
  const stream = await connection.newStream([MESSAGE]);
  await until(() => transport.peers().length === 1);
  return stream;
}

test("a stranger is served answers, and no other protocol, of libp2p or of a service", async () => {
  const gate = { ...gateOf(), answer: echo };
  const { heardOf, factory } = greeter();
  await against({ gate, services: { greeter: factory } }, async (transport, connection, { self }) => {
    assert.ok(transport.service("greeter"));
    const protocols = [
      "/greet",
      MESSAGE,
      ...["id/1.0.0", "ping/1.0.0"].map((name) => `/isconf/${NETWORK}/${name}`),
    ];
    for (const protocol of protocols) assert.equal(await talk(connection, protocol), undefined, protocol);
    assert.deepEqual(await talk(connection, INTRODUCTION, question), question);
    assert.deepEqual([transport.peers(), heardOf], [[], []]);
    gate.names.add(self);
    transport.recheck();
    assert.equal(new TextDecoder().decode(await talk(connection, "/greet")), "hi");
    assert.equal(new TextDecoder().decode(await talk(connection, "/greet")), "hi");
    await getUp(transport, connection);
    await until(() => heardOf.length === 1, "the service hears of who is let in");
    assert.deepEqual(heardOf, [self]);
  });
});

test("a stranger that stays one is cut off; meanwhile it is met once, and may ask", async () => {
  let met = 0;
  const gate = { ...gateOf(), answer: echo, meet: () => Promise.resolve(void met++) };
  const lines: string[] = [];
  const opts = { gate, limits: { strangerMs: 600 }, log: (line: string) => lines.push(line) };
  await against(opts, async (transport, connection, peer) => {
    await sleep(systemClock, 200);
    assert.deepEqual(await talk(connection, INTRODUCTION, question), question);
    assert.equal(connection.status, "open");
    assert.ok(await until(() => connection.status !== "open", "it is cut off") < 600);
    assert.deepEqual([met, transport.connections()], [1, []]);
    const again = await peer.dial(transport);
    await until(() => again.status !== "open");
    assert.deepEqual(
      [met, lines],
      [2, [`peer ${peer.self} at 127.0.0.1: is not let in`]],
      "one line for all times",
    );
  });
});

test("questions have an end: in number, in length, in time", async () => {
  const never: Gate["answer"] = (_, asked) =>
    asked.length > 0 ? Promise.resolve(asked.slice(0, 3)) : new Promise(() => {});
  const gate = { ...gateOf(), answer: never };
  await against({ gate, limits: { questionsMax: 5, questionMs: 300 } }, async (_, connection) => {
    assert.deepEqual(await talk(connection, INTRODUCTION, question), question);
    const tooLong = new Uint8Array(transportLimits.questionBytesMax + 1);
    assert.equal(await talk(connection, INTRODUCTION, frame(0, tooLong)), undefined);
    const startMs = systemClock.now();
    assert.equal(await talk(connection, INTRODUCTION, frame(0)), undefined, "the answer takes for ever");
    assert.equal(
      await talk(connection, INTRODUCTION, question.slice(0, 9)),
      undefined,
      "the question takes for ever",
    );
    assert.ok(systemClock.now() - startMs < 2000);
    assert.deepEqual(await talk(connection, INTRODUCTION, question), question);
    assert.equal(await talk(connection, INTRODUCTION, question), undefined, "one too many");
  });
});

test("who does not answer us is not waited for; an error of the gate goes to nobody", async () => {
  const lines: string[] = [];
  const gate = gateOf();
  gate.meet = async (_, ask) => void await ask(Uint8Array.of(1));
  gate.answer = () => Promise.reject(new Error("secret"));
  const opts = { gate, limits: { questionMs: 200 }, log: (line: string) => lines.push(line) };
  await against(opts, async (_, connection, { self }) => {
    assert.ok(await until(() => lines.length > 0) < 1000);
    assert.deepEqual(lines, [`peer ${self} at 127.0.0.1: the peer did not answer`]);
    assert.equal(await talk(connection, INTRODUCTION, question), undefined);
  });
});

test("strangers have a limit of their own for each address", async () => {
  const transport = make({ gate: gateOf(), limits: { strangersPerAddressMax: 2 } });
  await having([transport], async () => {
    const rogues = await Promise.all([rogue(), rogue(), rogue()]);
    try {
      await rogues[0]!.dial(transport);
      await rogues[1]!.dial(transport);
      const third = await rogues[2]!.dial(transport).catch(() => undefined);
      await until(() => third === undefined || third.status !== "open");
      assert.equal(transport.connections().length, 2);
    } finally {
      await Promise.all(rogues.map(({ libp2p }) => libp2p.stop()));
    }
  });
});

test("a stranger that sends and sends is cut off, whatever it sends", async () => {
  const gate = { ...gateOf(), answer: echo };
  await against({ gate, limits: { strangerBytesMax: 1 << 20 } }, async (_, connection) => {
    for (let i = 0; i < 40 && connection.status === "open"; i++) {
      const stream = await connection.newStream([INTRODUCTION]).catch(() => undefined);
      stream?.send(new Uint8Array(60_000).fill(1));
    }
    await until(() => connection.status !== "open");
  });
});

test("a frame of the multiplexer that claims 2 GiB ends the connection at once", async () => {
  await against({}, async (transport, connection) => {
    await getUp(transport, connection);
    const { muxer } = connection as unknown as { muxer: { maConn: { send(bytes: Uint8Array): void } } };
    const claim = new DataView(new ArrayBuffer(12));
    claim.setUint32(4, 1001); // stream
    claim.setUint32(8, 0x7fff_ffff); // bytes
    muxer.maConn.send(new Uint8Array(claim.buffer));
    await until(() => connection.status !== "open" && transport.connections().length === 0);
  });
});

test("a peer that breaks the framing is cut off, and the log says why, once", async () => {
  for (
    const broken of [Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0), Uint8Array.of(1, 0, 0, 0, 255, 255, 255, 255)]
  ) {
    const lines: string[] = [];
    await against({ log: (line) => lines.push(line) }, async (transport, connection, { self }) => {
      const stream = await getUp(transport, connection);
      const heard: number[] = [];
      transport.onMessage((_, bytes) => heard.push(bytes.length));
      stream.send(frame(LINE_FRAMES.message, new Uint8Array(7)));
      stream.send(frame(200, new Uint8Array(9))); // of a later version: ignored
      stream.send(broken);
      await until(() => transport.peers().length === 0 && connection.status !== "open");
      assert.deepEqual(heard, [7]);
      assert.equal(lines.length, 1);
      assert.match(
        lines[0]!,
        new RegExp(`^peer ${self} at 127.0.0.1: frame of (version 9|4294967295 bytes)`),
      );
    });
  }
});

test("addresses that are none, or too many, end the connection; those of others are noted and not believed", async () => {
  const peer = await rogue();
  await peer.libp2p.stop();
  const { encode } = await import("./cbor.ts");
  const bad = [
    Uint8Array.of(0xff),
    encode([["not a peer", ["127.0.0.1:1"]]]),
    encode([[peer.self, ["example.com:1"]]]),
    encode([[peer.self, ["\u001b[2J"]]]),
    encode(Array.from({ length: transportLimits.peersToldMax + 1 }, () => [peer.self, ["127.0.0.1:1"]])),
  ];
  for (const body of bad) {
    await against({}, async (transport, connection) => {
      const stream = await getUp(transport, connection);
      stream.send(frame(LINE_FRAMES.addresses, body));
      await until(() => transport.connections().length === 0);
    });
  }
  await against({}, async (transport, connection, { self }) => {
    const stream = await getUp(transport, connection);
    stream.send(
      frame(LINE_FRAMES.addresses, encode([[self, ["127.0.0.1:1"]], [peer.self, ["127.0.0.1:2"]]])),
    );
    await until(() => transport.known().length === 1);
    assert.deepEqual(transport.known(), [{ peer: self, address: "127.0.0.1:1" }]);
  });
});

test("a peer that keeps silent is cut off; one that has nothing to say is not", async () => {
  const limits = { pulseMs: 100, silenceMs: 450 };
  const good = [make({ limits }), make({ limits })] as const;
  await having([...good], async () => {
    good[0].remember([{ address: good[1].addresses()[0]! }]);
    await until(() => good.every((transport) => transport.peers().length === 1));
    let changes = 0;
    good[0].onPeer(() => changes++);
    await against({ limits }, async (transport, connection) => {
      await getUp(transport, connection);
      assert.ok(await until(() => transport.peers().length === 0, "it is cut off") > 400);
    });
    await sleep(systemClock, 700);
    assert.equal(changes, 0);
  });
});

test("streams and connections of one peer have an end", async () => {
  const limits = { streamsPerConnectionMax: 8, connectionsPerPeerMax: 3 };
  const transport = make({ limits, gate: { ...openGate, answer: echo } });
  await having([transport], async () => {
    const peer = await rogue();
    try {
      const connection = await peer.dial(transport);
      const { muxer } = connection as unknown as { muxer: { createStream(): Promise<Stream> } };
      const streams = await Promise.all(Array.from({ length: 40 }, () => muxer.createStream()));
      await until(
        () => streams.filter(({ status }) => status === "open").length <= 8,
        "the others are reset",
        2000,
      );
      const { multiaddr } = await import("@multiformats/multiaddr");
      const [host, port] = transport.addresses()[0]!.split(":");
      for (let i = 0; i < 5; i++) {
        await peer.libp2p.dial(multiaddr(`/ip4/${host}/tcp/${port}`), { force: true }).catch(() => undefined);
      }
      await until(() => transport.connections().length <= 3);
      assert.notEqual(connection.status, "open", "the oldest went first");
    } finally {
      await peer.libp2p.stop();
    }
  });
});
