// isconf.conf: the few settings of one host. Not policy, and not the host variables of main.cf.
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { SECURE_PATH } from "./environment.ts";
import { configBytesMax } from "./limits.ts";
import { inert } from "./names.ts";
import type { Home } from "./paths.ts";

export interface Config {
  /** Local users, beside root and the agent's own, who get a socket. */
  permit: string[];
  /** What restarts this host: program and arguments, run without a shell. */
  rebootCommand: string[];
  /** A file whose content differs after each start of this host. Containers share the kernel's and name their own. */
  bootIdFile: string;
  /** Where commands without a slash are looked for. */
  path: string;
}

type Setting = (config: Config, words: string[]) => void;

const SETTINGS: Record<string, Setting> = {
  permit: (c, words) => void c.permit.push(...words),
  reboot_command: (c, words) => void (c.rebootCommand = words),
  boot_id_file: (c, [file]) => void (c.bootIdFile = file as string),
  path: (c, [value]) => void (c.path = value as string),
};

/** Reads isconf.conf of a home; without one, the defaults. Throws a usage fault that names file and line. */
export function readConfig(home: Home, file = path.join(home.config, "isconf.conf")): Config {
  const config: Config = {
    permit: [],
    rebootCommand: ["/sbin/reboot"],
    bootIdFile: "/proc/sys/kernel/random/boot_id",
    path: SECURE_PATH,
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
    setting(config, value.split(/\s+/));
  }
  if (!config.path.split(":").every((dir) => dir.startsWith("/"))) {
    throw wrongLine(file, -1, "sets path to something else than absolute directories");
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
