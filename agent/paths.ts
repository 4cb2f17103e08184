// Where isconf lives on this host: state, configuration and sockets, or all three under one ISCONF_HOME; where machines lie.
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";

export interface Home {
  /** Databases, keys, log. */
  state: string;
  /** isconf.conf and main.cf. */
  config: string;
  /** Sockets, one per permitted uid. */
  run: string;
  /** True when these are the system's own directories rather than a try-out's. */
  system: boolean;
}

/** Longest path a UNIX socket can have on Linux (sun_path less its NUL), in bytes. */
const socketPathBytesMax = 107;

/** The home named by `--home` or `ISCONF_HOME`, else the system's. */
export function homeOf(option: string | undefined): Home {
  if (option === undefined || option === "") {
    return { state: "/var/lib/isconf", config: "/etc/isconf", run: "/run/isconf", system: true };
  }
  const top = path.resolve(option);
  return {
    state: path.join(top, "var"),
    config: path.join(top, "etc"),
    run: path.join(top, "run"),
    system: false,
  };
}

/**
 * Where machines have their directories: in the home that was named, else for root in the system's, else where the XDG Base Directory
 * Specification has state of a user; a relative XDG_STATE_HOME is none, it says.
 */
export function machinesDir(
  homeOption: string | undefined,
  uid: number,
  env: Readonly<Record<string, string | undefined>>,
  userHome: string,
): string {
  if (homeOption !== undefined || uid === 0) return path.join(homeOf(homeOption).state, "vm");
  const { XDG_STATE_HOME: state = "" } = env;
  return path.join(path.isAbsolute(state) ? state : path.join(userHome, ".local/state"), "isconf/vm");
}

/** The socket on which the user `uid` reaches the agent. */
export function socketOf(home: Home, uid: number): string {
  const file = path.join(home.run, `${uid}.sock`);
  if (Buffer.byteLength(file) > socketPathBytesMax) {
    throw new Fault("home", "usage", `the path of the socket is too long for a UNIX socket: ${file}`, {
      hint: "ISCONF_HOME=/a/shorter/path isconf start",
    });
  }
  return file;
}

/** The directories on the way to a file, from the root on, and the file itself. */
export function wayTo(file: string): string[] {
  const parts = file.split("/").filter(Boolean);
  return ["/", ...parts.map((_, i) => `/${parts.slice(0, i + 1).join("/")}`)];
}

/** Where the caller is. Throws a notFound fault when that directory is gone. */
export function currentDirectory(op: string): string {
  try {
    return process.cwd();
  } catch (e) {
    if ((e as { code?: string }).code !== "ENOENT") throw e;
    throw new Fault(op, "notFound", "the directory that you are in does not exist any more", {
      hint: "cd to another one",
    });
  }
}

/** The user that owns the net half on a host where isconf is installed. */
export const NET_USER = "_isconf";

/** The net half's own directory. */
export const storeDir = (home: Home): string => path.join(home.state, "store");

/** The directory in which the net half makes its socket, and that socket. */
export const contentDir = (home: Home): string => path.join(home.run, "content");
export const contentSocketOf = (home: Home): string => path.join(contentDir(home), "s");

/** Makes the directories of a home with their modes; existing ones must belong to us and be closed to others. */
export function makeHome(home: Home): void {
  const uid = process.geteuid?.() ?? 0;
  const dirs: [string, number][] = [[home.state, 0o711], [home.config, 0o755], [home.run, 0o711]];
  for (const [dir, mode] of dirs) {
    if (!home.system) fs.mkdirSync(path.dirname(dir), { recursive: true, mode: 0o755 });
    try {
      fs.mkdirSync(dir, { mode });
      fs.chmodSync(dir, mode);
    } catch (e) {
      if ((e as { code?: string }).code !== "EEXIST") throw Fault.from("start", e);
      const st = fs.lstatSync(dir);
      if (!st.isDirectory() || (st.uid !== uid && st.uid !== 0) || (st.mode & 0o022) !== 0) {
        throw new Fault(
          "start",
          "denied",
          `${dir} must be a directory of ours that nobody else can write to`,
          {
            hint: `chown ${uid} ${dir} && chmod go-w ${dir}`,
          },
        );
      }
    }
  }
}
