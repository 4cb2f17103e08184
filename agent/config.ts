// isconf.conf: the few settings of one host. Not policy, and not the host variables of main.cf.
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { SECURE_PATH } from "./environment.ts";
import { configBytesMax, nameCopiesMax, storeReserveBytes } from "./limits.ts";
import { inert } from "./names.ts";
import type { Home } from "./paths.ts";

export interface Config {
  /** What restarts this host: program and arguments, run without a shell. */
  rebootCommand: string[];
  /** A file whose content differs after each start of this host. Containers share the kernel's and name their own. */
  bootIdFile: string;
  /** Where commands without a slash are looked for. */
  path: string;
  /** Where this host waits for others, "ip:port"; empty: it only calls them. */
  listen: string[];
  /** Where others are to be found, "host:port" or "ip:port", beside those this host learns of. */
  peers: string[];
  /** Whether hosts of the domain on the same network find each other by themselves (mDNS). */
  discover: boolean;
  /** Whether new entries are applied as soon as they come, as `isconf up` would. */
  follow: boolean;
  /** Bytes that the store may take; Infinity: no matter how many. */
  quotaBytes: number;
  /** Bytes of the store's disk that stay free. */
  reserveBytes: number;
  /** On how many hosts of the branch contents of the journal stay, when they are applied; Infinity: on each. */
  journalCopies: number;
}

type Setting = (config: Config, words: string[]) => void;

const SETTINGS: Record<string, Setting> = {
  reboot_command: (c, words) => void (c.rebootCommand = words),
  boot_id_file: (c, [file]) => void (c.bootIdFile = file as string),
  path: (c, [value]) => void (c.path = value as string),
  listen: (c, words) => void (c.listen = words[0] === "none" ? [] : words),
  peers: (c, words) => void c.peers.push(...words),
  discover: (c, [word]) => void (c.discover = isYes(word)),
  follow: (c, [word]) => void (c.follow = isYes(word)),
  quota: (c, [word]) => void (c.quotaBytes = word === "none" ? Infinity : bytesOf(word)),
  reserve: (c, [word]) => void (c.reserveBytes = bytesOf(word)),
  journal_copies: (c, [word]) => void (c.journalCopies = word === "all" ? Infinity : countOf(word)),
};

/** The port on which hosts of isconf wait for each other: ISCO on the keys of a telephone. */
export const PORT = 4726;

function isYes(word: string | undefined): boolean {
  if (word === "yes" || word === "no") return word === "yes";
  throw new Fault("config", "usage", `is neither yes nor no: ${inert(word ?? "")}`, {
    hint: "isconf restart",
  });
}

/** "500M" or "20G" as bytes: powers of 1024. */
function bytesOf(word: string | undefined): number {
  const [, count, unit] = /^([0-9]{1,6})([KMGT])$/.exec(word ?? "") ?? [];
  const power = ["K", "M", "G", "T"].indexOf(unit ?? "") + 1;
  if (count !== undefined) return Number(count) * 1024 ** power;
  throw new Fault("config", "usage", `is no number of bytes like 500M or 20G: ${inert(word ?? "")}`, {
    hint: "isconf restart",
  });
}

/** On how many hosts something is to be: 1 to `nameCopiesMax`. */
function countOf(word: string | undefined): number {
  const count = /^[1-9][0-9]{0,3}$/.test(word ?? "") ? Number(word) : Infinity;
  if (count <= nameCopiesMax) return count;
  throw new Fault(
    "config",
    "usage",
    `is neither all nor a number up to ${nameCopiesMax}: ${inert(word ?? "")}`,
    {
      hint: "isconf restart",
    },
  );
}

/** Reads isconf.conf of a home; without one, the defaults. Throws a usage fault that names file and line. */
export function readConfig(home: Home, file = path.join(home.config, "isconf.conf")): Config {
  const config: Config = {
    rebootCommand: ["/sbin/reboot"],
    bootIdFile: "/proc/sys/kernel/random/boot_id",
    path: SECURE_PATH,
    // A try-out is for this machine alone, on any port that is free.
    listen: home.system ? [`0.0.0.0:${PORT}`, `[::]:${PORT}`] : ["127.0.0.1:0"],
    peers: [],
    discover: home.system,
    follow: false,
    quotaBytes: Infinity,
    reserveBytes: storeReserveBytes,
    journalCopies: Infinity,
  };
  const text = readOwnFile(file);
  for (const [i, line] of (text ?? "").split("\n").entries()) {
    const m = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (m === null) {
      if (/^\s*(#.*)?$/.test(line)) continue;
      throw wrongLine(file, i, `is not "name = value"`);
    }
    const [, name, value] = m as unknown as [string, string, string];
    const setting = Object.hasOwn(SETTINGS, name) ? SETTINGS[name] : undefined;
    if (setting === undefined) {
      throw wrongLine(file, i, `sets ${name}, which is not one of ${Object.keys(SETTINGS).join(", ")}`);
    }
    if (value === "") throw wrongLine(file, i, `gives ${name} no value`);
    try {
      setting(config, value.split(/\s+/));
    } catch (e) {
      throw wrongLine(file, i, `${name} ${Fault.from("config", e).message}`);
    }
  }
  if (!config.path.split(":").every((dir) => dir.startsWith("/"))) {
    throw wrongLine(file, -1, "sets path to something else than absolute directories");
  }
  for (const address of [...config.listen, ...config.peers]) {
    if (!/^(\[[0-9a-fA-F:.]+\]|[-A-Za-z0-9.]+):[0-9]{1,5}$/.test(address)) {
      throw wrongLine(
        file,
        -1,
        `names ${address}, which is no address like 192.0.2.1:${PORT} or [::]:${PORT}`,
      );
    }
  }
  return config;
}

/** A configuration file that only root or we can have written, or undefined when there is none. */
export function readOwnFile(file: string): string | undefined {
  let fd: number;
  try {
    fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  } catch (e) {
    if ((e as { code?: string }).code === "ENOENT") return undefined;
    throw Fault.from("config", e);
  }
  try {
    const st = fs.fstatSync(fd);
    const mine = st.uid === 0 || st.uid === process.geteuid?.();
    if (!st.isFile() || !mine || (st.mode & 0o022) !== 0 || st.size > configBytesMax) {
      throw new Fault(
        "config",
        "denied",
        `${file} is not a small file that only its owner (root or we) can write to`,
        {
          hint: `chown root ${file} && chmod 0644 ${file}`,
        },
      );
    }
    return fs.readFileSync(fd, "utf8");
  } finally {
    fs.closeSync(fd);
  }
}

/** A usage fault about one line of a configuration file. */
export function wrongLine(file: string, index: number, why: string): Fault {
  return new Fault("config", "usage", `${inert(file)}${index < 0 ? "" : `:${index + 1}`} ${inert(why)}`, {
    hint: `edit ${inert(file)}, then isconf restart`,
  });
}
