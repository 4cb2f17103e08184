// install: an emulated machine with an empty disk becomes a host, untouched by hands but for the approval: network boot, installer in memory, image
// from the hosts that have it, its disk, restart, and through the journal to its end. BIOS and UEFI. Without KVM it takes a while.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { until } from "../holder.ts";
import { Ends, EXECUTABLE, type Host, makeHost } from "../hosts.ts";
import { type Lan, lanTest, type Running } from "../netboot/lan.ts";
import { OVMF } from "../netboot/machine.ts";
import { must } from "../programs.ts";
import { debian, MINUTE } from "./debian.ts";

const MAC = "52:54:00:4e:00:01";

const needs = {
  programs: ["qemu-system-x86_64", "mmdebstrap", "dpkg-deb", "debugfs", "curl"],
  files: [EXECUTABLE, OVMF, "/usr/lib/ipxe/undionly.kpxe", "/usr/lib/ipxe/snponly.efi"],
  timeoutMs: 40 * MINUTE,
};

/** A machine of 3 GiB of memory with an empty disk, which boots from that as soon as it can, else from the network. */
function machine(lan: Lan, firmware: "bios" | "uefi"): Running {
  const disk = `${lan.dir}/disk`;
  fs.writeFileSync(disk, "");
  fs.truncateSync(disk, 4 * 2 ** 30);
  const rom = firmware === "uefi" ? ",romfile=" : "";
  const flash = firmware === "bios" ? [] : [
    ...["-drive", `if=pflash,format=raw,readonly=on,file=${OVMF}`],
    ...["-drive", `if=pflash,format=raw,file=${lan.dir}/vars`],
  ];
  if (firmware === "uefi") fs.copyFileSync("/usr/share/OVMF/OVMF_VARS.fd", `${lan.dir}/vars`);
  return lan.start("lan", [
    ...["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3072"],
    ...["-nodefaults", "-display", "none", "-device", "virtio-rng-pci", ...flash],
    ...["-drive", `if=none,id=disk,format=raw,cache=unsafe,file=${disk}`],
    ...["-device", "virtio-blk-pci,drive=disk,bootindex=1"],
    ...["-netdev", "tap,id=net0,ifname=tap0,script=no,downscript=no"],
    ...["-device", `virtio-net-pci,netdev=net0,mac=${MAC},bootindex=2${rom}`],
    ...["-serial", `file:${lan.dir}/serial`],
  ]);
}

/** The beginning of the disk. */
function headOf(lan: Lan): Buffer {
  const fd = fs.openSync(`${lan.dir}/disk`, "r");
  try {
    const head = Buffer.alloc(1 << 20);
    fs.readSync(fd, head, 0, head.length, 0);
    return head;
  } finally {
    fs.closeSync(fd);
  }
}

const serial = (lan: Lan) => fs.readFileSync(`${lan.dir}/serial`, "latin1");

/** The steps that the boot log has of the machine, with their words. */
async function stepsOf(host: Host): Promise<{ step: string; text: string }[]> {
  const { notes } = JSON.parse((await host.isconf("--json", "boot", "log")).stdout) as {
    notes: { mac: string; step: string; text: string | null }[];
  };
  return notes.filter(({ mac }) => mac === MAC).map(({ step, text }) => ({ step, text: text ?? "" }));
}

/** Waits for a step; a machine that says that it failed has failed. */
async function step(lan: Lan, host: Host, name: string, minutes: number): Promise<string> {
  let found: { step: string; text: string } | undefined;
  try {
    await until(`the machine is at ${name}`, async () => {
      const steps = await stepsOf(host);
      const failed = steps.find((one) => one.step === "failed");
      assert.equal(failed, undefined, `it failed: ${failed?.text}`);
      return (found = steps.find((one) => one.step === name)) !== undefined;
    }, minutes * MINUTE);
  } catch (e) {
    throw new Error(`${(e as Error).message}\n${await host.ok("boot", "log")}\n${serial(lan).slice(-6000)}`);
  }
  return found!.text;
}

