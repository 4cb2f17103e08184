// Stages: check-ins that hosts are bringing to this keeper, part by part; each entry is checked when it comes, and what is
// never finished is forgotten. Not whether a check-in is certified (keeper_service.ts).
import { bytesEqual, type Cancel, type Clock, Fault, toHex } from "../mq/mod.ts";
import { type Entry, type EntryRecord, readEntry } from "./entry.ts";
import type { Checked, Head, Journal } from "./journal.ts";
import type { RequestWords } from "./keeper_words.ts";
import type { Proposal } from "./keeper.ts";
import { entriesPerCommitMax, stageBytesMax, stageIdleMs, stagePartBytesMax, stagesMax } from "./limits.ts";
import { inert } from "./names.ts";

/** A check-in as far as it has come. */
export interface Stage {
  batch: Uint8Array;
  branch: string;
  /** The end of the branch that the first entry follows, and the end after the last part. */
  base: Head;
  head: Head & { policySeq?: number };
  entries: Checked[];
  parts: number;
  bytes: number;
  forget: Cancel;
}

type Part = RequestWords & { what: "stage" };

export class Stages {
  readonly #journal: Journal;
  readonly #clock: Clock;
  /** By host, the oldest first: a host brings one check-in at a time. */
  readonly #held = new Map<string, Stage>();

  constructor(journal: Journal, clock: Clock) {
    this.#journal = journal;
    this.#clock = clock;
  }

  /** How many bytes of entries are held. */
  get bytes(): number {
    return [...this.#held.values()].reduce((sum, stage) => sum + stage.bytes, 0);
  }

  /**
   * Takes one part of a check-in and checks each of its entries as if it were already certified. `mayBring` throws for an
   * entry that the host has no business with. After any fault nothing of the check-in is held.
   */
  async take(from: string, branch: string, part: Part, mayBring: (entry: Entry) => void): Promise<void> {
    if (part.part === 0) this.#begin(from, branch, part.batch);
    const stage = this.#held.get(from);
    const isNext = stage !== undefined && stage.branch === branch && stage.parts === part.part &&
      bytesEqual(stage.batch, part.batch);
    if (!isNext) throw refused("a part of a check-in that does not follow the one before");
    try {
      this.#makeRoom(from, stage, part);
      for (const [i, pair] of part.entries.entries()) {
        this.#check(stage, pair as [Uint8Array, Uint8Array], mayBring);
        if (i % 64 === 63) await this.#clock.pause();
      }
      stage.parts++;
    } catch (e) {
      this.#drop(from, stage);
      throw e;
    }
  }

  /** The whole of a check-in, which is not held here any longer. Throws refused when it has not all come. */
  finish(from: string, branch: string, batch: Uint8Array, parts: number): Stage {
    const stage = this.#held.get(from);
    if (
      stage === undefined || stage.branch !== branch || stage.parts !== parts ||
      !bytesEqual(stage.batch, batch) || stage.entries.length === 0
    ) {
      throw refused("the keeper does not have the whole of this check-in");
    }
    this.#drop(from, stage);
    return stage;
  }

  #begin(from: string, branch: string, batch: Uint8Array): void {
    const before = this.#held.get(from);
    if (before !== undefined) this.#drop(from, before);
    if (this.#held.size >= stagesMax) this.#dropOldestBut(from);
    const base = this.#journal.head(branch);
    const stage: Stage = {
      batch,
      branch,
      base,
      head: base,
      entries: [],
      parts: 0,
      bytes: 0,
      forget: () => {},
    };
    this.#held.set(from, stage);
  }

  /** Counts a part in. Others' check-ins give way, the oldest first: who brought them is told and begins again. */
  #makeRoom(from: string, stage: Stage, part: Part): void {
    stage.forget();
    stage.forget = this.#clock.after(stageIdleMs, () => this.#drop(from, stage));
    stage.bytes += part.entries.flat().reduce((sum, bytes) => sum + bytes.length, 0);
    while (this.bytes > stageBytesMax && this.#dropOldestBut(from));
    if (this.bytes > stageBytesMax || stage.entries.length + part.entries.length > entriesPerCommitMax) {
      throw new Fault("ci", "refused", "the check-in is too large for the keeper", { hint: "isconf wip" });
    }
  }

  #check(
    stage: Stage,
    [entry, origin]: [Uint8Array, Uint8Array],
    mayBring: (entry: Entry) => void,
  ): void {
    const record: EntryRecord = { entry, origin, cert: new Uint8Array(0) };
    const read = readEntry(entry).entry;
    if (read.branch !== stage.branch) throw refused("an entry of another branch");
    mayBring(read);
    const { base } = stage;
    if (stage.entries.length === 0 && (read.seq !== base.seq + 1 || !bytesEqual(read.prev, base.id))) {
      throw movedOn(stage.branch, base.seq);
    }
    const checked = this.#journal.check(record, stage.head, "proposal");
    stage.entries.push(checked);
    const { seq, epoch } = checked.entry;
    stage.head = { seq, id: checked.id, epoch, policySeq: checked.policySeq };
  }

  #dropOldestBut(from: string): boolean {
    for (const [host, stage] of this.#held) {
      if (host === from) continue;
      this.#drop(host, stage);
      return true;
    }
    return false;
  }

  #drop(from: string, stage: Stage): void {
    stage.forget();
    if (this.#held.get(from) === stage) this.#held.delete(from);
  }
}

/** The fault of a check-in that does not begin where the branch ends. */
export function movedOn(branch: string, seq: number): Fault {
  return new Fault("ci", "refused", `${inert(branch)} has moved on to entry ${seq}`, { hint: "isconf up" });
}

/** Whether an entry says that it was made on this host. */
export const isFrom = (entry: Entry, host: string): boolean => toHex(entry.origin) === host;

function refused(why: string): Fault {
  return new Fault("ci", "refused", why, { hint: "isconf ci" });
}

/** A check-in in pieces that fit into one message each. */
export const partsOf = (batch: readonly Proposal[]): IterableIterator<Uint8Array[][]> =>
  inParts(
    batch.map(({ entry, origin }) => [entry, origin]),
    ([entry, origin]) => entry!.length + origin!.length,
  );

/** All of these in pieces that fit into one message each. */
export function* inParts<T>(all: readonly T[], bytesOf: (one: T) => number): IterableIterator<T[]> {
  let part: T[] = [];
  let bytes = 0;
  for (const one of all) {
    const size = bytesOf(one) + 16;
    if (part.length > 0 && bytes + size > stagePartBytesMax) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(one);
    bytes += size;
  }
  if (part.length > 0) yield part;
}
