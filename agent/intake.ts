// Intake: records of a journal that came from outside, by network or by bundle: checked, then kept, or a fork proven.
// Not where they came from (replica.ts, bundle.ts).
import type { Db } from "../fs/mod.ts";
import { bytesEqual, type Cbor, type Clock, Fault, fromHex } from "../mq/mod.ts";
import { type EntryRecord, readEntry } from "./entry.ts";
import type { Checked, Journal } from "./journal.ts";
import { CONTROL } from "./names.ts";

/** Where records go. */
export interface Intake {
  readonly db: Db;
  readonly journal: Journal;
  readonly clock: Clock;
}

/**
 * Keeps those of the records that are new, all of one branch and in order, in one transaction; returns how many.
 * `domain` (hex) pins the genesis entry of a host that has no domain yet.
 * @throws {Fault} corrupt, denied or refused, and nothing of these records is kept; forked, when one of them is a
 *   second signed entry for a place that is taken: the proof is kept then
 */
export function takeIn(into: Intake, records: readonly EntryRecord[], domain?: string): number {
  const checked: Checked[] = [];
  let head: Parameters<Journal["check"]>[1] | undefined;
  for (const record of records) {
    const { entry, id } = readEntry(record.entry);
    const { branch, seq } = entry;
    if (branch === CONTROL && seq === 1 && into.journal.domain() === undefined) {
      if (domain === undefined || !bytesEqual(id, fromHex(domain))) {
        throw new Fault("journal", "corrupt", "the control journal begins with another genesis entry", {
          hint: "isconf status on a host you trust shows the domain's id",
        });
      }
    }
    const held = into.journal.at(branch, seq);
    if (held !== undefined && held.branch === branch) {
      if (!bytesEqual(held.id, id)) throw proven(into, record, held);
      continue;
    }
    into.journal.needUnforked("journal", branch);
    head ??= into.journal.head(branch);
    const one = into.journal.check(record, head);
    checked.push(one);
    head = { seq, id: one.id, epoch: entry.epoch, policySeq: one.policySeq };
  }
  if (checked.length > 0) into.db.write((tx) => into.journal.append(tx, checked));
  return checked.length;
}

/** Keeps the proof that two entries were signed for one place. Throws corrupt when they are no proof of that. */
function proven(into: Intake, record: EntryRecord, held: EntryRecord): Fault {
  const { entry: { branch, seq }, kid } = readEntry(record.entry);
  const at = into.journal.at(branch, seq);
  const before = seq === 1 ? undefined : into.journal.at(branch, seq - 1);
  if (at !== undefined) into.journal.checkFork(record, at, before);
  into.db.write((tx) =>
    into.journal.keepForkProof(tx, branch, seq, held.entry, record.entry, into.clock.wall())
  );
  return new Fault(
    "journal",
    "forked",
    `two different entries ${seq} of ${branch} were signed by ${kid.slice(0, 12)}`,
    { hint: "isconf status: the branch is frozen until an owner resolves it" },
  );
}

/** A record as it travels. */
export function writeRecord({ entry, origin, cert }: EntryRecord): Uint8Array[] {
  return [entry, origin, cert];
}

/** A record that travelled, or a corrupt fault. */
export function readRecord(value: Cbor): EntryRecord {
  if (!Array.isArray(value) || value.length !== 3 || !value.every((v) => v instanceof Uint8Array)) {
    throw new Fault("journal", "corrupt", "a record is malformed", { hint: "isconf status" });
  }
  const [entry, origin, cert] = value as [Uint8Array, Uint8Array, Uint8Array];
  return { entry, origin, cert };
}
