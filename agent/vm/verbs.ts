// Verbs: what is done to machines, each by its template: looked at, made into scripts, run. What comes back is data. Not the words of
// the command line (mod.ts), not what people see (say.ts).
import * as fs from "node:fs";
import { Fault, sha256, sleep, toHex } from "../../mq/mod.ts";
import { lookMs } from "./limits.ts";
import { filesOf, type Machine, machineOf, valuesOf, type Wanted } from "./machine.ts";
import { look, lookNowhere, type Missing, missingFault } from "./needs.ts";
import type { Place } from "./place.ts";
import { accelerator } from "./probe.ts";
import { alone, type Kept, machineNames, makeMachinesDir, readRecord, writeRecord } from "./record.ts";
import { runningPid } from "./running.ts";
import { needDone, runScript } from "./script.ts";
import { needPlaces, templateFor, templates, type TemplateVerb, unsupported } from "./support.ts";
import { blanksOf, type Script, scriptsOf, type Template, titleOf, type Values } from "./template.ts";

/** Scripts as they would run, and what is in the way of that. */
export interface Plan {
  scripts: (Script & { sha256: string })[];
  /** Undefined where nothing could be looked at: another system than this. */
  missing?: Missing[];
}

/** How a machine stands. */
export interface Status extends Machine {
  state: "half made" | "stopped" | "running";
  pid: number | null;
  /** What the machine says of its guest; null when it does not run, or says nothing. */
  guest: string | null;
  console: string;
  dir: string;
}

/** A process that stands for the one that a machine elsewhere would have. */
export const ELSEWHERE_PID = 99999;

interface Prepared {
  template: Template;
  scripts: Script[];
  values: Values;
  missing: Missing[];
}

/** Everything that comes before something is done: the template, its values, what is missing, the scripts. */
async function prepare(
  place: Place,
  verb: TemplateVerb,
  machine: Machine,
  more: Values = {},
): Promise<Prepared> {
  const { driver, os } = machine;
  const all = templates();
  const template = templateFor(all, verb, driver, os);
  const given = { ...valuesOf(place, machine), ...more };
  needPlaces(all, verb, driver, os, given);
  if (verb === "create") checkStart(all, machine, given);
  const { values, missing } = os === place.os
    ? await look(place, template, given)
    : { values: lookNowhere(template, { ...given, pid: `${ELSEWHERE_PID}` }), missing: [] };
  const isAsked = blanksOf(template).has("accelerator");
  const how = !isAsked || os !== place.os || missing.length > 0
    ? "tcg"
    : await accelerator(place, values.qemu!);
  const full = { ...values, accelerator: how };
  return {
    template,
    values: full,
    missing,
    scripts: scriptsOf(template, titleOf(template, machine.name), full),
  };
}

/** What could not start is not created: every value has to fit where it will stand then. */
function checkStart(all: readonly Template[], { name, driver, os }: Machine, given: Values): void {
  const template = templateFor(all, "start", driver, os);
  scriptsOf(template, titleOf(template, name), { ...lookNowhere(template, given), accelerator: "tcg" });
}

/** The same, and no farther when something is missing, or when the machine is of another system. */
async function ready(
  place: Place,
  verb: TemplateVerb,
  machine: Machine,
  more: Values = {},
): Promise<Prepared> {
  if (machine.os !== place.os) {
    const { name, os } = machine;
    templateFor(templates(), verb, machine.driver, os);
    const { kind, message } = unsupported(verb, `this is ${place.os}, and not ${os}`);
    throw new Fault("vm", kind, message, {
      hint: `isconf vm ${verb} ${name} --os ${os} --plan shows what would run there`,
    });
  }
  const prepared = await prepare(place, verb, machine, more);
  if (prepared.missing.length > 0) {
    throw missingFault("vm", `${verb} ${machine.name} was not begun`, prepared.missing);
  }
  return prepared;
}

/**
 * What a verb would run. Changes nothing. Of a machine that is not there yet, it is as `wanted` says.
 * @throws {Fault} usage, refused
 */
export async function plan(place: Place, verb: TemplateVerb, wanted: Wanted): Promise<Plan> {
  const { name } = wanted;
  const isThere = verb !== "create" && machineNames(place).includes(name);
  if (isThere && Object.values(wanted).filter((value) => value !== undefined).length > 1) {
    throw new Fault("vm", "usage", `what ${name} is made of is said already`, {
      hint: `isconf vm status ${name}`,
    });
  }
  const machine = isThere ? readRecord(place, name) : machineOf(place, wanted);
  const isHere = machine.os === place.os;
  const pid = verb === "stop" && isHere ? runningPid(filesOf(place.vms, name).pidFile) : undefined;
  if (verb === "stop" && isHere && pid === undefined) {
    throw new Fault("vm", "refused", `${name} is not running`, { hint: "isconf vm list" });
  }
  const { scripts, missing } = await prepare(
    place,
    verb,
    machine,
    pid === undefined ? {} : { pid: `${pid}` },
  );
  const hashed = scripts.map((script) => ({
    ...script,
    sha256: toHex(sha256(new TextEncoder().encode(script.text))),
  }));
  return { scripts: hashed, ...(isHere ? { missing } : {}) };
}

