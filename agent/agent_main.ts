// Agent main: what the executable runs as `isconf agent`: the root half, which starts the net half (net_main.ts) as a
// second process of the same executable with no rights but its own.
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { closeFd, Fault, systemClock } from "../mq/mod.ts";
import { bindPlaces, type BoundPlace } from "./boot_places.ts";
import { type Agent, type NetWay, startAgent } from "./daemon.ts";
import { KernelDisks } from "./disks.ts";
import { KernelWatch } from "./effects_watch.ts";
import { becomeHalf, log, NET_SOCKETS, SEAM_FD } from "./half.ts";
import { LastingSeam, type NetLife } from "./lasting_seam.ts";
import { inert } from "./names.ts";
import { netLife } from "./net_life.ts";
import { contentDir, type Home, homeOf, NET_USER, storeDir } from "./paths.ts";
import type { Answers, RootRequest } from "./seam.ts";
import { userByName } from "./users.ts";

/** The descriptor on which a starter is told that the agent answers. */
const READY_FD = 3;

/** Entry of the agent's bundle: becomes the root half. Returns the exit code when it ends. */
export async function main(options: { home?: string; config?: string; ready: boolean }): Promise<number> {
  becomeHalf("agent");
  return await runRoot(homeOf(options.home), options);
}

async function runRoot(home: Home, options: { config?: string; ready: boolean }): Promise<number> {
  let agent: Agent;
  try {
    dropGroups();
    agent = await startAgent(home, {
      clock: systemClock,
      openSeam: spawnNet,
      effects: new KernelWatch(systemClock, home, log),
      disks: new KernelDisks(),
      log,
      ...(options.config === undefined ? {} : { configFile: options.config }),
    });
  } catch (e) {
    const fault = Fault.from("start", e);
    if (options.ready) fs.writeSync(READY_FD, JSON.stringify(fault));
    else process.stderr.write(`isconf: ${inert(fault.message)}\n${inert(fault.hint)}\n`);
    return fault.exit;
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => agent.stop());
  log("the agent answers");
  if (options.ready) {
    fs.writeSync(READY_FD, "ready");
    fs.closeSync(READY_FD);
  }
  await agent.ended;
  log("the agent has stopped");
  return 0;
}

/** Groups of whoever started us are not for commands. A user namespace may forbid even this: then they keep them. */
function dropGroups(): void {
  if (process.geteuid?.() !== 0) return;
  try {
    process.setgroups?.([]);
  } catch (e) {
    log(
      `supplementary groups are kept, because they cannot be given up here: ${
        Fault.from("start", e).message
      }`,
    );
  }
}

/** Starts the net half and opens the seam to it. When it dies, every question to it says so, and another is started. */
function spawnNet(
  home: Home,
  answers: Answers<RootRequest>,
  changed: (isThere: boolean) => void,
): Promise<NetWay> {
  const dir = storeDir(home);
  ensureNetUser(home);
  const ids = netIds();
  if (ids === undefined && process.geteuid?.() === 0) {
    log("no user _isconf: the net half runs as root; see isconf doctor");
  }
  for (const [own, mode] of [[dir, 0o700], [contentDir(home), 0o711]] as const) {
    fs.mkdirSync(own, { recursive: true, mode });
    fs.chmodSync(own, mode);
    if (ids !== undefined) fs.chownSync(own, ids.uid, ids.gid);
  }
  let bound: BoundPlace[] = [];
  const start = () => {
    const given = bindPlaces(home, log);
    const sockets = given.flatMap(({ fds }) => fds);
    try {
      return startNet(home, ids, answers, sockets);
    } finally {
      for (const fd of sockets) closeFd(fd); // the net half has its own of them, by other numbers
      let next = SEAM_FD + 1;
      bound = given.map((place) => ({ ...place, fds: place.fds.map(() => next++) }));
    }
  };
  const seam = new LastingSeam({ clock: systemClock, start, changed, log });
  return Promise.resolve({
    ask: seam.ask,
    close: () => seam.close(),
    restart: () => seam.restart(),
    get pid() {
      return seam.pid;
    },
    get bound() {
      return bound;
    },
  });
}

/** One net half, with the rights of `ids`, and with these sockets, which are its descriptors behind the seam's. */
function startNet(
  home: Home,
  ids: { uid: number; gid: number } | undefined,
  answers: Answers<RootRequest>,
  sockets: number[],
): NetLife {
  const child = spawn("/proc/self/exe", [...homeArgs(home), "agent", "--role", "net"], {
    stdio: ["ignore", "ignore", "pipe", "pipe", ...sockets], // the log is ours: what it has to say comes line by line
    env: {
      ...(sockets.length > 0 && { [NET_SOCKETS]: String(sockets.length) }),
      ...(ids !== undefined && { ISCONF_NET_DROPPED: "1" }),
    },
    cwd: "/",
    detached: true,
    ...ids,
  });
  return netLife(child, answers, { clock: systemClock, log });
}

function homeArgs(home: Home): string[] {
  return home.system ? [] : ["--home", path.dirname(home.state)];
}

/** On a host where isconf is installed as root: makes sure that the net half's user exists. A try-out makes nobody. */
function ensureNetUser(home: Home): void {
  if (!home.system || process.geteuid?.() !== 0 || netIds() !== undefined) return;
  const words = [
    "--system",
    "--no-create-home",
    "--home-dir",
    "/nonexistent",
    "--shell",
    "/usr/sbin/nologin",
    NET_USER,
  ];
  const made = spawnSync("/usr/sbin/useradd", words, { env: {}, stdio: "ignore", timeout: 10_000 });
  log(made.status === 0 ? `made the user ${NET_USER} for the net half` : `useradd ${NET_USER} did not work`);
}

/** The net half's ids, or undefined where there is no such user: a try-out, in which both halves share ours. */
function netIds(): { uid: number; gid: number } | undefined {
  if (process.geteuid?.() !== 0) return undefined;
  try {
    const { uid, gid } = userByName("start", NET_USER);
    return { uid, gid };
  } catch (e) {
    if (Fault.from("start", e).kind !== "notFound") throw e;
    return undefined;
  }
}
