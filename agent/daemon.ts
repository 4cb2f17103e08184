// Daemon: the root half put together, by plain constructors; read it from top to bottom to read the program.
import * as fs from "node:fs";
import * as path from "node:path";
import { type Clock, Fault, keyId, sleep, toHex } from "../mq/mod.ts";
import * as acknowledging from "./acknowledge.ts";
import type { Acts } from "./acts.ts";
import { Again } from "./again.ts";
import { refusedTo } from "./asked.ts";
import { auditOf } from "./audit.ts";
import { Applied } from "./applied.ts";
import { settleBase } from "./base.ts";
import type { BoundPlace } from "./boot_places.ts";
import { makeApi } from "./api.ts";
import { nodeHandler } from "./api_node.ts";
import { ApiTokens } from "./api_tokens.ts";
import { remoteAnswers } from "./api_remote.ts";
import * as apply from "./apply.ts";
import * as bundle from "./bundle.ts";
import { type Cells, NoCells } from "./cells.ts";
import { readConfig, readRegister } from "./config.ts";
import * as copies from "./copies.ts";
import * as checkin from "./checkin.ts";
import * as doctor from "./doctor.ts";
import * as domain from "./domain.ts";
import * as drift from "./drift.ts";
import { type Disks, NO_DISKS } from "./disks.ts";
import { type EffectsWatch, NO_WATCH } from "./effects_watch.ts";
import * as enrol from "./enrol.ts";
import { newEvents } from "./event_sources.ts";
import { Events } from "./events.ts";
import { Doors } from "./door.ts";
import { makeEngine } from "./engine.ts";
import { needNewest } from "./fresh.ts";
import { type Host, hostId, hostPair } from "./host.ts";
import * as here from "./here.ts";
import * as join from "./join.ts";
import * as keepers from "./keeper_change.ts";
import { KeyRing } from "./keys.ts";
import { agentEndMs, copiesLookMs, rulesLookMs, settleInMs } from "./limits.ts";
import * as locks from "./locks.ts";
import { lockFile } from "./lockfile.ts";
import { SeamMesh } from "./mesh.ts";
import { CONTROL } from "./names.ts";
import * as naming from "./naming.ts";
import * as netboot from "./netboot_here.ts";
import { NameSpread } from "./name_spread.ts";
import { NameTable } from "./name_table.ts";
import { type Home, makeHome } from "./paths.ts";
import { askWhetherEvicted, isEvicted, placesOf } from "./outcast.ts";
import * as preview from "./preview.ts";
import { Previews } from "./preview.ts";
import * as previewSnap from "./preview_snap.ts";
import * as rebuild from "./rebuild.ts";
import * as recovering from "./recover.ts";
import * as recovery from "./recovery.ts";
import * as rehearse from "./rehearse.ts";
import * as report from "./report.ts";
import { HostRules, type Refused } from "./rules_here.ts";
import { RuleBook } from "./rules_files.ts";
import * as said from "./rules_say.ts";
import { Reports } from "./reports.ts";
import * as roles from "./roles.ts";
import * as roots from "./root_change.ts";
import { ProcessRunner, type Runner } from "./run.ts";
import { getMeta, openAgentDb } from "./schema.ts";
import type { Answers, Ask, NetRequest, RootRequest } from "./seam.ts";
import { SeamHttp } from "./seam_http.ts";
import { SeamNetboot } from "./seam_netboot.ts";
import { SeamCells } from "./seam_cells.ts";
import { SeamShelf, SeamStore } from "./seam_store.ts";
import * as secrets from "./secrets.ts";
import { shareNew } from "./sharing.ts";
import * as status from "./status.ts";
import { makeUpgrade } from "./stream.ts";
import { members } from "./trust.ts";
import * as upkeep from "./upkeep.ts";
import * as users from "./users.ts";
import { VERBS } from "./verbs/mod.ts";
import * as work from "./work.ts";

/** What differs between the shipped program and a test: time, the way to the net half, and what runs commands. */
export interface Surroundings {
  clock: Clock;
  /** Opens the way to the net half, which is answered with `answers`; `changed` hears when it dies and when another is there. */
  openSeam(
    home: Home,
    answers: Answers<RootRequest>,
    changed: (isThere: boolean) => void,
  ): Promise<NetWay>;
  runner?: Runner;
  /** What tells which paths commands change; else that is not recorded. */
  effects?: EffectsWatch;
  /** What brings onto the disks what commands have written; else nobody does. */
  disks?: Disks;
  log(line: string): void;
  configFile?: string;
  /** How long connections are waited for after the start, in ms; 0 where there can be none. */
  settleMs?: number;
  /** What stands for the etcd that the configuration names. */
  cells?: Cells;
}

