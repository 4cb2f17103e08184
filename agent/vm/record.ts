// Record: the directory of a machine: vm.json, which says that there is one and of what it is made, and the lock of whoever works on
// it. Not what a machine is made of (machine.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault, flock, sleep } from "../../mq/mod.ts";
import { writeDurably } from "../keys.ts";
import { inert } from "../names.ts";
import { BLANKS } from "./blanks.ts";
import { lockWaitMs, lookMs, machinesMax, recordBytesMax } from "./limits.ts";
import { filesOf, type Machine } from "./machine.ts";
import type { Place } from "./place.ts";

/** The form of vm.json. */
const FORM = "isconf-vm-1";

/** What has become of it: begun and not ended, or there. */
export type State = "making" | "made";

export interface Kept extends Machine {
  state: State;
}

const TEXTS = ["name", "driver", "os", "firmware", "net", "mac", "state"] as const;
const COUNTS = ["memory", "cpus", "disk"] as const;
const MAYBE = ["forward", "cdrom", "kernel", "initrd", "append"] as const;

/** Makes the directory of machines, and says no to one that others could write to: what lies in it is run. */
export function makeMachinesDir(vms: string): void {
  fs.mkdirSync(path.dirname(vms), { recursive: true, mode: 0o711 });
  fs.mkdirSync(vms, { recursive: true, mode: 0o700 });
  const stat = fs.lstatSync(vms);
  const uid = process.geteuid?.() ?? 0;
  if (stat.isDirectory() && stat.uid === uid && (stat.mode & 0o022) === 0) return;
  throw new Fault("vm", "denied", `${vms} must be a directory of yours that nobody else can write to`, {
    hint: `chown ${uid} ${vms} && chmod go-w ${vms}`,
  });
}

/** Writes vm.json so that after a crash there is the whole of it or none. */
export function writeRecord(place: Place, machine: Machine, state: State): void {
  const { record } = filesOf(place.vms, machine.name);
  writeDurably(record, Buffer.from(`${JSON.stringify({ form: FORM, state, ...machine }, null, 1)}\n`), 0o600);
}

/**
 * What vm.json says of a machine.
 * @throws {Fault} notFound, when there is none; corrupt
 */
export function readRecord(place: Place, name: string): Kept {
  const { record } = filesOf(place.vms, name);
  let text: string;
  try {
    text = fs.readFileSync(record, "utf8");
  } catch (e) {
    if (!["ENOENT", "ENOTDIR"].includes(String((e as { code?: string }).code))) throw Fault.from("vm", e);
    throw new Fault("vm", "notFound", `there is no machine ${inert(name)}`, { hint: "isconf vm list" });
  }
  const value = text.length > recordBytesMax ? undefined : parsed(text);
  if (value !== undefined && value.name === name) return value;
  throw new Fault("vm", "corrupt", `${record} does not say what a machine is made of`, {
    hint: `restore ${record} from a backup, or rm -r ${path.dirname(record)}`,
  });
}

function parsed(text: string): Kept | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown> | null;
    if (value === null || typeof value !== "object" || value.form !== FORM) return undefined;
    const isOne = TEXTS.every((key) => typeof value[key] === "string") &&
      COUNTS.every((key) => Number.isSafeInteger(value[key])) &&
      MAYBE.every((key) => value[key] === undefined || typeof value[key] === "string") &&
      Array.isArray(value.boot) && value.boot.every((from) => typeof from === "string") &&
      ["making", "made"].includes(value.state as string);
    const { form: _, ...machine } = value;
    return isOne ? machine as unknown as Kept : undefined;
  } catch {
    return undefined; // said by the caller: what the text is, is no matter
  }
}

/** The names of all machines, sorted. */
export function machineNames(place: Place): string[] {
  try {
    return fs.readdirSync(place.vms).filter((name) =>
      BLANKS.name!.fits(name) && fs.existsSync(filesOf(place.vms, name).record)
    ).sort().slice(0, machinesMax);
  } catch (e) {
    if ((e as { code?: string }).code === "ENOENT") return [];
    throw Fault.from("vm", e);
  }
}

/**
 * Works on a machine alone. The lock is on its directory itself: it leaves nothing behind, and goes with the process.
 * @throws {Fault} locked, when somebody else works on it for longer than a moment; notFound
 */
export async function alone<T>(place: Place, name: string, work: () => Promise<T>): Promise<T> {
  const { dir } = filesOf(place.vms, name);
  let fd: number;
  try {
    fd = fs.openSync(dir, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW);
  } catch (e) {
    if ((e as { code?: string }).code !== "ENOENT") throw Fault.from("vm", e);
    throw new Fault("vm", "notFound", `there is no machine ${inert(name)}`, { hint: "isconf vm list" });
  }
  try {
    for (const end = place.clock.now() + lockWaitMs; !flock(fd);) {
      if (place.clock.now() > end) {
        throw new Fault("vm", "locked", `another isconf works on the machine ${name}`, {
          hint: `isconf vm status ${name}, and try again`,
        });
      }
      await sleep(place.clock, lookMs);
    }
    return await work();
  } finally {
    fs.closeSync(fd);
  }
}
