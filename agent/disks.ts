// Disks: that what commands have written is on the disks before this host says that they are done: a power cut may take everything
// else back. Not what the store, the databases and replayed files write, which are synced where they are written.
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { AT_FDCWD, closeFd, errnoCode, Fault, openAt, syncAllOf } from "../mq/mod.ts";
import { mountsWatched } from "./effects_watch.ts";
import { syncHereBytesMax, syncSaidMax } from "./limits.ts";
import { inert } from "./names.ts";
import { readMounts } from "./preview_mounts.ts";

/** The disks of this host; the tests' twin says what it is told to. */
export interface Disks {
  /**
   * Resolves when all that was written to local file systems until now is on the disk.
   * @throws {Fault} environment: the disk has not taken it
   */
  sync(): Promise<void>;
}

/** Where nothing outlasts a power cut anyway. */
export const NO_DISKS: Disks = { sync: () => Promise.resolve() };

/** The kernel's, by syncfs(2). What may take long is waited for by a program of its own, where there is one (coreutils). */
export class KernelDisks implements Disks {
  readonly #program: string;
  readonly #here: number;

  /** `here`: how many bytes may wait for the disks of this machine that are synced without the program. */
  constructor(program = "/bin/sync", here = syncHereBytesMax) {
    this.#program = program;
    this.#here = here;
  }

  async sync(): Promise<void> {
    const opened: number[] = [];
    try {
      for (const { point } of mountsWatched(readMounts(fs.readFileSync("/proc/self/mountinfo"))).local) {
        const fd = openMount(point);
        if (fd !== undefined) opened.push(fd);
      }
      if (waitingBytes() <= this.#here || !fs.existsSync(this.#program)) opened.forEach(syncAllOf);
      else await runSync(this.#program, opened);
    } catch (e) {
      const why = inert(Fault.from("sync", e).message);
      throw new Fault("sync", "environment", `what a command wrote may not be on the disk: ${why}`, {
        hint: "isconf doctor, and what the kernel says of the disk: dmesg",
      });
    } finally {
      opened.forEach(closeFd);
    }
  }
}

/** How much is written in memory and not on the disk yet, of this machine's files, in bytes (proc_meminfo(5)); if not told: any. */
function waitingBytes(): number {
  try {
    const told = fs.readFileSync("/proc/meminfo", "latin1");
    const kib = (name: string) => Number(new RegExp(`^${name}: *(\\d+) kB$`, "m").exec(told)?.[1]);
    const bytes = (kib("Dirty") + kib("Writeback")) * 1024;
    return Number.isNaN(bytes) ? Infinity : bytes;
  } catch {
    return Infinity; // a container may hide it
  }
}

/** A descriptor of a mount; undefined where it cannot be had: this agent's commands have written nothing there either. */
function openMount(point: string): number | undefined {
  try {
    return openAt(AT_FDCWD, Buffer.from(point, "latin1"), fs.constants.O_RDONLY);
  } catch (e) {
    if (errnoCode(e) === undefined) throw e;
    return undefined;
  }
}

/** Has a program sync the file systems of these descriptors, which it gets as its own from number 3 on. */
function runSync(program: string, opened: number[]): Promise<void> {
  const names = opened.map((_, i) => `/proc/self/fd/${3 + i}`);
  const child = spawn(program, ["-f", ...names], { env: {}, stdio: ["ignore", "ignore", "pipe", ...opened] });
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => said = (said + text).slice(0, syncSaidMax));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on(
      "close",
      (code) => code === 0 ? resolve() : reject(new Error(said.trim() || `it ended with ${code}`)),
    );
  });
}