/** The way to a net half. */
export interface NetWay {
  ask: Ask<NetRequest>;
  /** Its process, where it has one of its own. */
  readonly pid?: number | undefined;
  /** Ends it and starts another, which opens what it could not open later; only where it is a process of its own. */
  restart?(): Promise<void>;
  /** The ports from which machines boot that it was given. */
  readonly bound?: BoundPlace[];
  close(): Promise<void>;
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
  const etcd = readRegister(config);
  const { clock, log } = around;
  const db = openAgentDb(path.join(home.state, "agent.db"));
  fs.chmodSync(path.join(home.state, "agent.db"), 0o600);
  const keys = new KeyRing(path.join(home.state, "keys"), clock);
  const mesh = new SeamMesh(log);
  let tellNet = () => {};
  const seam = await around.openSeam(home, mesh.answers, (isThere) => isThere ? tellNet() : mesh.lost());
  mesh.open(seam.ask);
  const key = () => keys.obtain("host");
  const web = new SeamHttp(seam.ask);
  const self = () => keyId(key().publicKey);
  const branch = () => getMeta(db, "branch");
  const { settleMs = settleInMs } = around;
  const far = new SeamCells(seam.ask);
  const cells = around.cells ?? (etcd === null ? new NoCells() : far);
  const engine = makeEngine({ db, key, clock, mesh, settleMs, cells, log });
  const { journal, replica, own, contact } = engine;
  engine.executions.tell = auditOf(home, clock, log);
  const dir = path.join(home.config, "policy.d");
  const recordRefused: Refused = (actor, want, rule, why) => {
    try {
      engine.executions.refused(refusedTo(actor, want, rule), why);
    } catch (e) {
      log(`a refusal could not be recorded: ${Fault.from("policy", e).message}`); // it is refused all the same
    }
  };
  const rules = new HostRules(
    new RuleBook(dir, ownUsers(), VERBS.map(({ name }) => name)),
    clock,
    { refused: recordRefused, log },
  );
  if (rules.wrong !== undefined) log(`policy: ${rules.wrong.message}`);
  const table = new NameTable(db);
  const spread = new NameSpread({ table, journal, mesh, clock, log });
  const bootKept: Parameters<typeof netboot.settleNetboot>[2] = { profiles: [] };
  const host: Host = {
    home,
    config,
    clock,
    db,
    keys,
    ...engine,
    mesh,
    netPid: () => seam.pid,
    reports: new Reports({ db, journal, mesh, clock, own, key, self, stands: () => status.ownReport(host) }),
    events: new Events({ db, clock, look: (marks) => newEvents(host, marks), log }),
    tokens: new ApiTokens(db, clock),
    web,
    netboot: new SeamNetboot(seam.ask),
    ...(seam.restart && { restartNet: seam.restart }),
    settleNetboot: () => netboot.settleNetboot(host, seam.bound ?? [], bootKept),
    names: new naming.Names({ journal, clock, table, spread, self }),
    applied: new Applied({ db, ...engine }),
    store: new SeamStore(seam.ask),
    copies: new copies.Copies(() => host),
    shelf: new SeamShelf(seam.ask),
    runner: around.runner ?? makeRunner(clock, log),
    effects: around.effects ?? NO_WATCH,
    disks: around.disks ?? NO_DISKS,
    previews: new Previews(clock, home),
    rules,
    settleMesh: () => settleMesh(host),
    log,
    boot: fs.readFileSync(config.bootIdFile, "utf8").trim(),
  };
  mesh.roots = (which) => which === "kept" ? upkeep.rootsKept(host) : upkeep.rootsNeeded(host);
  mesh.answer("copies", (_, value) => host.copies.answer(value));
  mesh.answer("person", (_, value) => roles.vouch(host, value));
  mesh.strangers = {
    question: (net, question) => enrol.answerStranger(host, net, question),
    meet: (_, answer) => Promise.resolve(enrol.meetStranger(host, answer)),
  };
  roles.settleRotations(host);
  hostPair(host);
  settleBase(host);
  work.settleReboot({ host });

