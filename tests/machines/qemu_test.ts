// qemu: emulated machines boot from the boot servers, from firmware to the first program of a kernel: BIOS and UEFI, beside the site's DHCP server and
// with our own. Without KVM, so that each machine takes a while; each has its deadline.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { httpPath } from "../../agent/netboot/mod.ts";
import { cpio, sayAndTurnOff } from "../netboot/initramfs.ts";
import { BOOT_ADDRESS, type Lan, lanTest } from "../netboot/lan.ts";
import { boot, DEADLINE_MS, kernelPath, LINE, MAC, OVMF } from "../netboot/machine.ts";
import type { ServerSettings } from "../netboot/server.ts";

const RANGE = { from: "10.78.0.100", to: "10.78.0.120" };
const LOADERS = { bios: "/usr/lib/ipxe/undionly.kpxe", uefi: "/usr/lib/ipxe/snponly.efi" };

/**
 * The kernel and two initrds. The first one's length is no multiple of four: when it is not padded, UEFI's kernel does not find the second, and there is
 * no program to start.
 */
async function files(lan: Lan): Promise<Pick<ServerSettings, "loaders" | "files" | "kernel">> {
  const console = { name: "dev/console", mode: 0o20600, device: [5, 1] as [number, number] };
  const first = await cpio([{ name: "dev", mode: 0o40755 }, console]);
  const odd = (await cpio([{ name: "root", mode: 0o40700 }])).subarray(0, -3); // without what fills it up
  assert.notEqual(odd.length % 4, 0, "the archive is of no use for this");
  fs.writeFileSync(`${lan.dir}/first.img`, first);
  fs.writeFileSync(`${lan.dir}/odd.img`, odd);
  fs.writeFileSync(
    `${lan.dir}/second.img`,
    await cpio([{ name: "init", mode: 0o100755, bytes: sayAndTurnOff(LINE) }]),
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
      const server = await lan.serve({ ...await files(lan), ...(how.startsWith("with") && { own: RANGE }) });
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
    const server = await lan.serve({ ...await files(lan), httpOnly: true });
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
  const server = await lan.serve({ ...await files(lan), isChained: true });
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
  const server = await lan.serve({ ...await files(lan), loaders, grubFor: MAC, own: RANGE });
  await boot(lan, "uefi").catch((e) => assert.fail(`${e.message}\n${server.said()}`));
  const steps = stepsIn(server.said());
  for (const step of ["offered uefi-x64 rom", "loader", "kernel", "initrd"]) {
    assert.ok(steps.includes(step), `${step} is not in ${steps}`);
  }
});
