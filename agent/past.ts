// Past: whether what this host has applied is still what its chain says. If not it is diverged, which is noted and stays. Not what
// it has applied (history.ts), not what people do about it (recovery.ts).
import type { Tx } from "../fs/mod.ts";
import { bytesEqual } from "../mq/mod.ts";
import type { Cut } from "./epochs.ts";
import type { HistoryRow } from "./history.ts";
import type { Host } from "./host.ts";
import { getMeta, setMeta } from "./schema.ts";

type Here = Pick<Host, "db" | "journal" | "history">;

/** Whether a branch has, at its place, what was applied here. */
export function isOnChain(journal: Host["journal"], branch: string, { seq, id }: HistoryRow): boolean {
  const at = journal.at(branch, seq)?.id;
  return at !== undefined && bytesEqual(at, id);
}

/** Whether this host has applied, last, what does not count: whoever puts that right can go on from what does. */
export function isOffChain({ db, journal, history }: Here): boolean {
  const [branch, last] = [getMeta(db, "branch"), history.last()];
  return branch !== undefined && last !== undefined && !isOnChain(journal, branch, last);
}

/** What was taken out of the chain of this host, and was applied here already, makes it differ from all others. */
export function noteCut({ db, journal, history }: Here, tx: Tx, { branch, from }: Cut): void {
  const own = getMeta(db, "branch");
  const last = history.last();
  if (own === undefined || last === undefined || last.seq < from || !journal.lineage(own).includes(branch)) {
    return;
  }
  if (isOnChain(journal, own, last)) return;
  setMeta(tx, "diverged", `entry ${from} and what followed it, which ran here, does not count any more`);
}

/**
 * What was applied here last has to be what the chain has there, now that it has something there again: else it is noted that
 * this host differs. Returns why, then.
 */
export function notePast({ db, journal, history }: Here): string | undefined {
  const [branch, last] = [getMeta(db, "branch"), history.last()];
  if (branch === undefined || last === undefined || journal.at(branch, last.seq) === undefined) {
    return undefined;
  }
  if (isOnChain(journal, branch, last)) return undefined;
  const why = `what ran here as entry ${last.seq} is not what counts as that entry`;
  db.write((tx) => setMeta(tx, "diverged", why));
  return why;
}
