// Recovery: when agreement is at an end, because most keepers are lost or because two entries were certified for one place:
// who can be reached, what they have, and from where the root keys are asked to let the chains go on. And what that means for
// hosts that had applied what does not count. Not what such an entry does to the journal (epochs.ts).
import { bytesEqual, Fault, fromHex, keyId, toHex } from "../mq/mod.ts";
import { type Op, readEntry } from "./entry.ts";
import { gather } from "./gather.ts";
import { branchOf, type Call, type Host, hostId, personPair } from "./host.ts";
import type { HistoryRow } from "./history.ts";
import { keepersMax } from "./limits.ts";
import { needNoWip, needRole } from "./locks.ts";
import { CONTROL, inert } from "./names.ts";
import { memberNamed } from "./roles.ts";
import { isOffChain, isOnChain } from "./past.ts";
import { HERE } from "./report.ts";
import { propose } from "./root_change.ts";
import { getMeta, setMeta } from "./schema.ts";
import { isMember, majorityOf, members, nameOf, type Policy } from "./trust.ts";

/** What a new epoch would begin with, and what is not known of those who could not be asked. */
export interface Plan {
  /** Names of the hosts that gave what they have, and of those that could not be reached. */
  reached: string[];
  missing: string[];
  /** Where each chain would go on: after this entry. */
  ends: { branch: string; seq: number }[];
  /** What would not count any more, in words. */
  lost: string[];
  keepers: string[];
  quorum: number;
  /** For the root keys to sign; null: only shown. */
  proposal: string | null;
}

/**
 * Where most keepers are lost, or the etcd that decides: asks everybody who can be reached for the farthest certified end of
 * every chain, and makes of it a proposal to go on from there with other keepers, who decide themselves then.
 * @throws {Fault} refused, while enough keepers are there, or when one that is to be a keeper is not; usage
 */
export async function recover(
  call: Call,
  args: { keepers: string[]; quorum?: number; owner: boolean; yes: boolean },
): Promise<Plan> {
  const { host, actor } = call;
  const reached = await gather(host);
  const policy = host.journal.needPolicy("keeper");
  for (const branch of [CONTROL, ...policy.branches.keys()]) host.journal.needUnforked("keeper", branch);
  const here = new Set([hostId(host), ...reached]);
  const { hosts, quorum, etcd } = policy.keepers;
  const areThere = hosts.filter((k) => here.has(k)).length >= quorum;
  if (areThere && (etcd === undefined || await canAskEtcd(host, policy))) {
    throw new Fault("keeper", "refused", `${quorum} of ${hosts.length} keepers are there: nothing is lost`, {
      hint: "isconf keeper add or remove",
    });
  }
  const next = [...new Set(args.keepers.map((name) => memberNamed(policy, name, "keeper")))];
  const needed = args.quorum ?? majorityOf(next.length);
  if (next.length === 0 || next.length > keepersMax || 2 * needed <= next.length || needed > next.length) {
    throw new Fault("keeper", "usage", `of ${next.length} keepers ${needed} cannot agree`, {
      hint: "isconf help keeper",
    });
  }
  const absent = next.find((id) => !here.has(id));
  if (absent !== undefined) {
    throw new Fault(
      "keeper",
      "refused",
      `${inert(nameOf(policy, absent))}, which is to vote, was not reached`,
      {
        hint: "isconf hosts",
      },
    );
  }
  const author = fromHex(keyId(personPair(host, actor).publicKey));
  const bases = Object.fromEntries([CONTROL, ...policy.branches.keys()].map((b) => [b, endOf(host, b)]));
  const ops: Op[] = args.owner ? [{ op: "grant", key: author, role: "owner", branch: "*" }] : [];
  ops.push({ op: "epoch", hosts: next.map(fromHex), quorum: needed, bases, drops: [] });
  const lost = await Promise.all(
    [CONTROL, ...policy.branches.keys()].map(async (branch) =>
      (await host.keepers.voted(policy, branch)).filter(({ seq }) => seq > bases[branch]![0]).map((
        { keeper, seq },
      ) =>
        `${inert(nameOf(policy, keeper))} has voted for entry ${seq} of ${
          inert(branch)
        }, which may be certain elsewhere`
      )
    ),
  );
  for (const { host: id, branch, at } of host.reports.known()) {
    const isAhead = isMember(policy, id) && Object.hasOwn(bases, branch) && at > bases[branch]![0];
    if (isAhead) {
      lost.push([`${inert(nameOf(policy, id))} has applied ${inert(branch)} up to entry ${at}, as it said`]);
    }
  }
  return planOf(call, policy, reached, { bases, ops, lost: lost.flat(), yes: args.yes });
}

/** Whether a keeper answers what the etcd has decided, be it or not that anybody has that. */
async function canAskEtcd(host: Host, policy: Policy): Promise<boolean> {
  try {
    await host.keepers.look("keeper", policy, CONTROL);
    return true;
  } catch (e) {
    if (e instanceof Fault) return false; // it is not there, or has gone back
    throw e;
  }
}

/** Where a chain ends here, as an epoch names it. */
function endOf({ journal }: Host, branch: string): [number, Uint8Array] {
  const { seq, id } = journal.head(branch);
  return [seq, id];
}

