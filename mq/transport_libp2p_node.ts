// The libp2p node behind a transport: which of its parts run, and with which limits. All that polls is off, and every
// protocol is closed to strangers. Not a policy: who is a stranger is said by its maker.
import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import { identify } from "@libp2p/identify";
import type { Connection, Logger, MultiaddrConnection, StreamHandler } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { peerIdFromString } from "@libp2p/peer-id";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { dialable, formatAddress, fromMultiaddr, parseAddress, toMultiaddr } from "./address.ts";
import { concat } from "./bytes.ts";
import { keyPairFromSecret } from "./ed25519.ts";
import type { Clock } from "./clock.ts";
import type { PeerId } from "./transport.ts";
import { discovery } from "./transport_libp2p_discovery.ts";
import { boundedYamux } from "./transport_libp2p_muxer.ts";
import type { TransportLimits } from "./transport_libp2p_options.ts";
import { within } from "./transport_libp2p_streams.ts";
import { inOnePiece } from "./transport_libp2p_writes.ts";

export interface NodeOptions {
  clock: Clock;
  secretKey: Uint8Array;
  network: string;
  /** As people write addresses. */
  listen: string[];
  discover: boolean;
  services: Record<string, (components: never) => unknown>;
  limits: TransportLimits;
  /** Whether there is no room for this incoming connection. */
  refusesHandshake(incoming: MultiaddrConnection): boolean;
  /** Whether this peer, whose key is proved now, is to be cut off at once. */
  refusesPeer(peer: PeerId, connection: MultiaddrConnection): boolean;
  handshakeOver(connection: MultiaddrConnection): void;
  /** Whether a stream of `protocol` may be used on this connection, whoever opens it. */
  mayUse(protocol: string, connection: Connection): boolean;
  /** Whether a part of libp2p (a service) must not dial this peer. */
  refusesDial(peer: PeerId): boolean;
  /** A peer says on the local network that it is there. */
  onFound(peer: PeerId, addresses: string[]): void;
  /** A connection is there, its key proved; dialled by either side. */
  onOpened(connection: Connection): void;
  /** Who takes the streams of our own protocols. */
  handlers: Record<string, StreamHandler>;
}

export interface Node {
  /** @throws {Error} of libp2p, when it cannot listen */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Dials addresses of one peer, in libp2p's notation. @throws {Error} of libp2p, when none leads to it */
  dial(targets: string[]): Promise<Connection>;
  /** Addresses at which this node can be dialled now. */
  addresses(): string[];
  identify(connection: Connection): Promise<void>;
  /** Makes libp2p forget what it knows of a peer; its store has no limit. */
  forget(peer: PeerId): Promise<void>;
  service(name: string): unknown;
}

