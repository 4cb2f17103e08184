// qemu: emulated machines boot from the boot servers, from firmware to the first program of a kernel: BIOS and UEFI, beside the site's DHCP server and
// with our own. Without KVM, so that each machine takes a while; each has its deadline.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { cpio, sayAndTurnOff } from "./initramfs.ts";
import { type Lan, lanTest } from "./lan.ts";
import { boot, DEADLINE_MS, kernelPath, LINE, MAC, OVMF } from "./machine.ts";
import type { ServerSettings } from "./server.ts";

const RANGE = { from: "10.78.0.100", to: "10.78.0.120" };
const LOADERS = { bios: "/usr/lib/ipxe/undionly.kpxe", uefi: "/usr/lib/ipxe/snponly.efi" };

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
