// Machine: what a virtual machine is made of: out of the words of a command line, into vm.json and out of it, and as values for
// templates. Not where it lies (record.ts), not whether that is there (needs.ts).
import { Buffer } from "node:buffer";
import * as path from "node:path";
import { Fault, sha256, toHex } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { written } from "./blanks.ts";
import type { Place } from "./place.ts";
import type { Values } from "./template.ts";

/** What may be said of a machine when it is created. */
export interface Wanted {
  name: string;
  driver?: string;
  os?: string;
  memory?: number;
  cpus?: number;
  disk?: number;
  firmware?: string;
  net?: string;
  mac?: string;
  forward?: string;
  boot?: string;
  cdrom?: string;
  kernel?: string;
  initrd?: string;
  append?: string;
}

/** A machine as vm.json has it; sizes in MiB and GiB. */
export interface Machine {
  name: string;
  driver: string;
  os: string;
  memory: number;
  cpus: number;
  disk: number;
  firmware: string;
  net: string;
  mac: string;
  boot: string[];
  forward?: string;
  cdrom?: string;
  kernel?: string;
  initrd?: string;
  append?: string;
}

/** The hypervisor of a system, where none is named. */
const DRIVERS: Readonly<Record<string, string>> = { linux: "qemu", freebsd: "bhyve" };

/** From what a machine can boot. */
const BOOTS = ["disk", "net", "cdrom"];

/** The machine that somebody wants. Throws usage, naming what cannot be. */
export function machineOf(place: Place, wanted: Wanted): Machine {
  const { name, os = place.os } = wanted;
  const files = (["cdrom", "kernel", "initrd"] as const).flatMap((key) => {
    const file = wanted[key];
    return file === undefined ? [] : [[key, path.resolve(place.cwd, file)] as const];
  });
  const machine: Machine = {
    name: written("name", "name", name),
    driver: wanted.driver ?? DRIVERS[os] ?? "qemu",
    os,
    memory: wanted.memory ?? 1024,
    cpus: wanted.cpus ?? 1,
    disk: wanted.disk ?? 8,
    firmware: wanted.firmware ?? "bios",
    net: wanted.net ?? "user",
    mac: (wanted.mac ?? macOf(name)).toLowerCase(),
    boot: (wanted.boot ?? "disk").split(","),
    ...Object.fromEntries(files),
    ...(wanted.forward === undefined ? {} : { forward: wanted.forward }),
    ...(wanted.append === undefined ? {} : { append: wanted.append }),
  };
  checkMachine(machine);
  return machine;
}

/** The address of a machine that was given none: the same for the same name, in the part that QEMU uses (52:54:00). */
export function macOf(name: string): string {
  const hash = toHex(sha256(Buffer.from(`isconf vm ${name}`)));
  return ["52", "54", "00", hash.slice(0, 2), hash.slice(2, 4), hash.slice(4, 6)].join(":");
}

function checkMachine({ firmware, net, boot, forward, cdrom, kernel, initrd, append }: Machine): void {
  const bad = (why: string, hint: string) => new Fault("vm", "usage", why, { hint });
  if (!["bios", "uefi"].includes(firmware)) {
    throw bad(`${inert(firmware)} is no firmware`, "isconf vm create NAME --firmware bios, or uefi");
  }
  if (!/^(none|user|tap:.+|socket:.+)$/s.test(net)) {
    throw bad(
      `${inert(net)} is no network`,
      "isconf help vm: user, none, tap:INTERFACE, socket:listen=127.0.0.1:4000",
    );
  }
  if (boot.some((from, i) => !BOOTS.includes(from) || boot.indexOf(from) !== i)) {
    throw bad(`${inert(boot.join(","))} is no order of booting`, "isconf vm create NAME --boot disk,net");
  }
  if (boot.includes("cdrom") && cdrom === undefined) {
    throw bad(
      "a machine without a CD cannot boot from it",
      "isconf vm create NAME --boot cdrom --cdrom FILE",
    );
  }
  if (boot.includes("net") && net === "none") {
    throw bad(
      "a machine without a network cannot boot from it",
      "isconf vm create NAME --boot net --net user",
    );
  }
  if (forward !== undefined && net !== "user") {
    throw bad(
      "ports are forwarded to a machine whose network is user",
      "isconf vm create NAME --forward 2222:22",
    );
  }
  if (kernel === undefined && (initrd ?? append) !== undefined) {
    throw bad("an initrd and what is appended go with a kernel", "isconf vm create NAME --kernel FILE");
  }
}

/** Where the files of a machine lie. */
export interface Files {
  dir: string;
  record: string;
  diskFile: string;
  varsFile: string;
  console: string;
  qmp: string;
  pidFile: string;
  log: string;
}

/** The same for each machine: names in its directory. */
export function filesOf(vms: string, name: string): Files {
  const dir = path.join(vms, written("name", "name", name));
  const at = (file: string) => path.join(dir, file);
  return {
    dir,
    record: at("vm.json"),
    diskFile: at("disk.raw"),
    varsFile: at("vars.fd"),
    console: at("console.log"),
    qmp: at("qmp.sock"),
    pidFile: at("pid"),
    log: at("log"),
  };
}

/** What of a machine was asked for by an option, and has to have its place in a template: by the name that templates have for it. */
export const ASKED: Readonly<Record<string, string>> = {
  uefi: "--firmware uefi",
  bios: "--firmware bios",
  userNet: "--net user",
  tap: "--net tap",
  endpoint: "--net socket",
  forward: "--forward",
  bootNet: "--boot net",
  bootCdrom: "--boot cdrom",
  cdrom: "--cdrom",
  kernel: "--kernel",
  initrd: "--initrd",
  append: "--append",
};

/** A machine as the values of templates; a condition that holds has the value "yes". */
export function valuesOf(place: Place, machine: Machine): Values {
  const { name, memory, cpus, disk, firmware, net, mac, boot, forward, cdrom, kernel, initrd, append } =
    machine;
  const [, kind, rest] = /^(\w+):?(.*)$/s.exec(net)!;
  const yes = (is: boolean) => is ? "yes" : undefined;
  const order = (from: string) => boot.includes(from) ? `${boot.indexOf(from) + 1}` : undefined;
  const isNetBios = boot.includes("net") && firmware === "bios";
  return {
    ...filesOf(place.vms, name),
    vms: place.vms,
    isconf: place.isconf,
    name,
    memory: `${memory}`,
    cpus: `${cpus}`,
    disk: `${disk}`,
    mac,
    bios: yes(firmware === "bios"),
    uefi: yes(firmware === "uefi"),
    net: yes(kind !== "none"),
    userNet: yes(kind === "user"),
    tap: kind === "tap" ? rest : undefined,
    endpoint: kind === "socket" ? rest : undefined,
    netRom: yes(isNetBios),
    noRom: yes(kind !== "none" && !isNetBios),
    bootDisk: order("disk"),
    bootNet: order("net"),
    bootCdrom: order("cdrom"),
    forward,
    cdrom,
    kernel,
    initrd,
    append,
  };
}
