// Doctor machine: the checks of what isconf stands on: the disk of its state, and the clock. Part of the doctor (doctor.ts); it
// looks and changes nothing.
import * as fs from "node:fs";
import { isClockKept } from "../mq/mod.ts";
import type { Bad } from "./doctor.ts";
import { readEntry } from "./entry.ts";
import type { Call } from "./host.ts";
import { clockOffMs, stateFilesMin, stateFreeBytesMin } from "./limits.ts";
import { CONTROL, inert } from "./names.ts";
import { getMeta } from "./schema.ts";

/** File systems that are in memory, by their number: tmpfs, ramfs (linux/magic.h). */
const IN_MEMORY = [0x0102_1994, 0x8584_58f6];

/** Whether a file system is in memory, as statfs(2) has it. */
export const isInMemory = ({ type }: Pick<fs.StatsFs, "type">): boolean => IN_MEMORY.includes(type);

export const MACHINE_CHECKS: Record<string, (call: Call) => Bad | Promise<Bad>> = {
  disk: ({ host }) =>
    wrongDisk(fs.statfsSync(host.home.state), {
      dir: host.home.state,
      reserveBytes: host.config.reserveBytes,
      mustLast: host.home.system,
    }),
  time: ({ host }) => {
    const branch = getMeta(host.db, "branch");
    const newest = [CONTROL, ...branch === undefined ? [] : [branch]].flatMap((name) => {
      const { seq } = host.journal.head(name);
      return host.journal.at(name, seq)?.entry ?? [];
    });
    return wrongTime(host.clock.wall(), newest.map((entry) => readEntry(entry).entry.timeMs));
  },
  "time service": () => unkept(isClockKept()),
};

/** What is wrong with a disk, as statfs(2) has it. `mustLast`: what is there has to be there after a restart of the host. */
export function wrongDisk(
  stat: Pick<fs.StatsFs, "type" | "bsize" | "bavail" | "files" | "ffree">,
  { dir, reserveBytes, mustLast }: { dir: string; reserveBytes: number; mustLast: boolean },
): Bad {
  const { bsize, bavail, files, ffree } = stat;
  const free = bavail * bsize;
  if (free < stateFreeBytesMin) return { text: `only ${free} bytes are free`, hint: `df ${inert(dir)}` };
  if (free < reserveBytes) {
    const text =
      `only ${free} bytes are free, of which reserve leaves ${reserveBytes}: no more contents can come`;
    return { text, hint: `df ${inert(dir)}; isconf gc; or another reserve in isconf.conf` };
  }
  if (files > 0 && ffree < stateFilesMin) { // 0: a file system that makes them as they are needed
    return { text: `there is room for only ${ffree} more files`, hint: `df -i ${inert(dir)}` };
  }
  if (mustLast && isInMemory(stat)) {
    const text = `${inert(dir)} is in memory: a restart of this host takes keys and journal away`;
    return { text, hint: `isconf stop, then mount a disk at ${inert(dir)} with what is there now` };
  }
  return undefined;
}

/** Whether it is earlier here than when something was made that is here. */
export function wrongTime(nowMs: number, madeMs: readonly number[]): Bad {
  const newest = Math.max(0, ...madeMs);
  if (newest <= nowMs + clockOffMs) return undefined;
  const [now, made] = [nowMs, newest].map((ms) => new Date(ms).toISOString());
  return {
    text: `it is ${now} here, and an entry of this host's journal was made at ${made}`,
    hint: "date -u, here and there",
  };
}

/** Whether somebody keeps the clock. */
export function unkept(isKept: boolean | undefined): Bad {
  if (isKept !== false) return undefined;
  return {
    text: "no time service keeps this host's clock right, as far as the kernel knows",
    hint: "timedatectl, or chronyc tracking; then install one",
  };
}