/** A host of a domain with two entries, an installer, and a profile for any machine that says `more`, too; machines boot from it. */
async function prepared(lan: Lan, owner: Ends, firmware: string, more: string): Promise<Host> {
  const root = await debian(firmware);
  const host = await makeHost(owner, "hosta", {
    network: lan.networkOf("agent", "02:00:0a:4e:00:09", "10.78.0.9"),
  });
  const slow = { timeoutMs: 10 * MINUTE };
  await host.ok("init", "--host", "hosta");
  await host.must(["isconf", "image", "capture", "--root", root, "images/base"], slow);
  await host.must(["isconf", "image", "initrd", "--installer", "images/base", "boot/installer"], slow);
  await host.ok("lock", "greet");
  await host.write("/srv/greeting", "hello\n");
  await host.ok("snap", "/srv/greeting");
  await host.ok("exec", "sh", "-c", "echo ran >/srv/ran");
  await host.ok("ci");
  const { token } = JSON.parse((await host.must(["isconf", "--json", "token", "--open"])).stdout);
  await host.write(
    "/etc/isconf/netboot.d/new.profile",
    `for = any\nkernel = boot/installer:vmlinuz\ninitrd = boot/installer:initrd\nargs = console=ttyS0,115200\njoin = ${token}\nhost = web-{{name machine}}\n${more}`,
  );
  await host.ok("netboot", "on", "eth0", "--dhcp", "10.78.0.100-10.78.0.120");
  return host;
}

/** Waits until the machine asks, and lets it in as a person would: by the fingerprint that it shows on its console. */
async function letIn(lan: Lan, host: Host): Promise<void> {
  const asks = await step(lan, host, "asks", 15);
  const waits = await host.ok("hosts");
  const [, mark] = /fingerprint ([0-9a-f-]{19})/.exec(asks) ?? [];
  assert.ok(mark !== undefined && waits.includes(mark), `${asks}\n${waits}`);
  assert.match(serial(lan), new RegExp(mark!), "who stands before it reads the same");
  await host.ok("approve", mark!);
  await step(lan, host, "joined", 5);
}

const CURRENT = /^web-5254004e0001 +main +2 of 2 +current /m;

/** Runs `fn` with such a host and a machine that has just been turned on. */
async function withMachine(
  lan: Lan,
  firmware: "bios" | "uefi",
  more: string,
  fn: (host: Host) => Promise<void>,
): Promise<void> {
  const owner = new Ends();
  try {
    const host = await prepared(lan, owner, firmware, more);
    const began = Date.now();
    const vm = machine(lan, firmware);
    try {
      await fn(host);
      console.log(
        `from power on, ${Math.round((Date.now() - began) / 1000)} s\n${await host.ok("boot", "log")}`,
      );
    } finally {
      if (vm.child.exitCode === null) await vm.stop();
    }
  } finally {
    await owner.end();
  }
}

for (const firmware of ["bios", "uefi"] as const) {
  lanTest(`${firmware}: from an empty disk to a host that agrees with its branch`, needs, async (lan) => {
    await withMachine(lan, firmware, "install = images/base\n", async (host) => {
      await step(lan, host, "asks", 15);
      assert.ok(headOf(lan).every((byte) => byte === 0), "before it is approved its disk is left alone");
      await letIn(lan, host);
      await step(lan, host, "installed", 30);
      await step(lan, host, "up", 10);
      assert.match(await host.ok("status"), CURRENT);
    });
    // The third partition, as the table of GPT says: its first block, in an entry of 128 bytes.
    const at = Number(headOf(lan).readBigUInt64LE(2 * 512 + 2 * 128 + 32)) * 512;
    // By itself: e2fsck loses an offset on its way through a journal. And the power was cut, so that there is something in that.
    const root = `${lan.dir}/root`;
    must("dd", `if=${lan.dir}/disk`, `of=${root}`, "bs=1M", "iflag=skip_bytes", `skip=${at}`, "conv=sparse");
    const { status, stdout } = spawnSync("e2fsck", ["-p", root]);
    assert.ok(status === 0 || status === 1, String(stdout));
    const read = (file: string) => must("debugfs", "-R", `cat ${file}`, root);
    assert.equal(read("/srv/greeting"), "hello\n");
    assert.equal(read("/srv/ran"), "ran\n");
    assert.equal(read("/etc/hostname"), "web-5254004e0001\n");
  });
}

lanTest(
  "in memory: without an image to install it becomes a diskless host that agrees with its branch",
  needs,
  async (lan) => {
    await withMachine(lan, "bios", "", async (host) => {
      await letIn(lan, host);
      await step(lan, host, "up", 10);
      assert.match(await host.ok("status"), CURRENT);
      assert.ok(headOf(lan).every((byte) => byte === 0), "its disk is left alone");
    });
  },
);
