// Boot profiles: which machine gets what when it boots from the network: files in netboot.d of the configuration, which the journal brings to every
// host like others. Read and checked here; what a name means is looked up when it is needed (boot_store.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { filledFor, SOME } from "./boot_words.ts";
import { readOwnFile } from "./config.ts";
import { bootGroupMax, bootProfilesMax, bootValuesMax } from "./limits_images.ts";
import { checkName, inert, isPlainText } from "./names.ts";
import { isOpen, readToken } from "./token.ts";

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
  /** A template of a script for iPXE, in place of kernel, initrds and args, as isconf cat takes it; "": none. */
  script: string;
  /** With which token the machine asks to be let in; "": it does not. */
  join: string;
  /** What the machine is called then. */
  host: string;
  /** The image that is to be on its disk, and which disk, and whether what is on it may go. "": it runs in memory; its only disk. */
  image: string;
  disk: string;
  mayWipe: boolean;
  /** Whoever is on that network may know what lets a machine in. */
  isLowTrust: boolean;
}

/** Machines that have a name together, by MAC address or UUID. */
export type Groups = ReadonlyMap<string, Pick<BootProfile, "macs" | "uuids">>;

const ARCHES = ["bios", "uefi-x64", "uefi-arm64"];
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** What iPXE, GRUB and a kernel all take as it is. */
const WORD = /^[A-Za-z0-9_@%+=:,./~-]+$/;
/** A disk as the kernel calls it. */
const DISK = /^\/dev\/[a-z][a-z0-9]{1,20}$/;

type Take = (profile: BootProfile, words: string[], groups: Groups) => void;

const one = (words: string[]): string => {
  if (words.length !== 1) throw new Error("takes one value");
  return words[0]!;
};

/** What stands in a word, with its blanks as they would be for some machine, is what a boot loader passes on as it is. */
const plainWords = (words: string[]): string[] => {
  for (const word of words) {
    if (!WORD.test(filledFor(word, SOME))) {
      throw new Error(`has the word ${inert(word)}, which a boot loader would not pass on as it is`);
    }
  }
  return words;
};

/** Sorts machines by what they are named by; false: it is neither. */
function takeMachine(word: string, { macs, uuids }: Pick<BootProfile, "macs" | "uuids">): boolean {
  const low = word.toLowerCase();
  if (MAC.test(low)) macs.push(low);
  else if (UUID.test(low)) uuids.push(low);
  else return false;
  return true;
}

/** What a line of a profile may say. */
export const LINES: Record<string, Take> = {
  for: (p, words, groups) => {
    for (const word of words) {
      const low = word.toLowerCase();
      if (word.startsWith("@")) {
        const group = groups.get(word.slice(1));
        if (group === undefined) throw new Error(`has ${inert(word)}, and there is no such group`);
        p.macs.push(...group.macs);
        p.uuids.push(...group.uuids);
      } else if (ARCHES.includes(low)) p.arches.push(low);
      else if (low === "any") p.isForAny = true;
      else if (!takeMachine(word, p)) {
        throw new Error(
          `has ${inert(word)}, which is no MAC address, UUID or @group, not any and none of ${
            ARCHES.join(", ")
          }`,
        );
      }
    }
  },
  boot: (p, words) => {
    if (one(words) !== "disk") throw new Error("is disk, or left out");
    p.isDisk = true;
  },
  kernel: (p, words) => void (p.kernel = one(words)),
  initrd: (p, words) => void p.initrds.push(...words),
  args: (p, words) => void p.args.push(...plainWords(words)),
  loader: (p, words) => void (p.loader = one(words)),
  script: (p, words) => void (p.script = one(words)),
  join: (p, words) => {
    p.join = one(words);
    readToken(p.join);
  },
  host: (p, words) => {
    p.host = one(plainWords(words));
    checkName("netboot", "host", filledFor(p.host, SOME));
  },
  install: (p, words) => {
    const [image, disk = "", ...more] = plainWords(words);
    if (more.length > 0 || (disk !== "" && !DISK.test(disk))) {
      throw new Error("takes an image and a disk, like /dev/sda");
    }
    p.image = image!;
    p.disk = disk;
  },
  wipe: (p, words) => {
    if (one(words) !== "yes") throw new Error("is yes, or left out");
    p.mayWipe = true;
  },
  trust: (p, words) => {
    if (one(words) !== "low") throw new Error("is low, or left out");
    p.isLowTrust = true;
  },
};

