// Transport: what isconf asks of a network: whole messages between peers that were let in.
// Not reliable and not ordered for certain; who needs that asks again. tests/contract/transport.ts holds each to it.
import { Fault } from "./fault.ts";
import { messageBytesMax } from "./limits.ts";

/** The name of a peer; the transport proves that who uses it owns it. */
export type PeerId = string;

export interface Transport {
  readonly self: PeerId;

  /** The peers connected now, without ourselves. */
  peers(): PeerId[];

  /**
   * Sends `bytes`, which must not change any more: they may be on their way for a while. False: `to` is not connected, or its queue is full; nothing was sent then. True
   * promises nothing about arrival. Never waits.
   * @throws {Fault} usage, when there are more than `messageBytesMax` bytes
   */
  send(to: PeerId, bytes: Uint8Array): boolean;

  /** Calls `fn` for each message, with bytes that are its own; returns what ends that. */
  onMessage(fn: (from: PeerId, bytes: Uint8Array) => void): () => void;
  /** Calls `fn` when a peer gets connected (`up`) or lost. */
  onPeer(fn: (peer: PeerId, up: boolean) => void): () => void;

  start(): Promise<void>;
  /** Lets go of everything; nothing is delivered afterwards. Harmless when stopped. */
  stop(): Promise<void>;
}

/** Who decides whom a transport talks to. A transport knows keys and addresses, never what they may. */
export interface Gate {
  /** Whether this peer is let in now. Asked after the handshake that proves its key, and again by `recheck`. */
  admits(peer: PeerId): boolean;
  /**
   * A peer that is not let in is connected: `ask` puts questions to it. When this settles the gate is asked again;
   * who is still not let in is cut off after a while, in which it may ask us.
   */
  meet(peer: PeerId, ask: (question: Uint8Array) => Promise<Uint8Array>): Promise<void>;
  /** The answer to such a question of somebody who met us. A throw refuses it; the asker is not told why. */
  answer(peer: PeerId, question: Uint8Array): Promise<Uint8Array>;
}

/**
 * Returns when a transport may carry this.
 * @throws {Fault} usage, when not
 */
export function checkMessage(bytes: Uint8Array, bytesMax: number = messageBytesMax): void {
  if (bytes.length > bytesMax) {
    throw new Fault("send", "usage", `a message of ${bytes.length} bytes, the limit is ${bytesMax}`, {
      hint: "isconf doctor",
    });
  }
}
