// The door of vm: `isconf vm`: virtual machines by scripts without loops and conditions. Loaded by the command line when it is asked for,
// as a script of its own; everything here has the rights of whoever runs it. No agent is involved.
import * as os from "node:os";
import { Fault, systemClock } from "../../mq/mod.ts";
import type { Cli } from "../cli.ts";
import { SECURE_PATH } from "../environment.ts";
import { inert } from "../names.ts";
import { currentDirectory, machinesDir } from "../paths.ts";
import { inertJson } from "../term.ts";
import { follow } from "./console.ts";
import { filesOf, type Wanted } from "./machine.ts";
import { missingFault } from "./needs.ts";
import type { Place } from "./place.ts";
import { askQmp } from "./qmp.ts";
import { runningPid } from "./running.ts";
import { sayList, sayPlan, sayStatus, saySupport } from "./say.ts";
import { type Support, supportOf, TEMPLATE_VERBS, templates, type TemplateVerb } from "./support.ts";
import {
  create,
  list,
  type Plan,
  plan,
  remove,
  start,
  type Status,
  status,
  stop,
  type Stopped,
} from "./verbs.ts";

export { filesOf } from "./machine.ts";
export { look, type Missing, missingFault } from "./needs.ts";
export { needDone, runScript } from "./script.ts";
export { runningPid } from "./running.ts";
export { readTemplate, scriptsOf } from "./template.ts";
export { create, remove, start, stop } from "./verbs.ts";

/** What --json prints, action by action; also as a schema (scripts/schemas.ts). */
export type VmResult =
  | Status
  | (Status & { accelerator: string })
  | Stopped
  | { name: string; removed: boolean }
  | { machines: Status[]; broken: string[] }
  | { support: Support[] }
  | Plan;

/** What the command line takes; which of it goes with which action is in ACTIONS. */
export interface VmArgs extends Omit<Wanted, "name"> {
  action: string;
  name?: string;
  command?: string;
  field?: string;
  console: boolean;
  force: boolean;
  plan: boolean;
  json: boolean;
}

/** What the terminal of a call needs to be. */
export type VmCli = Pick<Cli, "term" | "globals" | "homeOption">;

const MACHINE = [
  "driver",
  "os",
  "memory",
  "cpus",
  "disk",
  "firmware",
  "net",
  "mac",
  "forward",
  "boot",
  "cdrom",
  "kernel",
  "initrd",
  "append",
];

interface Action {
  takes: string[];
  run(call: Call): Promise<void> | void;
}

interface Call {
  place: Place;
  cli: VmCli;
  args: VmArgs;
  name: string;
  /** Prints a value as JSON, or as people see it. */
  show<T extends VmResult>(value: T, people: (value: T) => void): void;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  create: {
    takes: ["name", "plan", ...MACHINE],
    async run({ place, args, name, show, cli }) {
      const made = await create(place, wanted(args, name));
      show(made, () => cli.term.say(`created: ${name}, in ${inert(made.dir)}; isconf vm start ${name}`));
    },
  },
  start: {
    takes: ["name", "plan", "console"],
    async run({ place, args, name, show, cli }) {
      const now = await start(place, name);
      const how = `${now.accelerator === "kvm" ? "" : ", without KVM: slowly"}`;
      show(
        now,
        () =>
          cli.term.say(`started: ${name}, process ${now.pid}${how}; its console: isconf vm console ${name}`),
      );
      if (args.console) await listen(place, name, cli);
    },
  },
  stop: {
    takes: ["name", "plan", "force"],
    async run({ place, args, name, show, cli }) {
      const done = await stop(place, name, args.force);
      const how = done.by === "before" ? "it was not running" : done.by;
      show(done, () => cli.term.say(`stopped: ${name} (${how})`));
    },
  },
  status: {
    takes: ["name", "plan"],
    async run({ place, name, show, cli }) {
      show(await status(place, name), (now) => sayStatus(cli.term, now));
    },
  },
  rm: {
    takes: ["name", "plan"],
    async run({ place, name, show, cli }) {
      await remove(place, name);
      show({ name, removed: true }, () => cli.term.say(`removed: ${name}`));
    },
  },
  console: { takes: ["name"], run: ({ place, name, cli }) => listen(place, name, cli) },
  list: {
    takes: [],
    run({ place, show, cli }) {
      const all = list(place);
      show(all, () => sayList(cli.term, all.machines));
      for (const name of all.broken) cli.term.say(`${name} is broken: isconf vm status ${name}`);
    },
  },
  support: {
    takes: [],
    run({ place, show, cli }) {
      show({ support: supportOf(templates()) }, ({ support }) => saySupport(cli.term, support, place.os));
    },
  },
  qmp: {
    takes: ["name", "command", "field"],
    async run({ place, args, name, cli }) {
      const answer = await askQmp(place.clock, name, args.command ?? "");
      const value = args.field === undefined ? answer : (answer as Record<string, unknown>)[args.field];
      cli.term.line(typeof value === "string" ? inert(value) : inertJson(value ?? null));
    },
  },
};

