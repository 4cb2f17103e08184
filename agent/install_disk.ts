// Install disk: which disk an image goes onto, and what its partitions are called. Looks, and changes nothing.
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";

/** Bytes in which /sys counts a disk, however large its own sectors are. */
const SECTOR_BYTES = 512;

/** Block devices that are no disk to install on: memory, loops, drives of discs, what is put together of others. */
const NO_DISK = /^(ram|loop|zram|sr|fd|dm-|md|nbd)/;

/** The disks of this machine, as `lsblk -d` has them; not those that can be taken out. `top` is /sys/block. */
export function disksIn(top: string): string[] {
  const read = (name: string, file: string) => fs.readFileSync(`${top}/${name}/${file}`, "utf8").trim();
  return fs.readdirSync(top)
    .filter((name) => !NO_DISK.test(name) && read(name, "removable") === "0" && read(name, "size") !== "0")
    .sort();
}

/** The one disk there is. Throws refused, where there is none or a choice. */
export function onlyDisk(disks: readonly string[]): string {
  const [disk, ...others] = disks;
  if (disk !== undefined && others.length === 0) return `/dev/${disk}`;
  const what = disk === undefined ? "no disk" : `several disks: ${disks.join(", ")}`;
  throw new Fault("install", "refused", `this machine has ${what}`, {
    hint: "isconf install IMAGE DISK, or install = IMAGE DISK in its profile",
  });
}

/** How large a disk is; undefined: that is none. `top` is /sys/class/block. */
export function diskBytes(top: string, disk: string): number | undefined {
  if (!fs.existsSync(disk)) return undefined;
  const file = `${top}/${path.basename(fs.realpathSync(disk))}/size`;
  return fs.existsSync(file) ? SECTOR_BYTES * Number(fs.readFileSync(file, "utf8")) : undefined;
}

/** What the kernel calls the n-th partition of a disk. */
export const partition = (disk: string, n: number): string => `${disk}${/[0-9]$/.test(disk) ? "p" : ""}${n}`;