/** Makes a machine. vm.json says that it is being made before anything is, and that it is there when all of it is. */
export async function create(place: Place, wanted: Wanted): Promise<Status> {
  const machine = machineOf(place, wanted);
  const { name } = machine;
  const prepared = await ready(place, "create", machine);
  const { dir, record } = filesOf(place.vms, name);
  makeMachinesDir(place.vms);
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  await alone(place, name, async () => {
    if (fs.existsSync(record)) {
      throw new Fault("vm", "refused", `somebody else has created ${name} meanwhile`, {
        hint: "isconf vm list",
      });
    }
    writeRecord(place, machine, "making");
    await runAll(place, prepared, name);
    writeRecord(place, machine, "made");
  });
  return standing(place, readRecord(place, name));
}

/** Starts a machine, and comes back when its process is there. */
export async function start(place: Place, name: string): Promise<Status & { accelerator: string }> {
  return await alone(place, name, async () => {
    const machine = readRecord(place, name);
    if (machine.state !== "made") {
      throw new Fault("vm", "refused", `${name} was not made to its end`, {
        hint: `isconf vm rm ${name}, then isconf vm create ${name}`,
      });
    }
    const prepared = await ready(place, "start", machine);
    await runAll(place, prepared, name);
    const status = standing(place, machine);
    if (status.pid !== null) return { ...status, accelerator: prepared.values.accelerator! };
    throw new Fault("vm", "refused", `${name} ended as soon as it was started`, {
      hint: `cat ${filesOf(place.vms, name).log}`,
    });
  });
}

/** How a machine was stopped: by which step; "before" when it did not run. */
export interface Stopped {
  name: string;
  by: string;
}

/** Stops a machine step by step, until its process is gone; `isForced` leaves the first one out, which asks the guest. */
export async function stop(place: Place, name: string, isForced: boolean): Promise<Stopped> {
  return await alone(place, name, async () => {
    const machine = readRecord(place, name);
    const { pidFile, log } = filesOf(place.vms, name);
    const pid = runningPid(pidFile);
    if (pid === undefined) return { name, by: "before" };
    const { scripts, template } = await ready(place, "stop", machine, { pid: `${pid}` });
    const failed: string[] = [];
    for (const script of scripts.slice(isForced ? 1 : 0)) {
      if (runningPid(pidFile) !== pid) return { name, by: "itself" };
      const ran = await runScript(place, script.text, log, template.deadlineSeconds * 1000);
      if (ran.status !== 0) failed.push(script.step);
      else if (await isGone(place, pidFile, pid, (script.waitSeconds ?? 0) * 1000)) {
        return { name, by: script.step };
      }
    }
    if (runningPid(pidFile) !== pid) return { name, by: "itself" };
    const why = failed.length === 0 ? "" : ` (what failed: ${failed.join(", ")})`;
    throw new Fault("vm", "refused", `${name} still runs, as process ${pid}${why}`, { hint: `cat ${log}` });
  });
}

async function isGone(place: Place, pidFile: string, pid: number, ms: number): Promise<boolean> {
  for (const end = place.clock.now() + ms;;) {
    if (runningPid(pidFile) !== pid) return true;
    if (place.clock.now() >= end) return false;
    await sleep(place.clock, lookMs);
  }
}

/** How a machine stands; one that runs is asked. */
export async function status(place: Place, name: string): Promise<Status> {
  const machine = readRecord(place, name);
  const now = standing(place, machine);
  const hasWords = templates().some(({ verb, driver, os }) =>
    verb === "status" && driver === machine.driver && os === machine.os
  );
  if (now.pid === null || !hasWords) return now;
  const { scripts, template } = await ready(place, "status", machine);
  const ran = await runScript(place, scripts[0]!.text, undefined, template.deadlineSeconds * 1000);
  return { ...now, guest: ran.status === 0 ? ran.said[0] ?? null : "does not answer" };
}

/** All machines, none of them asked, and the names of those whose vm.json does not say what they are. */
export function list(place: Place): { machines: Status[]; broken: string[] } {
  const machines: Status[] = [], broken: string[] = [];
  for (const name of machineNames(place)) {
    try {
      machines.push(standing(place, readRecord(place, name)));
    } catch (e) {
      if (!(e instanceof Fault) || !["corrupt", "notFound"].includes(e.kind)) throw e;
      if (e.kind === "corrupt") broken.push(name); // else it was removed just now
    }
  }
  return { machines, broken };
}

/** Removes a machine for good. */
export async function remove(place: Place, name: string): Promise<void> {
  await alone(place, name, async () => {
    const { scripts: [script], template } = await ready(place, "rm", readRecord(place, name));
    const ran = await runScript(place, script!.text, undefined, template.deadlineSeconds * 1000);
    needDone("vm", ran, `ls -la ${filesOf(place.vms, name).dir}`);
  });
}

async function runAll(place: Place, { scripts, template }: Prepared, name: string): Promise<void> {
  const { log } = filesOf(place.vms, name);
  for (const { text } of scripts) {
    needDone("vm", await runScript(place, text, log, template.deadlineSeconds * 1000), `cat ${log}`);
  }
}

function standing(place: Place, { state, ...machine }: Kept): Status {
  const { pidFile, console, dir } = filesOf(place.vms, machine.name);
  const pid = runningPid(pidFile) ?? null;
  const word = pid !== null ? "running" : state === "made" ? "stopped" : "half made";
  return { ...machine, state: word, pid, guest: null, console, dir };
}
