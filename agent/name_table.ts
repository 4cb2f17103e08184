// Name table: the records of names that this host keeps, in agent.db. What comes in has been checked (name_records.ts); it
// is bounded here, for the domain, each person and each name. Not how records travel (name_spread.ts).
import type { Db, Reader, Tx } from "../fs/mod.ts";
import { fromHex, sha256, toHex } from "../mq/mod.ts";
import { nameIdsMax, namesMax, namesPerAuthorMax } from "./limits.ts";
import { type NameRecord, readName } from "./name_records.ts";
import { type Standing, standingOf, toKeep } from "./name_values.ts";
import { mayName, type Policy } from "./trust.ts";

interface Row {
  id: Uint8Array;
  name: string;
  author: string;
}

export class NameTable {
  readonly #db: Db;
  /** The digest of all that counts, and of which version of the table. */
  #digest: { of: string; is: Uint8Array } | undefined;
  #changes = 0;
  readonly #onTaken: (() => void)[] = [];

  constructor(db: Db) {
    this.#db = db;
  }

  /** What stands of a name under this policy. */
  standing(policy: Policy, name: string): Standing {
    return this.#db.read((r) => standingIn(r, policy, name));
  }

  /** The names of which anything is kept, in order; also those that are withdrawn. */
  names(): string[] {
    return this.#db.read((r) =>
      r.all<{ name: string }>("SELECT DISTINCT name FROM name_record ORDER BY name").map(({ name }) => name)
    );
  }

  has(id: string): boolean {
    return this.#db.read((r) => r.get("SELECT 1 FROM name_record WHERE id = ?", fromHex(id)) !== undefined);
  }

  /** What of a name is in the table with this key, however it stands. */
  by(author: string): NameRecord[] {
    return this.#db.read((r) =>
      r.all<{ bytes: Uint8Array }>("SELECT bytes FROM name_record WHERE author = ?", author)
        .map(({ bytes }) => readName(bytes))
    );
  }

  /**
   * Keeps checked records that are new, all in one transaction, as far as there is room for them; returns what is new and
   * kept now.
   */
  take(policy: Policy, records: readonly NameRecord[]): NameRecord[] {
    const fresh = records.filter(({ id }) => !this.has(id));
    if (fresh.length === 0) return [];
    this.#changes++;
    this.#db.write((tx) => {
      const room = new Room(tx, policy);
      for (const record of fresh) {
        if (!room.isFor(record)) continue;
        tx.run(
          "INSERT OR IGNORE INTO name_record VALUES (?, ?, ?, ?)",
          fromHex(record.id),
          record.words.name,
          record.author,
          record.bytes,
        );
      }
      for (const name of new Set(fresh.map(({ words }) => words.name))) trim(tx, policy, name);
    });
    const kept = fresh.filter(({ id }) => this.has(id));
    if (kept.length > 0) this.#onTaken.forEach((fn) => fn());
    return kept;
  }

  /** Calls `fn` each time that something new is kept. */
  onTaken(fn: () => void): void {
    this.#onTaken.push(fn);
  }

  /** Differs when something was taken in since, or another policy says what counts: for who remembers what he has read. */
  version(policy: Policy): string {
    return `${toHex(policy.head)} ${this.#changes}`;
  }

  /** A digest of the ids of all records that count under this policy: two hosts that agree have the same. */
  digest(policy: Policy): Uint8Array {
    const of = this.version(policy);
    if (this.#digest?.of === of) return this.#digest.is;
    const ids = this.ids(policy, new Uint8Array(0), nameIdsMax);
    const all = new Uint8Array(32 * ids.length);
    for (const [i, id] of ids.entries()) all.set(id, 32 * i);
    const is = sha256(all);
    this.#digest = { of, is };
    return is;
  }

  /** Ids of records that count, in ascending order, of those after `after` the first `max`. */
  ids(policy: Policy, after: Uint8Array, max: number): Uint8Array[] {
    return this.#db.read((r) => {
      const ids: Uint8Array[] = [];
      const rows = r.iterate<Row>("SELECT id, name, author FROM name_record WHERE id > ? ORDER BY id", after);
      for (const { id, name, author } of rows) {
        if (!mayName(policy, author, name)) continue;
        ids.push(id);
        if (ids.length >= max) break;
      }
      return ids;
    });
  }

  /** The records with these ids that count, as many as have room in `bytesMax`. */
  records(policy: Policy, ids: readonly Uint8Array[], bytesMax: number): Uint8Array[] {
    return this.#db.read((r) => {
      const found: Uint8Array[] = [];
      let room = bytesMax;
      for (const id of ids) {
        const row = r.get<Row & { bytes: Uint8Array }>("SELECT * FROM name_record WHERE id = ?", id);
        if (row === undefined || !mayName(policy, row.author, row.name)) continue;
        room -= row.bytes.length + 8;
        if (room < 0) break;
        found.push(row.bytes);
      }
      return found;
    });
  }
}

function standingIn(r: Reader, policy: Policy, name: string): Standing {
  const rows = r.all<{ bytes: Uint8Array }>("SELECT bytes FROM name_record WHERE name = ?", name);
  const counts = ({ author, words }: NameRecord) => mayName(policy, author, words.name);
  return standingOf(rows.map(({ bytes }) => readName(bytes)), counts);
}

/** Forgets what is not kept of a name any more. */
function trim(tx: Tx, policy: Policy, name: string): void {
  const kept = toKeep(standingIn(tx, policy, name));
  for (const { id } of tx.all<Row>("SELECT id FROM name_record WHERE name = ?", name)) {
    if (!kept.has(toHex(id))) tx.run("DELETE FROM name_record WHERE id = ?", id);
  }
}

/** How many more names a domain and each person may have, counted once for all that comes together. */
class Room {
  readonly #tx: Tx;
  readonly #policy: Policy;
  #names: number | undefined;
  readonly #ofAuthor = new Map<string, number>();

  constructor(tx: Tx, policy: Policy) {
    this.#tx = tx;
    this.#policy = policy;
  }

  /** Whether a record is of a name that is known, by a person who has spoken of it, or there is room for one more. */
  isFor({ author, words: { name } }: NameRecord): boolean {
    const tx = this.#tx;
    if (tx.get("SELECT 1 FROM name_record WHERE author = ? AND name = ?", author, name)) return true;
    const ofAuthor = this.#ofAuthor.get(author) ??
      count(tx, "SELECT COUNT(DISTINCT name) AS n FROM name_record WHERE author = ?", author);
    const isKnown = tx.get("SELECT 1 FROM name_record WHERE name = ?", name) !== undefined;
    if (ofAuthor >= namesPerAuthorMax || (!isKnown && !this.#hasNames())) return false;
    this.#ofAuthor.set(author, ofAuthor + 1);
    if (!isKnown) this.#names = (this.#names as number) + 1;
    return true;
  }

  #hasNames(): boolean {
    const counted = "SELECT COUNT(DISTINCT name) AS n FROM name_record";
    this.#names ??= count(this.#tx, counted);
    if (this.#names < namesMax) return true;
    for (const { author } of this.#tx.all<Row>("SELECT DISTINCT author FROM name_record")) {
      if (this.#policy.revoked.has(author)) this.#tx.run("DELETE FROM name_record WHERE author = ?", author);
    }
    this.#names = count(this.#tx, counted);
    return this.#names < namesMax;
  }
}

const count = (r: Reader, sql: string, ...params: string[]): number =>
  r.get<{ n: number }>(sql, ...params)?.n ?? 0;
