// Parting: where the chain that another host has parts from ours. Not what follows from that (intake.ts).
import { bytesEqual } from "../mq/mod.ts";
import { type EntryRecord, readEntry } from "./entry.ts";
import { readRecord } from "./intake.ts";
import type { Journal } from "./journal.ts";
import { pullAskMs } from "./limits.ts";
import type { Mesh } from "./mesh.ts";

interface Place {
  host: string;
  branch: string;
  seq: number;
}

/** The first entry up to a place in which a host's chain differs from ours; undefined when there it does not differ. */
export async function whereTheyPart(
  journal: Journal,
  mesh: Mesh,
  { host, branch, seq }: Place,
): Promise<{ seq: number; record: EntryRecord } | undefined> {
  let same = journal.policy()?.branches.get(branch)?.seq ?? 0;
  let differs = seq;
  let record = seq > same ? await differing(journal, mesh, { host, branch, seq }) : undefined;
  while (record !== undefined && differs - same > 1) {
    const middle = same + Math.floor((differs - same) / 2);
    const earlier = await differing(journal, mesh, { host, branch, seq: middle });
    if (earlier === undefined) same = middle;
    else [differs, record] = [middle, earlier];
  }
  return record && { seq: differs, record };
}

/** What a host has at a place where we have something else. */
async function differing(
  journal: Journal,
  mesh: Mesh,
  { host, branch, seq }: Place,
): Promise<EntryRecord | undefined> {
  const answer = await mesh.ask(host, "entries", [branch, seq - 1], pullAskMs);
  const first = Array.isArray(answer) ? answer[0] : undefined;
  if (first === undefined) return undefined;
  const record = readRecord(first);
  const ours = journal.at(branch, seq)?.id;
  return ours === undefined || bytesEqual(readEntry(record.entry).id, ours) ? undefined : record;
}
