// DHCP: packets of BOOTP and DHCP as bytes, in and out (RFC 951, 2131, 2132, 3396). Strict: whatever is not well-formed is no packet. Not what is
// answered (proxy.ts, dhcp_own.ts), and only Ethernet.
import { concat, Fault } from "../../mq/mod.ts";
import { ip4Bytes, ip4Text, isOneMachine, macBytes, macText, NO_ADDRESS } from "./address.ts";
import { dhcpPacketBytesMax, dhcpPacketBytesMin, dhcpReplyBytesMax } from "./limits.ts";

/** Options by number that are read or written here (RFC 2132, 3004, 3046, 4578; 175 is iPXE's own). */
export const OPTION = {
  mask: 1,
  router: 3,
  dns: 6,
  broadcast: 28,
  vendor: 43,
  wantedAddress: 50,
  leaseSeconds: 51,
  overload: 52,
  type: 53,
  server: 54,
  message: 56,
  vendorClass: 60,
  clientId: 61,
  bootFile: 67,
  userClass: 77,
  relay: 82,
  arch: 93,
  networkInterface: 94,
  machineId: 97,
  ipxe: 175,
} as const;

/** Option 53. */
export const TYPE = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;

/** A packet of a client, or for one. Addresses are text, `0.0.0.0` is none. */
export interface Packet {
  /** 1 from a client, 2 from a server. */
  op: 1 | 2;
  xid: number;
  hops: number;
  secs: number;
  flags: number;
  ciaddr: string;
  yiaddr: string;
  siaddr: string;
  giaddr: string;
  mac: string;
  /** Text up to its first NUL, each byte a character; empty when the field holds options. */
  sname: string;
  file: string;
  /** Bytes by number, in the order in which they are written. What came in several parts is whole (RFC 3396). */
  options: Map<number, Uint8Array>;
}

/** What the flags say about a client that cannot yet be sent to alone (RFC 2131, 2). */
export const BROADCAST = 0x8000;

const SNAME = 44, FILE = 108, COOKIE = 236, OPTIONS = 240;
const MAGIC = 0x63825363;
const PAD = 0, END = 255;
const ETHERNET = 1, MAC_BYTES = 6;

/** The packet that these bytes are, or undefined: too short or long, no DHCP, not Ethernet, an option that ends beyond its field, no end. */
export function decodeDhcp(bytes: Uint8Array): Packet | undefined {
  if (bytes.length <= OPTIONS || bytes.length > dhcpPacketBytesMax) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const op = bytes[0];
  if ((op !== 1 && op !== 2) || bytes[1] !== ETHERNET || bytes[2] !== MAC_BYTES) return undefined;
  if (view.getUint32(COOKIE) !== MAGIC) return undefined;
  const mac = macText(bytes.subarray(28, 28 + MAC_BYTES));
  const read = decodeOptions(bytes);
  if (!isOneMachine(mac) || read === undefined) return undefined;
  const address = (at: number) => ip4Text(view.getUint32(at));
  return {
    op,
    mac,
    hops: bytes[3]!,
    xid: view.getUint32(4),
    secs: view.getUint16(8),
    flags: view.getUint16(10),
    ciaddr: address(12),
    yiaddr: address(16),
    siaddr: address(20),
    giaddr: address(24),
    sname: read.overload & 2 ? "" : textOf(bytes.subarray(SNAME, FILE)),
    file: read.overload & 1 ? "" : textOf(bytes.subarray(FILE, COOKIE)),
    options: read.options,
  };
}

/**
 * The options of a packet: those of the options field, then those in `file`, then those in `sname`, as option 52 says. It counts in the options field
 * only, so that no field is read twice (RFC 2131, 4.1; RFC 3396, 5).
 */
function decodeOptions(
  bytes: Uint8Array,
): { options: Map<number, Uint8Array>; overload: number } | undefined {
  const parts = new Map<number, Uint8Array[]>();
  if (!collect(bytes.subarray(OPTIONS), parts)) return undefined;
  const said = parts.get(OPTION.overload);
  const overload = said === undefined ? 0 : said.length === 1 && said[0]!.length === 1 ? said[0]![0]! : -1;
  if (overload < 0 || overload > 3 || (said !== undefined && overload === 0)) return undefined;
  if (overload & 1 && !collect(bytes.subarray(FILE, COOKIE), parts)) return undefined;
  if (overload & 2 && !collect(bytes.subarray(SNAME, FILE), parts)) return undefined;
  if ((parts.get(OPTION.overload)?.length ?? 0) > 1) return undefined;
  const options = new Map([...parts].map(([code, p]) => [code, p.length === 1 ? p[0]! : concat(...p)]));
  return { options, overload };
}

