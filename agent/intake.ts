// Intake: records of a journal that came from outside, by network or by bundle: checked, then kept, or a fork proven.
// Not where they came from (replica.ts, bundle.ts).
import type { Db } from "../fs/mod.ts";
import { bytesEqual, type Cbor, type Clock, Fault, fromHex } from "../mq/mod.ts";
import { type EntryRecord, readEntry, votesOf } from "./entry.ts";
import { epochIn } from "./epochs.ts";
import { certifiedHalf, checkForkProof, type ForkKind } from "./fork_proof.ts";
import type { Checked, Journal } from "./journal.ts";
import { CONTROL, inert } from "./names.ts";
import type { Policy } from "./trust.ts";

/** Where records go. */
export interface Intake {
  readonly db: Db;
  readonly journal: Journal;
  readonly clock: Clock;
}

/** What records must be, where that is known. */
export interface Must {
  /** Pins the genesis entry of a host that has no domain yet: the domain's id in hex. */
  domain?: string;
  /** Their branch, and the place of the first. */
  branch?: string;
  from?: number;
  /** Also of a branch that is frozen: for who is about to say what counts. */
  isResolving?: boolean;
}

/**
 * Keeps those of the records that are new, all of one branch and in order, in one transaction; returns how many.
 * @throws {Fault} corrupt, denied or refused: what stood before that record is kept, and nothing from it on; forked, when
 *   it is a second certified entry for a place that is taken: the proof is kept then
 */
export function takeIn(into: Intake, records: readonly EntryRecord[], must: Must = {}): number {
  const checked: Checked[] = [];
  try {
    checkAll(into, records, checked, must);
  } finally {
    if (checked.length > 0) into.db.write((tx) => into.journal.append(tx, checked));
  }
  return checked.length;
}

/** Checks records one after the other and adds what is new to `checked`. Throws at the first that is not right. */
function checkAll(
  into: Intake,
  records: readonly EntryRecord[],
  checked: Checked[],
  { domain, branch: asked, from, isResolving = false }: Must,
): void {
  let head: Parameters<Journal["check"]>[1] | undefined;
  for (const [i, record] of records.entries()) {
    const { entry, id } = readEntry(record.entry);
    const { branch, seq } = entry;
    if ((asked !== undefined && branch !== asked) || (from !== undefined && seq !== from + i)) {
      throw new Fault("journal", "corrupt", `entry ${seq} of ${inert(branch)} was not asked for`, {
        hint: "isconf status",
      });
    }
    if (branch === CONTROL && seq === 1 && into.journal.domain() === undefined) {
      if (domain === undefined || !bytesEqual(id, fromHex(domain))) {
        throw new Fault("journal", "corrupt", "the control journal begins with another genesis entry", {
          hint: "isconf status on a host you trust shows the domain's id",
        });
      }
    }
    const held = into.journal.at(branch, seq);
    if (held !== undefined && held.branch === branch) {
      if (bytesEqual(held.id, id)) continue;
      if (!into.journal.endsHere(entry)) throw proven(into, record, held);
      const now = into.journal.policyAt(entry.prev) as Policy;
      head = { seq: seq - 1, id: entry.prev, epoch: now.epoch, now };
    } else if (!isResolving && epochIn(entry) === undefined) {
      into.journal.needUnforked("journal", branch);
    }
    head ??= into.journal.head(branch);
    const one = into.journal.check(record, head);
    checked.push(one);
    head = { seq, id: one.id, epoch: entry.epoch, policySeq: one.policySeq };
  }
}

/**
 * What a second entry for a place that is taken comes to. Two certificates stop the branch. One that nobody certified is
 * discarded, but what it proves of who signed it, or voted for it, is kept. Throws corrupt when it proves nothing.
 */
function proven(into: Intake, record: EntryRecord, held: EntryRecord): Fault {
  const { entry: { branch, seq } } = readEntry(record.entry);
  for (const [first, second] of votesOfBoth(held.cert, record.cert)) {
    prove(into, "keeper", branch, first, second);
  }
  try {
    into.journal.checkFork(record);
  } catch (e) {
    prove(into, "author", branch, held.entry, record.entry);
    return Fault.from("journal", e);
  }
  prove(into, "certified", branch, certifiedHalf(held), certifiedHalf(record));
  return new Fault(
    "journal",
    "forked",
    `two different entries ${seq} of ${inert(branch)} were certified`,
    { hint: `isconf resolve ${inert(branch)}, with the root keys of the domain` },
  );
}

/**
 * Keeps what two statements prove, when they prove anything; whether they do. In a transaction of its own: it counts
 * whatever becomes of what they came with.
 */
export function prove(
  { db, journal, clock }: Intake,
  kind: ForkKind,
  branch: string,
  first: Uint8Array,
  second: Uint8Array,
): boolean {
  try {
    const proof = checkForkProof(journal, kind, branch, first, second);
    db.write((tx) => journal.forks.keep(tx, journal.needPolicy("proof"), proof, clock.wall()));
    return true;
  } catch (e) {
    if (e instanceof Fault) return false;
    throw e;
  }
}

/** The author proofs among entries for one branch, none of which need be certified: of each place the first two that differ. */
export function proveAuthors(into: Intake, branch: string, entries: readonly Uint8Array[]): void {
  const first = new Map<string, Uint8Array>();
  for (const bytes of entries) {
    const { entry: { epoch, term, seq }, kid } = readEntry(bytes);
    const place = `${kid} ${epoch} ${term} ${seq}`;
    const before = first.get(place);
    if (before === undefined) first.set(place, bytes);
    else if (!bytesEqual(before, bytes)) prove(into, "author", branch, before, bytes);
  }
}

/** The votes of each keeper that has voted in both certificates. */
function votesOfBoth(ours: Uint8Array, theirs: Uint8Array): [Uint8Array, Uint8Array][] {
  try {
    const votes = votesOf(ours);
    return votesOf(theirs).flatMap(({ kid, bytes }) =>
      votes.filter((vote) => vote.kid === kid).map((vote): [Uint8Array, Uint8Array] => [vote.bytes, bytes])
    );
  } catch (e) {
    if (e instanceof Fault) return []; // no certificate at all
    throw e;
  }
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
