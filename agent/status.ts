// Status: how this host stands to its branch, and how every other host of the domain does, as far as anybody can say.
// Not the journal (report.ts) and not how it is printed (verbs/).
import { Fault } from "../mq/mod.ts";
import { forkText } from "./fork_proof.ts";
import { type ForkRow, isOpen } from "./forks.ts";
import { type Call, type Host, hostId, hostName } from "./host.ts";
import type { Held } from "./keeper.ts";
import type { Listening } from "./mesh.ts";
import { isEvicted } from "./outcast.ts";
import { HERE } from "./report.ts";
import type { ReportWords } from "./reports.ts";
import { getMeta } from "./schema.ts";
import { members, nameOf, type Policy } from "./trust.ts";

/** One host of the domain, as this host knows it. */
export interface HostLine {
  name: string;
  branch: string;
  at: number;
  of: number;
  /** As the host said: current, behind, failed, uncertain, restarting, diverged, forked, restored; "unknown": never heard. */
  state: string;
  why: string;
  /** Since when it stands there, by its own clock. */
  sinceMs: number;
  /** When it said so, by its own clock, no later than that was heard here; 0: never. */
  saidMs: number;
  /** Whether it has just answered, itself. */
  reached: boolean;
}

/** How this host stands, as it knows it. */
export function standing(host: Host) {
  const policy = host.journal.policy();
  const branch = getMeta(host.db, "branch");
  const base = {
    host: hostName(host),
    hostId: hostId(host),
    domain: host.journal.domain() ?? null,
    branch: branch ?? null,
    doing: host.turn.doing ?? null,
    diverged: getMeta(host.db, "diverged") ?? null,
  };
  if (policy === undefined || branch === undefined) {
    return {
      ...base,
      at: 0,
      of: 0,
      state: "no domain",
      stopped: null,
      lock: null,
      wip: 0,
      keepers: [],
      branches: [],
      owners: [],
      fork: null,
      proofs: [] as ProofLine[],
      ahead: null,
      stale: null,
      quorum: null,
      differing: { entries: 0, last: 0 },
    };
  }
  const head = host.journal.head(branch);
  const last = host.history.last();
  const held = host.keeper.holder(branch);
  const fork = host.journal.forkOf(branch);
  const at = host.history.applied();
  const ahead = host.own.ahead() ?? null;
  const heads = host.heads.state(branch);
  // What a quorum of keepers has said it has counts, whether anybody has given it to this host or not.
  const of = Math.max(head.seq, heads.seq);
  const stopped = last === undefined || last.state === "done"
    ? null
    : { seq: last.seq, why: HERE[last.state], status: last.status, reason: last.reason };
  const state = isEvicted(host, policy)
    ? "evicted"
    : base.diverged !== null
    ? "diverged"
    : fork !== undefined
    ? "forked"
    : ahead !== null
    ? "restored"
    : stopped !== null
    ? stopped.why
    : at < of
    ? "behind"
    : "current";
  return {
    ...base,
    at,
    of,
    state,
    stopped,
    lock: lockLine(held),
    wip: host.wip.count(),
    keepers: policy.keepers.hosts.map((k) => nameOf(policy, k)),
    branches: [...policy.branches].map(([name, from]) => ({
      name,
      entries: host.journal.head(name).seq,
      from: from === null ? null : `${from.branch}@${from.seq}`,
    })),
    owners: [...policy.grants].flatMap(([key, grants]) =>
      grants.filter((g) => g.role === "owner").map((g) => `${nameOf(policy, key)} on ${g.branch}`)
    ).sort(),
    fork: fork === undefined ? null : { seq: fork.seq, foundMs: fork.foundMs },
    proofs: host.journal.forks.all().map((row) => proofLine(policy, row)),
    ahead,
    stale: heads.isStale ? { sinceMs: heads.sinceMs } : null,
    quorum: keepersNear(host, policy),
    differing: host.history.differing(),
  };
}

