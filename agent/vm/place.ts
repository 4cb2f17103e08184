// Place: what a verb of machines knows of where it runs: directories, programs, the shell, time. Handed in, so that tests have their
// own. Not what a machine is made of (machine.ts).
import * as path from "node:path";
import type { Clock } from "../../mq/mod.ts";
import { SECURE_PATH } from "../environment.ts";
import { homeOf } from "../paths.ts";

export interface Place {
  /** Where machines have their directories. */
  vms: string;
  /** linux, freebsd … as uname has it, in small letters. */
  os: string;
  /** Directories in which programs are looked for, with : between them. */
  programs: string;
  /** This executable: scripts that speak to a machine call it. */
  isconf: string;
  shell: string;
  /** Where relative paths begin. */
  cwd: string;
  clock: Clock;
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

/** The whole environment of scripts: nothing of the caller's. */
export function scriptEnv(place: Place): Record<string, string> {
  return { PATH: place.programs, LANG: "C.UTF-8" };
}

export { SECURE_PATH };
