// Plan: everything about a simulation that its seed decides before it begins: how large the fleet is, what its network is
// like, what people do and what fails, and when. Each list has chance of its own, so that one can be made shorter and the
// others stay as they are. Not how any of it is done.
import { trust } from "../../agent/mod.ts";
import type { Link } from "../../mq/mod.ts";
import type { DomainOptions } from "./domain.ts";
import { Chance } from "./kernel.ts";

/** How long things fail and people work, in ms of virtual time. */
export const stormMs = 20_000;
const rushedMs = 6_000;

/** What a person begins to do: on which host, when. */
export interface Task {
  atMs: number;
  host: number;
  what: "work" | "steal" | "leave" | "drop" | "grant" | "revoke" | "evict" | "keepers" | "up" | "rival";
}

/** Hosts of one group hear each other, others do not; `oneWay`: those of the second group hear the first. */
export interface Cut {
  atMs: number;
  forMs: number;
  groups: number[][];
  oneWay: boolean;
}

/** A host loses its power: at once, or at a commit, before or after it. */
export interface Crash {
  atMs: number;
  host: number;
  forMs: number;
  when: "now" | "before commit" | "after commit";
  /** After so many other commits. */
  commits: number;
  /** How many of the commits that were not synced are lost, if there are any. */
  lost: number;
}

/** A disk refuses: the next write, or all for a while. */
export interface BadDisk {
  atMs: number;
  host: number;
  forMs: number;
  code: "SQLITE_FULL" | "SQLITE_IOERR_WRITE";
}

/** Something happens while somebody is in the middle of a verb. */
export interface Ambush {
  verb: "lock" | "ci" | "keepers";
  /** After so many others of that verb. */
  skip: number;
  /** After so many times the latency of the network. */
  hops: number;
  /** The host dies, or reaches only some others; another takes the lock over and checks in; the policy changes. */
  what: "crash" | "cut" | "rival" | "policy";
  forMs: number;
  host: number;
}

/** A host that is no keeper is put back to what it was some time before: from a backup, or as the copy of a disk. */
export interface Restore {
  atMs: number;
  host: number;
  backMs: number;
  forMs: number;
}

export interface Step {
  atMs: number;
  host: number;
  byMs: number;
}

/** The lists that can be made shorter. */
export interface Lists {
  tasks: Task[];
  cuts: Cut[];
  crashes: Crash[];
  disks: BadDisk[];
  steps: Step[];
  ambushes: Ambush[];
  restores: Restore[];
  /** Hosts that lie. */
  liars: number[];
}

export interface Plan extends Lists, DomainOptions {
  seed: number;
  link: Partial<Link>;
  /** Which hosts apply by themselves what comes. */
  follows: boolean[];
  /** Chance that a command fails where it is replayed. */
  failing: number;
}

export interface PlanOptions {
  seed: number;
  hosts?: number;
  /** How many of each list are left, the first ones. */
  keep?: Partial<Record<keyof Lists, number>>;
}

/** Numbers of keepers, and of those that have to agree, where that is not what the product says. */
const QUORUMS: [keepers: number, quorum?: number][] = [[1], [3], [3], [2], [4], [5], [5, 4]];
const hostsUsual = 9;

