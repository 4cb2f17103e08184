// fsck_database: whether store.db is what was written: its pages, its schema, and each row by its sum. A connection of its
// own reads it, because one that is open longer may remember pages that are damaged on the disk. What packs hold, fsck.ts
// compares.
import { Fault, pause } from "../mq/mod.ts";
import { isSoundRoot, type RawRoot } from "./catalog.ts";
import type { Db } from "./db.ts";
import { databaseComplaintsMax, fsckRowsBatch } from "./limits.ts";
import { objectSum, openStoreDatabase, STORE_MIGRATIONS, turnSum } from "./store_db.ts";

/**
 * Calls `fn` with a new connection to the store's database at `path`, when nothing is wrong with that; gives what is wrong,
 * at most `databaseComplaintsMax` sentences.
 * @throws {Fault} environment
 */
export async function withSoundDatabase(path: string, fn: (db: Db) => Promise<void>): Promise<string[]> {
  let db: Db;
  try {
    db = openStoreDatabase(path);
  } catch (e) {
    return [complaintOf(e)];
  }
  try {
    const said = await complaints(db);
    if (said.length === 0) await fn(db);
    return said;
  } finally {
    db.close();
  }
}

async function complaints(db: Db): Promise<string[]> {
  try {
    for (const look of [pages, schema, turn, roots]) {
      const said = look(db);
      if (said.length > 0) return said.slice(0, databaseComplaintsMax);
    }
    return await objects(db);
  } catch (e) {
    return [complaintOf(e)];
  }
}

/** What a damaged database makes SQLite throw is a complaint; what this machine did to us is thrown on. */
function complaintOf(thrown: unknown): string {
  if (thrown instanceof Fault && (thrown.kind === "corrupt" || thrown.kind === "refused")) {
    return thrown.message;
  }
  const code = (thrown as { code?: unknown } | null)?.code;
  // A name that the schema does not have any more; a number that no row of ours can have.
  if (code === "SQLITE_ERROR" || thrown instanceof RangeError) return (thrown as Error).message;
  throw Fault.from("fsck", thrown);
}

function pages(db: Db): string[] {
  const sql = `PRAGMA integrity_check(${databaseComplaintsMax})`;
  const said = db.read((r) => r.all<{ integrity_check: string }>(sql)).map((row) => row.integrity_check);
  return said.length === 1 && said[0] === "ok" ? [] : said;
}

/** The tables and indexes that there are, and those that the migrations make. */
function schema(db: Db): string[] {
  const wanted = STORE_MIGRATIONS.flatMap(({ sql }) => sql.split(";").map((one) => one.trim()))
    .filter((one) => one.startsWith("CREATE")).sort();
  const rows = db.read((r) =>
    r.all<{ type: string; name: string; tbl_name: string; sql: string | null }>(
      "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY sql",
    )
  );
  const said = rows.filter(({ type, name, tbl_name, sql }) => {
    if (sql === null) return type !== "index" || name !== `sqlite_autoindex_${tbl_name}_1`;
    const on = type === "index" ? ` ON ${tbl_name}` : "";
    return !sql.startsWith(`CREATE ${type.toUpperCase()} ${name}${on} (`);
  }).map(({ name }) => `the schema says of ${name} what it does not make`);
  const texts = rows.flatMap(({ sql }) => sql === null ? [] : [sql]).sort();
  if (JSON.stringify(texts) !== JSON.stringify(wanted)) said.push("the schema is not that of a store");
  return said;
}

function turn(db: Db): string[] {
  const rows = db.read((r) => r.all<{ ok: number }>(`SELECT sum IS ${turnSum} AS ok FROM gc`));
  return rows.length === 1 && rows[0]!.ok === 1 ? [] : ["the row of gc is not what was written"];
}

function roots(db: Db): string[] {
  const sql = "SELECT n, id, kind, size, sha256, label, uid, pinned, at_ms, sum FROM root";
  return db.read((r) => {
    const said: string[] = [];
    for (const raw of r.iterate<RawRoot & { n: number }>(sql)) {
      if (!isSoundRoot(raw)) said.push(`row ${raw.n} of root is not what was written`);
    }
    return said;
  });
}

async function objects(db: Db): Promise<string[]> {
  const said: string[] = [];
  const { last } = db.read((r) => r.get<{ last: number }>("SELECT coalesce(max(n), 0) AS last FROM object")!);
  const sql = `SELECT n FROM object WHERE n > ? AND n <= ? AND sum IS NOT ${objectSum} LIMIT ?`;
  for (let n = 0; n < last && said.length < databaseComplaintsMax; n += fsckRowsBatch) {
    const bad = db.read((r) => r.all<{ n: number }>(sql, n, n + fsckRowsBatch, databaseComplaintsMax));
    said.push(...bad.map((row) => `row ${row.n} of object is not what was written`));
    await pause();
  }
  return said.slice(0, databaseComplaintsMax);
}
