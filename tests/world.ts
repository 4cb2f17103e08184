// World: hosts for tests that live in this process: a home of their own in a temporary directory, real SQLite, real
// files, both halves joined by a pipe in memory. Not the shipped executable (tests/exe.ts) and no network.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import {
  type Actor,
  type Acts,
  type Agent,
  type Call,
  type Cells,
  type Disks,
  type EffectsWatch,
  type Home,
  homeOf,
  openSeamInside,
  personPair,
  type Progress,
  type Runner,
  startAgent,
  type Surroundings,
} from "../agent/mod.ts";
import { type Clock, sleep, systemClock } from "../mq/mod.ts";

/** One host: its directory, its agent, and verbs as functions. */
export interface TestHost {
  dir: string;
  home: Home;
  agent: Agent;
  acts: Acts;
  /** What was told while verbs ran. */
  told: Progress[];
  logged: string[];
  call(uid?: number, name?: string): Call;
  /** Stops the agent as `isconf stop` does. */
  stop(): Promise<void>;
  /** Starts again after a stop. */
  start(): Promise<void>;
  /** Stops and starts again on the same home. */
  restart(options?: Partial<Options>): Promise<void>;
}

export interface Options {
  clock: Clock;
  runner: Runner;
  conf: string;
  policy: string;
  bootId: string;
  /** What stands for an etcd. */
  cells: Cells;
  /** What says which paths commands change. */
  effects: EffectsWatch;
  /** What brings onto the disks what commands have written. */
  disks: Disks;
  /** The way to the net half; else to a real one in this process. */
  openSeam: Surroundings["openSeam"];
}

