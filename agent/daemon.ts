// Daemon: the root half put together, by plain constructors; read it from top to bottom to read the program.
import * as fs from "node:fs";
import * as path from "node:path";
import { type Clock, Fault, sleep } from "../mq/mod.ts";
import type { Acts } from "./acts.ts";
import { makeApi, nodeHandler } from "./api.ts";
import * as apply from "./apply.ts";
import * as bundle from "./bundle.ts";
import { readConfig } from "./config.ts";
import * as checkin from "./checkin.ts";
import * as doctor from "./doctor.ts";
import * as domain from "./domain.ts";
import { openDoors } from "./door.ts";
import { History } from "./history.ts";
import { type Host, hostPair, Turn } from "./host.ts";
import { Journal } from "./journal.ts";
import { SoleKeeper } from "./keeper.ts";
import { KeyRing } from "./keys.ts";
import { agentEndMs } from "./limits.ts";
import * as locks from "./locks.ts";
import { lockFile } from "./lockfile.ts";
import { type Home, makeHome } from "./paths.ts";
import * as report from "./report.ts";
import { ProcessRunner, type Runner } from "./run.ts";
import { openAgentDb } from "./schema.ts";
import { type Ask, SeamShelf, SeamStore } from "./seam.ts";
import { makeUpgrade } from "./stream.ts";
import * as users from "./users.ts";
import { Wip } from "./wip.ts";
import * as work from "./work.ts";

/** What differs between the shipped program and a test: time, the way to the net half, and what runs commands. */
export interface Surroundings {
  clock: Clock;
  /** Opens the way to the net half. */
  openSeam(home: Home): Promise<{ ask: Ask; close(): Promise<void> }>;
  runner?: Runner;
  log(line: string): void;
  configFile?: string;
}

/** A running agent. `ended` resolves when somebody asked it to stop and everything is closed. */
export interface Agent {
  host: Host;
  acts: Acts;
  ended: Promise<void>;
  stop(): void;
}

/** Starts the agent of a home. Throws a refused fault when one is running there already. */
export async function startAgent(home: Home, around: Surroundings): Promise<Agent> {
  makeHome(home);
  const lock = await waitForLock(path.join(home.run, "agent.lock"), around.clock);
  if (lock === undefined) {
    throw new Fault("start", "refused", `an agent is running on ${home.state} already`, {
      hint: "isconf status",
    });
  }
  const config = readConfig(home, around.configFile);
  const { clock, log } = around;
  const db = openAgentDb(path.join(home.state, "agent.db"));
  fs.chmodSync(path.join(home.state, "agent.db"), 0o600);
  const keys = new KeyRing(path.join(home.state, "keys"), clock);
  const seam = await around.openSeam(home);
  const host: Host = {
    home,
    config,
    clock,
    db,
    keys,
    journal: new Journal(db),
    keeper: new SoleKeeper(db, keys.obtain("host")),
    wip: new Wip(db),
    history: new History(db),
    store: new SeamStore(seam.ask),
    shelf: new SeamShelf(seam.ask),
    runner: around.runner ?? new ProcessRunner(clock),
    turn: new Turn(),
    log,
    boot: fs.readFileSync(config.bootIdFile, "utf8").trim(),
  };
  hostPair(host);
  work.settleReboot({ host });

  let stop = () => {};
  const asked = new Promise<void>((resolve) => stop = resolve);
  const acts: Acts = {
    locks,
    checkin,
    work,
    apply,
    domain,
    bundle,
    report,
    doctor,
    users,
    life: { stop: () => stop() },
  };
  const request = nodeHandler(makeApi(host, acts));
  const handlers = { request, upgrade: makeUpgrade(host, acts) };
  const doors = await openDoors(home, permitted(config.permit, log), handlers, clock, log);
  const ended = asked.then(async () => {
    // The running transaction ends first; nothing new gets in because its turn never comes.
    await host.turn.take("stop", async () => {
      host.turn.close();
      await doors.close();
      await seam.close();
      db.close();
      lock.release();
    });
  });
  if (apply.isToResume(host)) resumeUp(host, acts);
  return { host, acts, ended, stop: () => stop() };
}

/** Takes the home's lock; an agent that is just ending is waited for. */
async function waitForLock(file: string, clock: Clock): Promise<ReturnType<typeof lockFile>> {
  const until = clock.now() + agentEndMs;
  for (;;) {
    const lock = lockFile(file);
    if (lock !== undefined || clock.now() > until) return lock;
    await sleep(clock, 50);
  }
}

/** The uids that get a door: root or whoever runs this agent, and, for root's, those the configuration names. */
function permitted(names: string[], log: (line: string) => void): number[] {
  const own = process.geteuid?.() ?? 0;
  const uids = [own];
  if (own !== 0) return uids;
  for (const name of names) {
    try {
      uids.push(users.userByName("start", name).uid);
    } catch (e) {
      log(`isconf.conf permits ${name}: ${Fault.from("start", e).message}`);
    }
  }
  return uids;
}

/** Goes on with the `up -r` that ordered the last restart. What stops it is in the log and in `status`. */
function resumeUp(host: Host, acts: Acts): void {
  const actor = { uid: process.geteuid?.() ?? 0, name: "agent" };
  const call = { host, acts, actor, emit: () => {} };
  host.turn.take("up", () => apply.up(call, { reboot: true, step: false, dryRun: false })).then(
    (r) => host.log(`up went on after the restart: entry ${r.at} of ${r.of}`),
    (e) => host.log(`up went on after the restart and stopped: ${Fault.from("up", e).message}`),
  );
}