export function planOf({ seed, hosts: wanted, keep = {} }: PlanOptions): Plan {
  const shape = new Chance(seed, 1);
  const hosts = wanted ?? shape.from(1, hostsUsual);
  const [keepers, quorum = trust.majorityOf(keepers)] = shape.one(QUORUMS.filter(([n]) => n <= hosts));
  const host = (chance: Chance) => chance.is(0.6) ? chance.below(Math.min(hosts, 5)) : chance.below(hosts);
  // Half of the fleets are in a hurry: all that people do falls into a few seconds.
  const rushMs = shape.is(0.5) ? stormMs : rushedMs;
  const at = (chance: Chance) => chance.below(stormMs);
  const list = <K extends keyof Lists>(
    name: K,
    stream: number,
    max: number,
    one: (chance: Chance) => Lists[K][number],
  ): Lists[K] => {
    const chance = new Chance(seed, stream);
    const length = chance.below(max + 1);
    const all = Array.from({ length }, () => one(chance)) as Lists[K];
    return all.slice(0, keep[name] ?? length) as Lists[K];
  };
  const isAlone = hosts === 1;
  // Only so many keepers may lie as their number bears: below 2q - n.
  const liarsMax = Math.max(0, 2 * quorum - keepers - 1);
  return {
    seed,
    hosts,
    keepers,
    quorum,
    link: linkOf(shape),
    follows: Array.from({ length: hosts }, () => shape.is(0.7)),
    failing: shape.one([0, 0, 0.03, 0.1]),
    tasks: list("tasks", 2, 16, (c) => ({ atMs: c.below(rushMs), host: host(c), what: c.one(TASKS) })),
    cuts: list("cuts", 3, isAlone ? 0 : 5, (c) => cutOf(c, hosts, at(c))),
    crashes: list("crashes", 4, 6, (c) => ({
      atMs: at(c),
      host: host(c),
      forMs: c.from(10, 6_000),
      when: c.one(["now", "before commit", "after commit", "after commit"]),
      commits: c.below(4),
      lost: c.from(1, 3),
    })),
    disks: list("disks", 5, 2, (c) => ({
      atMs: at(c),
      host: host(c),
      forMs: c.one([0, 0, 500, 3_000]),
      code: c.one(["SQLITE_FULL", "SQLITE_IOERR_WRITE"]),
    })),
    steps: list("steps", 6, 2, (c) => ({
      atMs: at(c),
      host: host(c),
      byMs: c.one([-86_400_000, -5_000, -100, 100, 5_000, 86_400_000]),
    })),
    ambushes: list("ambushes", 8, isAlone ? 0 : 8, (c) => ({
      verb: c.one(["lock", "ci", "ci", "ci", "keepers"]),
      skip: c.below(3),
      hops: c.below(24) / 2,
      what: c.one(["crash", "cut", "cut", "rival", "policy"]),
      forMs: c.from(100, 6_000),
      host: host(c),
    })),
    restores: list("restores", 9, hosts > keepers ? 2 : 0, (c) => ({
      atMs: at(c),
      host: c.from(keepers, hosts - 1),
      backMs: c.one([500, 2_000, 5_000, 20_000]),
      forMs: c.from(10, 2_000),
    })),
    liars: list("liars", 7, isAlone ? 0 : 2, (c) => liarsMax > 0 && c.is(0.5) ? c.below(keepers) : hosts - 1)
      .filter((host, i, all) => all.indexOf(host) === i && (host >= keepers || i < liarsMax)),
  };
}

/** What people do, the more often the more often it stands here. */
const TASKS: Task["what"][] = [
  ...Array<"work">(9).fill("work"),
  "steal",
  "steal",
  "leave",
  "leave",
  "up",
  "drop",
  "grant",
  "revoke",
  "evict",
  "keepers",
  "keepers",
];

function linkOf(chance: Chance): Partial<Link> {
  const latencyMs = chance.one([1, 2, 5, 40]);
  const jitterMs = chance.one([0, 1, 10, 100]);
  if (chance.is(0.5)) return { latencyMs, jitterMs };
  return {
    latencyMs,
    jitterMs,
    loss: chance.one([0, 0.02, 0.1, 0.3]),
    duplicate: chance.one([0, 0.05, 0.2]),
    reorder: chance.one([0, 0.1, 0.3]),
    reorderMs: 200,
    corrupt: chance.one([0, 0, 0.02]),
  };
}

function cutOf(chance: Chance, hosts: number, atMs: number): Cut {
  const all = Array.from({ length: hosts }, (_, i) => i);
  const apart = chance.is(0.4) ? [chance.below(Math.min(hosts, 5))] : all.filter(() => chance.is(0.5));
  const rest = all.filter((i) => !apart.includes(i));
  // A bridge: one host that both sides reach.
  const bridge = chance.is(0.2) ? [chance.below(hosts)] : [];
  return {
    atMs,
    forMs: chance.from(100, 8_000),
    groups: [[...new Set([...apart, ...bridge])], [...new Set([...rest, ...bridge])]],
    oneWay: chance.is(0.3),
  };
}
