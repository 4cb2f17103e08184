// Epochs: where the chains go on when the root keys have said so, because most keepers are lost or because two entries were
// certified for one place: what the control journal says then, what of every other entry, and what is taken out of the chains.
// Not who says so (recovery.ts).
import type { Tx } from "../fs/mod.ts";
import { bytesEqual, toHex } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, type Op } from "./entry.ts";
import { CONTROL } from "./names.ts";
import type { Policy } from "./trust.ts";

/** What an epoch begins with: which entry each chain goes on from, and which ones do not count. */
export interface Base {
  /** By branch; none where nothing was. */
  ids: Readonly<Record<string, Uint8Array>>;
  /** In hex. */
  drops: ReadonlySet<string>;
}

/** The beginning of an epoch that an entry is, if it is one. */
export function epochIn({ level, branch, ops }: Entry): Op & { op: "epoch" } | undefined {
  return branch === CONTROL && level <= ENTRY_LEVEL ? ops.find((op) => op.op === "epoch") : undefined;
}

/** What of the chains the new epoch goes on from, for {@link Policy.changes}; or, as text, why it cannot be. */
export function changeOf(
  policy: Pick<Policy, "branches" | "changes">,
  { bases, drops }: Op & { op: "epoch" },
  entry: Entry,
  id: Uint8Array,
): Policy["changes"][number] | string {
  const [seq, prev] = bases[CONTROL] ?? [];
  if (seq !== entry.seq - 1 || prev === undefined || !bytesEqual(prev, entry.prev)) {
    return "an epoch for another place of the control journal";
  }
  const names = Object.keys(bases);
  if (
    names.length !== policy.branches.size + 1 || names.some((b) => b !== CONTROL && !policy.branches.has(b))
  ) {
    return "an epoch that does not say of every branch where it goes on";
  }
  for (const [name, from] of policy.branches) {
    const own = bases[name]![0];
    if (from !== null && (bases[from.branch]![0] < from.seq || own < from.seq)) {
      return `an epoch in which ${name} has no beginning`;
    }
  }
  for (const { cuts, base } of policy.changes) {
    for (const name of base === undefined ? [] : Object.keys(cuts)) {
      const [own, ownId] = bases[name]!;
      const id = own > 0 ? base?.ids[name] : undefined;
      const isBehind = own < cuts[name]! ||
        (own === cuts[name] && id !== undefined && !bytesEqual(id, ownId));
      if (name !== CONTROL && isBehind) return `an epoch in which ${name} goes back behind an earlier one`;
    }
  }
  const ids = Object.fromEntries(
    names.map((name) => [name, bases[name]![1]]).filter(([, id]) => id!.length > 0),
  );
  const cuts = Object.fromEntries(names.map((name) => [name, bases[name]![0]]));
  // Of the control journal the entry that says so itself is the one to go on from.
  return {
    seq: entry.seq,
    cuts: { ...cuts, [CONTROL]: entry.seq },
    base: { ids: { ...ids, [CONTROL]: id }, drops: new Set(drops.map(toHex)) },
  };
}

/** Why an entry that was made under the policy `then` does not count, as `now` knows; undefined: no epoch speaks against it. */
export function wrongEpoch(now: Policy, then: Policy, entry: Entry, id: Uint8Array): string | undefined {
  const { branch, seq } = entry;
  if (entry.epoch !== then.epoch + (epochIn(entry) === undefined ? 0 : 1)) {
    return `is of another epoch, ${entry.epoch}`;
  }
  for (const change of now.changes) {
    if (change.base === undefined) continue;
    const { ids, drops } = change.base;
    const end = Object.hasOwn(change.cuts, branch) ? change.cuts[branch] as number : 0;
    if (drops.has(toHex(id))) return "does not count: the root keys of the domain have said so";
    const isAfter = then.seq >= change.seq;
    if (!isAfter && seq > end) return `is of an epoch that ended with entry ${end}`;
    if (isAfter && seq <= end) return `stands before entry ${end}, from which its epoch goes on`;
    if (seq === end && Object.hasOwn(ids, branch) && !bytesEqual(ids[branch] as Uint8Array, id)) {
      return "is not the one that the domain goes on from";
    }
  }
  return undefined;
}

/**
 * Whether a later epoch has said which of several entries for a place counts, and what it goes on from is held: `idAt` gives the
 * id of what is held of the branch at a place.
 */
export function isSettled(
  policy: Policy | undefined,
  { branch, seq, ids }: { branch: string; seq: number; ids: readonly Uint8Array[] },
  idAt: (seq: number) => Uint8Array | undefined,
): boolean {
  return (policy?.changes ?? []).some(({ cuts, base }) => {
    if (base === undefined) return false;
    if (ids.some((id) => base.drops.has(toHex(id)))) return true;
    const end = Object.hasOwn(cuts, branch) ? cuts[branch] as number : 0;
    const id = Object.hasOwn(base.ids, branch) ? base.ids[branch] : undefined;
    const held = id && idAt(end);
    return seq <= end && id !== undefined && held !== undefined && bytesEqual(id, held);
  });
}

/** What was taken out of a chain: entries from here on. */
export interface Cut {
  branch: string;
  from: number;
}

/**
 * Takes out of the chains what a new epoch leaves behind, in the transaction that keeps it. Where a chain does not hold the
 * entry to go on from but another, it is not known from where on it is wrong: then it is fetched anew, and only what is
 * named here has certainly gone.
 */
export function cutBack(tx: Tx, before: Policy | undefined, entry: Entry): Cut[] {
  const { bases, drops } = epochIn(entry) as Op & { op: "epoch" };
  const cut: Cut[] = [];
  tx.run("DELETE FROM entry WHERE branch = ? AND seq >= ?", CONTROL, entry.seq);
  for (const { branch } of tx.all<{ branch: string }>("SELECT DISTINCT branch FROM entry")) {
    if (branch === CONTROL) continue;
    const [seq, id] = Object.hasOwn(bases, branch) ? bases[branch]! : [0, new Uint8Array(0)];
    const at = tx.get<{ id: Uint8Array }>("SELECT id FROM entry WHERE branch = ? AND seq = ?", branch, seq);
    const dropped = drops.flatMap((drop) =>
      tx.get<{ seq: number }>("SELECT seq FROM entry WHERE branch = ? AND id = ?", branch, drop)?.seq ?? []
    );
    const isOurs = at === undefined || bytesEqual(at.id, id);
    const surely = Math.min(isOurs ? seq + 1 : seq, ...dropped);
    const from = isOurs || dropped.length > 0 ? surely : settledTo(before, branch) + 1;
    const { changes } = tx.run("DELETE FROM entry WHERE branch = ? AND seq >= ?", branch, from);
    if (changes > 0) cut.push({ branch, from: surely });
  }
  return cut;
}

/** Up to where a branch is what earlier epochs went on from. */
function settledTo(policy: Policy | undefined, branch: string): number {
  const ends = (policy?.changes ?? []).filter(({ base }) => base !== undefined).map(({ cuts }) =>
    Object.hasOwn(cuts, branch) ? cuts[branch] as number : 0
  );
  return Math.max(0, ...ends);
}
