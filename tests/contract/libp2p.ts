// What tests of the transport over libp2p share: transports on loopback, gates, and a peer that keeps to no rule.
// Not a test.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import { identify } from "@libp2p/identify";
import type { Connection, Libp2p, Stream } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { type Libp2pOptions, Libp2pTransport } from "../../mq/libp2p.ts";
import type { Gate, PeerId } from "../../mq/mod.ts";
import { concat, keyPairFromSecret, peerIdOf, sleep, systemClock } from "../../mq/mod.ts";

/** The name of a network that nobody else on this machine uses. */
export const NETWORK: string = randomBytes(16).toString("hex");

/** A gate that lets in everybody. */
export const openGate: Gate = {
  admits: () => true,
  meet: () => Promise.resolve(),
  answer: () => Promise.reject(new Error("nobody asks")),
};

/** A gate that lets in who stands in `names`, which a test may change; it asks no questions. */
export function gateOf(...peers: PeerId[]): Gate & { names: Set<PeerId> } {
  const names = new Set(peers);
  return { ...openGate, names, admits: (peer) => names.has(peer) };
}

/** A transport on loopback, not started; by default its gate is open and it logs nothing. */
export function make(opts: Partial<Libp2pOptions> = {}): Libp2pTransport {
  return new Libp2pTransport({
    clock: systemClock,
    secretKey: systemClock.random(32),
    network: NETWORK,
    listen: ["127.0.0.1:0"],
    discover: false,
    gate: openGate,
    ...opts,
  });
}

/** Runs `work` with transports, started, and stops them. */
export async function having(transports: Libp2pTransport[], work: () => Promise<void>): Promise<void> {
  try {
    await Promise.all(transports.map((transport) => transport.start()));
    await work();
  } finally {
    await Promise.all(transports.map((transport) => transport.stop()));
  }
}

/** Waits until `condition` holds; fails when that takes more than `ms` milliseconds. Returns how long it took. */
export async function until(condition: () => boolean, what = "it", ms = 8000): Promise<number> {
  const startMs = systemClock.now();
  while (!condition()) {
    if (systemClock.now() - startMs > ms) assert.fail(`${what} does not come to hold in ${ms} ms`);
    await sleep(systemClock, 5);
  }
  return systemClock.now() - startMs;
}

/** Makes `to` know where `about` are. */
export function tell(to: Libp2pTransport, ...about: Libp2pTransport[]): void {
  to.remember(about.map((other) => ({ peer: other.self, address: other.addresses()[0]! })));
}

/** A peer with a proper key that speaks libp2p, and nothing of ours unless the test makes it. */
export interface Rogue {
  self: PeerId;
  libp2p: Libp2p;
  dial(transport: Libp2pTransport): Promise<Connection>;
}

export async function rogue(network: string = NETWORK): Promise<Rogue> {
  const { publicKey, secretKey } = keyPairFromSecret(systemClock.random(32));
  const protocolPrefix = `isconf/${network}`;
  const libp2p = await createLibp2p({
    privateKey: privateKeyFromRaw(concat(secretKey, publicKey)),
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
    transports: [tcp()],
    connectionEncrypters: [noise({ prologueBytes: new TextEncoder().encode(protocolPrefix) })],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    services: {
      identify: identify({ protocolPrefix, runOnConnectionOpen: false }),
      ping: ping({ protocolPrefix }),
    },
  });
  return {
    self: peerIdOf(publicKey),
    libp2p,
    dial: (transport) => {
      const [host, port] = transport.addresses()[0]!.split(":");
      return libp2p.dial(multiaddr(`/ip4/${host}/tcp/${port}`), { signal: AbortSignal.timeout(5000) });
    },
  };
}

/** Opens a stream, sends `bytes`, and gives what comes back until it is closed; undefined when it is reset. */
export async function talk(
  connection: Connection,
  protocol: string,
  bytes: Uint8Array = new Uint8Array(0),
): Promise<Uint8Array | undefined> {
  let stream: Stream | undefined;
  try {
    stream = await connection.newStream([protocol], { signal: AbortSignal.timeout(3000) });
    const heard: Uint8Array[] = [];
    stream.addEventListener("message", ({ data }) => heard.push(data.subarray()));
    if (bytes.length > 0) stream.send(bytes);
    await until(() => stream?.remoteWriteStatus === "closed", "the end of a stream", 4000);
    return stream.status === "reset" ? undefined : concat(...heard);
  } catch {
    return undefined; // refused before it was open
  } finally {
    stream?.abort(new Error("done"));
  }
}
