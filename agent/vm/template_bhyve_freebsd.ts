// The templates of bhyve on FreeBSD: generated, shown and checked; isconf does not run there. The language they are written in: README.md.
import { readTemplate, type Template } from "./template.ts";

const BHYVE = "find bhyve program /usr/sbin/bhyve | kldload vmm";
const FIRMWARE =
  "[uefi?] find firmware file /usr/local/share/uefi-firmware/BHYVE_UEFI.fd | pkg install bhyve-firmware";

const CREATE = `
about Makes the disk of a machine, empty, and its own copy of what its firmware remembers.
deadline 600
find truncate program /usr/bin/truncate | ls -l /usr/bin/truncate
[uefi?] find cp program /bin/cp | ls -l /bin/cp
${BHYVE}
${FIRMWARE}
[uefi?] find blankVars file /usr/local/share/uefi-firmware/BHYVE_UEFI_VARS.fd | pkg install bhyve-firmware
need absent {dir:path} | isconf vm rm {name:name}, or another name
need writable {vms:path} | ls -ld {vms:path}
need room {vms:path} {disk:gib} | isconf vm create {name:name} --disk FEWER
[cdrom?] need readable {cdrom:path} | isconf vm create {name:name} --cdrom FILE
[tap?] need tap {tap:interface} | ifconfig {tap:interface} create
step create
{truncate:path} -s {disk:gib}G {diskFile:path}
[uefi? {cp:path} {blankVars:path} {varsFile:path}]
`;

const START = `
about Starts the machine in the background. What it says on its first serial port goes into a file.
deadline 60
find daemon program /usr/sbin/daemon | ls -l /usr/sbin/daemon
[bios?] find bhyveload program /usr/sbin/bhyveload | ls -l /usr/sbin/bhyveload
${BHYVE}
${FIRMWARE}
need stopped {pidFile:path} | isconf vm stop {name:name}
need absent /dev/vmm/{name:name} | bhyvectl --vm={name:name} --destroy
need readable {diskFile:path} | isconf vm rm {name:name}
[uefi?] need readable {varsFile:path} | isconf vm rm {name:name}
[cdrom?] need readable {cdrom:path} | ls -l {cdrom:path}
[tap?] need tap {tap:interface} | ifconfig {tap:interface} create
step start
[bios? {bhyveload:path} -m {memory:mib}M -d {diskFile:path} -c /dev/null {name:name}]
# -D: what the kernel holds of the machine goes when the guest powers down. -S is not given: memory may be swapped.
{daemon:path} -f -p {pidFile:path} -o {console:path}
  {bhyve:path} -A -H -P -D -c {cpus:cpus} -m {memory:mib}M
  -s 0,hostbridge -s 31,lpc -l com1,stdio
  [uefi? -l bootrom,{firmware:bhyve-path},{varsFile:bhyve-path}]
  -s 3,virtio-blk,{diskFile:bhyve-path}
  [cdrom? -s 4,ahci-cd,{cdrom:bhyve-path}]
  [tap? -s 5,virtio-net,{tap:interface},mac={mac:mac}]
  -s 6,virtio-rnd
  {name:name}
`;

const STOP = `
about Stops the machine: asks the guest, then ends the machine, then takes it from the kernel, until it is gone.
deadline 20
find bhyvectl program /usr/sbin/bhyvectl | ls -l /usr/sbin/bhyvectl
step powerdown waits 60
# bhyve presses the guest's power button when it is told to end.
kill -TERM {pid:pid}
step poweroff waits 10
{bhyvectl:path} --vm={name:name} --force-poweroff
step destroy waits 10
{bhyvectl:path} --vm={name:name} --destroy
`;

const RM = `
about Removes the machine for good, its disk too.
deadline 120
find rm program /bin/rm | ls -l /bin/rm
find rmdir program /bin/rmdir | ls -l /bin/rmdir
need stopped {pidFile:path} | isconf vm stop {name:name}
need nothing-else {dir:path} | ls -la {dir:path}
step rm
{rm:path} -f {diskFile:path} {varsFile:path} {console:path} {pidFile:path} {log:path}
# What says that there is a machine goes last.
{rm:path} -f {record:path}
{rmdir:path} {dir:path}
`;

/** All of them; there is none for status: bhyve has no word for how a guest is. */
export const bhyveOnFreebsd = (): Template[] =>
  Object.entries({ create: CREATE, start: START, stop: STOP, rm: RM })
    .map(([verb, text]) => readTemplate(verb, "bhyve", "freebsd", text));
