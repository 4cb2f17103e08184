// Half: what both processes of an agent do first: their name, their signals, what they must not inherit to children.
// Not what either is for (agent_main.ts, net_main.ts).
import * as fs from "node:fs";
import { setNativeBinding } from "../fs/mod.ts";
import { closeOnExec, lowerLimits, systemClock } from "../mq/mod.ts";
import { inert } from "./names.ts";
import { addon } from "./sea.ts";

/** The descriptor on which the halves talk, in the net half; a preview's process has its own there. */
export const SEAM_FD = 3;

/** In the environment of a net half: how many sockets it was given, behind that descriptor. */
export const NET_SOCKETS = "ISCONF_NET_SOCKETS";

/** Makes this process one half of an agent. */
export function becomeHalf(name: "agent" | "net"): void {
  const binding = addon();
  if (binding !== undefined) setNativeBinding(binding);
  becomePart(name);
}

/** Makes this process a part of an agent: its name, its signals, nothing left open for what it starts. */
export function becomePart(name: "agent" | "net" | "preview"): void {
  process.title = `isconf: ${name}`;
  process.umask(0o022); // whatever our starter's was
  lowerLimits({ core: 0 }); // cores would have keys in them
  // Only SIGINT and SIGTERM mean anything to an agent; the rest must not end it.
  for (const signal of ["SIGPIPE", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const) process.on(signal, () => {});
  // What our starter had open is not for the net half and not for commands.
  for (const fd of fs.readdirSync("/proc/self/fd").map(Number)) {
    if (fd > 2 && fs.existsSync(`/proc/self/fd/${fd}`)) closeOnExec(fd);
  }
}

/** Writes one line to the agent's log. */
export function log(line: string): void {
  process.stderr.write(`${new Date(systemClock.wall()).toISOString()} ${inert(line)}\n`);
}
