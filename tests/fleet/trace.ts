// Trace: how what a fleet leaves on this machine is found, and a fleet that could leave much. Not a test.
import * as fs from "node:fs";
import { makeFleet } from "./fleet.ts";

/** By what a fleet is found from outside. */
export interface Trace {
  /** Each with when it began, as numbers come again. */
  processes: string[];
  /** Directories, which its mounts name too. */
  disks: string[];
}

/** Makes a fleet with agents, a slow line, a host that had no power for a while and one that has none. */
export async function busyFleet(ends: (() => Promise<void>)[]): Promise<Trace> {
  const fleet = await makeFleet({ after: (end) => void ends.push(end) }, ["a", "b", "c"]);
  await Promise.all([fleet.start("a"), fleet.slow("a", { delayMs: 1 }), fleet.off("b")]);
  await fleet.on("b");
  for (const name of ["a", "b"]) await fleet.host(name).isconf("doctor"); // both halves of its agent are there when it answers
  const layer = "sed -n 's/.*upperdir=\\([^,]*\\)\\/upper.*/\\1/p' /proc/mounts";
  const disks = await Promise.all(fleet.names.map((name) => fleet.host(name).sh(layer)));
  await fleet.off("c");
  return { processes: descendants(process.pid), disks };
}

/** What there still is of a fleet: processes, mounts and directories. */
export function remains({ processes, disks }: Trace): string[] {
  const running = new Set(everyProcess().map(({ name }) => name));
  const mounts = fs.readFileSync("/proc/self/mounts", "utf8").split("\n");
  return [
    ...processes.filter((name) => running.has(name)),
    ...mounts.filter((mount) => disks.some((disk) => mount.includes(disk))),
    ...disks.filter((disk) => fs.existsSync(disk)),
  ];
}

interface Process {
  pid: string;
  parent: string;
  name: string;
}

function descendants(of: number): string[] {
  const all = everyProcess();
  const found: Process[] = [];
  let parents = new Set([String(of)]);
  while (parents.size > 0) {
    const children = all.filter(({ parent }) => parents.has(parent));
    found.push(...children);
    parents = new Set(children.map(({ pid }) => pid));
  }
  return found.map(({ name }) => name);
}

function everyProcess(): Process[] {
  return fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)).flatMap((pid) => {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
      const program = stat.slice(stat.indexOf("("), stat.lastIndexOf(")") + 1);
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // from the third on: proc_pid_stat(5)
      return [{ pid, parent: fields[1] as string, name: `${pid} ${program} ${fields[19]}` }];
    } catch {
      return []; // it ended while we looked
    }
  });
}
