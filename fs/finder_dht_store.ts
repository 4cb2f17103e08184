// finder_dht_store: what the DHT keeps for others on this host, in a database with limits: kad-dht itself has none. All of
// it can be lost: it is told again.
import { BaseDatastore } from "datastore-core";
import { Key, type KeyQuery, type Pair, type Query } from "interface-datastore";
import { type Clock, Fault, type PeerId } from "../mq/mod.ts";
import type { Db, Migration } from "./db.ts";
import { openDatabase } from "./db.ts";
import { dhtAgeMs, dhtRowsMax, dhtRowsPerPeerMax, dhtValueBytesMax } from "./limits.ts";
import type { Newest } from "./peer_record.ts";

const MIGRATIONS: Migration[] = [{
  version: 1,
  name: "records of others",
  sql: `
    CREATE TABLE row (
      n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, value BLOB NOT NULL,
      at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX row_owner ON row (owner, n);
    CREATE TABLE newest (peer TEXT PRIMARY KEY, seq INTEGER NOT NULL, n INTEGER NOT NULL) STRICT;
    CREATE INDEX newest_n ON newest (n);`,
}];

/** Opens (creates) the DHT's database at `path`. */
export function openDhtDatabase(path: string): Db {
  return openDatabase(path, { migrations: MIGRATIONS, synchronous: "NORMAL" });
}

/**
 * The datastore of kad-dht. A row counts for `dhtAgeMs`; of the last `dhtRowsMax` puts, and of each peer's own records
 * the last `dhtRowsPerPeerMax`, so that one peer cannot push the others out.
 */
export class DhtStore extends BaseDatastore {
  readonly #db: Db;
  readonly #clock: Clock;

  constructor(db: Db, clock: Clock) {
    super();
    this.#db = db;
    this.#clock = clock;
  }

  /** The highest `seq` of peer records, of as many peers as there may be rows. */
  readonly newest: Newest = {
    get: (peer) =>
      this.#db.read((r) => r.get<{ seq: number }>("SELECT seq FROM newest WHERE peer = ?", peer)?.seq),
    set: (peer, seq) =>
      this.#db.write((tx) => {
        const next = "(SELECT coalesce(max(n), 0) + 1 FROM newest)";
        tx.run(`INSERT OR REPLACE INTO newest (peer, seq, n) VALUES (?, ?, ${next})`, peer, seq);
        tx.run("DELETE FROM newest WHERE n <= (SELECT max(n) FROM newest) - ?", dhtRowsMax);
      }),
  };

  override put(key: Key, value: Uint8Array): Key {
    if (value.length > dhtValueBytesMax) {
      throw new Fault("dht", "usage", `a value of ${value.length} bytes, at most ${dhtValueBytesMax}`, {
        hint: "isconf doctor",
      });
    }
    const owner = ownerOf(key);
    this.#db.write((tx) => {
      tx.run(
        "INSERT OR REPLACE INTO row (key, owner, value, at_ms) VALUES (?, ?, ?, ?)",
        key.toString(),
        owner,
        value,
        Math.trunc(this.#clock.wall()),
      );
      tx.run("DELETE FROM row WHERE n <= (SELECT max(n) FROM row) - ?", dhtRowsMax);
      if (owner === "") return;
      const oldest = "SELECT n FROM row WHERE owner = ? ORDER BY n DESC LIMIT 1 OFFSET ?";
      tx.run(`DELETE FROM row WHERE owner = ? AND n <= (${oldest})`, owner, owner, dhtRowsPerPeerMax);
    });
    return key;
  }

  override get(key: Key): Uint8Array {
    const sql = "SELECT value FROM row WHERE key = ? AND at_ms > ?";
    const row = this.#db.read((r) => r.get<{ value: Uint8Array }>(sql, key.toString(), this.#oldestMs()));
    if (row !== undefined) return row.value;
    throw Object.assign(new Error(`nothing under ${key}`), { name: "NotFoundError" }); // as kad-dht tells it apart
  }

  override has(key: Key): boolean {
    const sql = "SELECT 1 FROM row WHERE key = ? AND at_ms > ?";
    return this.#db.read((r) => r.get(sql, key.toString(), this.#oldestMs())) !== undefined;
  }

  override delete(key: Key): void {
    this.#db.write((tx) => void tx.run("DELETE FROM row WHERE key = ?", key.toString()));
  }

  // What comes after this, BaseDatastore filters, sorts and cuts.
  override *_all({ prefix = "" }: Query): Generator<Pair> {
    const sql = "SELECT key, value FROM row WHERE key >= ? AND key < ? AND at_ms > ? ORDER BY n DESC LIMIT ?";
    const rows = this.#db.read((r) =>
      r.all<{ key: string; value: Uint8Array }>(
        sql,
        prefix,
        `${prefix}\u{10ffff}`,
        this.#oldestMs(),
        dhtRowsMax,
      )
    );
    for (const { key, value } of rows) yield { key: new Key(key, false), value };
  }

  override *_allKeys({ prefix }: KeyQuery): Generator<Key> {
    for (const { key } of this._all(prefix === undefined ? {} : { prefix })) yield key;
  }

  #oldestMs(): number {
    return Math.trunc(this.#clock.wall()) - dhtAgeMs;
  }
}

/** The peer that a provider record names; "" for other rows. */
function ownerOf(key: Key): PeerId {
  const [, , kind, , peer = ""] = key.toString().split("/");
  return kind === "provider" ? peer : "";
}
