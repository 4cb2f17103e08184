// What the transport over libp2p is made from and tells people, as types. Not code.
import type { Clock } from "./clock.ts";
import type { transportLimits } from "./limits.ts";
import type { Gate, PeerId } from "./transport.ts";

/** Every limit of {@link transportLimits}, with a number for it. */
export type TransportLimits = { [Name in keyof typeof transportLimits]: number };

export interface Libp2pOptions {
  clock: Clock;
  /** 32 bytes, the Ed25519 secret (seed) of the transport's own key. */
  secretKey: Uint8Array;
  /** What separates networks, 1 to 64 of a-z and 0-9: peers of another network never get connected. */
  network: string;
  /** Where to listen, for example "0.0.0.0:4726", "[::]:4726", "127.0.0.1:0"; empty: dials only. */
  listen: string[];
  /** Announce ourselves and look for peers on the local network by mDNS. */
  discover: boolean;
  gate: Gate;
  /** Further services of libp2p by name, each a factory; their protocols are as closed to strangers as ours. */
  services?: Record<string, (components: never) => unknown>;
  limits?: Partial<TransportLimits>;
  /** Takes lines for the log of this host; one for each peer and reason. */
  log?: (line: string) => void;
}

/** An address that may lead to a peer, or to somebody. */
export interface KnownAddress {
  peer?: PeerId;
  address: string;
}

/** A connection, for people. */
export interface ConnectionState {
  peer: PeerId;
  /** The remote IP address. */
  host: string;
  /** Whether we dialled. */
  dialled: boolean;
  /** Messages flow (`up`), or only we have let the other in, or not even that. */
  state: "stranger" | "let in" | "up";
}
