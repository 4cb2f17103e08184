// qemu: emulated machines boot from the boot servers, from firmware to the first program of a kernel: BIOS and UEFI, beside the site's DHCP server and
// with our own. Without KVM, so that each machine takes a while; each has its deadline.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { until } from "../holder.ts";
import { httpPath } from "../../agent/netboot/mod.ts";
import { cpio, sayAndTurnOff } from "./initramfs.ts";
import { BOOT_ADDRESS, type Lan, lanTest } from "./lan.ts";
import type { ServerSettings } from "./server.ts";

const CACHE = process.env.ISCONF_TEST_CACHE ?? "/var/tmp/isconf-test-cache";
const MAC = "52:54:00:4e:00:01";
const LINE = "isconf: the first program runs";
const DEADLINE_MS = 180_000;
const RANGE = { from: "10.78.0.100", to: "10.78.0.120" };
const LOADERS = { bios: "/usr/lib/ipxe/undionly.kpxe", uefi: "/usr/lib/ipxe/snponly.efi" };
const OVMF = "/usr/share/OVMF/OVMF_CODE.fd";

/** The kernel that was unpacked for these tests, or this machine's own; the newest of several. */
function kernelPath(): string {
  for (const dir of [`${CACHE}/kernel/boot`, "/boot"]) {
    const names = fs.existsSync(dir) ? fs.readdirSync(dir).filter((name) => name.startsWith("vmlinuz-")) : [];
    if (names.length > 0) return `${dir}/${names.sort().at(-1)}`;
  }
  return `${CACHE}/kernel/boot/vmlinuz-*`;
}

/**
 * The kernel and two initrds. The first one's length is no multiple of four: when it is not padded, UEFI's kernel does not find the second, and there is
 * no program to start.
 */
