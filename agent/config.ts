// isconf.conf: the few settings of one host. Not policy, and not the host variables of main.cf.
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { SECURE_PATH } from "./environment.ts";
import { configBytesMax, etcdMembersMax, nameCopiesMax, storeReserveBytes } from "./limits.ts";
import { inert } from "./names.ts";
import type { EtcdSettings } from "./net_etcd.ts";
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
  /** Where programs and pages on this machine find the API over TCP, "127.0.0.1:8470"; empty: nowhere. */
  http: string;
  /** The directory of first loaders for machines that boot. */
  loaders: string;
  /** What else that place is called, as a browser or a proxy calls it, "name" or "name:port". */
  httpNames: string[];
  /** Whether new entries are applied as soon as they come, as `isconf up` would. */
  follow: boolean;
  /** Branches on which it is not recorded what commands change; "*" is every one. */
  noEffects: string[];
  /** Members of the etcd cluster that decides, where the domain says that one does: "https://host:port". */
  register: string[];
  /** Files with the certificates we believe of it, and with ours and its key; empty: none. */
  registerCa: string;
  registerCert: string;
  registerKey: string;
  /** Who we are to it, and a file with the password; empty: it asks for none. */
  registerUser: string;
  registerPassword: string;
  /** Bytes that the store may take; Infinity: no matter how many. */
  quotaBytes: number;
  /** Bytes of the store's disk that stay free. */
  reserveBytes: number;
  /** On how many hosts of the branch contents of the journal stay, when they are applied; Infinity: on each. */
  journalCopies: number;
}

/** The port on which hosts of isconf wait for each other: ISCO on the keys of a telephone. */
export const PORT = 4726;

/** One setting: its value as people write it, what it is unless set, what it does, and how a line sets it. */
interface Setting {
  value: string;
  unset: string;
  about: string;
  set(config: Config, words: string[]): void;
}

/** Every setting, in the order of the manual page. */
export const SETTINGS: Record<string, Setting> = {
  listen: {
    value: "ADDRESS:PORT ...|none",
    unset: `0.0.0.0:${PORT} [::]:${PORT}`,
    about: "where this host waits for others; none: it only calls them",
    set: (c, words) => void (c.listen = words[0] === "none" ? [] : words),
  },
  peers: {
    value: "HOST:PORT ...",
    unset: "",
    about: "where others are, beside those it hears of; more than one line may be given",
    set: (c, words) => void c.peers.push(...words),
  },
  discover: {
    value: "yes|no",
    unset: "yes",
    about: "hosts of the domain on the same network find each other (mDNS, UDP port 5353)",
    set: (c, [word]) => void (c.discover = isYes(word)),
  },
  http: {
    value: "ADDRESS:PORT|none",
    unset: "none",
    about:
      "where programs and browsers on this machine find API and page over TCP, like 127.0.0.1:8470; no other addresses",
    set: (c, [word]) => void (c.http = word === "none" ? "" : loopback(word)),
  },
  http_names: {
    value: "NAME[:PORT] ...",
    unset: "",
    about:
      "what else that place is called, as a proxy or a tunnel in front of it has it; other names are refused",
    set: (c, words) => void c.httpNames.push(...words.map(hostHeader)),
  },
  loaders: {
    value: "DIRECTORY",
    unset: "/usr/lib/ipxe",
    about:
      "where first loaders for machines that boot from the network are, as Debian's package ipxe has them",
    set: (c, [dir]) => void (c.loaders = dir as string),
  },
  follow: {
    value: "yes|no",
    unset: "no",
    about: "apply new entries as soon as they come",
    set: (c, [word]) => void (c.follow = isYes(word)),
  },
  no_effects: {
    value: "BRANCH ...|*",
    unset: "",
    about: "branches on which it is not recorded which files commands change; * is every one",
    set: (c, words) => void c.noEffects.push(...words),
  },
  quota: {
    value: "SIZE|none",
    unset: "none",
    about: "what the content store may take of its disk, like 20G; more is refused",
    set: (c, [word]) => void (c.quotaBytes = word === "none" ? Infinity : bytesOf(word)),
  },
  reserve: {
    value: "SIZE",
    unset: "64M",
    about: "what of that disk stays free",
    set: (c, [word]) => void (c.reserveBytes = bytesOf(word)),
  },
  journal_copies: {
    value: "COUNT|all",
    unset: "all",
    about: "on how many hosts of the branch contents of applied entries stay when gc runs",
    set: (c, [word]) => void (c.journalCopies = word === "all" ? Infinity : countOf(word)),
  },
  reboot_command: {
    value: "PROGRAM ARGUMENT ...",
    unset: "/sbin/reboot",
    about: "what restarts this host; no shell is involved",
    set: (c, words) => void (c.rebootCommand = words),
  },
  boot_id_file: {
    value: "FILE",
    unset: "/proc/sys/kernel/random/boot_id",
    about: "a file that differs after each start of this host; containers name their own",
    set: (c, [file]) => void (c.bootIdFile = file as string),
  },
  path: {
    value: "DIRECTORY:...",
    unset: SECURE_PATH,
    about: "where commands without a slash are looked for",
    set: (c, [value]) => void (c.path = value as string),
  },
  register: {
    value: "URL ...",
    unset: "",
    about:
      "members of the etcd that decides, on hosts of keepers: https://HOST:PORT; http only on this host itself",
    set: (c, words) => void c.register.push(...words.flatMap((w) => w.split(",")).filter((w) => w !== "")),
  },
  register_ca: {
    value: "FILE",
    unset: "",
    about: "a PEM file with the authorities that certify them; else those the system believes",
    set: (c, [file]) => void (c.registerCa = file as string),
  },
  register_cert: {
    value: "FILE",
    unset: "",
    about: "a PEM file with our certificate, where etcd asks for one",
    set: (c, [file]) => void (c.registerCert = file as string),
  },
  register_key: {
    value: "FILE",
    unset: "",
    about: "a PEM file with its key, readable by its owner only",
    set: (c, [file]) => void (c.registerKey = file as string),
  },
  register_user: {
    value: "NAME",
    unset: "",
    about: "a user of etcd with read and write on what begins with isconf/1/",
    set: (c, [name]) => void (c.registerUser = name as string),
  },
  register_password: {
    value: "FILE",
    unset: "",
    about: "a file with the password of that user, readable by its owner only",
    set: (c, [file]) => void (c.registerPassword = file as string),
  },
};

