// Link: one connection of the transport: who is there, whether they are let in, and the line once they are.
// Not the decision: that is the gate's, put into effect by transport_libp2p_links.ts.
import type { Connection } from "@libp2p/interface";
import { formatAddress, fromMultiaddr } from "./address.ts";
import type { Cancel } from "./clock.ts";
import type { PeerId } from "./transport.ts";
import { hostOf } from "./transport_libp2p_door.ts";
import type { Line } from "./transport_libp2p_line.ts";

export class Link {
  readonly connection: Connection;
  readonly peer: PeerId;
  /** The remote IP address. */
  readonly host: string;
  /** Where we dialled, or undefined when we were dialled. */
  readonly dialled: string | undefined;
  /** The messages, once the gate lets the peer in. */
  line: Line | undefined;
  /** Whether messages have come to flow. */
  wasUp = false;
  /** Whether libp2p has identified the peer, or is about to. */
  isIdentified = false;
  /** Questions we asked, and answered. */
  asked = 0;
  answered = 0;
  /** Ends the time in which messages must come to flow. */
  cancelDeadline: Cancel = () => {};
  /** Whether messages came to flow before the connection ended. */
  readonly outcome: Promise<boolean>;
  #settle: (up: boolean) => void = () => {};

  constructor(connection: Connection) {
    this.connection = connection;
    this.peer = connection.remotePeer.toString();
    this.host = hostOf(connection);
    const remote = fromMultiaddr(connection.remoteAddr.toString());
    this.dialled = connection.direction === "outbound" && remote !== undefined
      ? formatAddress(remote)
      : undefined;
    this.outcome = new Promise((resolve) => this.#settle = resolve);
  }

  get isStranger(): boolean {
    return this.line === undefined;
  }

  isUp(): void {
    this.wasUp = true;
    this.cancelDeadline();
    this.#settle(true);
  }

  isGone(): void {
    this.cancelDeadline();
    this.#settle(false);
  }
}

/**
 * The links of one peer that are one too many, of those that `self` dialled: two peers that dial each other at the
 * same time keep what the smaller name dialled; of two dialled by the same side the newer stays (`links`: oldest first).
 */
export function surplus(self: PeerId, links: Link[]): Link[] {
  const dialler = (link: Link) => link.dialled === undefined ? link.peer : self;
  const keep = links.reduce((kept, link) => dialler(link) <= dialler(kept) ? link : kept);
  return links.filter((link) => link !== keep && dialler(link) === self);
}
