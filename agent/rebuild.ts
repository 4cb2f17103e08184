// Rebuild: hosts whose machines are made anew when they boot from the network next: the image again, and through the journal again. Until that is
// done such a machine has a profile of its own, before all others. Not how it is installed (install.ts), and not the machine's restart.
import { Buffer } from "node:buffer";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { bootPlaces } from "./boot_places.ts";
import { type BootProfile, profileFor, readProfiles } from "./boot_profiles.ts";
import { filledFor, SOME, UNNAMED } from "./boot_words.ts";
import { readOwnFile } from "./config.ts";
import { branchOf, type Call, type Host, hostId } from "./host.ts";
import { readJson } from "./json.ts";
import { writeDurably } from "./keys.ts";
import { tokenHoursDefault } from "./limits.ts";
import { rebuildsMax } from "./limits_images.ts";
import { inert } from "./names.ts";
import { readMac } from "./netboot/address.ts";
import type { Home } from "./paths.ts";
import type { BootLine } from "./seam_netboot.ts";
import { members } from "./trust.ts";

/** A host that is to be rebuilt, as people see it. */
export interface RebuildLine {
  host: string;
  mac: string;
  branch: string;
  image: string;
  untilMs: number;
}

/** The same with what its machine gets. */
export interface Rebuild extends RebuildLine {
  sinceMs: number;
  profile: BootProfile;
}

export interface RebuildArgs {
  host?: string;
  mac?: string;
  branch?: string;
  hours?: number;
  cancel: boolean;
}

const fileOf = (home: Home) => path.join(home.state, "rebuild.json");

/** Those that are to be rebuilt and not too old. Throws denied, corrupt. */
export function rebuilds({ home, clock }: Pick<Host, "home" | "clock">): Rebuild[] {
  const file = fileOf(home);
  const text = readOwnFile(file);
  if (text === undefined) return [];
  try {
    const all = readJson(Buffer.from(text)) as Rebuild[];
    if (all.length <= rebuildsMax && all.every(({ profile }) => profile.isDisk === false)) {
      return all.filter(({ untilMs }) => untilMs > clock.wall());
    }
  } catch {
    // The same as what is no list of them.
  }
  throw new Fault("rebuild", "corrupt", `${file} does not say what is to be rebuilt`, { hint: `rm ${file}` });
}

/** Those of which the machine has not said that it is installed since; that it says so proves nothing, and ends this at the worst. */
export function settleRebuilds(host: Pick<Host, "home" | "clock">, notes: readonly BootLine[]): Rebuild[] {
  const all = rebuilds(host);
  const left = all.filter(({ mac, sinceMs }) =>
    !notes.some((note) => note.mac === mac && note.step === "installed" && note.timeMs > sinceMs)
  );
  if (left.length < all.length) keep(host.home, left);
  return left;
}

function keep(home: Home, all: readonly Rebuild[]): void {
  writeDurably(fileOf(home), Buffer.from(`${JSON.stringify(all, null, 2)}\n`), 0o600);
}

/**
 * Has a host rebuilt, or not any more; without a host: which are to be. Returns those that are then.
 * @throws {Fault} notFound, refused, denied, usage
 */
export async function rebuild(call: Call, args: RebuildArgs): Promise<{ rebuilds: RebuildLine[] }> {
  const { host } = call;
  const before = rebuilds(host);
  if (args.host === undefined) return { rebuilds: before.map(lineOf) };
  const others = before.filter((one) => one.host !== args.host);
  if (args.cancel) {
    if (others.length === before.length) {
      throw new Fault("rebuild", "notFound", `${inert(args.host)} is not to be rebuilt`, {
        hint: "isconf rebuild",
      });
    }
    keep(host.home, others);
    endTokens(call, args.host, before);
    await host.settleNetboot();
    return { rebuilds: others.map(lineOf) };
  }
  if (others.length >= rebuildsMax) {
    throw new Fault("rebuild", "refused", `${rebuildsMax} hosts are to be rebuilt already`, {
      hint: "isconf rebuild HOST --cancel",
    });
  }
  const one = await made(call, args.host, args);
  keep(host.home, [...rebuilds(host).filter(({ host: name }) => name !== one.host), one]); // others may have ended meanwhile
  endTokens(call, args.host, before);
  await host.settleNetboot();
  return { rebuilds: [lineOf(one)] };
}

