// Proxy: what a ProxyDHCP server answers, beside the site's own DHCP server (PXE 2.1, 2.2; RFC 4578). Pure functions: which packets are questions to us,
// and the answer. It never gives an address. Not the sockets (dhcp_server.ts).
import type { Loader, Machine } from "./booter.ts";
import { EVERYBODY, ip4Bytes, NO_ADDRESS } from "./address.ts";
import {
  addressIn,
  BROADCAST,
  encodeDhcp,
  latin1,
  OPTION,
  type Packet,
  replyTo,
  TYPE,
  typeOf,
} from "./dhcp.ts";
import { HTTP_CLIENT, machineIn, PXE_CLIENT } from "./machine.ts";
import { httpPath, tftpName } from "./place.ts";

/** Where this boot server is, as clients reach it. */
export interface BootServer {
  address: string;
  httpPort: number;
  /** Relays whose packets are answered, by the address that they put into `giaddr`. An answer goes to that address, so that it has to be named. */
  relays: readonly string[];
}

/** Where a packet came from, or goes to. */
export interface End {
  address: string;
  port: number;
}

/** An answer as bytes, and where it goes. */
export interface Reply {
  bytes: Uint8Array;
  to: End;
}

/** The ports of DHCP, and the one on which PXE asks a second time. */
export const SERVER_PORT = 67;
export const CLIENT_PORT = 68;
export const PXE_PORT = 4011;

/** Suboption 6 of option 43, "no discovery of boot servers, take the file that is named", and the end (PXE 2.1, table 2-1). */
export const NO_DISCOVERY = new Uint8Array([6, 1, 8, 255]);

/** The machine that this packet asks us about, if it does. On port 67 that is a DISCOVER, on port 4011 a REQUEST or an INFORM. */
export function proxyQuestion(packet: Packet, port: number, server: BootServer): Machine | undefined {
  const type = typeOf(packet);
  const isAsked = port === PXE_PORT ? type === TYPE.request || type === TYPE.inform : type === TYPE.discover;
  if (packet.op !== 1 || !isAsked) return undefined;
  if (packet.giaddr !== NO_ADDRESS && !server.relays.includes(packet.giaddr)) return undefined;
  const named = packet.options.get(OPTION.server);
  if (named !== undefined && addressIn(packet, OPTION.server) !== server.address) return undefined;
  const machine = machineIn(packet);
  return typeof machine === "string" ? undefined : machine;
}

/** The answer to such a packet, which came to `port` from `from`. */
export function proxyReply(
  packet: Packet,
  port: number,
  from: End,
  machine: Machine,
  loader: Loader,
  server: BootServer,
): Reply {
  const { siaddr, file, options } = bootFields(packet, machine, loader, server);
  const type = port === PXE_PORT ? TYPE.ack : TYPE.offer;
  const answer = replyTo(packet, {
    ciaddr: port === PXE_PORT ? packet.ciaddr : NO_ADDRESS,
    siaddr,
    file,
    options: new Map([
      [OPTION.type, new Uint8Array([type])],
      [OPTION.server, ip4Bytes(server.address)],
      ...options,
      ...echoed(packet),
    ]),
  });
  return { bytes: encodeDhcp(answer), to: proxyWay(packet, port, from) };
}

/** What an answer says about booting, the same from a ProxyDHCP server and from a DHCP server. */
export function bootFields(
  packet: Packet,
  machine: Machine,
  loader: Loader,
  server: BootServer,
): Pick<Packet, "siaddr" | "file" | "options"> {
  const file = bootFileOf(machine, loader, server);
  const options: Packet["options"] = new Map([
    [OPTION.vendorClass, latin1(machine.program === "http" ? HTTP_CLIENT : PXE_CLIENT)],
  ]);
  if (machine.program !== "http") options.set(OPTION.vendor, NO_DISCOVERY);
  options.set(OPTION.bootFile, latin1(file));
  const id = packet.options.get(OPTION.machineId);
  if (id !== undefined) options.set(OPTION.machineId, id);
  return { siaddr: server.address, file, options };
}

/** What a machine is told to load: firmware a name over TFTP, or a URL when it speaks HTTP; iPXE the URL of its script. */
export function bootFileOf({ mac, arch, program }: Machine, loader: Loader, server: BootServer): string {
  if (program === "rom") return tftpName({ mac, name: loader.name });
  const name = program === "ipxe" ? scriptName(arch) : loader.name;
  return `http://${server.address}:${server.httpPort}${httpPath({ mac, name })}`;
}

/** The script's name says what its machine can run, so that who asks for it later need not be remembered. */
export function scriptName(arch: Machine["arch"]): string {
  return `${arch}.ipxe`;
}

/** What goes back as it came: who the client says it is (RFC 6842), and what a relay has put in (RFC 3046, 2.2). */
export function echoed({ options, giaddr }: Packet): [number, Uint8Array][] {
  const client = options.get(OPTION.clientId), relay = options.get(OPTION.relay);
  return [
    ...(client === undefined ? [] : [[OPTION.clientId, client] as [number, Uint8Array]]),
    // The last option, as the RFC wants it.
    ...(relay === undefined || giaddr === NO_ADDRESS ? [] : [[OPTION.relay, relay] as [number, Uint8Array]]),
  ];
}

/** Where an answer goes: a relay; whoever asked on 4011, at the port from which it asked; else where clients listen. */
function proxyWay(packet: Packet, port: number, from: End): End {
  if (packet.giaddr !== NO_ADDRESS) return { address: packet.giaddr, port: SERVER_PORT };
  if (port === PXE_PORT && from.address !== NO_ADDRESS) return from;
  return clientWay(packet, from);
}

/**
 * Where a client without a relay hears an answer: alone when it has an address and asked from there, so that nobody is sent what others asked for; else
 * with everybody (RFC 2131, 4.1).
 */
export function clientWay({ ciaddr, flags }: Packet, from: End): End {
  const isAlone = ciaddr !== NO_ADDRESS && ciaddr === from.address && (flags & BROADCAST) === 0;
  return { address: isAlone ? ciaddr : EVERYBODY, port: CLIENT_PORT };
}
