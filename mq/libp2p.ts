// The second door of mq: the transport over libp2p. It stands beside mod.ts so that who imports that one, the command
// line and the half without a network, does not load libp2p. Not a place for code.
export type {
  ConnectionState,
  KnownAddress,
  Libp2pOptions,
  TransportLimits,
} from "./transport_libp2p_options.ts";
export { Libp2pTransport } from "./transport_libp2p.ts";