/** Adds the options of one field; false when it is not well-formed. */
function collect(field: Uint8Array, parts: Map<number, Uint8Array[]>): boolean {
  for (let at = 0; at < field.length;) {
    const code = field[at]!;
    if (code === END) return true;
    if (code === PAD) {
      at++;
      continue;
    }
    const length = field[at + 1];
    if (length === undefined || at + 2 + length > field.length) return false;
    const value = field.slice(at + 2, at + 2 + length);
    const before = parts.get(code);
    if (before === undefined) parts.set(code, [value]);
    else before.push(value);
    at += 2 + length;
  }
  return false;
}

/** The bytes of a packet, options in the order of the map, long ones in parts (RFC 3396). Throws a usage fault when something does not fit. */
export function encodeDhcp(packet: Packet): Uint8Array {
  const head = new Uint8Array(OPTIONS);
  const view = new DataView(head.buffer);
  head.set([packet.op, ETHERNET, MAC_BYTES, packet.hops]);
  view.setUint32(4, packet.xid);
  view.setUint16(8, packet.secs);
  view.setUint16(10, packet.flags);
  head.set(ip4Bytes(packet.ciaddr), 12);
  head.set(ip4Bytes(packet.yiaddr), 16);
  head.set(ip4Bytes(packet.siaddr), 20);
  head.set(ip4Bytes(packet.giaddr), 24);
  head.set(macBytes(packet.mac), 28);
  head.set(fieldOf(packet.sname, FILE - SNAME), SNAME);
  head.set(fieldOf(packet.file, COOKIE - FILE), FILE);
  view.setUint32(COOKIE, MAGIC);
  const parts: Uint8Array[] = [head];
  for (const [code, value] of packet.options) {
    if (code <= PAD || code >= END) throw unfit(`there is no option ${code}`);
    for (let at = 0; at === 0 || at < value.length; at += 255) {
      const part = value.subarray(at, at + 255);
      parts.push(concat(new Uint8Array([code, part.length]), part));
    }
  }
  const bytes = concat(...parts, new Uint8Array([END]));
  if (bytes.length > dhcpReplyBytesMax) {
    throw unfit(`a packet has at most ${dhcpReplyBytesMax} bytes`);
  }
  return bytes.length >= dhcpPacketBytesMin
    ? bytes
    : concat(bytes, new Uint8Array(dhcpPacketBytesMin - bytes.length));
}

/** A server's packet that answers a client's: same transaction, machine, flags and way back. */
export function replyTo(asked: Packet, more: Partial<Packet>): Packet {
  const { xid, flags, giaddr, mac } = asked;
  const none = { ciaddr: NO_ADDRESS, yiaddr: NO_ADDRESS, siaddr: NO_ADDRESS };
  return {
    op: 2,
    hops: 0,
    secs: 0,
    sname: "",
    file: "",
    options: new Map(),
    ...none,
    xid,
    flags,
    giaddr,
    mac,
    ...more,
  };
}

/** What option 53 says, or undefined. */
export function typeOf({ options }: Packet): number | undefined {
  const value = options.get(OPTION.type);
  return value?.length === 1 && value[0]! >= 1 && value[0]! <= 8 ? value[0] : undefined;
}

/** The address in an option, if the option is there and four bytes long. */
export function addressIn({ options }: Packet, code: number): string | undefined {
  const value = options.get(code);
  return value?.length === 4 ? ip4Text(new DataView(value.buffer, value.byteOffset).getUint32(0)) : undefined;
}

/** A number of 32 bits as an option has it. */
export function u32(n: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
}

/** Text as an option has it; each character is one byte. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/** Bytes as text, each a character. */
export function latin1Text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function textOf(field: Uint8Array): string {
  const end = field.indexOf(0);
  return latin1Text(end < 0 ? field : field.subarray(0, end));
}

function fieldOf(text: string, size: number): Uint8Array {
  if (text.length >= size || !/^[\x21-\x7e]*$/.test(text)) {
    throw unfit(`a name in a packet is printable ASCII of at most ${size - 1} characters`);
  }
  return latin1(text);
}

function unfit(why: string): Fault {
  return new Fault("dhcp", "usage", why, { hint: "isconf help boot: give loaders and hosts shorter names" });
}
