// Netboot here: switching on and off, on one interface of this host, the servers from which machines boot, and saying what each machine gets.
// Not the servers (net_netboot.ts), not the files that say it (boot_profiles.ts).
import { Fault } from "../mq/mod.ts";
import {
  addressOfInterface,
  type BootPlace,
  bootPlaces,
  type BoundPlace,
  keepBootPlaces,
  type OwnRange,
} from "./boot_places.ts";
import { type BootProfile, profileFor, readProfiles } from "./boot_profiles.ts";
import { machinesUp } from "./boot_up.ts";
import type { Call, Host } from "./host.ts";
import { bootDnsMax, bootHttpPort, bootPlacesMax } from "./limits_images.ts";
import { inert } from "./names.ts";
import { isIp4, readMac } from "./netboot/address.ts";
import { checkNear, checkRange } from "./netboot/range.ts";
import { rebuilds, settleRebuilds } from "./rebuild.ts";
import { isOpen, readToken } from "./token.ts";

export interface NetbootArgs {
  /** FIRST-LAST; undefined: another server gives addresses. */
  dhcp?: string;
  router?: string;
  dns: string[];
  lease?: number;
  port?: number;
}

export interface NetbootNow {
  places: (BootPlace & { why: string })[];
  profiles: number;
  /** What is wrong with the profiles; "": nothing. */
  profilesWrong: string;
}

/** Where machines are booted now, and what is wrong with that. */
export function netbootNow(host: Host): NetbootNow {
  const said = new Map(host.netboot.places.map(({ interface: name, why }) => [name, why]));
  const places = bootPlaces(host.home).map((place) => ({
    ...place,
    why: said.get(place.interface) ??
      (host.netboot.given.includes(place.interface)
        ? "its servers are being begun"
        : "its ports could not be had: the agent's log says why"),
  }));
  try {
    return { places, profiles: readProfiles(host.home.config).length, profilesWrong: "" };
  } catch (e) {
    return { places, profiles: 0, profilesWrong: Fault.from("netboot", e).message };
  }
}

/** Begins on an interface. Throws usage, notFound; environment or refused when the servers cannot be opened, and nothing is changed then. */
export async function netbootOn(call: Call, name: string, args: NetbootArgs): Promise<NetbootNow> {
  const { host } = call;
  const { port: httpPort = bootHttpPort } = args;
  const place: BootPlace = { interface: name, own: ownRange(args, addressOfInterface(name)), httpPort };
  if (httpPort < 1024 || httpPort > 65_535) {
    throw wrong("HTTP for machines that boot has a port from 1024 to 65535");
  }
  const before = bootPlaces(host.home);
  const places = [...before.filter((one) => one.interface !== name), place];
  if (places.length > bootPlacesMax) {
    throw new Fault("netboot", "refused", `machines are booted on ${bootPlacesMax} interfaces at the most`, {
      hint: "isconf netboot off IFACE",
    });
  }
  readProfiles(host.home.config); // what is wrong with them is said now
  await switchTo(call, places);
  const why = netbootNow(host).places.find((one) => one.interface === name)?.why;
  if (why === "") return netbootNow(host);
  await switchTo(call, before);
  throw new Fault("netboot", "environment", `no machine can be booted on ${name}: ${why}`, {
    hint: "ss -lunp; journalctl -u isconf",
  });
}

/** Ends on an interface. Throws notFound. */
export async function netbootOff(call: Call, name: string): Promise<NetbootNow> {
  const before = bootPlaces(call.host.home);
  const places = before.filter((one) => one.interface !== name);
  if (places.length === before.length) {
    throw new Fault("netboot", "notFound", `no machine is booted on ${inert(name)}`, {
      hint: "isconf netboot",
    });
  }
  await switchTo(call, places);
  return netbootNow(call.host);
}

/** The ports are bound before the net half begins, so that another one has to. */
async function switchTo({ host }: Call, places: BootPlace[]): Promise<void> {
  if (host.restartNet === undefined) {
    throw new Fault("netboot", "refused", "this agent has no net half of its own", { hint: "isconf start" });
  }
  keepBootPlaces(host.home, places);
  await host.restartNet();
  await host.settleNetboot();
}

/** The addresses that are to be given, each checked. */
function ownRange(
  { dhcp, router, dns, lease = 3600 }: NetbootArgs,
  host: { address: string; mask: string },
): OwnRange | null {
  if (dhcp === undefined) {
    if (router !== undefined || dns.length > 0) throw wrong("--router and --dns go with --dhcp FIRST-LAST");
    return null;
  }
  const [from = "", to = "", ...more] = dhcp.split("-");
  if (more.length > 0 || !isIp4(from) || !isIp4(to)) {
    throw wrong(`${inert(dhcp)} is no range like 192.0.2.10-192.0.2.99`);
  }
  const routers = router === undefined ? [] : [router];
  const odd = [...routers, ...dns].find((one) => !isIp4(one));
  if (odd !== undefined) throw wrong(`${inert(odd)} is no address`);
  if (dns.length > bootDnsMax) throw wrong(`machines are told at most ${bootDnsMax} name servers`);
  checkRange({ from, to, leaseSeconds: lease });
  checkNear([from, to, ...routers], host);
  return { from, to, router: router ?? null, dns, leaseSeconds: lease };
}

const wrong = (why: string) => new Fault("netboot", "usage", why, { hint: "isconf help netboot" });

/** Tells the net half what there is; called again when that may have changed. */
export async function settleNetboot(
  host: Host,
  places: BoundPlace[],
  kept: { profiles: BootProfile[] },
): Promise<void> {
  if (places.length === 0) return;
  const { notes } = await host.netboot.notes(0);
  try {
    const rebuilt = settleRebuilds(host, notes).map(({ profile }) => profile);
    kept.profiles = [...rebuilt, ...readProfiles(host.home.config)];
  } catch (e) {
    host.log(`netboot: ${Fault.from("netboot", e).message}`); // what was read last holds
  }
  const up = await machinesUp(host, notes);
  await host.netboot.settle({ places, profiles: kept.profiles, loaders: host.config.loaders, up });
}

/** What a machine would get. */
export function bootFor(
  { host }: Call,
  { mac, arch, uuid }: { mac: string; arch?: string; uuid?: string },
): BootProfile {
  const known = readMac(mac);
  if (known === undefined) {
    throw new Fault("boot", "usage", `${inert(mac)} is no MAC address`, {
      hint: "isconf boot show 52:54:00:12:34:56",
    });
  }
  const machine = {
    mac: known,
    arch: arch ?? "bios",
    ...(uuid !== undefined && { uuid: uuid.toLowerCase() }),
  };
  const own = rebuilds(host).map(({ profile }) => profile);
  const found = profileFor([...own, ...readProfiles(host.home.config)], machine);
  if (found === undefined) {
    throw new Fault("boot", "notFound", `no profile is for ${known}: it is offered nothing`, {
      hint: "isconf help netboot",
    });
  }
  // Whoever may read this may not therefore let a host in.
  const isSecret = found.join !== "" && !isOpen(readToken(found.join));
  return isSecret ? { ...found, join: "a token that is not shown" } : found;
}
