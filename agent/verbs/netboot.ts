// The verbs netboot and boot: machines that boot from the network: where, what each gets, and how far each has come.
import { Fault } from "../../mq/mod.ts";
import type { BootProfile } from "../boot_profiles.ts";
import { inert } from "../names.ts";
import type { NetbootArgs, NetbootNow } from "../netboot_here.ts";
import type { BootLine } from "../seam_netboot.ts";
import { moment } from "../term.ts";
import type { Verb } from "../verb.ts";

export const netbootVerb: Verb<NetbootArgs & { action?: string; interface?: string }, NetbootNow> = {
  name: "netboot",
  summary: "boot machines from the network: netboot, netboot on IFACE, netboot off IFACE",
  about:
    "Answers machines that boot on that network: beside the site's own DHCP server, which gives the addresses, or, with\n--dhcp, in its place; it does not begin where another server gives addresses already. The first loader goes by TFTP,\neverything else by HTTP. Which machine gets what is in netboot.d of the configuration: docs/netboot.md. A machine for\nwhich no profile is gets nothing.",
  examples: [
    "isconf netboot on eth1",
    "isconf netboot on eth1 --dhcp 192.0.2.100-192.0.2.199 --router 192.0.2.1",
  ],
  args: {
    action: {
      kind: "text",
      positional: true,
      values: ["status", "on", "off"],
      about: "on, off; nothing: how it stands",
    },
    interface: {
      kind: "text",
      positional: true,
      is: "interface",
      about: "the interface that is on that network",
    },
    dhcp: { kind: "text", about: "give addresses from FIRST to LAST, as FIRST-LAST" },
    router: { kind: "text", about: "with --dhcp: the network's router" },
    dns: { kind: "texts", about: "with --dhcp: its name servers" },
    lease: { kind: "count", about: "with --dhcp: seconds that an address is for; else 3600" },
    port: { kind: "count", about: "where HTTP listens; else 8480" },
  },
  kind: "changes",
  async run(call, { action = "status", interface: name, ...args }) {
    const { netboot } = call.acts;
    if (action === "status" && name === undefined) return netboot.netbootNow(call.host);
    if (action === "on" && name !== undefined) return await netboot.netbootOn(call, name, args);
    if (action === "off" && name !== undefined) return await netboot.netbootOff(call, name);
    throw new Fault("netboot", "usage", "netboot on or off needs an interface", {
      hint: "isconf help netboot",
    });
  },
  show(r, term) {
    if (r.places.length === 0) term.say("no machine is booted from here: isconf netboot on IFACE");
    term.table(r.places.map(({ interface: name, own, httpPort, why }) => [
      inert(name),
      own === null ? "beside the network's DHCP server" : `gives ${own.from} to ${own.to}`,
      `HTTP on port ${httpPort}`,
      why,
    ]));
    if (r.profilesWrong !== "") term.say(`profiles: ${inert(r.profilesWrong)}`);
    else if (r.places.length > 0) term.say(`${r.profiles} profiles`);
  },
};

export const bootVerb: Verb<
  { action?: string; machine?: string; arch?: string; uuid?: string; after?: number; follow: boolean },
  { last: number; notes: BootLine[]; profile: BootProfile | null }
> = {
  name: "boot",
  summary: "how far machines that boot from here have come, and what one gets: boot log, boot show MAC",
  about:
    "log: each step of each machine: offered, loader, script, kernel, initrd; with -f as they come. It is what machines say of\nthemselves, kept in memory. show: the profile that is for a machine.",
  examples: ["isconf boot log -f", "isconf boot show 52:54:00:12:34:56"],
  args: {
    action: { kind: "text", positional: true, values: ["log", "show"], about: "log or show; nothing: log" },
    machine: { kind: "text", positional: true, about: "the MAC address of a machine" },
    arch: {
      kind: "text",
      values: ["bios", "uefi-x64", "uefi-arm64"],
      about: "show: of such a machine; else bios",
    },
    uuid: { kind: "text", about: "show: with that UUID" },
    after: { kind: "count", about: "log: what was noted after so many notes" },
    follow: { kind: "flag", short: "f", own: true, about: "go on with what comes" },
  },
  kind: "reads",
  async run(call, { action = "log", machine, arch, uuid, after = 0 }) {
    if (action === "log") {
      const { last, notes } = await call.host.netboot.notes(after);
      return {
        last,
        notes: notes.filter(({ mac }) => machine === undefined || mac === machine.toLowerCase()),
        profile: null,
      };
    }
    if (action !== "show" || machine === undefined) {
      throw new Fault("boot", "usage", "boot show needs the MAC address of a machine", {
        hint: "isconf help boot",
      });
    }
    const more = { ...(arch !== undefined && { arch }), ...(uuid !== undefined && { uuid }) };
    return { last: 0, notes: [], profile: call.acts.netboot.bootFor(call, { mac: machine, ...more }) };
  },
  show(r, term) {
    for (const note of r.notes) term.line(noteLine(note));
    if (r.profile === null) return;
    const { name, isDisk, kernel, initrds, args, loader, script, join, host, image, disk } = r.profile;
    term.table([
      ["profile", inert(name)],
      ...(isDisk ? [["boots", "its own disk"]] : script !== "" ? [["script", inert(script)]] : [
        ["kernel", inert(kernel)],
        ["initrd", initrds.map(inert).join(" ")],
        ["args", inert(args.join(" "))],
      ]),
      ...(loader === "" ? [] : [["loader", inert(loader)]]),
      ...(join === "" ? [] : [["join", inert(join)]]),
      ...(host === "" ? [] : [["host", inert(host)]]),
      ...(image === "" ? [] : [["install", inert(`${image} ${disk}`.trim())]]),
    ]);
  },
};

/** A note as a line. */
export function noteLine({ timeMs, mac, step, percent, text }: BootLine): string {
  return [
    moment(timeMs),
    inert(mac),
    inert(step).padEnd(8),
    percent === null ? "" : `${percent}%`,
    inert(text),
  ]
    .filter((word) => word !== "").join("  ");
}