/** A fork proof as people see it. */
export interface ProofLine {
  kind: string;
  /** Whose key it is about; "" where it is about none. */
  name: string;
  branch: string;
  seq: number;
  term: number;
  text: string;
  /** Whether something is still to be done about it. */
  open: boolean;
  foundMs: number;
}

/** A proof in words, and whether it matters still. */
export function proofLine(policy: Policy, row: ForkRow): ProofLine {
  const { kind, key, branch, seq, term, foundMs } = row;
  const open = kind === "certified" || isOpen(policy, row);
  const name = key === "" ? "" : nameOf(policy, key);
  return { kind, name, branch, seq, term, text: forkText(policy, row), open, foundMs };
}

/** How many keepers this host can reach now, itself among them, and how many it takes. */
function keepersNear(host: Host, { keepers }: Policy) {
  const near = new Set([hostId(host), ...host.mesh.peers()]);
  const reached = keepers.hosts.filter((k) => near.has(k)).length;
  return { need: keepers.quorum, reached, of: keepers.hosts.length };
}

/** How this host stands, the lock as the keeper knows it, and every other host as far as it can be asked; offline: nobody is. */
export async function status(call: Call, isOffline = false) {
  const { host } = call;
  const own = standing(host);
  const policy = host.journal.policy();
  if (own.branch === null || policy === undefined) {
    return { ...own, network: NOWHERE, hosts: [] as HostLine[] };
  }
  const [reports, held, network] = await Promise.all([
    isOffline ? host.reports.known() : host.reports.gather(),
    isOffline ? host.keeper.holder(own.branch) : host.keepers.refresh(own.branch).catch((e) => {
      host.log(`the keeper was asked about the lock: ${Fault.from("status", e).message}`);
      return host.keeper.holder(own.branch as string); // what is known here; the rest of the answer is worth having
    }),
    listening(host),
  ]);
  const heard = new Map(reports.map((report) => [report.host, report]));
  const hosts = [...members(policy)].map(([id, { name }]): HostLine => {
    if (id === hostId(host)) {
      const { n: _n, timeMs: saidMs, ...words } = {
        n: 0,
        timeMs: host.clock.wall(),
        ...ownReport(host) as Own,
      };
      return { name, saidMs, reached: true, ...words };
    }
    const said = heard.get(id);
    if (said === undefined) {
      const nothing = { branch: "", at: 0, of: 0, state: "unknown", why: "", sinceMs: 0, saidMs: 0 };
      return { name, reached: false, ...nothing };
    }
    const { branch, at, why, sinceMs, saidMs, live } = said;
    // What came since it was heard is known here.
    const of = Math.max(said.of, host.journal.head(branch).seq);
    const state = said.state === "current" && at < of ? "behind" : said.state;
    return { name, branch, at, of, state, why, sinceMs, saidMs, reached: live };
  }).sort((a, b) => a.name < b.name ? -1 : 1);
  return { ...own, lock: lockLine(held), network, hosts };
}

const NOWHERE: Listening = { addresses: [], why: "", isDhtSuspect: false };

/** Where this host waits for others; a net half that is gone is an answer too. */
async function listening(host: Host): Promise<Listening> {
  try {
    return await host.mesh.listening();
  } catch (e) {
    return { ...NOWHERE, why: Fault.from("status", e).message };
  }
}

type Own = Omit<ReportWords, "n" | "timeMs">;

/** What this host says of itself to others. */
export function ownReport(host: Host): Own | undefined {
  const { branch, at, of, state, stopped, diverged, ahead, differing } = standing(host);
  if (branch === null) return undefined;
  const last = host.history.last();
  const why = diverged ?? ahead ??
    (stopped !== null
      ? `entry ${stopped.seq} is ${stopped.why}: ${stopped.reason ?? ""}`
      : differing.entries > 0
      ? `differs after ${differing.entries} entries, the last ${differing.last}`
      : "");
  return { branch, at, of, state, sinceMs: last?.endedMs ?? last?.startedMs ?? 0, why };
}

function lockLine(held: Held | undefined) {
  if (held?.held !== true) return null;
  const { holderName: holder, hostName: host, message, sinceMs, term } = held;
  return { holder, host, message, sinceMs, term };
}
