// Simulate: one run from one seed: a storm, then calm, then what must be true in the end. The entry of the bundle that
// bundle.ts makes. Not who starts runs and how many (scripts/sim.ts).
import type { SimHost } from "./host.ts";
import { Broken } from "./ledger.ts";
import { type Plan, planOf, type PlanOptions, stormMs } from "./plan.ts";
import { Workload } from "./workload.ts";
import { World } from "./world.ts";

export { planOf };
export type { Lists, Plan, PlanOptions } from "./plan.ts";

export interface Outcome {
  seed: number;
  /** The hash of all that happened. */
  hash: string;
  /** What broke, with the name of the invariant in front; undefined: nothing. */
  broken?: string;
  invariant?: string;
  plan: Plan;
  trace: string[];
  /** Entries that became certain. */
  entries: number;
  /** Places with two signatures of one key that somebody got to know. */
  forks: number;
}

/** How long hosts have to become equal when all is well, in ms: some sweeps (sweepMs of agent/limits.ts), and what is asked for still. */
const calmMs = 240_000;
/** Timers that a host may have waiting when nothing is to do. */
const idleTimersMax = 12;
/** Between two hosts that start at the beginning, in ms. */
const startEveryMs = 3;

export async function simulate(options: PlanOptions & { isTraced?: boolean }): Promise<Outcome> {
  const plan = planOf(options);
  const restore = forbidRealTime();
  const world = new World(plan, options.isTraced === true);
  let broken: Error | undefined;
  try {
    await run(world);
  } catch (e) {
    broken = e as Error;
  } finally {
    restore();
  }
  for (const host of world.hosts) host.crash(0);
  const { kernel, trace, checker } = world;
  return {
    seed: plan.seed,
    hash: kernel.hash,
    ...(broken === undefined
      ? {}
      : { broken: textOf(broken), invariant: broken instanceof Broken ? broken.invariant : "bug" }),
    plan,
    trace: trace ?? [],
    entries: checker.ledger.end("main") + checker.ledger.end("side"),
    forks: checker.forks,
  };
}

const textOf = (e: Error): string => e instanceof Broken ? e.message : `bug: ${e.stack ?? e.message}`;

async function run(world: World): Promise<void> {
  const { kernel, hosts } = world;
  for (const [i, host] of hosts.entries()) kernel.after(i * startEveryMs, () => world.boot(host));
  const people = new Workload(world);
  people.begin();
  world.disturb();
  await kernel.run(stormMs);
  world.heal();
  await settle(world, "after the storm");
  for (const until = kernel.now + calmMs; people.busy > 0;) {
    if (kernel.now >= until) throw new Broken("L2", `${people.busy} people wait for ever`);
    await kernel.run(kernel.now + 1_000);
  }
  if (!await somebodyWorks(world, people)) return;
  await settle(world, "after new work");
  for (const { identity, around } of hosts) {
    if (around.clock.pending <= idleTimersMax) continue;
    throw new Broken("L3", `${identity.name} has ${around.clock.pending} timers waiting, and nothing to do`);
  }
}

/** L2: somebody who may can work; false when there is nobody. Who loses his work to others by trying is not the one. */
async function somebodyWorks(world: World, people: Workload): Promise<boolean> {
  const { kernel, hosts } = world;
  for (const host of hosts) {
    if (!mayStillWork(world, host)) continue;
    let outcome: Error | true | undefined;
    void people.mustWork(host).then(() => outcome = true, (e) => outcome = e as Error);
    for (const until = kernel.now + calmMs; outcome === undefined && kernel.now < until;) {
      await kernel.run(kernel.now + 1_000);
    }
    if (outcome === true) return true;
    if (outcome === undefined) {
      throw new Broken("L2", `${host.identity.name} waits for ever: ${host.host.turn.doing}`);
    }
    if (isWedged(world, outcome.message)) return false;
    if (mayStillWork(world, host)) throw outcome;
  }
  return false;
}

/**
 * Whether a branch stands still in one of the two ways that the product cannot mend without root keys (agent/README.md, "What
 * keepers cannot decide"), and that this is so is seen from outside.
 */
function isWedged(world: World, message: string): boolean {
  const { checker, plan } = world;
  const { keepers: { hosts, quorum } } = checker.ledger.newest;
  if (/two batches were proposed in term/.test(message)) {
    return checker.forks > 0 && plan.liars.length > 0 && 2 * quorum > hosts.length + 1;
  }
  return /a key is being revoked, which somebody has begun|a check-in of \w+ was begun/.test(message) &&
    checker.isSplit(plan.liars.some((i) => hosts.includes(world.hosts[i]!.identity.id)));
}

/** L1: all hosts come to have the same, within {@link calmMs}. */
async function settle(world: World, when: string): Promise<void> {
  const { kernel } = world;
  const until = kernel.now + calmMs;
  for (;;) {
    await kernel.run(kernel.now + 2_000);
    const behind = world.hosts.filter((host) => !isCurrent(world, host));
    const unaware = world.hosts.filter((host) => !isAware(world, host));
    if (behind.length === 0 && unaware.length === 0) return;
    if (kernel.now < until) continue;
    const names = (hosts: SimHost[]) => hosts.map(({ identity }) => identity.name).join(", ");
    if (behind.length > 0) throw new Broken("L1", `${names(behind)} not current ${when}`);
    throw new Broken("I11", `${names(unaware)} not told of all who signed two things for one place ${when}`);
  }
}

/** Whether a host has all that is certain of its branch and of the control journal. */
function isCurrent({ checker }: World, host: SimHost): boolean {
  const { journal } = host;
  return [host.identity.branch, "@domain"].every((branch) =>
    journal.head(branch).seq >= checker.ledger.end(branch)
  );
}

/** Whether a host that is honest, and in the domain, knows of all two-faced signatures that others know of. */
function isAware(world: World, host: SimHost): boolean {
  const isOut = world.checker.ledger.newest.cuts.has(host.identity.id);
  return isOut || world.isLiar(host) || world.checker.knowsForks({
    identity: host.identity,
    disk: host.around.disk,
    lies: false,
  });
}

/** Somebody who may lock their branch, on a host that nothing stands in the way of. */
function mayStillWork(world: World, host: SimHost): boolean {
  const { newest } = world.checker.ledger;
  const { author, branch, id } = host.identity;
  const may = newest.writers.get(author);
  const isOwner = may?.has("*") === true;
  const isDiverged = host.around.disk.tables.get("meta")!.rows.has("diverged");
  const isGone = newest.cuts.has(author) || newest.cuts.has(id);
  const head = host.journal.head(branch).seq;
  // Work that was lost with its lock has to be dropped, and then this host is diverged.
  const isLost = host.host.wip.items().some(({ baseSeq }) => baseSeq !== head);
  return isOwner && branch === "main" && !isDiverged && !isGone && !isLost && !world.isLiar(host);
}

/** Real time and chance have no place in a run: who asks for them is told. Returns what ends that. */
function forbidRealTime(): () => void {
  const { Date: { now }, Math: { random } } = globalThis;
  const { setTimeout, setInterval } = globalThis;
  const never = (what: string) => () => {
    throw new Error(`${what} in a simulation`);
  };
  Date.now = never("Date.now");
  Math.random = never("Math.random");
  Object.assign(globalThis, { setTimeout: never("setTimeout"), setInterval: never("setInterval") });
  return () => {
    Date.now = now;
    Math.random = random;
    Object.assign(globalThis, { setTimeout, setInterval });
  };
}
