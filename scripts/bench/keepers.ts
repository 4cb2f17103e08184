// Keepers: what several of them cost and save: lock and ci with one, three and five, how long it takes from the death of who has the
// lock until another host has it and the journal, and what checking a certificate costs. Real hosts on one bridge; the other
// figures of a journal are in verify.ts.
import type { Host } from "../../tests/hosts.ts";
import { type Figure, median, seconds, tell } from "./figure.ts";
import { BenchFleet } from "./fleet.ts";
import { nodeOfOurs, root } from "./host.ts";
import { run } from "./run.ts";
import { isconfThere } from "./servers.ts";

const hosts = 6;
const rounds = 10;
const warmUps = 1;
const deaths = 5;
/** The aim: what three keepers may take, as a multiple of what one takes. */
const threeMax = 3;
/** Milliseconds that a host gets to be heard by all again. */
const backMs = 60_000;

/** Seconds of each verb, less what a verb takes that asks nobody. */
interface Took {
  lock: number[];
  ci: number[];
}

export async function keepers(): Promise<Figure[]> {
  await using fleet = await BenchFleet.begin(hosts);
  const [first] = fleet.hosts as [Host];
  const worker = fleet.hosts.at(-1) as Host; // with five keepers the only one that is none
  for (const { name } of fleet.hosts.slice(1)) await first.ok("grant", `root@${name}`, "owner");
  await worker.ok("up");
  const asksNobody = await floor(worker);
  tell(`a verb that asks nobody: ${seconds(asksNobody)}`);
  const took: Took[] = [];
  for (const n of [1, 3, 5]) {
    if (n > 1) await first.ok("keeper", "add", ...fleet.hosts.slice(n - 2, n).map(({ name }) => name));
    const all = await lockAndCheckIn(worker, asksNobody);
    took.push(all);
    tell(`${n} keepers: lock ${seconds(median(all.lock))}, ci ${seconds(median(all.ci))}`);
  }
  const figures = (["lock", "ci"] as const).flatMap((verb) => compared(verb, took));
  for (const [who, dies] of [["no keeper", worker], ["a keeper", fleet.hosts[1] as Host]] as const) {
    const taken = await takeOver(dies, fleet.hosts[2] as Host, fleet);
    const [middle, worst] = [seconds(median(taken)), seconds(Math.max(...taken))];
    figures.push({
      name: `death of who has the lock, ${who}, until another has it`,
      ours: middle,
      peer: `worst ${worst}`,
    });
  }
  return [...figures, ...await certificates()];
}

/** What the command line itself takes. */
async function floor(host: Host): Promise<number> {
  const walls: number[] = [];
  for (let i = 0; i < rounds; i++) walls.push((await timed(host, "wip")).wallS);
  return median(walls);
}

const timed = (host: Host, ...words: string[]) => run([...host.enter(), isconfThere, "-q", ...words]);

async function lockAndCheckIn(host: Host, lessS: number): Promise<Took> {
  const took: Took = { lock: [], ci: [] };
  for (let i = 0; i < warmUps + rounds; i++) {
    const lock = await timed(host, "lock", "bench");
    await host.ok("exec", "true");
    const ci = await timed(host, "ci");
    if (i < warmUps) continue;
    took.lock.push(lock.wallS - lessS);
    took.ci.push(ci.wallS - lessS);
  }
  return took;
}

/** The first of these is one keeper. */
function compared(verb: keyof Took, took: Took[]): Figure[] {
  const [one, three, five] = took.map((all) => median(all[verb])) as [number, number, number];
  const line = (n: number, s: number): Figure => ({
    name: `${verb} with ${n} keepers, less the command line`,
    ours: seconds(s),
    peer: `1 keeper ${seconds(one)}`,
    ratio: s / one,
  });
  const aimed = { ...line(3, three), aim: `ratio < ${threeMax}`, ok: three / one < threeMax };
  return [aimed, line(5, five)];
}

/**
 * Seconds from when a host loses its power, with the lock, until another has what the dead one checked in last, and the lock.
 */
async function takeOver(dies: Host, other: Host, fleet: BenchFleet): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < deaths; i++) {
    await dies.ok("up");
    await dies.ok("lock", "what is checked in");
    await dies.ok("exec", "true");
    await dies.ok("ci");
    await dies.ok("lock", "what is never checked in");
    await fleet.fleet.off(dies.name);
    const begin = performance.now();
    for (let isOurs = false; !isOurs;) {
      await other.isconf("up");
      isOurs = (await other.isconf("lock", "--steal", "taken over")).status === 0;
    }
    took.push((performance.now() - begin) / 1000);
    await other.ok("unlock");
    await fleet.fleet.on(dies.name);
    await fleet.untilMeshed(dies, backMs);
  }
  return took;
}

/** What each quorum's certificate costs to check, by Node, in a process of its own. */
async function certificates(): Promise<Figure[]> {
  const program = `${root}scripts/bench/certificate.ts`;
  const { stdout } = await run([nodeOfOurs, "--disable-warning=ExperimentalWarning", program]);
  const told = JSON.parse(stdout) as { quorum: number; bytes: number; us: number }[];
  return told.map(({ quorum, bytes, us }) => ({
    name: `certificate of ${quorum} votes checked`,
    ours: `${us.toFixed(0)} us`,
    peer: `${bytes} bytes`,
  }));
}
