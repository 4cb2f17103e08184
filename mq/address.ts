// Addresses: "ip:port" and "[ip6]:port" as people write them, and as libp2p does. Not a resolver: names stay names.
import { isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { Fault } from "./fault.ts";

/** Where a transport can be reached. `host` is an IPv4 or IPv6 address in its shortest form, or a name. */
export interface Address {
  host: string;
  port: number;
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const MULTIADDR = /^\/(?:ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})(?:\/p2p\/[^/]+)?$/;

/**
 * Reads "ip:port", "[ip6]:port" or "name:port".
 * @throws {Fault} usage, for anything else
 */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\][]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const [, ip6, host = "", digits] = match ?? [];
  const port = Number(digits);
  if (match !== null && port <= 65535) {
    if (ip6 !== undefined && isIPv6(ip6) && !ip6.includes("%")) return { host: shortest(ip6), port };
    if (isIPv4(host)) return { host, port };
    if (HOST_NAME.test(host) && /[a-z]/i.test(host)) return { host: host.toLowerCase(), port };
  }
  throw new Fault("address", "usage", `${JSON.stringify(text)} is no address: write ip:port or [ip6]:port`, {
    hint: "isconf help",
  });
}

/** The text {@link parseAddress} reads. */
export function formatAddress({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The address in libp2p's notation, for example "/ip4/127.0.0.1/tcp/4726". */
export function toMultiaddr({ host, port }: Address): string {
  return `/${isIPv4(host) ? "ip4" : isIPv6(host) ? "ip6" : "dns"}/${host}/tcp/${port}`;
}

/** The address in libp2p's notation `text`; undefined when it is none that we can dial. */
export function fromMultiaddr(text: string): Address | undefined {
  const [, host, port] = MULTIADDR.exec(text) ?? [];
  if (host === undefined) return undefined;
  try {
    return parseAddress(formatAddress({ host, port: Number(port) }));
  } catch {
    return undefined; // no address of ours is such: the caller asks only for those that are
  }
}

export function isName({ host }: Address): boolean {
  return !isIPv4(host) && !isIPv6(host);
}

export function isLoopback({ host }: Address): boolean {
  return /^127\./.test(host) || host === "::1" || host === "localhost";
}

/** Addresses at which others can dial who listens at `listening`: the unspecified one stands for every interface's. */
export function dialable(listening: Address): Address[] {
  const { host, port } = listening;
  if (host !== "0.0.0.0" && host !== "::") return [listening];
  const family = host === "::" ? "IPv6" : "IPv4";
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((found) => found.family === family && !/^(fe[89ab]|169\.254\.)/i.test(found.address))
    .map((found) => ({ host: family === "IPv6" ? shortest(found.address) : found.address, port }));
}

/** The one way to write an IPv6 address (RFC 5952), so that equal addresses are equal texts. */
function shortest(ip6: string): string {
  return new URL(`http://[${ip6}]`).hostname.slice(1, -1);
}
