// Sockets: which connections there are between the hosts of a fleet, as their kernels say. Not what isconf says of them.
import type { Fleet } from "./fleet.ts";

const ESTABLISHED = "01";

/** An IPv4 address as /proc/net/tcp has it, and as /proc/net/tcp6 does at the end of the mapped one. */
function hexOf(address: string): string {
  return address.split(".").reverse().map((n) => Number(n).toString(16).padStart(2, "0")).join("")
    .toUpperCase();
}

/** How many connections a host has with another, over IPv4. */
export async function linesBetween(fleet: Fleet, name: string, other: string): Promise<number> {
  const rows = (await fleet.host(name).sh("cat /proc/net/tcp /proc/net/tcp6")).split("\n");
  const far = hexOf(fleet.address(other));
  return rows.map((row) => row.trim().split(/\s+/))
    .filter((row) => row[3] === ESTABLISHED && row[2]?.split(":")[0]?.endsWith(far)).length;
}
