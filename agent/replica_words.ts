// Replica words: what a host answers to those who ask for its journal, and how such an answer is read. Not who is asked (replica.ts).
import { type Cbor, Fault } from "../mq/mod.ts";
import { writeRecord } from "./intake.ts";
import type { Journal } from "./journal.ts";
import { pageBytesMax, pageEntriesMax } from "./limits.ts";
import { CONTROL } from "./names.ts";

/** Where each chain that is here ends. */
export function headsOf(journal: Journal): Cbor {
  const branches = [CONTROL, ...journal.policy()?.branches.keys() ?? []];
  return branches.map((branch) => {
    const { seq, id } = journal.head(branch);
    return [branch, seq, id];
  });
}

/** The entries of a chain after a place, as many as fit into one message. */
export function pageOf(journal: Journal, value: Cbor): Cbor {
  const [branch, after] = Array.isArray(value) ? value : [];
  if (typeof branch !== "string" || typeof after !== "number" || after < 0) {
    throw new Fault("entries", "usage", "entries are asked for by branch and place", {
      hint: "isconf version",
    });
  }
  const page: Uint8Array[][] = [];
  let bytes = 0;
  for (const row of journal.range(branch, after + 1, after + pageEntriesMax)) {
    const record = writeRecord(row);
    bytes += record.reduce((sum, part) => sum + part.length + 8, 0);
    if (page.length > 0 && bytes > pageBytesMax) break;
    page.push(record);
  }
  return page;
}

/** What a host says of one of its chains. Throws a corrupt fault. */
export function readHead(value: Cbor): [branch: string, head: { seq: number; id: Uint8Array }] {
  const [branch, seq, id] = Array.isArray(value) ? value : [];
  if (typeof branch !== "string" || typeof seq !== "number" || !(id instanceof Uint8Array)) {
    throw new Fault("journal", "corrupt", "the ends of its chains are malformed", { hint: "isconf status" });
  }
  return [branch, { seq, id }];
}
