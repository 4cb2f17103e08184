// The templates of QEMU on Linux. The language they are written in: README.md.
import { readTemplate, type Template } from "./template.ts";

const QEMU = "find qemu program qemu-system-x86_64 /usr/libexec/qemu-kvm | apt-get install qemu-system-x86";

const CREATE = `
about Makes the disk of a machine, empty, and its own copy of what its firmware remembers.
deadline 600
find truncate program truncate | apt-get install coreutils
[uefi?] find cp program cp | apt-get install coreutils
${QEMU}
[uefi?] find firmware file /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/edk2/x64/OVMF_CODE.4m.fd /usr/share/edk2/ovmf/OVMF_CODE.fd | apt-get install ovmf
[uefi?] find blankVars file /usr/share/OVMF/OVMF_VARS_4M.fd /usr/share/edk2/x64/OVMF_VARS.4m.fd /usr/share/edk2/ovmf/OVMF_VARS.fd | apt-get install ovmf
[netRom?] find rom file /usr/lib/ipxe/qemu/pxe-virtio.rom /usr/share/qemu/pxe-virtio.rom /usr/share/qemu/efi-virtio.rom | apt-get install ipxe-qemu, or --firmware uefi, which boots from the network by itself
need absent {dir:path} | isconf vm rm {name:name}, or another name
need writable {vms:path} | ls -ld {vms:path}
need room {vms:path} {disk:gib} | isconf vm create {name:name} --disk FEWER
[cdrom?] need readable {cdrom:path} | isconf vm create {name:name} --cdrom FILE
[kernel?] need readable {kernel:path} | isconf vm create {name:name} --kernel FILE
[initrd?] need readable {initrd:path} | isconf vm create {name:name} --initrd FILE
[tap?] need tap {tap:interface} | ip tuntap add dev {tap:interface} mode tap, as root, with user and your name where you are not root
step create
# The disk grows as it is written: a file with a hole of the whole size. isconf put keeps such files without their holes.
{truncate:path} -s {disk:gib}G {diskFile:path}
[uefi? {cp:path} {blankVars:path} {varsFile:path}]
`;

const START = `
about Starts the machine in the background. What it says on its first serial port goes into a file.
deadline 60
${QEMU}
[uefi?] find firmware file /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/edk2/x64/OVMF_CODE.4m.fd /usr/share/edk2/ovmf/OVMF_CODE.fd | apt-get install ovmf
[netRom?] find rom file /usr/lib/ipxe/qemu/pxe-virtio.rom /usr/share/qemu/pxe-virtio.rom /usr/share/qemu/efi-virtio.rom | apt-get install ipxe-qemu
need stopped {pidFile:path} | isconf vm stop {name:name}
need free-socket {qmp:socket} | isconf vm status {name:name}
need readable {diskFile:path} | isconf vm rm {name:name}
[uefi?] need readable {varsFile:path} | isconf vm rm {name:name}
[cdrom?] need readable {cdrom:path} | ls -l {cdrom:path}
[kernel?] need readable {kernel:path} | ls -l {kernel:path}
[initrd?] need readable {initrd:path} | ls -l {initrd:path}
[tap?] need tap {tap:interface} | ip tuntap add dev {tap:interface} mode tap, as root, with user and your name where you are not root
[forward?] need free-ports {forward:ports} | ss -tlnp
[endpoint?] need free-port {endpoint:endpoint} | ss -tlnp
step start
# -nodefaults: no device but those that stand here. -daemonize: comes back when the machine runs, or says why it does not.
{qemu:path} -name {name:name} -nodefaults -no-user-config -display none -daemonize
  -pidfile {pidFile:path}
  -qmp unix:{qmp:qemu-socket},server=on,wait=off
  -machine q35 -accel {accelerator:accelerator} -cpu max -smp {cpus:cpus} -m {memory:mib}M
  -serial file:{console:qemu-path}
  -device virtio-rng-pci
  [bios? -boot strict=on]
  [uefi? -drive if=pflash,unit=0,format=raw,readonly=on,file={firmware:qemu-path}]
  [uefi? -drive if=pflash,unit=1,format=raw,file={varsFile:qemu-path}]
  -drive if=none,id=disk,format=raw,discard=unmap,file={diskFile:qemu-path}
  -device virtio-blk-pci,drive=disk[bootDisk?,bootindex={bootDisk:order}]
  [cdrom? -drive if=none,id=cdrom,media=cdrom,readonly=on,format=raw,file={cdrom:qemu-path}]
  [cdrom? -device ide-cd,drive=cdrom][bootCdrom?,bootindex={bootCdrom:order}]
  [userNet? -netdev user,id=net][forward?{forward:qemu-ports}]
  [tap? -netdev tap,id=net,ifname={tap:interface},script=no,downscript=no]
  [endpoint? -netdev socket,id=net,{endpoint:endpoint}]
  [net? -device virtio-net-pci,netdev=net,mac={mac:mac}][netRom?,romfile={rom:qemu-path}][noRom?,romfile=][bootNet?,bootindex={bootNet:order}]
  [kernel? -kernel {kernel:path}]
  [initrd? -initrd {initrd:path}]
  [append? -append {append:line}]
`;

const STOP = `
about Stops the machine: asks the guest, then ends the machine, then kills it, until it is gone.
deadline 20
need program {isconf:path} | isconf doctor
step powerdown waits 60
# As its power button would. A guest may ignore it.
{isconf:path} vm qmp {qmp:socket} system_powerdown
step quit waits 10
# As if its power were cut; QEMU writes out what it has for the disk.
{isconf:path} vm qmp {qmp:socket} quit
step kill waits 10
kill -KILL {pid:pid}
`;

const STATUS = `
about Asks the machine how it is.
deadline 10
need program {isconf:path} | isconf doctor
step status
{isconf:path} vm qmp {qmp:socket} query-status status
`;

const RM = `
about Removes the machine for good, its disk too.
deadline 120
find rm program rm | apt-get install coreutils
find rmdir program rmdir | apt-get install coreutils
need stopped {pidFile:path} | isconf vm stop {name:name}
need nothing-else {dir:path} | ls -la {dir:path}
step rm
{rm:path} -f {diskFile:path} {varsFile:path} {console:path} {qmp:path} {pidFile:path} {log:path}
# What says that there is a machine goes last.
{rm:path} -f {record:path}
{rmdir:path} {dir:path}
`;

/** All of them; read when they are asked for. */
export const qemuOnLinux = (): Template[] =>
  Object.entries({ create: CREATE, start: START, stop: STOP, status: STATUS, rm: RM })
    .map(([verb, text]) => readTemplate(verb, "qemu", "linux", text));