/** Ends the tokens with which a host was to come back before. */
function endTokens(call: Call, name: string, before: readonly Rebuild[]): void {
  for (const { host, profile } of before) {
    if (host !== name) continue;
    try {
      call.acts.enrol.withdraw(call, profile.join);
    } catch (e) {
      if (Fault.from("rebuild", e).kind !== "notFound") throw e; // it has ended by itself
    }
  }
}

const lineOf = ({ host, mac, branch, image, untilMs }: Rebuild): RebuildLine => ({
  host,
  mac,
  branch,
  image,
  untilMs,
});

async function made(call: Call, name: string, args: RebuildArgs): Promise<Rebuild> {
  const { host } = call;
  const id = needOther(host, name);
  if (bootPlaces(host.home).length === 0) {
    throw new Fault("rebuild", "refused", "no machine is booted from here", {
      hint: "isconf netboot on IFACE, or the same on the host that boots others",
    });
  }
  const profiles = readProfiles(host.home.config);
  const { notes } = await host.netboot.notes(0);
  const mac = args.mac === undefined ? onlyMachine(name, profiles, notes) : readMac(args.mac);
  if (mac === undefined) {
    throw new Fault("rebuild", "usage", `${inert(args.mac ?? "")} is no MAC address`, {
      hint: "isconf rebuild HOST --mac 52:54:00:12:34:56",
    });
  }
  const [arch = ""] =
    notes.findLast((note) => note.mac === mac && note.step === "offered")?.text.split(" ") ?? [];
  const base = profileFor(profiles.filter(({ image }) => image !== ""), { mac, arch });
  if (base === undefined) {
    throw new Fault("rebuild", "refused", `no profile says what is installed on ${mac}`, {
      hint: "install = IMAGE in a profile for its MAC address, its kind or any: docs/netboot.md",
    });
  }
  const said = (await host.reports.gather()).find((report) => report.host === id);
  const branch = args.branch ?? said?.branch ?? branchOf(host, "rebuild");
  const hours = args.hours ?? tokenHoursDefault;
  const { token, untilMs } = await call.acts.enrol.token(call, { branch, open: true, approve: false, hours });
  const only = { macs: [mac], uuids: [], arches: [], isForAny: false };
  const profile = { ...base, ...only, name: `rebuild-${name}`, join: token, host: name, mayWipe: true };
  return { host: name, mac, branch, image: base.image, untilMs, sinceMs: host.clock.wall(), profile };
}

/** The id of a host that can be rebuilt from here. */
function needOther(host: Host, name: string): string {
  const policy = host.journal.needPolicy("rebuild");
  const [id] = [...members(policy)].find(([, one]) => one.name === name) ?? [];
  if (id === undefined) {
    throw new Fault("rebuild", "notFound", `no host of this domain is called ${inert(name)}`, {
      hint: "isconf hosts",
    });
  }
  if (id === hostId(host)) {
    throw new Fault("rebuild", "refused", "this host boots nobody while it is rebuilt itself", {
      hint: "isconf rebuild, on another host that boots machines",
    });
  }
  if (policy.keepers.hosts.includes(id)) {
    throw new Fault("rebuild", "refused", `${inert(name)} is a keeper, whose votes would be lost`, {
      hint: `isconf keeper remove ${inert(name)}`,
    });
  }
  return id;
}

/** The one machine that has joined as that host, or that would by its profile. Throws refused, where there is none or a choice. */
function onlyMachine(name: string, profiles: readonly BootProfile[], notes: readonly BootLine[]): string {
  const joined = notes.filter(({ step, text }) => step === "joined" && text === name).map(({ mac }) => mac);
  const meant = profiles.flatMap(({ macs, host }) => macs.filter((mac) => nameOf(host, mac) === name));
  const found = [...new Set([...joined, ...meant])];
  if (found.length === 1) return found[0]!;
  const why = found.length === 0 ? "it is not known which machine is" : `${found.join(", ")} say they are`;
  throw new Fault("rebuild", "refused", `${why} ${inert(name)}`, {
    hint: `isconf rebuild ${inert(name)} --mac MAC`,
  });
}

/** What a machine is called that joins by a profile. */
function nameOf(host: string, mac: string): string {
  const machine = mac.replaceAll(":", "");
  return filledFor(host === "" ? UNNAMED : host, { ...SOME, mac, machine });
}
