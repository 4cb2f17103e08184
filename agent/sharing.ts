// Sharing: contents of certified entries are given free for other hosts, in the order of the journal, after each check-in
// and import. What is only work stays on this host: nobody has said yet that it is to leave it.
import { toHex } from "../mq/mod.ts";
import { type Entry, readEntry } from "./entry.ts";
import type { Host } from "./host.ts";
import { getMeta, setMeta } from "./schema.ts";

/** The roots of contents that an entry needs. */
export function rootsOf(entry: Pick<Entry, "ops">): string[] {
  return entry.ops.flatMap((op) => {
    if (op.op === "file") return [toHex(op.tree)];
    if (op.op === "effects") return [toHex(op.list)];
    return op.op === "exec" && op.stdin !== null ? [toHex(op.stdin)] : [];
  });
}

/** Shares the contents of what was certified since the last time, oldest first; a crash goes on where it stopped. */
export async function shareNew({ db, journal, store }: Host): Promise<void> {
  const branch = getMeta(db, "branch");
  if (branch === undefined) return;
  const [was, at] = (getMeta(db, "shared") ?? " 0").split(" ") as [string, string];
  const to = journal.head(branch).seq;
  for (const row of journal.range(branch, was === branch ? Number(at) + 1 : 1, to)) {
    const roots = rootsOf(readEntry(row.entry).entry);
    const missing = new Set(await store.missing(roots)); // those come from other hosts, who have shared them
    for (const root of roots) if (!missing.has(root)) await store.share(root);
    if (roots.length > 0 || row.seq === to) db.write((tx) => setMeta(tx, "shared", `${branch} ${row.seq}`));
  }
}