  let stop = () => {};
  const asked = new Promise<void>((resolve) => stop = resolve);
  const acts: Acts = {
    enrol,
    join,
    roles,
    keepers,
    recovery,
    roots,
    locks,
    checkin,
    work,
    preview,
    previewSnap,
    rehearse,
    acknowledging,
    recovering,
    apply,
    domain,
    naming,
    bundle,
    report,
    drift,
    here,
    rules: said,
    status,
    netboot,
    rebuild,
    doctor,
    users,
    copies,
    secrets,
    upkeep,
    life: { stop: () => stop() },
  };
  const api = makeApi(host, acts);
  mesh.remote = remoteAnswers(api, host);
  const request = nodeHandler(api);
  const handlers = { request, upgrade: makeUpgrade(host, acts) };
  const doors = new Doors({ home, handlers, clock, log });
  await doors.settle(rules.uids());
  const watching = new Again(() => doors.settle(rules.uids()), (e) => log(`policy: ${e.message}`));
  const booting = new Again(() => host.settleNetboot(), (e) => log(`netboot: ${e.message}`));
  const watch = () => {
    if (host.turn.isClosed) return;
    watching.goOn();
    if ((seam.bound ?? []).length > 0) booting.goOn();
    clock.after(rulesLookMs, watch);
  };
  clock.after(rulesLookMs, watch);
  checkin.settlePending(host);
  const sharing = new Again(() => shareNew(host), (e) => log(`sharing contents: ${e.message}`));
  const following = new Again(() => follow(host, acts), (e) => log(`follow: ${e.message}`));
  const meshing = new Again(() => settleMesh(host), (e) => log(`mesh: ${e.message}`));
  const settleWeb = () =>
    web.settle(config).then(
      () => web.why === "" || log(`the API is not at ${config.http}: ${web.why}`),
      (e) => log(`http: ${Fault.from("start", e).message}`),
    );
  let listening: Promise<unknown> = Promise.resolve();
  tellNet = () => {
    host.store.limit(config).catch((e) => log(`limits of the store: ${Fault.from("start", e).message}`));
    far.settle(etcd).catch((e) => log(`etcd: ${Fault.from("start", e).message}`));
    listening = settleWeb();
    booting.goOn();
    meshing.goOn();
    sharing.goOn();
  };
  const copying = new Again(async () => {
    const isAll = await host.copies.bring();
    if (!isAll) clock.after(copiesLookMs, () => host.turn.isClosed || copying.goOn());
  }, (e) => log(`copies: ${e.message}`));
  table.onTaken(() => copying.goOn());
  const asking = new Again(() => askWhetherEvicted(host), (e) => log(`eviction: ${e.message}`));
  mesh.onPeer((peer, up) => {
    if (up) copying.goOn();
    if (!up && journal.policy()?.keepers.hosts.includes(peer)) asking.goOn();
  });
  clock.after(settleInMs, () => asking.goOn()); // it may have happened while this host was off
  journal.onGrown((grown) => {
    if (grown === CONTROL) {
      roles.settleRotations(host);
      meshing.goOn();
      copying.goOn();
    }
    if (grown !== branch()) return;
    checkin.settlePending(host);
    sharing.goOn();
    if (config.follow) following.goOn();
  });
  const ended = asked.then(async () => {
    // The running transaction ends first; nothing new gets in because its turn never comes.
    await host.turn.take("stop", async () => {
      host.turn.close();
      replica.stop();
      contact.stop();
      host.names.stop();
      host.events.close();
      await doors.close();
      await seam.close();
      db.close();
      lock.release();
    });
  });
  tellNet();
  await listening;
  if (apply.isToResume(host)) resumeUp(host, acts);
  else if (config.follow) following.goOn();
  return { host, acts, ended, stop: () => stop() };
}

function makeRunner(clock: Clock, log: (line: string) => void): Runner {
  const runner = new ProcessRunner(clock);
  if (!runner.killsAll) {
    log(
      "no cgroup v2 is delegated to this agent: of a command that is out of time the process group is killed, and no more",
    );
  }
  return runner;
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

/** Whom every policy permits everything, unless it denies it: root, and who runs this agent. */
const ownUsers = (): string[] => [...new Set(["root", users.userOfAgent().name])];

/** Tells the net half who belongs to the domain and where others may be; without a domain there is nobody to talk to. */
async function settleMesh(host: Host): Promise<void> {
  const policy = host.journal.policy();
  if (policy === undefined || getMeta(host.db, "branch") === undefined) return;
  const self = hostId(host);
  const belongs = members(policy);
  if (isEvicted(host, policy)) {
    host.log("this host was evicted from the domain: it talks to nobody any more");
    return await host.mesh.settle(null);
  }
  const { listen, peers, discover } = host.config;
  const others = belongs.has(self) ? [...belongs].filter(([id]) => id !== self) : [];
  await host.mesh.settle({
    network: toHex(policy.domain).slice(0, 32),
    members: others.map(([id, { net, name }]) => ({ host: id, net, name })),
    self,
    listen,
    peers: [...peers, ...placesOf(host)],
    discover,
  });
}

/** Applies what has come, without being asked each time. What stops it is in the log and in `status`. */
async function follow(host: Host, acts: Acts): Promise<void> {
  const actor = { uid: process.geteuid?.() ?? 0, name: "agent" };
  const call = { host, acts, actor, emit: () => {} };
  const args = { reboot: false, step: false, dryRun: false, offline: true };
  await host.turn.take("follow", async () => {
    const branch = getMeta(host.db, "branch") ?? "";
    if (host.history.applied() < host.journal.head(branch).seq) {
      await needNewest(host, branch);
      await apply.up(call, args);
    }
  });
}

/** Goes on with the `up -r` that ordered the last restart. What stops it is in the log and in `status`. */
function resumeUp(host: Host, acts: Acts): void {
  const actor = { uid: process.geteuid?.() ?? 0, name: "agent" };
  const call = { host, acts, actor, emit: () => {} };
  host.turn.take("up", () => apply.up(call, { reboot: true, step: false, dryRun: false, offline: false }))
    .then(
      (r) => host.log(`up went on after the restart: entry ${r.at} of ${r.of}`),
      (e) => host.log(`up went on after the restart and stopped: ${Fault.from("up", e).message}`),
    );
}
