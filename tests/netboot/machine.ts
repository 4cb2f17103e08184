// machine: an emulated machine of the tests of netboot, without KVM, and the kernel that it boots. Not a test.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { until } from "../holder.ts";
import type { Lan } from "./lan.ts";

const CACHE = process.env.ISCONF_TEST_CACHE ?? "/var/tmp/isconf-test-cache";
export const OVMF = "/usr/share/OVMF/OVMF_CODE.fd";
export const MAC = "52:54:00:4e:00:01";
/** What the first program of these tests says. */
export const LINE = "isconf: the first program runs";
export const DEADLINE_MS = 180_000;

/** The kernel that was unpacked for these tests, or this machine's own; the newest of several. */
export function kernelPath(): string {
  for (const dir of [`${CACHE}/kernel/boot`, "/boot"]) {
    const names = fs.existsSync(dir) ? fs.readdirSync(dir).filter((name) => name.startsWith("vmlinuz-")) : [];
    if (names.length > 0) return `${dir}/${names.sort().at(-1)}`;
  }
  return `${CACHE}/kernel/boot/vmlinuz-*`;
}

const MACHINE = [
  "qemu-system-x86_64",
  ...[
    "-accel",
    "tcg",
    "-cpu",
    "max",
    "-m",
    "512",
    "-nodefaults",
    "-display",
    "none",
    "-no-reboot",
    "-boot",
    "n",
  ],
  ...["-netdev", "tap,id=net0,ifname=tap0,script=no,downscript=no"],
];

/** Firmware of a BIOS has the network in the card's ROM, which is an iPXE; UEFI firmware has its own, when the card has no ROM. */
const FIRMWARE = {
  bios: () => ["-device", `virtio-net-pci,netdev=net0,mac=${MAC}`],
  uefi(lan: Lan) {
    fs.copyFileSync("/usr/share/OVMF/OVMF_VARS.fd", `${lan.dir}/vars`);
    return [
      ...["-drive", `if=pflash,format=raw,readonly=on,file=${OVMF}`],
      ...["-drive", `if=pflash,format=raw,file=${lan.dir}/vars`],
      ...["-device", `virtio-net-pci,netdev=net0,mac=${MAC},romfile=`],
      ...["-device", "virtio-rng-pci"],
    ];
  },
};

/** Turns a machine on and waits until it has said its line and is off. */
export async function boot(lan: Lan, firmware: keyof typeof FIRMWARE, ...more: string[]): Promise<string> {
  const path = `${lan.dir}/serial`;
  const said = () => fs.existsSync(path) ? fs.readFileSync(path, "latin1") : "";
  const machine = lan.start("lan", [
    ...MACHINE,
    ...FIRMWARE[firmware](lan),
    ...more,
    "-serial",
    `file:${path}`,
  ]);
  try {
    const over = () => machine.child.exitCode !== null || said().includes(LINE);
    await until("the machine has booted", over, DEADLINE_MS).catch(() => {});
    assert.ok(said().includes(LINE), `${said().slice(-3000)}\n${machine.said()}`);
    return said();
  } finally {
    if (machine.child.exitCode === null) await machine.stop();
  }
}
