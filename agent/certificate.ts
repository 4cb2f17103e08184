// Certificate: whether an entry is certain: whose votes it needs, and whether they are there. Not the votes' own form (entry.ts)
// and not what else is checked of an entry (journal.ts).
import { bytesEqual, type Fault } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, type EntryRecord, openVote, votesOf } from "./entry.ts";
import { epochIn } from "./epochs.ts";
import { follow, hostKey, isCut, type Policy } from "./trust.ts";

/**
 * The term of the votes that certify an entry that was made under `policy`; 0 where root keys do. `now`: the newest policy, which
 * knows of keys that were revoked since. Throws what `bad` makes of the reason when they are too few.
 */
export function certifiedIn(
  { record, entry, id }: { record: EntryRecord; entry: Entry; id: Uint8Array },
  policy: Policy,
  now: Policy,
  bad: (why: string) => Fault,
): number {
  const sets = keepersFor(policy, entry, id);
  if (sets.length === 0) return 0;
  const known = new Set(sets.flatMap(({ hosts }) => hosts));
  const votes = new Map<number, Set<string>>();
  for (const { kid, bytes } of votesOf(record.cert)) {
    if (!known.has(kid) || isCut(now, kid, entry.branch, entry.seq)) continue;
    const vote = openVote(bytes, entry.domain, entry.branch, hostKey(policy, kid));
    const same = vote.seq === entry.seq && vote.epoch === entry.epoch && bytesEqual(vote.id, id);
    if (!same || vote.term < entry.term) continue;
    votes.set(vote.term, (votes.get(vote.term) ?? new Set()).add(kid));
  }
  let most = 0;
  for (const [term, by] of votes) {
    const missing = sets.find(({ hosts, quorum }) => hosts.filter((host) => by.has(host)).length < quorum);
    if (missing === undefined) return term;
    most = Math.max(most, by.size);
  }
  const { quorum } = sets.at(-1) as Policy["keepers"];
  throw bad(`has the votes of ${most} keepers and needs ${quorum}: it was never certain`);
}

/**
 * Whose votes an entry needs that is made under a policy: of those who are keepers then, and of those whom it makes so. With
 * an epoch begins a time of which nobody is keeper yet: there root keys speak.
 */
export function keepersFor(policy: Policy, entry: Entry, id: Uint8Array): Policy["keepers"][] {
  if (epochIn(entry) !== undefined) return [];
  const isChange = entry.level <= ENTRY_LEVEL && entry.seq > 1 &&
    entry.ops.some(({ op }) => op === "keepers" || op === "register");
  return isChange ? [policy.keepers, follow(policy, entry, id).keepers] : [policy.keepers];
}
