// Name values: of all that is held of one name, what counts, what stands, and what is kept. No database and no keys: who
// may say something is the caller's to know.
import { compareBytes, fromHex, toHex } from "../mq/mod.ts";
import { nameSeqStepMax, nameValuesMax, nameVersionsKept } from "./limits.ts";
import type { NameRecord } from "./name_records.ts";

/** How the records of one name stand to each other; each list begins with the newest. */
export interface Standing {
  /** All that count: their authors may say so. */
  versions: NameRecord[];
  /** What the name means now: usually one record, several where people said different things at the same time. */
  values: NameRecord[];
  /** The last words of people whose key was revoked, as long as nobody has followed them. They mean nothing. */
  lapsed: NameRecord[];
}

/**
 * What stands of the records of one name. Of an author the newest counts; it is replaced by what names it in `after` and
 * has a higher seq, so that whatever is said, the record with the highest seq stands.
 */
export function standingOf(records: readonly NameRecord[], counts: (r: NameRecord) => boolean): Standing {
  const sorted = [...records].sort(newestFirst);
  const versions = sorted.filter(counts);
  const replacedBy = highestAfter(versions), seenBy = highestAfter(sorted);
  return {
    versions,
    values: newestOfEach(versions).filter((r) => (replacedBy.get(r.id) ?? 0) <= r.words.seq),
    lapsed: newestOfEach(sorted.filter((r) => !counts(r))).filter((r) => !seenBy.has(r.id)),
  };
}

/** The records that these follow, each with the highest seq of those that follow it. */
function highestAfter(records: readonly NameRecord[]): Map<string, number> {
  const highest = new Map<string, number>();
  for (const { words } of records) {
    for (const id of words.after.map(toHex)) highest.set(id, Math.max(words.seq, highest.get(id) ?? 0));
  }
  return highest;
}

/** The newest record of each author, in the order they come in: the newest first. */
export function newestOfEach(sorted: readonly NameRecord[]): NameRecord[] {
  const authors = new Set<string>();
  return sorted.filter(({ author }) => !authors.has(author) && authors.add(author));
}

/**
 * Which of them are kept: the last versions, each author's newest, so that what was replaced is known for it when it comes
 * again from a host that was off, and what has lapsed. Values go before what is replaced.
 */
export function toKeep({ versions, values, lapsed }: Standing): Set<string> {
  const replaced = newestOfEach(versions).filter((r) => !values.includes(r));
  const heads = [...values, ...replaced].slice(0, nameValuesMax);
  const kept = [...heads, ...versions.slice(0, nameVersionsKept), ...lapsed.slice(0, nameValuesMax)];
  return new Set(kept.map(({ id }) => id));
}

/**
 * What a new record of a name has to follow: its seq, and the records it replaces. What a revoked key said is followed too,
 * so that no version changes its meaning, unless it has tried to use all numbers up.
 */
export function nextAfter({ versions, values, lapsed }: Standing): { seq: number; after: Uint8Array[] } {
  const heads = newestOfEach(versions);
  const all = [...values, ...heads.filter((r) => !values.includes(r)), ...lapsed].slice(0, nameValuesMax);
  const highest = versions[0]?.words.seq ?? 0;
  const seqs = lapsed.map(({ words }) => words.seq).filter((seq) => seq <= highest + nameSeqStepMax);
  return {
    seq: Math.max(highest, ...seqs) + 1,
    after: all.map(({ id }) => fromHex(id)).sort(compareBytes),
  };
}

/** The order of versions; of equals, which only a key in two places can make, the higher id is the newer. */
function newestFirst(a: NameRecord, b: NameRecord): number {
  return b.words.seq - a.words.seq || (a.id < b.id ? 1 : -1);
}
