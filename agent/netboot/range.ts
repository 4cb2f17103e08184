// Range: whether a range of addresses, and how long one is given for, can be: asked before a server is begun, and by who gives them (leases.ts).
import { Fault } from "../../mq/mod.ts";
import { ip4Number, isSameNetwork } from "./address.ts";
import { leaseAddressesMax, leaseSecondsMax, leaseSecondsMin } from "./limits.ts";

export interface Range {
  /** The first and the last address that is given. */
  from: string;
  to: string;
  leaseSeconds: number;
}

/** The range as numbers, first and last. Throws usage. */
export function checkRange({ from, to, leaseSeconds }: Range): [from: number, to: number] {
  const [first, last] = [ip4Number(from), ip4Number(to)];
  if (last < first || last - first >= leaseAddressesMax) {
    throw unfit(`a range has 1 to ${leaseAddressesMax} addresses, the first one first`);
  }
  if (!(leaseSeconds >= leaseSecondsMin && leaseSeconds <= leaseSecondsMax)) {
    throw unfit(`a lease lasts ${leaseSecondsMin} to ${leaseSecondsMax} seconds`);
  }
  return [first, last];
}

/** Throws usage for one of these addresses that is not in the network of a host. */
export function checkNear(addresses: readonly string[], host: { address: string; mask: string }): void {
  const far = addresses.find((address) => !isSameNetwork(address, host.address, host.mask));
  if (far !== undefined) throw unfit(`${far} is not in the network of ${host.address}`);
}

function unfit(why: string): Fault {
  return new Fault("netboot", "usage", why, { hint: "isconf help netboot" });
}
