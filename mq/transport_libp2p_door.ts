// Door: how many may stand at it: handshakes and strangers, in all and from one address. Full means refused at once.
// Not who is let in: that is the gate's decision, about keys.
import type { MultiaddrConnection, StreamMessageEvent } from "@libp2p/interface";
import { fromMultiaddr } from "./address.ts";

export interface DoorLimits {
  connectionsPerAddressMax: number;
  handshakesPerAddressMax: number;
  strangersMax: number;
  strangersPerAddressMax: number;
  strangerBytesMax: number;
}

/** A connection as the door sees it. */
export interface Visitor {
  /** The remote IP address. */
  host: string;
  isStranger: boolean;
}

/** The remote IP address of a connection, or "" when it has none. */
export function hostOf(connection: { remoteAddr: { toString(): string } }): string {
  return fromMultiaddr(connection.remoteAddr.toString())?.host ?? "";
}

export class Door {
  readonly #limits: DoorLimits;
  readonly #visitors: () => Iterable<Visitor>;
  readonly #handshakes = new Map<MultiaddrConnection, string>();

  /** `visitors` gives the connections whose handshake is over. */
  constructor(limits: DoorLimits, visitors: () => Iterable<Visitor>) {
    this.#limits = limits;
    this.#visitors = visitors;
  }

  /** Whether there is no room for another connection from there; if there is, its handshake is counted from now on. */
  isFullFor(incoming: MultiaddrConnection): boolean {
    const host = hostOf(incoming);
    const shaking = [...this.#handshakes.values()].filter((other) => other === host).length;
    const connected = [...this.#visitors()].filter((visitor) => visitor.host === host).length;
    if (shaking >= this.#limits.handshakesPerAddressMax) return true;
    if (shaking + connected >= this.#limits.connectionsPerAddressMax) return true;
    this.#handshakes.set(incoming, host);
    incoming.addEventListener("close", () => this.#handshakes.delete(incoming));
    return false;
  }

  /** Whether there is no room for another stranger from there. */
  isFullForStranger(connection: MultiaddrConnection): boolean {
    const strangers = [...this.#visitors()].filter(({ isStranger }) => isStranger);
    const host = hostOf(connection);
    return strangers.length >= this.#limits.strangersMax ||
      strangers.filter((visitor) => visitor.host === host).length >= this.#limits.strangersPerAddressMax;
  }

  /**
   * Cuts this connection off when too much comes in on it while its peer is a stranger: that bounds what a stranger
   * can make libp2p keep, however many streams it opens. To be called when the handshake has proved the key.
   */
  meter(connection: MultiaddrConnection, isStranger: () => boolean): void {
    let bytes = 0;
    const count = ({ data }: StreamMessageEvent) => {
      bytes += data.byteLength;
      if (bytes <= this.#limits.strangerBytesMax) return;
      connection.removeEventListener("message", count);
      if (isStranger()) connection.abort(new Error("too much from a stranger"));
    };
    connection.addEventListener("message", count);
  }

  /** The handshake of this connection is over. */
  shaken(connection: MultiaddrConnection): void {
    this.#handshakes.delete(connection);
  }
}
