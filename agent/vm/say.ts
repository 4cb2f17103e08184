// Say: machines, plans and what is supported, as people see them. Not what they are.
import { inert } from "../names.ts";
import type { Term } from "../term.ts";
import { ELSEWHERE_PID, type Plan, type Status } from "./verbs.ts";
import { type Support, TEMPLATE_VERBS } from "./support.ts";

const size = (mib: number) => mib % 1024 === 0 ? `${mib / 1024} GiB` : `${mib} MiB`;

/** The scripts, byte for byte, on standard output; words beside them. */
export function sayPlan(term: Term, { scripts, missing }: Plan): void {
  for (const { text } of scripts) term.raw(text);
  if (missing === undefined) {
    const isOfProcess = scripts.some(({ text }) => text.includes(` ${ELSEWHERE_PID}\n`));
    const more = isOfProcess ? `; ${ELSEWHERE_PID} stands for the process that the machine has then` : "";
    term.say(`isconf vm: nothing of this was looked at: it is not for this system${more}`);
  }
}

/** A line each. */
export function sayList(term: Term, machines: readonly Status[]): void {
  if (machines.length === 0) return term.say("there are no machines; isconf vm create NAME makes one");
  term.table([
    ["name", "state", "process", "memory", "cpus", "disk", "net", "by"],
    ...machines.map(({ name, state, pid, memory, cpus, disk, net, driver, os }) =>
      [
        name,
        state,
        pid === null ? "-" : `${pid}`,
        size(memory),
        `${cpus}`,
        `${disk} GiB`,
        net,
        `${driver} on ${os}`,
      ].map(inert)
    ),
  ]);
}

/** Everything of one machine. */
export function sayStatus(term: Term, machine: Status): void {
  const { name, state, pid, guest, memory, cpus, disk, firmware, net, mac, boot, driver, os, console, dir } =
    machine;
  const rows: [string, string | undefined][] = [
    ["name", name],
    ["state", state],
    ["guest", guest ?? undefined],
    ["process", pid === null ? undefined : `${pid}`],
    ["by", `${driver} on ${os}`],
    ["memory", size(memory)],
    ["cpus", `${cpus}`],
    ["disk", `${disk} GiB`],
    ["firmware", firmware],
    ["net", net],
    ["mac", net === "none" ? undefined : mac],
    ["forward", machine.forward],
    ["boot", boot.join(", ")],
    ["cdrom", machine.cdrom],
    ["kernel", machine.kernel],
    ["initrd", machine.initrd],
    ["append", machine.append],
    ["console", console],
    ["directory", dir],
  ];
  term.table(rows.flatMap(([what, value]) => value === undefined ? [] : [[what, inert(value)]]));
}

/** The matrix. */
export function saySupport(term: Term, rows: readonly Support[], here: string): void {
  term.table([
    ["by", "on", ...TEMPLATE_VERBS, "here", "options"],
    ...rows.map(({ driver, os, verbs, options }) => [
      driver,
      os,
      ...TEMPLATE_VERBS.map((verb) => verbs.includes(verb) ? "yes" : "-"),
      os === here ? "yes" : "--plan",
      options.join(", "),
    ]),
  ]);
}
