// Install template: by which commands a disk becomes a host's, in the language of machines' templates (vm/README.md). Not what is written between
// them (install.ts).
import { readTemplate } from "./vm/mod.ts";

/** A table that a BIOS and UEFI firmware both boot from, whichever this machine has. */
export const INSTALL = readTemplate(
  "install",
  "grub",
  "linux",
  `
about Makes a disk that boots as this host, out of an image of its domain. What is on the disk is lost.
deadline 1800
find sgdisk program sgdisk | apt-get install gdisk
find udevadm program udevadm | apt-get install udev
find vfat program mkfs.vfat | apt-get install dosfstools
find ext4 program mkfs.ext4 | apt-get install e2fsprogs
find mkdir program mkdir | apt-get install coreutils
find cp program cp | apt-get install coreutils
find sync program sync | apt-get install coreutils
find mount program mount | apt-get install mount
find umount program umount | apt-get install mount
find chroot program chroot | apt-get install coreutils
find systemctl program systemctl | apt-get install systemd-sysv
need absent {target:path} | isconf stop; umount {state:path}; umount -R {target:path}; rmdir {target:path}; isconf start
need disk {disk:path} | lsblk
[keep?] need empty {disk:path} | isconf install --wipe, or wipe = yes in its profile: what is on it is lost then
need program {isconf:path} | isconf doctor
step disk
{sgdisk:path} --zap-all {disk:path}
# For GRUB on a BIOS; for UEFI; for everything else.
{sgdisk:path} --new=1:0:+1M --typecode=1:ef02 --new=2:0:+256M --typecode=2:ef00 --new=3:0:0 --typecode=3:8304 {disk:path}
{udevadm:path} settle
{vfat:path} -F 32 -i {espId:serial} {esp:path}
{ext4:path} -q -F -U {rootId:uuid} {root:path}
{mkdir:path} -p {target:path}
{mount:path} {root:path} {target:path}
{mkdir:path} -p {target:path}/var/lib
# From here on this host's keys and its journal are on that disk, and nowhere else.
{isconf:path} stop
{cp:path} -a {state:path} {target:path}/var/lib/
{mount:path} --bind {target:path}/var/lib/isconf {state:path}
{isconf:path} start
step boot
{mkdir:path} -p {target:path}/boot/efi {target:path}/dev {target:path}/proc {target:path}/sys
{mount:path} {esp:path} {target:path}/boot/efi
{mount:path} --rbind --make-rslave /dev {target:path}/dev
{mount:path} --bind /proc {target:path}/proc
{mount:path} --bind /sys {target:path}/sys
[bios? {chroot:path} {target:path} grub-install --target=i386-pc {disk:path}]
[uefi? {chroot:path} {target:path} grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram]
{chroot:path} {target:path} update-grub
{isconf:path} stop
{umount:path} {state:path}
# The user of the net half has another number there, perhaps.
{chroot:path} {target:path} chown -R _isconf:_isconf {state:path}/store
{umount:path} -R {target:path}
{sync:path}
step restart
{systemctl:path} reboot
`,
);

/** What of an image has to be there, so that it can become a host that boots, with the packages that have it. */
export const IN_IMAGE: Record<"bios" | "uefi", readonly [path: string, packages: string][]> = {
  bios: [["usr/lib/grub/i386-pc", "grub-pc-bin"]],
  uefi: [["usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin"]],
};
export const IN_EVERY_IMAGE: readonly [path: string, packages: string][] = [
  ["usr/sbin/grub-install", "grub2-common"],
  ["usr/sbin/update-grub", "grub2-common"],
  ["usr/bin/isconf", "isconf"],
];
