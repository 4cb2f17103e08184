// DHCP probe: asks a network for an address, as a client would, to see whether another DHCP server is there. It takes no offer.
// Not what follows from it (dhcp_server.ts).
import { type Clock, sleep } from "../../mq/mod.ts";
import { EVERYBODY, macText, NO_ADDRESS } from "./address.ts";
import { addressIn, BROADCAST, decodeDhcp, encodeDhcp, OPTION, type Packet, TYPE, typeOf } from "./dhcp.ts";
import { probeMs, probeTries } from "./limits.ts";
import { type End, SERVER_PORT } from "./proxy.ts";

export interface ProbeParts {
  clock: Clock;
  /** This server's address, at whose port 67 it listens. */
  address: string;
  send(bytes: Uint8Array, to: End): void;
}

/**
 * One question to a network, asked twice: as through a relay, so that the answer comes to port 67 of this machine, and, on the second try, as a client
 * that hears only broadcasts; that answer is heard by who listens on port 68.
 */
export class Probe {
  readonly #p: ProbeParts;
  readonly #xid: number;
  readonly #mac: string;
  #found: string | undefined;
  #wake = () => {};

  constructor(parts: ProbeParts) {
    this.#p = parts;
    const chance = parts.clock.random(10);
    this.#xid = new DataView(chance.slice(0, 4).buffer).getUint32(0);
    this.#mac = macText(chance.slice(4).with(0, 0x02)); // an address of nobody's making
  }

  /** The address of a server that offers something, or undefined when none does in time. */
  async run(): Promise<string | undefined> {
    for (let n = 0; n < probeTries && this.#found === undefined; n++) {
      this.#p.send(this.#question(n % 2 === 0), { address: EVERYBODY, port: SERVER_PORT });
      const found = new Promise<void>((resolve) => this.#wake = resolve);
      await Promise.race([found, sleep(this.#p.clock, probeMs)]);
    }
    return this.#found;
  }

  /** Looks at a packet that came meanwhile. An offer without an address is a ProxyDHCP server's, which is no rival. */
  hear(bytes: Uint8Array, from: End): void {
    const packet = decodeDhcp(bytes);
    if (packet?.op !== 2 || packet.xid !== this.#xid || typeOf(packet) !== TYPE.offer) return;
    if (packet.yiaddr === NO_ADDRESS) return;
    this.#found = addressIn(packet, OPTION.server) ?? from.address;
    this.#wake();
  }

  #question(isRelayed: boolean): Uint8Array {
    const packet: Packet = {
      op: 1,
      xid: this.#xid,
      hops: isRelayed ? 1 : 0,
      secs: 0,
      flags: BROADCAST,
      ciaddr: NO_ADDRESS,
      yiaddr: NO_ADDRESS,
      siaddr: NO_ADDRESS,
      giaddr: isRelayed ? this.#p.address : NO_ADDRESS,
      mac: this.#mac,
      sname: "",
      file: "",
      options: new Map([[OPTION.type, new Uint8Array([TYPE.discover])]]),
    };
    return encodeDhcp(packet);
  }
}