function isYes(word: string | undefined): boolean {
  if (word === "yes" || word === "no") return word === "yes";
  throw new Fault("config", "usage", `is neither yes nor no: ${inert(word ?? "")}`, {
    hint: "isconf restart",
  });
}

/** An address that only this machine reaches: whoever is to come from elsewhere comes through what encrypts. */
function loopback(word: string | undefined): string {
  if (/^(127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|\[::1\]):[0-9]{1,5}$/.test(word ?? "")) return word!;
  throw new Fault(
    "config",
    "usage",
    `is no address of this machine alone, like 127.0.0.1:8470: ${inert(word ?? "")}`,
    {
      hint: "ssh -L 8470:127.0.0.1:8470 HOST, or a proxy that speaks https",
    },
  );
}

/** What a Host header says. */
function hostHeader(word: string): string {
  if (/^[A-Za-z0-9]([-A-Za-z0-9.]{0,252})(:[0-9]{1,5})?$/.test(word)) return word.toLowerCase();
  throw new Fault("config", "usage", `is no name like isconf.example.org:8470: ${inert(word)}`, {
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
    http: "",
    loaders: "/usr/lib/ipxe",
    httpNames: [],
    follow: false,
    noEffects: [],
    register: [],
    registerCa: "",
    registerCert: "",
    registerKey: "",
    registerUser: "",
    registerPassword: "",
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
      setting.set(config, value.split(/\s+/));
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
  if (config.register.length > etcdMembersMax) {
    throw wrongLine(file, -1, `names more than ${etcdMembersMax} members of an etcd`);
  }
  for (const member of config.register) {
    if (isMember(member)) continue;
    throw wrongLine(
      file,
      -1,
      `names ${member} as a register, which is none like https://192.0.2.1:2379; http only on this host itself`,
    );
  }
  return config;
}

/** An origin of https; of http only where nobody can come in between. */
function isMember(text: string): boolean {
  const [, scheme, host] = /^(https?):\/\/(\[[0-9a-fA-F:.]+\]|[-A-Za-z0-9.]+):[0-9]{1,5}$/.exec(text) ?? [];
  return scheme === "https" || (scheme === "http" && ["127.0.0.1", "[::1]", "localhost"].includes(host!));
}

/** How to reach the etcd that this host's configuration names; null: it names none. Throws a fault that names a file. */
export function readRegister(config: Config): EtcdSettings | null {
  if (config.register.length === 0) return null;
  const text = (file: string, isSecret: boolean): string => {
    if (file === "") return "";
    const text = readOwnFile(file, isSecret ? 0o077 : 0o022);
    if (text !== undefined) return text;
    throw new Fault("config", "notFound", `${inert(file)} is not there, which isconf.conf names`, {
      hint: "isconf restart, when it is",
    });
  };
  return {
    members: config.register,
    ca: text(config.registerCa, false),
    cert: text(config.registerCert, false),
    key: text(config.registerKey, true),
    user: config.registerUser,
    password: text(config.registerPassword, true).replace(/\n$/, ""),
  };
}

/**
 * A configuration file that only root or we can have written, or undefined when there is none. `others`: bits of the mode that
 * must not be set.
 */
export function readOwnFile(file: string, others = 0o022): string | undefined {
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
    if (!st.isFile() || !mine || (st.mode & others) !== 0 || st.size > configBytesMax) {
      throw new Fault(
        "config",
        "denied",
        `${file} is not a small file that only its owner (root or we) can ${
          others === 0o022 ? "write to" : "read"
        }`,
        {
          hint: `chown root ${file} && chmod ${others === 0o022 ? "0644" : "0600"} ${file}`,
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
