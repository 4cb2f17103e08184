// Transport: what isconf asks of a network: whole messages to a peer, and to whoever joined a topic.
// Not reliable and not ordered for certain; who needs that asks again. tests/contract/transport.ts holds each to it.
import { Buffer } from "node:buffer";
import { Fault } from "./fault.ts";
import { messageBytesMax, topicBytesMax } from "./limits.ts";

/** The name of a peer; the transport proves that who uses it owns it. */
export type PeerId = string;

export interface Transport {
  readonly self: PeerId;

  /** The peers connected now, without ourselves. */
  peers(): PeerId[];

  /**
   * Sends a copy of `bytes`. False: `to` is not connected, or its queue is full; nothing was sent then. True
   * promises nothing about arrival. Never waits.
   * @throws {Fault} usage, when there are more than `messageBytesMax` bytes
   */
  send(to: PeerId, bytes: Uint8Array): boolean;

  /**
   * Sends a copy of `bytes` to those who joined `topic`, as far as it gets; never back to ourselves.
   * @throws {Fault} usage, when there are more than `messageBytesMax` bytes or the topic is too long or empty
   */
  broadcast(topic: string, bytes: Uint8Array): void;

  /**
   * Asks for what is broadcast to `topic`, until {@link leave}.
   * @throws {Fault} usage, when the topic is too long or empty
   */
  join(topic: string): void;
  leave(topic: string): void;

  /** Calls `fn` for each message, with bytes that are its own; returns what ends that. */
  onMessage(fn: (from: PeerId, bytes: Uint8Array) => void): () => void;
  /** Calls `fn` for each broadcast to a joined topic; `from` is who wrote it, which is proven. */
  onBroadcast(fn: (topic: string, from: PeerId, bytes: Uint8Array) => void): () => void;
  /** Calls `fn` when a peer gets connected (`up`) or lost. */
  onPeer(fn: (peer: PeerId, up: boolean) => void): () => void;

  start(): Promise<void>;
  /** Lets go of everything; nothing is delivered afterwards. Harmless when stopped. */
  stop(): Promise<void>;
}

/**
 * Returns when a transport may carry this.
 * @throws {Fault} usage, when not
 */
export function checkMessage(bytes: Uint8Array, bytesMax: number = messageBytesMax): void {
  if (bytes.length > bytesMax) {
    throw new Fault("send", "usage", `a message of ${bytes.length} bytes, the limit is ${bytesMax}`, {
      hint: "isconf debug limits",
    });
  }
}

/**
 * Returns when `topic` may name a topic.
 * @throws {Fault} usage, when not
 */
export function checkTopic(topic: string): void {
  if (topic === "" || Buffer.byteLength(topic, "utf8") > topicBytesMax) {
    throw new Fault("topic", "usage", `a topic has 1 to ${topicBytesMax} bytes`, {
      hint: "isconf debug limits",
    });
  }
}