/** Makes a host in a new temporary directory and removes it when the test ends. */
export async function makeHost(
  t: { after(fn: () => Promise<void>): void },
  options: Partial<Options> = {},
): Promise<TestHost> {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-")));
  const home = homeOf(dir);
  fs.mkdirSync(home.config, { recursive: true });
  const host = { dir, home, told: [], logged: [] } as unknown as TestHost;
  const setUp = (o: Partial<Options>) => {
    fs.writeFileSync(path.join(dir, "boot-id"), `${o.bootId ?? "boot-1"}\n`);
    const conf = `boot_id_file = ${dir}/boot-id\nreboot_command = /bin/true\n${o.conf ?? "listen = none\n"}`;
    fs.writeFileSync(path.join(home.config, "isconf.conf"), conf);
    if (o.policy === undefined) return;
    fs.mkdirSync(path.join(home.config, "policy.d"), { recursive: true });
    fs.writeFileSync(path.join(home.config, "policy.d/site.policy"), o.policy);
  };
  const start = async (o: Partial<Options>) => {
    const clock = o.clock ?? systemClock;
    host.agent = await startAgent(home, {
      clock,
      openSeam: o.openSeam ?? ((h, answers) =>
        Promise.resolve(
          openSeamInside(path.join(h.state, "store"), clock, answers, (l) => void host.logged.push(l)),
        )),
      log: (line) => void host.logged.push(line),
      ...(o.conf === undefined ? { settleMs: 0 } : {}),
      ...(o.runner === undefined ? {} : { runner: o.runner }),
      ...(o.cells === undefined ? {} : { cells: o.cells }),
      ...(o.effects === undefined ? {} : { effects: o.effects }),
      ...(o.disks === undefined ? {} : { disks: o.disks }),
    });
    host.acts = host.agent.acts;
  };
  host.call = (uid = process.getuid?.() ?? 0, name = "root"): Call => {
    const actor: Actor = { uid, name };
    return { host: host.agent.host, acts: host.acts, actor, emit: (e) => void host.told.push(e) };
  };
  host.stop = async () => {
    host.agent.stop();
    await host.agent.ended;
  };
  host.start = () => start(options);
  host.restart = async (more = {}) => {
    await host.stop();
    setUp({ ...options, ...more });
    await start({ ...options, ...more });
  };
  setUp(options);
  await start(options);
  t.after(async () => {
    await host.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  return host;
}

/** A host that began a domain: branch main, host `a`. */
export async function makeFirstHost(
  t: { after(fn: () => Promise<void>): void },
  options: Partial<Options> = {},
): Promise<TestHost> {
  const host = await makeHost(t, options);
  await host.acts.domain.init(host.call(), { host: "hosta", branch: "main" });
  return host;
}

/** A second host of the first one's domain, by bundle. */
export async function makeSecondHost(
  t: { after(fn: () => Promise<void>): void },
  first: TestHost,
  options: Partial<Options> = {},
): Promise<TestHost> {
  const host = await makeHost(t, options);
  await carry(first, host);
  return host;
}

/** The configuration of hosts that reach each other over loopback. */
export const MESHED = "listen = 127.0.0.1:0\ndiscover = no\n";

/** Hosts of one domain on loopback: the first began it, the others joined with tokens that need no approval. */
export async function makeDomain(
  t: { after(fn: () => Promise<void>): void },
  names: string[],
  options: Partial<Options> = {},
): Promise<TestHost[]> {
  const [name, ...others] = names as [string, ...string[]];
  const first = await makeHost(t, { conf: MESHED, ...options });
  await first.acts.domain.init(first.call(), { host: name, branch: "main" });
  const hosts = [first];
  for (const other of others) {
    const host = await makeHost(t, { conf: MESHED, ...options });
    await joinDomain(first, host, other);
    hosts.push(host);
  }
  return hosts;
}

/** Lets a host join the domain of another with a token that needs no approval. */
export async function joinDomain(from: TestHost, to: TestHost, name: string, branch?: string): Promise<void> {
  const args = { approve: true, ...(branch === undefined ? {} : { branch }) };
  const { token } = await from.acts.enrol.token(from.call(), args);
  await to.acts.join.join(to.call(), { token, host: name });
}

/** How long a test waits: longer than until the next comparison, which finds what a rumour did not bring (sweepMs). */
const untilMs = 45_000;

/** Waits until something is so, looking often and for a bounded time. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  ms = untilMs,
): Promise<void> {
  for (let waited = 0; waited < ms; waited += 20) {
    if (await isSo()) return;
    await sleep(systemClock, 20);
  }
  throw new Error(`not so after ${ms} ms: ${what}`);
}

/** What `up` does when nothing else is asked of it. */
export const UP = { reboot: false, step: false, dryRun: false, offline: false };

/** Carries the first host's journal to the other, as a bundle. */
export async function carry(from: TestHost, to: TestHost, branch?: string): Promise<void> {
  const bundle = from.acts.bundle.exportBundle(from.call(), branch);
  const pin = {
    host: "hostb",
    domain: from.agent.host.journal.domain() as string,
    ...(branch ? { branch } : {}),
  };
  await to.acts.bundle.importBundle(to.call(), bundle, pin);
}

/** Runs a command to its end on the origin, as the verb exec does. */
export async function run(
  host: TestHost,
  argv: string[],
  more: { as?: string; timeoutMs?: number; cwd?: string } = {},
) {
  const execution = await host.acts.work.exec(host.call(), {
    argv,
    cwd: more.cwd ?? "/",
    umask: 0o022,
    callerEnv: {},
    envNames: [],
    as: more.as ?? "",
    timeoutMs: more.timeoutMs ?? 0,
    stdin: false,
    effects: true,
  });
  return await execution.recorded;
}

/** Gives a person of the host, who need be no user of this machine, a role. */
export async function grantTo(host: TestHost, uid: number, name: string, role: string, branch: string) {
  const key = personPair(host.agent.host, { uid, name }).publicKey;
  await host.acts.roles.giveRole(host.call(), { name: `${name}@hosta`, key, role, branch });
}

/** The fault that `fn` ends with; fails the test when it ends otherwise. */
export async function faultOf(
  fn: () => unknown,
): Promise<{ kind: string; message: string; hint: string; exit: number }> {
  try {
    await fn();
  } catch (e) {
    if ((e as { name?: string }).name === "Fault") {
      return e as { kind: string; message: string; hint: string; exit: number };
    }
    throw e;
  }
  throw new Error("this should have ended in a fault");
}
