// Applied: which contents the entries need that this host has applied. Not what is still to be applied: that comes when it is.
import type { Db, Id } from "../fs/mod.ts";
import { pause } from "../mq/mod.ts";
import { readEntry } from "./entry.ts";
import type { History } from "./history.ts";
import type { Journal } from "./journal.ts";
import { getMeta } from "./schema.ts";
import { rootsOf } from "./sharing.ts";

export class Applied {
  readonly #o: { db: Db; journal: Journal; history: History };
  /** Of which branch, up to where, and what these entries need. */
  #known = { branch: "", to: 0, contents: new Set<Id>() };

  constructor(options: { db: Db; journal: Journal; history: History }) {
    this.#o = options;
  }

  /** The roots of these contents. What was read once is not read again. */
  async contents(): Promise<ReadonlySet<Id>> {
    const { db, journal, history } = this.#o;
    const branch = getMeta(db, "branch") ?? "";
    const to = history.applied();
    if (this.#known.branch !== branch || this.#known.to > to) {
      this.#known = { branch, to: 0, contents: new Set() };
    }
    const known = this.#known;
    for (const { seq, entry } of journal.range(branch, known.to + 1, to)) {
      for (const root of rootsOf(readEntry(entry).entry)) known.contents.add(root);
      known.to = Math.max(known.to, seq); // two may read at the same time
      if (seq % 256 === 0) await pause();
    }
    return known.contents;
  }
}
