// DHCP server: the sockets of both ways to tell machines what to boot: ProxyDHCP beside the site's server, or a DHCP server of our own, which begins only
// where no other answers. What is said: proxy.ts and dhcp_own.ts.
import { type Clock, Fault } from "../../mq/mod.ts";
import type { Booter, Loader, Machine } from "./booter.ts";
import { decodeDhcp, type Packet } from "./dhcp.ts";
import { type NetworkSettings, OwnDhcp } from "./dhcp_own.ts";
import { Probe } from "./dhcp_probe.ts";
import type { Leases } from "./leases.ts";
import { dhcpAsksMax } from "./limits.ts";
import {
  type BootServer,
  type End,
  proxyQuestion,
  proxyReply,
  PXE_PORT,
  type Reply,
  SERVER_PORT,
} from "./proxy.ts";
import { inTime } from "./rate.ts";
import { type Bind, openUdp, type Udp } from "./udp.ts";

/**
 * `all`: port 67 of every address, where what is sent to everybody arrives; `own`: port 67 of this server's address, from which answers go out, so that
 * they leave by its interface; `pxe`: port 4011 of it; `client`: port 68 of every address, for the probe, where that is free.
 */
export interface DhcpBinds {
  all: Bind;
  own: Bind;
  pxe: Bind;
  client?: Bind;
}

export interface DhcpParts {
  clock: Clock;
  server: BootServer;
  booter: Pick<Booter, "loaderFor">;
  binds: DhcpBinds;
  /** What it takes to give addresses; without it this is a ProxyDHCP server. */
  own?: { network: NetworkSettings; leases: Leases };
  /** A machine has been told what to load. */
  offered(machine: Machine): void;
  log(line: string): void;
}

export class DhcpServer {
  readonly #p: DhcpParts;
  readonly #own: OwnDhcp | undefined;
  readonly #sockets: Udp[] = [];
  /** While this is there nothing is answered. */
  #probe: Probe | undefined;
  #asks = 0;

  private constructor(parts: DhcpParts) {
    this.#p = parts;
    this.#own = parts.own && new OwnDhcp({
      ...parts.own,
      clock: parts.clock,
      server: parts.server,
      loaderFor: (machine) => this.#loaderFor(machine),
      rival: (address) => parts.log(`dhcp: another server gives addresses here, too: ${address}`),
    });
  }

  /** Begins to listen, and to answer. Throws an environment fault when a port cannot be had; a refused one when another server gives addresses. */
  static async open(parts: DhcpParts): Promise<DhcpServer> {
    const server = new DhcpServer(parts);
    try {
      await server.#open();
    } catch (e) {
      await server.close();
      throw e;
    }
    return server;
  }

  async close(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }

  async #open(): Promise<void> {
    const { binds, clock, server } = this.#p;
    const send = (bytes: Uint8Array, to: End) => own.send(bytes, to);
    if (this.#own !== undefined) this.#probe = new Probe({ clock, address: server.address, send });
    const own = await this.#listen(binds.own, SERVER_PORT, send);
    await this.#listen(binds.all, SERVER_PORT, send);
    const pxe: Udp = await this.#listen(binds.pxe, PXE_PORT, (bytes, to) => pxe.send(bytes, to));
    if (this.#probe === undefined) return;
    const client = binds.client && await this.#listen(binds.client, undefined, () => {}).catch((e) => {
      this.#p.log(`dhcp: other servers are asked as a relay only: ${Fault.from("dhcp", e).message}`);
      return undefined;
    });
    const rival = await this.#probe.run();
    this.#probe = undefined;
    await client?.close();
    if (rival !== undefined) {
      throw new Fault("dhcp", "refused", `another DHCP server gives addresses on this network: ${rival}`, {
        hint: "isconf help boot: beside that server, boot in proxy mode",
      });
    }
  }

  /** What comes to a port is answered by `send`; to none, only looked at by the probe. */
  async #listen(bind: Bind, port: number | undefined, send: Udp["send"]): Promise<Udp> {
    const socket = await openUdp(bind, {
      isShared: true,
      heard: (bytes, from) => void this.#heard(bytes, from, port, send),
      lost: (message) => this.#p.log(`dhcp: ${message}`),
    });
    this.#sockets.push(socket);
    return socket;
  }

  async #heard(bytes: Uint8Array, from: End, port: number | undefined, send: Udp["send"]): Promise<void> {
    if (this.#probe !== undefined) return this.#probe.hear(bytes, from);
    const packet = decodeDhcp(bytes);
    if (packet === undefined || port === undefined || this.#asks >= dhcpAsksMax) return;
    this.#asks++;
    try {
      const reply = await this.#answer(packet, port, from);
      if (reply !== undefined) send(reply.bytes, reply.to);
    } catch (e) {
      this.#p.log(`dhcp: ${packet.mac}: ${Fault.from("dhcp", e).message}`);
    } finally {
      this.#asks--;
    }
  }

  async #answer(packet: Packet, port: number, from: End): Promise<Reply | undefined> {
    if (this.#own !== undefined && port === SERVER_PORT) return await this.#own.answer(packet, from);
    const machine = proxyQuestion(packet, port, this.#p.server);
    const loader = machine && await this.#loaderFor(machine);
    return machine && loader && proxyReply(packet, port, from, machine, loader, this.#p.server);
  }

  /** Without a loader there may still be an address. */
  async #loaderFor(machine: Machine): Promise<Loader | undefined> {
    try {
      const loader = await inTime(this.#p.clock, this.#p.booter.loaderFor(machine));
      if (loader !== undefined) this.#p.offered(machine);
      return loader;
    } catch (e) {
      this.#p.log(`dhcp: ${machine.mac}: ${Fault.from("dhcp", e).message}`);
      return undefined;
    }
  }
}
