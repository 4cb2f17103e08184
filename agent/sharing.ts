// Sharing: contents of certified entries are given free for other hosts, in the order of the journal, after each check-in
// and import. What is only work stays on this host: nobody has said yet that it is to leave it.
import { Fault, toHex } from "../mq/mod.ts";
import { type Entry, readEntry } from "./entry.ts";
import type { Host } from "./host.ts";
import { getMeta, setMeta } from "./schema.ts";

/** The roots of contents that an entry needs. */
export function rootsOf(entry: Entry): string[] {
  return entry.ops.flatMap((op) => {
    if (op.op === "file") return [toHex(op.tree)];
    return op.op === "exec" && op.stdin !== null ? [toHex(op.stdin)] : [];
  });
}

export class Sharing {
  readonly #host: Host;
  #running = false;
  #again = false;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Goes on where it stopped, in the background; what fails is tried again the next time. */
  goOn(): void {
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    this.#run()
      .catch((e) => this.#host.log(`sharing contents: ${Fault.from("share", e).message}`))
      .finally(() => this.#running = false);
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      const { db, journal, store } = this.#host;
      const branch = getMeta(db, "branch");
      if (branch === undefined) return;
      const [was, at] = (getMeta(db, "shared") ?? " 0").split(" ") as [string, string];
      const from = was === branch ? Number(at) + 1 : 1;
      const to = journal.head(branch).seq;
      for (const row of journal.range(branch, from, to)) {
        const { entry } = readEntry(row.entry);
        const roots = rootsOf(entry);
        const missing = new Set(await store.missing(roots));
        for (const root of roots) if (!missing.has(root)) await store.share(root);
        if (roots.length > 0 || row.seq === to) {
          db.write((tx) => setMeta(tx, "shared", `${branch} ${row.seq}`));
        }
      }
    }
  }
}
