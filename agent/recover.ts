// Recover: a host that was put back from a backup, or whose disk was copied, takes in what others know of it, and signs again.
// Not how it is noticed (own.ts). A keeper among several does not get its vote back so: what it has promised to others and
// forgotten nobody can tell it, so the others take it out of the keepers and in again (keeper_change.ts).
import { Fault, toHex } from "../mq/mod.ts";
import { branchOf, type Call, hostId } from "./host.ts";
import { readEntry } from "./entry.ts";
import { CONTROL, inert } from "./names.ts";
import { members, nameOf } from "./trust.ts";

export interface Recovered {
  /** What this host did not remember; null: nothing. */
  was: string | null;
  /** The hosts that were asked and have answered, and those that could not be, by name. */
  asked: string[];
  missing: string[];
  /** Entries made on this host that it did not have; `up` applies them here as anywhere. */
  entries: number;
}

/**
 * Takes in what others know. `alone`: also where nobody can be asked.
 * @throws {Fault} noQuorum, when those who have to answer do not; refused, on one of several keepers
 */
export async function recover(call: Call, args: { alone: boolean }): Promise<Recovered> {
  const { host } = call;
  const self = hostId(host);
  const branch = branchOf(host, "recover");
  const asked = await host.replica.compareAll();
  await host.replica.sync();
  const policy = host.journal.needPolicy("recover");
  const others = [...members(policy).keys()].filter((id) => id !== self);
  const missing = others.filter((id) => !asked.includes(id));
  const names = (ids: string[]) => ids.map((id) => nameOf(policy, id)).sort();
  const was = host.own.ahead();
  const isKeeper = policy.keepers.hosts.includes(self);
  if (was !== undefined && isKeeper && policy.keepers.hosts.length > 1) {
    const name = inert(nameOf(policy, self));
    throw new Fault(
      "recover",
      "refused",
      "what a keeper among several has promised and forgotten, nobody can tell it",
      {
        hint:
          `isconf keeper remove ${name} on another keeper, isconf recover here, isconf keeper add ${name} there`,
      },
    );
  }
  if (!isKeeper) {
    // Whatever this host has had certified, a quorum has; and whether it is a keeper itself, they know.
    for (const one of [CONTROL, branch]) {
      const { seq, keeper } = await host.keepers.look("recover", policy, one);
      if (host.journal.head(one).seq < seq) await host.replica.pull(keeper, one);
    }
    if (host.journal.needPolicy("recover").keepers.hosts.includes(self)) return await recover(call, args);
  } else if (was !== undefined && asked.length === 0 && others.length > 0 && !args.alone) {
    throw new Fault(
      "recover",
      "noQuorum",
      `nobody can be asked what this host has signed; missing: ${names(missing).map(inert).join(", ")}`,
      { hint: "isconf recover when another host is there, or isconf recover --alone if none will ever be" },
    );
  }
  host.db.write((tx) => host.own.recovered(tx));
  const todo = host.journal.range(branch, host.history.applied() + 1, host.journal.head(branch).seq);
  const entries = [...todo].filter((row) => toHex(readEntry(row.entry).entry.origin) === self).length;
  return { was: was ?? null, asked: names(asked), missing: names(missing), entries };
}
