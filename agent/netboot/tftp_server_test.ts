// tftp_server: over loopback: what it hands out, what it refuses and with which error, and that everything it has is bounded.
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { concat, systemClock, VirtualClock } from "../../mq/mod.ts";
import { until } from "../../tests/holder.ts";
import { booterMs, placeNameMax, tftpFileBytesMax, tftpTransfersPerAddressMax } from "./limits.ts";
import { MemoryBooter, memoryFile } from "./memory_booter.ts";
import { encodeTftpError, TFTP, TFTP_ERROR } from "./tftp.ts";
import { TftpServer } from "./tftp_server.ts";

const LOADER = new Uint8Array(3000).map((_, i) => i * 3);
const MAC = "52-54-00-12-34-56";

const booter = new MemoryBooter({
  loaders: { bios: { name: "first.bin", bytes: LOADER } },
  script: () => undefined,
  files: {
    kernel: { bytes: LOADER, step: "kernel" },
    "big.efi": { bytes: new Uint8Array(tftpFileBytesMax + 1), step: "loader" },
  },
});

interface Stage {
  server: TftpServer;
  lines: string[];
  gave: string[];
}

async function withServer(
  fn: (stage: Stage) => Promise<void>,
  more: Partial<Parameters<typeof TftpServer.open>[0]> = {},
) {
  const lines: string[] = [], gave: string[] = [];
  const server = await TftpServer.open({
    clock: systemClock,
    booter,
    bind: { address: "127.0.0.1", port: 0 },
    gave: (place, to) => void gave.push(`${place.mac} ${place.name} ${to.address}`),
    log: (line) => void lines.push(line),
    ...more,
  });
  try {
    await fn({ server, lines, gave });
  } finally {
    await server.close();
  }
}

/** A client's socket; what comes is kept in order. */
class Peer {
  readonly socket = dgram.createSocket("udp4");
  readonly #came: [Uint8Array, number][] = [];