/**
 * A profile out of the text of its file, lines of `name = words`. Throws a usage fault that names the line.
 */
export function parseProfile(name: string, text: string, groups: Groups = new Map()): BootProfile {
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
    script: "",
    join: "",
    host: "",
    image: "",
    disk: "",
    mayWipe: false,
    isLowTrust: false,
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
    const words = value.match(/(?:\{\{[^{}]*\}\}|\S)+/g) ?? []; // a blank has one inside
    if (words.length === 0 || words.length > bootValuesMax || !isPlainText(value)) {
      throw wrong(i + 1, `${key} takes 1 to ${bootValuesMax} words`);
    }
    try {
      take(profile, words, groups);
    } catch (e) {
      throw wrong(i + 1, `${key} ${(e as Error).message}`);
    }
  }
  const { macs, uuids, arches, isForAny, isDisk, kernel, script, join, image, host, isLowTrust } = profile;
  if (macs.length + uuids.length + arches.length === 0 && !isForAny) {
    throw wrong(0, "it says for which machines it is by no line for =");
  }
  if ([isDisk, kernel !== "", script !== ""].filter(Boolean).length !== 1) {
    throw wrong(0, "it needs one of kernel =, script = and boot = disk");
  }
  if (join === "" && (image !== "" || host !== "")) throw wrong(0, "install = and host = go with join =");
  if (join !== "" && kernel === "") throw wrong(0, "join = goes with kernel =");
  if (join !== "" && !isOpen(readToken(join)) && !isLowTrust) {
    throw wrong(
      0,
      "its token lets a machine in, and everybody on that network can read it: isconf token --open, or trust = low",
    );
  }
  return profile;
}

/** A group out of the text of its file: MAC addresses and UUIDs, with blanks or lines between them. */
export function parseGroup(name: string, text: string): Pick<BootProfile, "macs" | "uuids"> {
  const group = { macs: [], uuids: [] };
  const words = text.replace(/#.*$/gm, "").split(/\s+/).filter((word) => word !== "");
  const odd = words.find((word) => !takeMachine(word, group));
  if (odd === undefined && words.length <= bootGroupMax) return group;
  const why = odd === undefined ? `more than ${bootGroupMax} machines` : inert(odd);
  throw new Fault("netboot", "usage", `the group ${inert(name)} has ${why}`, { hint: "isconf help netboot" });
}

/**
 * All profiles of a configuration, in the order of their files' names. Throws usage, denied: then none of them counts.
 */
export function readProfiles(directory: string): BootProfile[] {
  const dir = path.join(directory, "netboot.d");
  const groups: Groups = new Map(
    filesIn(dir, "group").map(([name, text]) => [name, parseGroup(name, text)]),
  );
  return filesIn(dir, "profile").map(([name, text]) => parseProfile(name, text, groups));
}

/** Names without their endings, and texts, of the files of one kind. */
function filesIn(dir: string, kind: "profile" | "group"): [name: string, text: string][] {
  const end = `.${kind}`;
  let names: string[];
  try {
    names = fs.readdirSync(dir).filter((name) => name.endsWith(end) && !name.startsWith(".")).sort();
  } catch (e) {
    if ((e as { code?: string }).code === "ENOENT") return [];
    throw Fault.from("netboot", e);
  }
  if (names.length > bootProfilesMax) {
    throw new Fault("netboot", "usage", `${inert(dir)} has more than ${bootProfilesMax} files ${end}`, {
      hint: `ls ${inert(dir)}`,
    });
  }
  return names.map((file) => [file.slice(0, -end.length), readOwnFile(path.join(dir, file)) ?? ""]);
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
