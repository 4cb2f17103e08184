// Boot profiles: which machine gets what when it boots from the network: files in netboot.d of the configuration, which the journal brings to every
// host like others. Read and checked here; what a name means is looked up when it is needed (boot_store.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { readOwnFile } from "./config.ts";
import { bootProfilesMax, bootValuesMax } from "./limits.ts";
import { inert, isPlainText } from "./names.ts";

/** One profile. A machine gets that which names its address, else its UUID, else its architecture, else the one for any machine. */
export interface BootProfile {
  name: string;
  macs: string[];
  uuids: string[];
  arches: string[];
  isForAny: boolean;
  /** Goes on with the machine's own disk; the others are empty then. */
  isDisk: boolean;
  /** What isconf cat takes. */
  kernel: string;
  initrds: string[];
  /** Words of the kernel's command line. */
  args: string[];
  /** What firmware loads first, where that is not what this host has for its architecture; "": that. */
  loader: string;
}

const ARCHES = ["bios", "uefi-x64", "uefi-arm64"];
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** What iPXE, GRUB and a kernel all take as it is. */
const WORD = /^[A-Za-z0-9_@%+=:,./~-]+$/;

type Take = (profile: BootProfile, words: string[]) => void;

const one = (words: string[]): string => {
  if (words.length !== 1) throw new Error("takes one value");
  return words[0]!;
};

/** What a line of a profile may say. */
export const LINES: Record<string, Take> = {
  for: (p, words) => {
    for (const word of words) {
      const low = word.toLowerCase();
      if (MAC.test(low)) p.macs.push(low);
      else if (UUID.test(low)) p.uuids.push(low);
      else if (ARCHES.includes(low)) p.arches.push(low);
      else if (low === "any") p.isForAny = true;
      else {throw new Error(
          `has ${inert(word)}, which is no MAC address, no UUID, not any and none of ${ARCHES.join(", ")}`,
        );}
    }
  },
  boot: (p, words) => {
    if (one(words) !== "disk") throw new Error("is disk, or left out");
    p.isDisk = true;
  },
  kernel: (p, words) => void (p.kernel = one(words)),
  initrd: (p, words) => void p.initrds.push(...words),
  args: (p, words) => {
    const odd = words.find((word) => !WORD.test(word));
    if (odd !== undefined) {
      throw new Error(`has the word ${inert(odd)}, which a boot loader would not pass on as it is`);
    }
    p.args.push(...words);
  },
  loader: (p, words) => void (p.loader = one(words)),
};

/**
 * A profile out of the text of its file, lines of `name = words`. Throws a usage fault that names the line.
 */
export function parseProfile(name: string, text: string): BootProfile {
  const profile: BootProfile = {
    name,
    macs: [],
    uuids: [],
    arches: [],
    isForAny: false,
    isDisk: false,
    kernel: "",
    initrds: [],
    args: [],
    loader: "",
  };
  const wrong = (line: number, why: string) =>
    new Fault("netboot", "usage", `${inert(name)}${line > 0 ? `, line ${line}` : ""}: ${why}`, {
      hint: "isconf help netboot",
    });
  for (const [i, line] of text.split("\n").entries()) {
    if (/^\s*(#.*)?$/.test(line)) continue;
    const [, key = "", value = ""] = /^\s*([a-z]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    const take = Object.hasOwn(LINES, key) ? LINES[key] : undefined;
    if (take === undefined) throw wrong(i + 1, `is none of ${Object.keys(LINES).join(", ")} = …`);
    const words = value.split(/\s+/).filter((word) => word !== "");
    if (words.length === 0 || words.length > bootValuesMax || !isPlainText(value)) {
      throw wrong(i + 1, `${key} takes 1 to ${bootValuesMax} words`);
    }
    try {
      take(profile, words);
    } catch (e) {
      throw wrong(i + 1, `${key} ${(e as Error).message}`);
    }
  }
  const { macs, uuids, arches, isForAny, isDisk, kernel } = profile;
  if (macs.length + uuids.length + arches.length === 0 && !isForAny) {
    throw wrong(0, "it says for which machines it is by no line for =");
  }
  if (isDisk === (kernel !== "")) throw wrong(0, "it needs kernel =, or boot = disk");
  return profile;
}

/**
 * All profiles of a configuration, in the order of their files' names. Throws usage, denied: then none of them counts.
 */
export function readProfiles(directory: string): BootProfile[] {
  const dir = path.join(directory, "netboot.d");
  let names: string[];
  try {
    names = fs.readdirSync(dir).filter((name) => name.endsWith(".profile") && !name.startsWith(".")).sort();
  } catch (e) {
    if ((e as { code?: string }).code === "ENOENT") return [];
    throw Fault.from("netboot", e);
  }
  if (names.length > bootProfilesMax) {
    throw new Fault("netboot", "usage", `${inert(dir)} has more than ${bootProfilesMax} profiles`, {
      hint: `ls ${inert(dir)}`,
    });
  }
  return names.map((file) =>
    parseProfile(file.slice(0, -".profile".length), readOwnFile(path.join(dir, file)) ?? "")
  );
}

/** What a machine says of itself, as far as profiles look at it. */
export interface BootMachine {
  mac: string;
  uuid?: string;
  arch: string;
}

/** Whose a machine is; of several that say the same, the first. */
export function profileFor(
  profiles: readonly BootProfile[],
  { mac, uuid, arch }: BootMachine,
): BootProfile | undefined {
  return profiles.find(({ macs }) => macs.includes(mac)) ??
    profiles.find(({ uuids }) => uuid !== undefined && uuids.includes(uuid)) ??
    profiles.find(({ arches }) => arches.includes(arch)) ??
    profiles.find(({ isForAny }) => isForAny);
}
