// Debian: a root file system with this isconf in it, that boots in memory and from a disk by either firmware. Made once, and kept for the next test.
import * as fs from "node:fs";
import { makeDeb } from "../../scripts/package.ts";
import { EXECUTABLE } from "../hosts.ts";
import { must } from "../programs.ts";

const CACHE = process.env.ISCONF_TEST_CACHE ?? "/var/tmp/isconf-test-cache";
export const MINUTE = 60_000;

/** What an image needs beside isconf so that it can boot in memory, make a disk, and boot from that by either firmware. */
const PACKAGES = [
  ...["linux-image-cloud-amd64", "systemd-sysv", "udev", "kmod", "iproute2", "dbus"],
  ...["gdisk", "dosfstools", "e2fsprogs", "grub2-common", "grub-pc-bin", "grub-efi-amd64-bin"],
];

/** A Debian with this isconf in it, and with `more`, that gets its address by DHCP and goes through the journal by itself. */
export async function debian(name: string, ...more: string[]): Promise<string> {
  const base = [`${CACHE}/install-root`, ...more].join("+"), root = `${CACHE}/install-root-${name}`;
  if (!fs.existsSync(base)) {
    const without = ["doc", "locale", "man"].map((dir) => `--dpkgopt=path-exclude=/usr/share/${dir}/*`);
    const include = `--include=${[...PACKAGES, ...more].join(",")}`;
    must("mmdebstrap", "--quiet", "--variant=minbase", ...without, include, "bookworm", `${base}.new`);
    fs.renameSync(`${base}.new`, base);
  }
  fs.rmSync(root, { recursive: true, force: true });
  must("cp", "-a", base, root);
  fs.chmodSync(root, 0o755);
  const deb = await makeDeb(root, {
    version: "1.0.0",
    arch: "amd64",
    executable: fs.readFileSync(EXECUTABLE),
    licences: "",
    epoch: 1,
    level: 0,
  });
  fs.renameSync(`${root}/${deb}`, `${root}/isconf.deb`);
  must("chroot", root, "dpkg", "-i", "/isconf.deb");
  fs.rmSync(`${root}/isconf.deb`);
  fs.writeFileSync(
    `${root}/etc/systemd/network/80-dhcp.network`,
    "[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\n",
  );
  must("chroot", root, "systemctl", "enable", "systemd-networkd");
  fs.mkdirSync(`${root}/etc/isconf`, { recursive: true });
  fs.writeFileSync(`${root}/etc/isconf/isconf.conf`, "follow = yes\n");
  return root;
}
