// Address: addresses of IPv4 and of Ethernet as text, as bytes and as numbers. Not names, and not IPv6, which boots nothing here.
import { Fault, fromHex, toHex } from "../../mq/mod.ts";

/** The address that means "none yet", and the one that every host of this wire hears. */
export const NO_ADDRESS = "0.0.0.0";
export const EVERYBODY = "255.255.255.255";

/** Whether text is an IPv4 address as it is always written here: four numbers without leading noughts. */
export function isIp4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((p) => /^(0|[1-9][0-9]{0,2})$/.test(p) && Number(p) <= 255);
}

/** The number that an address is; throws a usage fault when it is none. `op` says what it was for. */
export function ip4Number(text: string, op = "netboot"): number {
  if (!isIp4(text)) {
    throw new Fault(op, "usage", "this is no IPv4 address", { hint: "isconf help boot: like 192.0.2.1" });
  }
  return text.split(".").reduce((n, part) => n * 256 + Number(part), 0);
}

/** The address that a number is. */
export function ip4Text(n: number): string {
  return [n >>> 24, n >>> 16, n >>> 8, n].map((byte) => byte & 0xff).join(".");
}

/** The four bytes of an address. */
export function ip4Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, ip4Number(text));
  return bytes;
}

/** The network's mask of a prefix, like 24, as an address. */
export function maskOf(prefix: number): string {
  return ip4Text(prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0);
}

/** Whether two addresses are in one network with this mask. */
export function isSameNetwork(a: string, b: string, mask: string): boolean {
  const m = ip4Number(mask);
  return ((ip4Number(a) & m) >>> 0) === ((ip4Number(b) & m) >>> 0);
}

/** The address at which all hosts of a network listen. */
export function broadcastOf(address: string, mask: string): string {
  return ip4Text((ip4Number(address) | ~ip4Number(mask)) >>> 0);
}

/** Six bytes as a hardware address, lower case with colons. */
export function macText(bytes: Uint8Array): string {
  return toHex(bytes).replace(/..(?!$)/g, "$&:");
}

/** The six bytes of a hardware address. */
export function macBytes(mac: string): Uint8Array {
  return fromHex(mac.replaceAll(":", ""));
}

/** A hardware address as it is written here, from colons or dashes of either case; undefined when it is none of one machine. */
export function readMac(text: string): string | undefined {
  if (!/^[0-9a-fA-F]{2}([-:])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}$/.test(text)) return undefined;
  const mac = text.toLowerCase().replaceAll("-", ":");
  return isOneMachine(mac) ? mac : undefined;
}

/** Whether a hardware address can be one machine's: not all noughts, and not a group's. */
export function isOneMachine(mac: string): boolean {
  return mac !== "00:00:00:00:00:00" && (parseInt(mac.slice(0, 2), 16) & 1) === 0;
}