function planOf(
  call: Call,
  policy: Policy,
  reached: readonly string[],
  { bases, ops, lost, yes }: {
    bases: Record<string, [number, Uint8Array]>;
    ops: Op[];
    lost: string[];
    yes: boolean;
  },
): Plan {
  const { hosts, quorum } = ops.at(-1) as Op & { op: "epoch" };
  const here = new Set([hostId(call.host), ...reached]);
  const names = (ids: Iterable<string>) => [...ids].map((id) => nameOf(policy, id)).sort();
  return {
    reached: names(here),
    missing: names([...members(policy).keys()].filter((id) => !here.has(id))),
    ends: Object.entries(bases).map(([branch, [seq]]) => ({ branch, seq })),
    lost,
    keepers: names(hosts.map(toHex)),
    quorum,
    proposal: yes ? propose(call, policy, ops).proposal : null,
  };
}

/**
 * Where two entries were certified for one place: makes a proposal to go on from the one that `keep` begins the id of. Of the
 * control journal neither stays: what was said from there on has to be said again.
 * @throws {Fault} refused, when nothing is forked, or this host has the other one; usage, naming both
 */
export async function resolve(
  call: Call,
  { branch, keep, yes }: { branch: string; keep?: string; yes: boolean },
): Promise<Plan> {
  const { host } = call;
  const { journal } = host;
  const proof = journal.forkProof(branch);
  if (proof === undefined) {
    throw new Fault("resolve", "refused", `${inert(branch)} is not forked`, { hint: "isconf status" });
  }
  const both = [proof.first, proof.second].map((bytes) => readEntry(bytes));
  const reached = await gather(host, branch);
  const place = branch === CONTROL ? journal.at(CONTROL, proof.seq - 1)?.id : undefined;
  const policy = (place && journal.policyAt(place)) ?? journal.needPolicy("resolve");
  let drops = both.map(({ id }) => id);
  if (branch !== CONTROL) {
    const kept = both.filter(({ id }) =>
      keep !== undefined && keep.length >= 8 && toHex(id).startsWith(keep)
    );
    const [one] = kept;
    if (one === undefined || kept.length > 1) {
      const words = both.map(({ entry, id, kid }) =>
        `${toHex(id).slice(0, 12)} by ${inert(nameOf(policy, kid))} on ${
          inert(nameOf(policy, toHex(entry.origin)))
        }: ${inert(entry.message)}`
      );
      throw new Fault(
        "resolve",
        "usage",
        `say which entry ${proof.seq} is to count: ${words.join("; or ")}`,
        {
          hint: `isconf resolve ${inert(branch)} ID`,
        },
      );
    }
    if (!bytesEqual(journal.at(branch, proof.seq)?.id ?? new Uint8Array(0), one.id)) {
      throw new Fault(
        "resolve",
        "refused",
        "this host has the other one: its chain is not the one to go on from",
        {
          hint: `isconf resolve ${inert(branch)} ${
            toHex(one.id).slice(0, 12)
          }, on a host that has that entry`,
        },
      );
    }
    drops = drops.filter((id) => !bytesEqual(id, one.id));
  }
  const bases = Object.fromEntries(
    [CONTROL, ...policy.branches.keys()].map((b) => [b, endUnder(host, b, policy)]),
  );
  const { hosts, etcd } = policy.keepers;
  const stay = hosts.filter((id) => isMember(policy, id));
  const quorum = etcd === undefined ? policy.keepers.quorum : majorityOf(stay.length); // the keepers decide then
  const epoch: Op = { op: "epoch", hosts: stay.map(fromHex), quorum, bases, drops };
  const lost = drops.map((id) =>
    `entry ${proof.seq} of ${inert(branch)}, ${toHex(id).slice(0, 12)}, and what follows it`
  );
  return planOf(call, policy, reached, { bases, ops: [epoch], lost, yes });
}

/** The last entry of a chain that was made under a policy, or one before it. */
function endUnder(host: Host, branch: string, policy: Policy): [number, Uint8Array] {
  const { journal } = host;
  if (branch === CONTROL) return [policy.seq, policy.head];
  const [end] = endOf(host, branch);
  for (let seq = end; seq > 0; seq--) {
    const row = journal.at(branch, seq);
    const then = row && journal.policyAt(readEntry(row.entry).entry.policy);
    if (row !== undefined && then !== undefined && then.seq <= policy.seq) return [seq, row.id];
  }
  return [0, new Uint8Array(0)];
}

/** What a host has applied of what does not count any more. */
export interface Rebased {
  branch: string;
  /** The last entry that it has applied and that counts. */
  at: number;
  /** What it had applied after that, in words. */
  undone: string[];
  done: boolean;
}

/**
 * Says of a host that differs that somebody has put right what entries that do not count have done to it: it goes on from the
 * last one that does. Without `yes` it is only said which those are.
 * @throws {Fault} denied, without the role; refused, when that is not why it differs
 */
export function rebase(call: Call, { yes }: { yes: boolean }): Rebased {
  const { host, actor } = call;
  needNoWip(call, "rebase");
  const branch = branchOf(host, "rebase");
  needRole(call, "rebase", branch, keyId(personPair(host, actor).publicKey));
  const last = host.history.last();
  if (getMeta(host.db, "diverged") === undefined || last === undefined || !isOffChain(host)) {
    throw new Fault("rebase", "refused", "this host has applied nothing that does not count any more", {
      hint: "isconf status",
    });
  }
  const undone: string[] = [];
  let at = last.seq;
  for (let row: HistoryRow | undefined = last; at > 0; row = host.history.at(--at)) {
    if (row !== undefined && isOnChain(host.journal, branch, row)) break;
    if (row !== undefined) undone.unshift(`entry ${at}, ${HERE[row.state]}`);
  }
  if (yes) {
    host.db.write((tx) => {
      host.history.forget(tx, at);
      setMeta(tx, "diverged", undefined);
    });
    host.log(`this host goes on from entry ${at}: what it had applied after that is said to be put right`);
  }
  return { branch, at, undone, done: yes };
}