  static async open(): Promise<Peer> {
    const peer = new Peer();
    peer.socket.on("message", (bytes, { port }) => void peer.#came.push([bytes, port]));
    peer.socket.bind(0, "127.0.0.1");
    await once(peer.socket, "listening");
    return peer;
  }

  send(bytes: Uint8Array, port: number): void {
    this.socket.send(bytes, port, "127.0.0.1");
  }

  ask(server: TftpServer, ...words: string[]): void {
    this.send(packet(TFTP.read, ...words), server.end.port);
  }

  async next(): Promise<{ kind: number; number: number; text: string; body: Uint8Array; port: number }> {
    await until("an answer has come", () => this.#came.length > 0, 15_000);
    const [bytes, port] = this.#came.shift()!;
    const body = bytes.subarray(4);
    return {
      kind: bytes[1]!,
      number: bytes[2]! * 256 + bytes[3]!,
      text: new TextDecoder().decode(body),
      body,
      port,
    };
  }

  get isQuiet(): boolean {
    return this.#came.length === 0;
  }

  close(): void {
    this.socket.close();
  }
}

const packet = (kind: number, ...words: string[]) =>
  concat(new Uint8Array([0, kind]), new TextEncoder().encode(words.map((word) => `${word}\0`).join("")));
const ack = (block: number) => new Uint8Array([0, 4, block >> 8, block & 0xff]);

async function withPeers(count: number, fn: (...peers: Peer[]) => Promise<void>): Promise<void> {
  const peers = await Promise.all(Array.from({ length: count }, () => Peer.open()));
  try {
    await fn(...peers);
  } finally {
    peers.forEach((peer) => peer.close());
  }
}

test("a loader comes over a port of its own; who is told knows the machine", () =>
  withServer(({ server, gave }) =>
    withPeers(1, async (peer) => {
      peer.ask(server, `//${MAC}//first.bin`, "octet");
      let got: Uint8Array = new Uint8Array(0);
      for (let block = 1;; block++) {
        const { kind, number, body, port } = await peer.next();
        assert.deepEqual([kind, number], [TFTP.data, block]);
        assert.notEqual(port, server.end.port);
        got = concat(got, body);
        peer.send(ack(block), port);
        if (body.length < 512) break;
      }
      assert.deepEqual(got, LOADER);
      await until("it is over", () => server.transfers === 0);
      assert.deepEqual(gave, ["52:54:00:12:34:56 first.bin 127.0.0.1"]);
    })
  ));

test("an acknowledgement from another port gets ERROR 5, and the transfer goes on", () =>
  withServer(({ server }) =>
    withPeers(2, async (peer, stranger) => {
      peer.ask(server, "first.bin", "octet");
      const { port } = await peer.next();
      stranger.send(ack(1), port);
      const { kind, number } = await stranger.next();
      assert.deepEqual([kind, number], [TFTP.error, 5]);
      stranger.send(packet(TFTP.error, "x"), port);
      stranger.send(new Uint8Array([9]), port);
      peer.send(ack(1), port);
      assert.equal((await peer.next()).number, 2);
      assert.ok(stranger.isQuiet);
    })
  ));

test("writes, netascii, tricks, what is no loader, what is too big: each gets its ERROR", () =>
  withServer(({ server, lines }) =>
    withPeers(1, async (peer) => {
      const refused = async (code: number, request: Uint8Array) => {
        peer.send(request, server.end.port);
        const { kind, number, text } = await peer.next();
        assert.deepEqual([kind, number], [TFTP.error, code], text);
      };
      await refused(2, packet(TFTP.write, "first.bin", "octet"));
      await refused(4, packet(TFTP.read, "first.bin", "netascii"));
      await refused(4, packet(TFTP.read, "first.bin", "mail"));
      for (
        const name of [
          "../etc/passwd",
          "a/../first.bin",
          "..\\first.bin",
          ".",
          "a b",
          "x".repeat(placeNameMax + 1),
        ]
      ) {
        await refused(2, packet(TFTP.read, name, "octet"));
      }
      await refused(1, packet(TFTP.read, "kernel", "octet"));
      await refused(1, packet(TFTP.read, "nothing", "octet"));
      await refused(1, packet(TFTP.read, "/etc/passwd", "octet"));
      await refused(0, packet(TFTP.read, "big.efi", "octet"));
      assert.equal(server.transfers, 0);
      peer.send(packet(TFTP.read, "\u001b[31mred", "octet"), server.end.port);
      await peer.next();
      assert.ok(lines.every((line) => !line.includes("\u001b")), "a name reached the log as it came");
    })
  ));

test("garbage gets no answer", () =>
  withServer(({ server }) =>
    withPeers(1, async (peer) => {
      const garbage = [[], [0], [0, 1], [0, 1, 0, 0], [0, 9, 65, 0], [0, 5, 0, 0, 0], [0, 4, 0, 1], [
        0,
        3,
        0,
        1,
        7,
      ]];
      for (const bytes of garbage) peer.send(new Uint8Array(bytes), server.end.port);
      peer.send(new Uint8Array(2000).fill(1), server.end.port);
      peer.ask(server, "nothing", "octet");
      assert.equal((await peer.next()).number, 1);
      assert.ok(peer.isQuiet);
    })
  ));

test("a client that asks again from the same port has one transfer", () =>
  withServer(({ server }) =>
    withPeers(1, async (peer) => {
      for (let times = 0; times < 5; times++) peer.ask(server, "first.bin", "octet");
      const { port } = await peer.next();
      peer.send(ack(1), port);
      assert.equal((await peer.next()).number, 2);
      assert.ok(peer.isQuiet);
      assert.equal(server.transfers, 1);
    })
  ));

test("transfers are bounded, to one address and in all; one that ends makes room", () =>
  withServer(({ server, lines }) =>
    withPeers(tftpTransfersPerAddressMax + 1, async (...peers) => {
      const last = peers.pop()!;
      for (const peer of peers) peer.ask(server, "first.bin", "octet");
      const ports = await Promise.all(peers.map(async (peer) => (await peer.next()).port));
      last.ask(server, "first.bin", "octet");
      await until("that is said", () => lines.some((line) => line.includes("too many")));
      assert.ok(last.isQuiet);
      peers[0]!.send(encodeTftpError(TFTP_ERROR.options, "no"), ports[0]!);
      await until("there is room", () => server.transfers < tftpTransfersPerAddressMax);
      last.ask(server, "first.bin", "octet");
      assert.equal((await last.next()).number, 1);
    })
  ));

test("a booter that never answers costs its client its place for a while only", async () => {
  const clock = new VirtualClock(1);
  await withServer(({ server }) =>
    withPeers(1, async (peer) => {
      peer.ask(server, "first.bin", "octet");
      await until("it is being looked for", () => server.transfers === 1, 15_000);
      await clock.advance(booterMs);
      assert.equal((await peer.next()).text, "not now\0");
      assert.equal(server.transfers, 0);
    }), { clock, booter: { fileAt: () => new Promise(() => {}) } });
});

test("a booter that fails is an ERROR and a line in the log; closing ends what is under way", () =>
  withServer(({ server, lines }) =>
    withPeers(2, async (peer, other) => {
      peer.ask(server, "breaks", "octet");
      assert.equal((await peer.next()).text, "not now\0");
      assert.match(lines.join("\n"), /no store/);
      other.ask(server, "first.bin", "octet");
      await other.next();
      await server.close();
      assert.equal(server.transfers, 0);
    }), {
    booter: {
      fileAt: ({ name }) =>
        name === "breaks"
          ? Promise.reject(new Error("no store"))
          : Promise.resolve(memoryFile(LOADER, "loader")),
    },
  }));