/** Makes a node, not started. Protocols of libp2p get the prefix `isconf/NETWORK`. */
export async function makeNode(opts: NodeOptions): Promise<Node> {
  const { limits, network } = opts;
  const { publicKey, secretKey } = keyPairFromSecret(opts.secretKey);
  const protocolPrefix = `isconf/${network}`;
  let listening = (): Multiaddr[] => [];
  let announce = (_: Multiaddr): void => {};
  const libp2p = await createLibp2p({
    start: false,
    privateKey: privateKeyFromRaw(concat(secretKey, publicKey)),
    nodeInfo: { name: "isconf", version: "1", userAgent: "isconf" }, // tells nothing about this host
    logger: { forComponent: () => silent },
    addresses: { listen: opts.listen.map((text) => toMultiaddr(parseAddress(text))) },
    transports: [tcp({
      maxConnections: limits.connectionsMax + limits.handshakesMax,
      backlog: limits.connectionsWaitingMax,
    })],
    // Another network derives other keys from the handshake: it ends there.
    connectionEncrypters: [inOnePiece(noise({ prologueBytes: new TextEncoder().encode(protocolPrefix) }))],
    streamMuxers: [boundedYamux({
      maxInboundStreams: limits.streamsPerConnectionMax,
      maxOutboundStreams: limits.streamsPerConnectionMax,
      keepAliveInterval: 2 ** 31 - 1, // the one ping at the beginning measures the round trip; we have our own pulse
      streamOptions: {
        maxStreamWindowSize: limits.streamWindowBytesMax,
        maxReadBufferLength: limits.unreadBytesMax,
      },
    }, limits.streamWindowBytesMax)],
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: limits.connectionsMax,
      maxIncomingPendingConnections: limits.handshakesMax,
      inboundConnectionThreshold: limits.connectionsPerAddressPerSecond,
      inboundUpgradeTimeout: limits.handshakeMs,
      maxParallelDials: limits.dialsMax,
      maxDialQueueLength: limits.knownPeersMax,
      maxPeerAddrsToDial: limits.addressesPerPeerMax,
      dialTimeout: limits.dialMs * 2,
      addressDialTimeout: limits.dialMs,
      addressSorter: () => 0, // ours are in the order in which they are to be tried
      inboundStreamProtocolNegotiationTimeout: limits.questionMs,
      outboundStreamProtocolNegotiationTimeout: limits.questionMs,
      reconnectRetries: 0,
      resolvers: {},
    },
    connectionGater: {
      denyDialPeer: (peer) => opts.refusesDial(peer.toString()),
      denyInboundConnection: (connection) => opts.refusesHandshake(connection),
      denyInboundEncryptedConnection: (peer, connection) => opts.refusesPeer(peer.toString(), connection),
      denyOutboundEncryptedConnection: (peer, connection) => opts.refusesPeer(peer.toString(), connection),
      denyInboundUpgradedConnection: (_, connection) => {
        opts.handshakeOver(connection);
        return false;
      },
    },
    services: {
      // `use` of libp2p 3.3 would run a handler once more for each stream before; it is also deaf to later protocols.
      guard: ({ registrar, addressManager, transportManager }) => {
        registrar.getMiddleware = (protocol) => [(stream, connection, next) => {
          if (!opts.mayUse(protocol, connection)) throw new Error("refused");
          next(stream, connection);
        }];
        listening = () => transportManager.getListeners().flatMap((listener) => listener.getAddrs());
        announce = (address) =>
          addressManager.confirmObservedAddr(address, { type: "transport", ttl: Infinity });
        return {};
      },
      identify: identify({ protocolPrefix, runOnConnectionOpen: false }),
      ping: ping({ protocolPrefix }),
      ...(opts.discover ? { discovery: discovery(opts) } : {}),
      ...opts.services as Record<string, () => unknown>,
    },
  });
  libp2p.addEventListener("connection:open", ({ detail }) => opts.onOpened(detail));
  for (const [protocol, handler] of Object.entries(opts.handlers)) {
    await libp2p.handle(protocol, handler, { maxInboundStreams: 4, maxOutboundStreams: 4 }); // old ones may be closing
  }
  return {
    start: async () => {
      await libp2p.start();
      for (const address of listening()) announce(address); // a public one would have to be verified by others first
    },
    addresses: () => {
      const found = listening().flatMap((address) => fromMultiaddr(address.toString()) ?? []);
      return [...new Set(found.flatMap(dialable).map(formatAddress))];
    },
    identify: async (connection) => void await libp2p.services.identify.identify(connection),
    stop: async () => void await libp2p.stop(),
    dial: (targets) =>
      within(
        opts.clock,
        2 * limits.dialMs,
        undefined,
        (signal) => libp2p.dial(targets.map((target) => multiaddr(target)), { signal }),
      ),
    forget: (peer) => libp2p.peerStore.delete(peerIdFromString(peer)).catch(() => {}), // there was nothing, or we stop
    service: (name) => (libp2p.services as Record<string, unknown>)[name],
  };
}

/** libp2p's own log, with addresses and versions as strangers give them, is for nobody. */
const silent: Logger = Object.assign(() => {}, {
  enabled: false,
  error: () => {},
  trace: () => {},
  newScope: () => silent,
});
