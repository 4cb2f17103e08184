// The verb vm: virtual machines of whoever types it, on this machine: what it is, for help and parsing. How it is done is in
// agent/vm/, which is loaded when it is typed.
import { dryRun, type Verb } from "../verb.ts";

const action = ["create", "start", "stop", "status", "rm", "list", "console", "support"];

export const vmVerb: Verb = {
  name: "vm",
  summary: "virtual machines, made and run by scripts that can be read before they run",
  about:
    "create NAME makes one, start NAME runs it in the background, stop NAME asks its guest to power down, ends it when the guest does\nnot, and kills it when that does not help; status NAME, list and console NAME tell of it; rm NAME removes it with its disk. Each is\na script made from a template: one plain command after the other, nothing that branches or repeats. --plan shows it and does\nnothing; exactly these bytes run. What has to be there is looked at before, and all that is missing is said at once. What no\ntemplate says is unsupported: support lists what there is. Machines are yours: root's lie in /var/lib/isconf/vm, others' in\n~/.local/state/isconf/vm. No agent is involved.",
  examples: [
    "isconf vm create web1 --memory 2048 --cdrom debian.iso --boot disk,cdrom",
    "isconf vm create web1 --forward 2222:22 --plan | less",
    "isconf vm start web1 --console",
    "isconf vm start web1 --plan --os freebsd --net tap:tap0",
    "isconf vm stop web1",
    "isconf vm status web1 --json",
    "isconf vm support",
  ],
  args: {
    action: { kind: "text", positional: true, required: true, values: action, about: action.join(", ") },
    name: {
      kind: "text",
      positional: true,
      is: Object.fromEntries(
        ["start", "stop", "status", "rm", "console"].map((one) => [one, "machine" as const]),
      ),
      about: "which machine",
    },
    command: { kind: "text", positional: true, hidden: true, about: "qmp: a command for the socket NAME" },
    field: { kind: "text", positional: true, hidden: true, about: "qmp: what of the answer" },
    memory: { kind: "count", about: "create: MiB of memory; else 1024" },
    cpus: { kind: "count", about: "create: how many processors; else 1" },
    disk: { kind: "count", about: "create: GiB that its disk may grow to; else 8" },
    firmware: { kind: "text", values: ["bios", "uefi"], about: "create: bios or uefi; else bios" },
    net: {
      kind: "text",
      values: ["user", "none", "tap:", "socket:listen=127.0.0.1:", "socket:connect=127.0.0.1:"],
      about:
        "create: user (out through this host), none, tap:INTERFACE, socket:listen=ADDRESS:PORT, socket:connect=, socket:mcast=; else user",
    },
    mac: { kind: "text", about: "create: the address of its network card; else one made of its name" },
    forward: {
      kind: "text",
      about:
        "create: HERE:THERE,… ports of 127.0.0.1 that lead into it, with --net user: 2222:22 for ssh -p 2222",
    },
    boot: {
      kind: "text",
      about: "create: from what it boots, of disk, net, cdrom, with commas between; else disk",
    },
    cdrom: { kind: "text", is: "file", about: "create: an image that is its CD" },
    kernel: {
      kind: "text",
      is: "file",
      about: "create: a kernel that is started instead of what its disk has",
    },
    initrd: { kind: "text", is: "file", about: "create: that kernel's initrd" },
    append: { kind: "text", about: "create: that kernel's command line" },
    driver: {
      kind: "text",
      values: ["qemu", "bhyve"],
      about: "create: which hypervisor; else the system's own",
    },
    os: {
      kind: "text",
      values: ["linux", "freebsd"],
      about: "create: the system that it shall run on; else this one",
    },
    console: { kind: "flag", about: "start: tell what it says on its serial port, until it stops" },
    force: { kind: "flag", about: "stop: do not ask the guest; it is as if its power were cut" },
    plan: {
      ...dryRun("show the script, and what is in its way; do nothing"),
      aliases: ["dry-run", ...dryRun("").aliases!],
    },
    json: { kind: "flag", about: "the same as before the verb" },
  },
  kind: "here",
};
