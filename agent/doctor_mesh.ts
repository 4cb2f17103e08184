// Doctor mesh: the checks that are about other hosts: whether they can reach this one, find it and agree with its clock.
// Part of the doctor (doctor.ts); it looks and changes nothing.
import * as fs from "node:fs";
import { Fault } from "../mq/mod.ts";
import type { Bad } from "./doctor.ts";
import type { Call } from "./host.ts";
import { clockOffMs } from "./limits.ts";
import { CONTROL, inert } from "./names.ts";
import { getMeta } from "./schema.ts";
import { proofLine } from "./status.ts";
import { nameOf } from "./trust.ts";

/** The group in which hosts on one network look for each other (mDNS, RFC 6762), as a number. */
const MDNS_GROUP = 0xe00000fb;

export const MESH_CHECKS: Record<string, (call: Call) => Bad | Promise<Bad>> = {
  listening: async ({ host }) => {
    const { why } = await host.mesh.listening();
    if (why === "") return undefined;
    return {
      text: `${inert(why)}: others cannot call this host`,
      hint: "ss -ltnp, to see who has the port; then edit listen in isconf.conf, or isconf restart",
    };
  },
  "network route": ({ host }) => {
    if (!host.config.discover || hasRoute(MDNS_GROUP, fs.readFileSync("/proc/net/route", "latin1"))) {
      return undefined;
    }
    return {
      text: "there is no route to 224.0.0.251: hosts on the same network do not find each other",
      hint: "ip route add 224.0.0.0/4 dev INTERFACE; or discover = no and peers in isconf.conf",
    };
  },
  keeper: ({ host }) => {
    const policy = host.journal.policy();
    if (policy === undefined || host.keepers.isAlone(policy)) return undefined;
    const connected = host.mesh.peers();
    const absent = policy.keepers.hosts.filter((id) => !connected.includes(id));
    if (policy.keepers.hosts.length - absent.length >= policy.keepers.quorum) return undefined;
    const names = absent.map((id) => inert(nameOf(policy, id))).join(", ");
    return {
      text: `not connected with ${names}: nothing can be locked or checked in from here`,
      hint: `isconf status on ${names}; perhaps peers in isconf.conf here, then isconf restart`,
    };
  },
  register: async ({ host }) => {
    const policy = host.journal.policy();
    if (policy?.keepers.etcd === undefined) return undefined;
    try {
      await host.keepers.look("doctor", policy, CONTROL); // whichever keeper answers has asked etcd
      return undefined;
    } catch (e) {
      const { message, hint } = Fault.from("doctor", e);
      return { text: `etcd decides, and cannot: ${message}`, hint };
    }
  },
  freshness: ({ host }) => {
    const branch = getMeta(host.db, "branch");
    if (host.journal.policy() === undefined || branch === undefined) return undefined;
    const { isStale, sinceMs } = host.heads.state(branch);
    if (!isStale) return undefined;
    return {
      text: `stale: no quorum of keepers was heard since ${new Date(sinceMs).toISOString()}`,
      hint: "isconf keeper, then isconf status on those that are not connected",
    };
  },
  equivocation: ({ host }) => {
    const ahead = host.own.ahead();
    if (ahead !== undefined) return { text: ahead, hint: "isconf recover" };
    const policy = host.journal.policy();
    const open = policy === undefined
      ? []
      : host.journal.forks.all().filter((row) => proofLine(policy, row).open);
    const [first] = open;
    if (policy === undefined || first === undefined) return undefined;
    const text = `${open.length} proof${open.length === 1 ? "" : "s"}: ${proofLine(policy, first).text}`;
    return { text, hint: "isconf status: shows what to do about each" };
  },
  clock: async ({ host }) => {
    const heard = (await host.reports.gather()).filter((report) => report.live);
    const offs = heard.map((report) => report.heardMs - report.timeMs).sort((a, b) => a - b);
    const middle = offs[Math.floor(offs.length / 2)] ?? 0;
    if (Math.abs(middle) <= clockOffMs) return undefined;
    const seconds = Math.round(Math.abs(middle) / 1000);
    return {
      text: `this host's clock is ${seconds} seconds ${
        middle > 0 ? "ahead of" : "behind"
      } that of other hosts`,
      hint: "date -u, here and there",
    };
  },
};

/** Whether the kernel's table of IPv4 routes, as /proc/net/route shows it, leads to an address. */
export function hasRoute(address: number, table: string): boolean {
  const hostOrder = (hex: string) => Buffer.from(hex, "hex").readUInt32LE();
  return table.trim().split("\n").slice(1).some((line) => {
    const [, destination = "", , flags = "", , , , mask = ""] = line.split("\t");
    const isUp = (Number.parseInt(flags, 16) & 1) === 1;
    return isUp && ((address & hostOrder(mask)) >>> 0) === hostOrder(destination);
  });
}
