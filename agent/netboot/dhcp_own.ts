// DHCP of our own: what is answered where a network has no other DHCP server (RFC 2131, 4.3). It is the only one, so that it says no to whoever asks for
// what is another's. Not the sockets (dhcp_server.ts), and not which address is whose (leases.ts).
import type { Clock } from "../../mq/mod.ts";
import { broadcastOf, EVERYBODY, ip4Bytes, isSameNetwork, NO_ADDRESS } from "./address.ts";
import type { Loader, Machine } from "./booter.ts";
import { addressIn, encodeDhcp, OPTION, type Packet, replyTo, TYPE, typeOf, u32 } from "./dhcp.ts";
import type { Leases } from "./leases.ts";
import {
  bootClientsAtOnce,
  bootClientsPerSecond,
  otherClientsAtOnce,
  otherClientsPerSecond,
} from "./limits.ts";
import { machineIn } from "./machine.ts";
import {
  bootFields,
  type BootServer,
  CLIENT_PORT,
  clientWay,
  echoed,
  type End,
  type Reply,
} from "./proxy.ts";
import { Rate } from "./rate.ts";

/** What clients of this network are told beside their address. */
export interface NetworkSettings {
  mask: string;
  router?: string;
  dns: readonly string[];
  leaseSeconds: number;
}

export interface OwnParts {
  clock: Clock;
  server: BootServer;
  network: NetworkSettings;
  leases: Leases;
  loaderFor(machine: Machine): Promise<Loader | undefined>;
  /** A client has taken the offer of a server that is not this one. */
  rival(address: string): void;
}

export class OwnDhcp {
  readonly #p: OwnParts;
  readonly #bootRate: Rate;
  readonly #otherRate: Rate;

  constructor(parts: OwnParts) {
    this.#p = parts;
    this.#bootRate = new Rate(parts.clock, bootClientsPerSecond, bootClientsAtOnce);
    this.#otherRate = new Rate(parts.clock, otherClientsPerSecond, otherClientsAtOnce);
  }

  /**
   * The answer to a packet, if it gets one. A packet that came through a relay gets none: the range is one of this network. Rejects when a lease cannot
   * be kept.
   */
  async answer(packet: Packet, from: End): Promise<Reply | undefined> {
    const machine = machineIn(packet);
    if (packet.op !== 1 || packet.giaddr !== NO_ADDRESS || machine === "malformed") return undefined;
    if (!this.#isForUs(packet)) return undefined;
    const boots = machine === "none" ? undefined : machine;
    const { mac, ciaddr } = packet;
    switch (typeOf(packet)) {
      case TYPE.discover:
        return await this.#discover(packet, from, boots);
      case TYPE.request:
        return await this.#request(packet, from, boots);
      case TYPE.decline:
        await this.#p.leases.decline(mac, addressIn(packet, OPTION.wantedAddress) ?? "");
        return undefined;
      case TYPE.release:
        await this.#p.leases.release(mac, ciaddr);
        return undefined;
      case TYPE.inform:
        return ciaddr === NO_ADDRESS
          ? undefined
          : await this.#reply(packet, from, TYPE.ack, undefined, boots);
      default:
        return undefined;
    }
  }

  /** A packet that names a server is for that one. */
  #isForUs(packet: Packet): boolean {
    if (!packet.options.has(OPTION.server)) return true;
    const named = addressIn(packet, OPTION.server);
    if (named === this.#p.server.address) return true;
    if (named !== undefined && typeOf(packet) === TYPE.request) this.#p.rival(named);
    return false;
  }

  async #discover(packet: Packet, from: End, boots: Machine | undefined): Promise<Reply | undefined> {
    if (!this.#mayAsk(packet.mac, boots)) return undefined;
    const wanted = addressIn(packet, OPTION.wantedAddress);
    const address = this.#p.leases.offer(packet.mac, wanted, boots !== undefined);
    return address === undefined ? undefined : await this.#reply(packet, from, TYPE.offer, address, boots);
  }

  /** Taking an offer, coming back after a restart, or staying: RFC 2131, 4.3.2 tells them apart by what is filled in. */
  async #request(packet: Packet, from: End, boots: Machine | undefined): Promise<Reply | undefined> {
    const { mac, ciaddr } = packet;
    const wanted = addressIn(packet, OPTION.wantedAddress);
    const address = ciaddr === NO_ADDRESS ? wanted : ciaddr;
    if (address === undefined || !this.#mayAsk(mac, boots)) return undefined;
    const isStaying = ciaddr !== NO_ADDRESS && from.address === ciaddr;
    const isGiven = await this.#p.leases.grant(mac, address, isStaying);
    return isGiven ? await this.#reply(packet, from, TYPE.ack, address, boots) : this.#no(packet, address);
  }

  /** Who has a lease is always heard; of others so many a second, those that boot by themselves. */
  #mayAsk(mac: string, boots: Machine | undefined): boolean {
    return this.#p.leases.has(mac) || (boots === undefined ? this.#otherRate : this.#bootRate).take();
  }

  async #reply(
    packet: Packet,
    from: End,
    type: number,
    address: string | undefined,
    boots: Machine | undefined,
  ): Promise<Reply> {
    const { server, network } = this.#p;
    const { mask, router, leaseSeconds, dns } = network;
    const loader = boots && await this.#p.loaderFor(boots);
    const boot = boots && loader && bootFields(packet, boots, loader, server);
    const options: Packet["options"] = new Map([
      [OPTION.type, new Uint8Array([type])],
      [OPTION.server, ip4Bytes(server.address)],
    ]);
    if (address !== undefined) options.set(OPTION.leaseSeconds, u32(leaseSeconds));
    options.set(OPTION.mask, ip4Bytes(mask));
    options.set(OPTION.broadcast, ip4Bytes(broadcastOf(server.address, mask)));
    if (router !== undefined) options.set(OPTION.router, ip4Bytes(router));
    if (dns.length > 0) options.set(OPTION.dns, Uint8Array.from(dns.flatMap((one) => [...ip4Bytes(one)])));
    for (const [code, value] of [...boot?.options ?? [], ...echoed(packet)]) options.set(code, value);
    const bytes = encodeDhcp(replyTo(packet, {
      ciaddr: packet.ciaddr,
      yiaddr: address ?? NO_ADDRESS,
      ...(boot && { siaddr: boot.siaddr, file: boot.file }),
      options,
    }));
    return { bytes, to: clientWay(packet, from) };
  }

  /** No goes to everybody: who asked may have an address of another network. */
  #no(packet: Packet, address: string): Reply {
    const { server, network } = this.#p;
    const why = isSameNetwork(address, server.address, network.mask)
      ? "that is another's"
      : "another network";
    const options: Packet["options"] = new Map([
      [OPTION.type, new Uint8Array([TYPE.nak])],
      [OPTION.server, ip4Bytes(server.address)],
      [OPTION.message, new TextEncoder().encode(why)],
      ...echoed(packet),
    ]);
    return { bytes: encodeDhcp(replyTo(packet, { options })), to: { address: EVERYBODY, port: CLIENT_PORT } };
  }
}
