// Boot places: on which interfaces of this host machines are booted, as root keeps it, and the sockets for that, which root binds for the net
// half that has no right to their ports. Root never reads from them. Not what machines get (boot_profiles.ts).
import { Buffer } from "node:buffer";
import * as os from "node:os";
import * as path from "node:path";
import { bindUdp, closeFd, Fault } from "../mq/mod.ts";
import { readOwnFile } from "./config.ts";
import { readJson } from "./json.ts";
import { writeDurably } from "./keys.ts";
import { bootPlacesMax } from "./limits_images.ts";
import { inert } from "./names.ts";
import type { Home } from "./paths.ts";

/** What it takes to give addresses on a network without a DHCP server. */
export interface OwnRange {
  from: string;
  to: string;
  router: string | null;
  dns: string[];
  leaseSeconds: number;
}

export interface BootPlace {
  interface: string;
  /** Null: another server of that network gives addresses. */
  own: OwnRange | null;
  httpPort: number;
}

/** The ports of one place, in the order in which their descriptors are handed over; `all` ones hear what is sent to everybody. */
const PORTS: readonly { port: number; isAll: boolean }[] = [
  { port: 67, isAll: true },
  { port: 67, isAll: false },
  { port: 4011, isAll: false },
  { port: 69, isAll: false },
];

/** An interface as the kernel takes it. */
const INTERFACE = /^[A-Za-z0-9_.-]{1,15}$/;

const fileOf = (home: Home) => path.join(home.state, "netboot.json");

/** The places that are switched on. Throws denied, for a file that others could have written; corrupt. */
export function bootPlaces(home: Home): BootPlace[] {
  const file = fileOf(home);
  const text = readOwnFile(file);
  if (text === undefined) return [];
  try {
    const places = readJson(Buffer.from(text)) as BootPlace[];
    if (places.length <= bootPlacesMax && places.every((one) => INTERFACE.test(one.interface))) return places;
  } catch {
    // The same as what is no list of places.
  }
  throw new Fault("netboot", "corrupt", `${file} does not say where machines are booted`, {
    hint: `rm ${file}, then isconf netboot on IFACE`,
  });
}

/** Writes the places down; they hold for the net half that is started next. */
export function keepBootPlaces(home: Home, places: BootPlace[]): void {
  writeDurably(fileOf(home), Buffer.from(`${JSON.stringify(places, null, 2)}\n`), 0o644);
}

/** The first IPv4 address of an interface, with its mask. Throws usage, notFound. */
export function addressOfInterface(name: string): { address: string; mask: string } {
  if (!INTERFACE.test(name)) {
    throw new Fault("netboot", "usage", `${inert(name)} is no interface`, { hint: "ip -br address" });
  }
  const found = os.networkInterfaces()[name]?.find(({ family, internal }) => family === "IPv4" && !internal);
  if (found === undefined) {
    throw new Fault("netboot", "notFound", `${name} is no interface of this host with an IPv4 address`, {
      hint: "ip -br address",
    });
  }
  return { address: found.address, mask: found.netmask };
}

/** A place whose ports are bound. */
export interface BoundPlace extends BootPlace {
  address: string;
  mask: string;
  fds: number[];
}

/**
 * Binds the ports of the places that are switched on; what cannot be had is left out and told to `log`. Who calls this closes the
 * descriptors when they were handed over.
 */
export function bindPlaces(home: Home, log: (line: string) => void): BoundPlace[] {
  let places: BootPlace[] = [];
  try {
    places = bootPlaces(home);
  } catch (e) {
    log(`netboot: ${Fault.from("netboot", e).message}`); // an agent that boots no machines is better than none
  }
  return places.flatMap((place) => {
    const fds: number[] = [];
    try {
      const { address, mask } = addressOfInterface(place.interface);
      for (const { port, isAll } of PORTS) {
        fds.push(bindUdp({ address: isAll ? "0.0.0.0" : address, port, device: place.interface }));
      }
      return [{ ...place, address, mask, fds }];
    } catch (e) {
      for (const fd of fds) closeFd(fd);
      log(`netboot on ${place.interface}: ${whyUnbound(e)}`);
      return [];
    }
  });
}

function whyUnbound(e: unknown): string {
  if (e instanceof Fault) return e.message;
  const { code, message } = e as { code?: string; message: string };
  if (code === "EADDRINUSE") return "port 67, 69 or 4011 is taken: ss -lunp";
  if (code === "EACCES" || code === "EPERM") {
    return "there is no right to ports below 1024: CAP_NET_BIND_SERVICE";
  }
  return message;
}
