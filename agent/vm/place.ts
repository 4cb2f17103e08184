// Place: what a verb of machines knows of where it runs: directories, programs, the shell, time. Handed in, so that tests have their
// own. Not what a machine is made of (machine.ts).
import type { Clock } from "../../mq/mod.ts";

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

/** The whole environment of scripts: nothing of the caller's. */
export function scriptEnv(place: Place): Record<string, string> {
  return { PATH: place.programs, LANG: "C.UTF-8" };
}