function files(lan: Lan): Pick<ServerSettings, "loaders" | "files" | "kernel"> {
  const console = { name: "dev/console", mode: 0o20600, device: [5, 1] as [number, number] };
  const first = cpio([{ name: "dev", mode: 0o40755 }, console]);
  const odd = cpio([{ name: "root", mode: 0o40700 }]);
  assert.notEqual(odd.length % 4, 0, "the archive is of no use for this");
  fs.writeFileSync(`${lan.dir}/first.img`, first);
  fs.writeFileSync(`${lan.dir}/odd.img`, odd);
  fs.writeFileSync(
    `${lan.dir}/second.img`,
    cpio([{ name: "init", mode: 0o100755, bytes: sayAndTurnOff(LINE) }]),
  );
  const initrd = (name: string) => ({ path: `${lan.dir}/${name}`, step: "initrd" as const });
  return {
    loaders: {
      bios: { name: "undionly.kpxe", path: LOADERS.bios },
      "uefi-x64": { name: "snponly.efi", path: LOADERS.uefi },
    },
    files: {
      kernel: { path: kernelPath(), step: "kernel" },
      "first.img": initrd("first.img"),
      "odd.img": initrd("odd.img"),
      "second.img": initrd("second.img"),
    },
    kernel: {
      kernel: "kernel",
      initrds: ["first.img", "odd.img", "second.img"],
      args: ["console=ttyS0,115200", "panic=-1", "quiet"],
    },
  };
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
async function boot(lan: Lan, firmware: keyof typeof FIRMWARE, ...more: string[]): Promise<string> {
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

const needs = {
  programs: ["qemu-system-x86_64", "dnsmasq"],
  files: [OVMF, LOADERS.bios, LOADERS.uefi, kernelPath()],
  timeoutMs: DEADLINE_MS + 60_000,
};

/** The steps of the machine as they were told, without how much of each. */
const stepsIn = (text: string) =>
  [...text.matchAll(new RegExp(`^${MAC} (\\w+)(?: 100%)?(?: (.*))?$`, "gm"))].map(([, step, more]) =>
    more === undefined ? step : `${step} ${more}`
  );

for (const firmware of ["bios", "uefi"] as const) {
  for (const how of ["beside the site's DHCP server", "with an address of ours"] as const) {
    lanTest(`${firmware.toUpperCase()} boots a kernel ${how}`, needs, async (lan) => {
      if (how.startsWith("beside")) await lan.site();
      const server = await lan.serve({ ...files(lan), ...(how.startsWith("with") && { own: RANGE }) });
      assert.match(server.said(), /^ready$/m);
      try {
        await boot(lan, firmware);
      } catch (e) {
        throw new Error(`${(e as Error).message}\n${server.said()}`);
      }
      const steps = stepsIn(server.said());
      const first = firmware === "uefi"
        ? ["offered uefi-x64 rom", "loader", "offered uefi-x64 ipxe"]
        : ["offered bios ipxe"];
      for (const step of [...first, "script", "kernel", "initrd"]) {
        assert.ok(steps.includes(step), `${step} is not in ${steps}`);
      }
      assert.doesNotMatch(server.said(), /^log: /m);
    });
  }
}

lanTest(
  "UEFI boots by HTTP, beside the site's DHCP server, which knows nothing of that",
  needs,
  async (lan) => {
    await lan.site();
    const server = await lan.serve({ ...files(lan), httpOnly: true });
    const without = ["IPv4PXESupport", "IPv6PXESupport"].flatMap((
      name,
    ) => ["-fw_cfg", `name=opt/org.tianocore/${name},string=n`]);
    await boot(lan, "uefi", ...without).catch((e) => assert.fail(`${e.message}\n${server.said()}`));
    const steps = stepsIn(server.said());
    for (
      const step of ["offered uefi-x64 http", "loader", "offered uefi-x64 ipxe", "script", "kernel", "initrd"]
    ) {
      assert.ok(steps.includes(step), `${step} is not in ${steps}`);
    }
  },
);

lanTest("a BIOS whose card's ROM fetches another iPXE over TFTP, and that one boots", needs, async (lan) => {
  await lan.site();
  const server = await lan.serve({ ...files(lan), isChained: true });
  await boot(lan, "bios").catch((e) => assert.fail(`${e.message}\n${server.said()}`));
  const steps = stepsIn(server.said());
  const script = steps.indexOf("script"), loader = steps.indexOf("loader");
  assert.ok(script >= 0 && loader > script && steps.lastIndexOf("script") > loader, String(steps));
});

const GRUB = { programs: ["grub-mkimage"], files: ["/usr/lib/grub/x86_64-efi/efinet.mod"] };

lanTest("UEFI boots by GRUB, which reads what it is to do by HTTP, with an address of ours", {
  ...needs,
  programs: [...needs.programs, ...GRUB.programs],
  files: [...needs.files, ...GRUB.files],
}, async (lan) => {
  const url = `(http,${BOOT_ADDRESS}:8080)${httpPath({ mac: MAC, name: "grub.cfg" })}`;
  fs.writeFileSync(`${lan.dir}/early.cfg`, `configfile ${url}\n`);
  const modules = [
    "efinet",
    "net",
    "http",
    "tftp",
    "linux",
    "normal",
    "configfile",
    "serial",
    "echo",
    "all_video",
  ];
  const image = [
    "-O",
    "x86_64-efi",
    "-p",
    "/none",
    "-c",
    `${lan.dir}/early.cfg`,
    "-o",
    `${lan.dir}/grub.efi`,
  ];
  await lan.must("lan", ["grub-mkimage", ...image, ...modules]);
  const loaders = { "uefi-x64": { name: "grub.efi", path: `${lan.dir}/grub.efi` } };
  const server = await lan.serve({ ...files(lan), loaders, grubFor: MAC, own: RANGE });
  await boot(lan, "uefi").catch((e) => assert.fail(`${e.message}\n${server.said()}`));
  const steps = stepsIn(server.said());
  for (const step of ["offered uefi-x64 rom", "loader", "kernel", "initrd"]) {
    assert.ok(steps.includes(step), `${step} is not in ${steps}`);
  }
});