/** What other tools call it: virsh, vm-bhyve, quickemu and their like. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  define: "create",
  run: "start",
  boot: "start",
  shutdown: "stop",
  halt: "stop",
  poweroff: "stop --force",
  kill: "stop --force",
  destroy: "stop --force; vm rm",
  undefine: "rm",
  delete: "rm",
  remove: "rm",
  info: "status",
  dominfo: "status",
  ls: "list",
};

/** Where this process is, as a place of machines. */
export function placeHere(homeOption: string | undefined): Place {
  return {
    vms: machinesDir(homeOption, process.geteuid?.() ?? 0, process.env, os.homedir()),
    os: process.platform,
    programs: SECURE_PATH,
    isconf: process.execPath,
    shell: "/bin/sh",
    cwd: currentDirectory("vm"),
    clock: systemClock,
  };
}

/** Does what the words say. Returns the exit code, throws faults. */
export async function vm(cli: VmCli, args: VmArgs, place = placeHere(cli.homeOption)): Promise<number> {
  const { action, name } = args;
  const found = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (found === undefined) {
    const others = Object.keys(ACTIONS).filter((one) => one !== "qmp").join(", ");
    const meant = Object.hasOwn(ELSEWHERE, action) ? ELSEWHERE[action] : undefined;
    throw usage(
      `there is no vm ${inert(action)}: ${others}`,
      meant === undefined ? undefined : `isconf vm ${meant}, perhaps; isconf help vm`,
    );
  }
  const takes = found.takes.concat(args.plan && action !== "create" ? MACHINE : []);
  for (const [key, value] of Object.entries(args)) {
    if (key === "action" || key === "json" || value === undefined || value === false || takes.includes(key)) {
      continue;
    }
    throw usage(`vm ${action} takes no ${key}`);
  }
  if (found.takes.includes("name") && name === undefined) {
    throw usage(`vm ${action} needs the name of a machine`);
  }
  const isJson = cli.globals.json || args.json;
  const show: Call["show"] = (value, people) => isJson ? cli.term.line(inertJson(value)) : people(value);
  const call: Call = { place, cli, args, name: name ?? "", show };
  if (args.plan) await showPlan(call, action as TemplateVerb);
  else await found.run(call);
  return 0;
}

/** The scripts first, so that they can be read; then what is in their way, if anything is. */
async function showPlan({ place, cli, args, name, show }: Call, verb: TemplateVerb): Promise<void> {
  if (!TEMPLATE_VERBS.includes(verb)) throw usage(`vm ${verb} runs no script`);
  const planned = await plan(place, verb, wanted(args, name));
  show(planned, () => sayPlan(cli.term, planned));
  const { missing = [] } = planned;
  if (missing.length > 0) throw missingFault("vm", `${verb} ${name} would not be begun`, missing);
}

async function listen(place: Place, name: string, { term }: VmCli): Promise<void> {
  const { console, pidFile } = filesOf(place.vms, name);
  await follow(place, console, () => runningPid(pidFile) !== undefined, (line) => term.line(line));
}

function wanted(args: VmArgs, name: string): Wanted {
  const given = MACHINE.map((key) => [key, args[key as keyof VmArgs]]).filter(([, value]) =>
    value !== undefined
  );
  return { name, ...Object.fromEntries(given) };
}

function usage(why: string, hint = "isconf help vm"): Fault {
  return new Fault("vm", "usage", why, { hint });
}
