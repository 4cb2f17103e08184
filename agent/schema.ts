// The tables of agent.db: what this host cannot fetch again. Not the content store (fs/), which it can.
import { type Db, type Migration, openDatabase, type Reader, type Tx } from "../fs/mod.ts";

const MIGRATIONS: Migration[] = [{
  version: 1,
  name: "journal, keeper, wip, history",
  sql: `
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE entry (
      branch TEXT NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL, id BLOB NOT NULL UNIQUE,
      entry BLOB NOT NULL, origin BLOB NOT NULL, cert BLOB NOT NULL,
      PRIMARY KEY (branch, seq)) STRICT;
    CREATE TABLE promise (
      branch TEXT PRIMARY KEY, term INTEGER NOT NULL, held INTEGER NOT NULL,
      holder TEXT NOT NULL, holder_name TEXT NOT NULL, host TEXT NOT NULL, host_name TEXT NOT NULL,
      message TEXT NOT NULL, since_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE wip (
      n INTEGER PRIMARY KEY AUTOINCREMENT, branch TEXT NOT NULL, term INTEGER NOT NULL,
      base_seq INTEGER NOT NULL, base_id BLOB NOT NULL, author TEXT NOT NULL, uid INTEGER NOT NULL,
      message TEXT NOT NULL, op BLOB NOT NULL, state TEXT NOT NULL, boot TEXT NOT NULL,
      started_ms INTEGER NOT NULL, ended_ms INTEGER, status INTEGER, output BLOB) STRICT;
    CREATE TABLE history (
      seq INTEGER PRIMARY KEY, id BLOB NOT NULL, state TEXT NOT NULL, boot TEXT NOT NULL,
      started_ms INTEGER NOT NULL, ended_ms INTEGER, status INTEGER, reason TEXT, output BLOB) STRICT;
  `,
}, {
  version: 2,
  name: "other hosts",
  sql: `
    CREATE TABLE pending (seq INTEGER PRIMARY KEY, branch TEXT NOT NULL, id BLOB NOT NULL, n INTEGER NOT NULL) STRICT;
    CREATE TABLE token (
      id TEXT PRIMARY KEY, secret BLOB NOT NULL, branch TEXT NOT NULL, host_name TEXT NOT NULL, auto INTEGER NOT NULL,
      uid INTEGER NOT NULL, user_name TEXT NOT NULL, until_ms INTEGER NOT NULL, host TEXT) STRICT;
    CREATE TABLE joiner (
      host TEXT PRIMARY KEY, key BLOB NOT NULL, net BLOB NOT NULL, name TEXT NOT NULL, branch TEXT NOT NULL,
      token TEXT NOT NULL, asked_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE report (host TEXT PRIMARY KEY, n INTEGER NOT NULL, bytes BLOB NOT NULL, heard_ms INTEGER NOT NULL) STRICT;
  `,
}, {
  version: 3,
  name: "names of contents",
  sql: `
    CREATE TABLE name_record (id BLOB PRIMARY KEY, name TEXT NOT NULL, author TEXT NOT NULL, bytes BLOB NOT NULL) STRICT;
    CREATE INDEX name_record_of_name ON name_record (name);
    CREATE INDEX name_record_of_author ON name_record (author, name);
  `,
}, {
  version: 4,
  name: "several keepers",
  sql: `
    ALTER TABLE promise ADD COLUMN said BLOB;
    ALTER TABLE promise ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE promise ADD COLUMN freed BLOB;
    CREATE TABLE accepted (
      branch TEXT PRIMARY KEY, term INTEGER NOT NULL, seq INTEGER NOT NULL, batch BLOB NOT NULL, records BLOB NOT NULL,
      proof BLOB NOT NULL, ids BLOB NOT NULL) STRICT;
    ALTER TABLE pending ADD COLUMN entry BLOB;
    ALTER TABLE pending ADD COLUMN origin BLOB;
  `,
}, {
  version: 5,
  name: "proofs, and what this host has signed",
  sql: `
    CREATE TABLE proof (
      id BLOB PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, branch TEXT NOT NULL, epoch INTEGER NOT NULL,
      term INTEGER NOT NULL, seq INTEGER NOT NULL, first BLOB NOT NULL, second BLOB NOT NULL,
      found_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE signed (
      what TEXT NOT NULL, branch TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, term INTEGER NOT NULL,
      PRIMARY KEY (what, branch)) STRICT;
    CREATE TABLE head_word (
      keeper TEXT NOT NULL, branch TEXT NOT NULL, n INTEGER NOT NULL, bytes BLOB NOT NULL, heard_ms INTEGER NOT NULL,
      PRIMARY KEY (keeper, branch)) STRICT;
  `,
}, {
  version: 6,
  name: "what keepers said themselves",
  sql: "ALTER TABLE head_word ADD COLUMN direct INTEGER NOT NULL DEFAULT 0;",
}, {
  version: 7,
  name: "what was executed, and for whom",
  sql: `
    CREATE TABLE execution (
      n INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, verb TEXT NOT NULL, entry BLOB, seq INTEGER,
      uid INTEGER NOT NULL, user TEXT NOT NULL, source TEXT NOT NULL, person TEXT NOT NULL, as_user TEXT NOT NULL,
      file TEXT NOT NULL, argv BLOB NOT NULL, cwd TEXT NOT NULL, rule TEXT NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER,
      status INTEGER, why TEXT, output BLOB, kept INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE INDEX execution_of_entry ON execution (entry) WHERE entry IS NOT NULL;
    CREATE INDEX execution_of_uid ON execution (uid, n);
    CREATE INDEX execution_not_kept ON execution (uid, n) WHERE kept = 0;
    INSERT INTO execution (state, verb, entry, seq, uid, user, source, person, as_user, file, argv, cwd, rule,
      started_ms, ended_ms, status, output, kept)
      SELECT state, 'up', id, seq, 0, '', 'null', '', '', '', x'80', '', '', started_ms, ended_ms, status, output, 1
      FROM history WHERE output IS NOT NULL ORDER BY seq;
    ALTER TABLE history DROP COLUMN output;
    ALTER TABLE wip DROP COLUMN output;
    ALTER TABLE wip ADD COLUMN execution INTEGER;
  `,
}, {
  version: 8,
  name: "what commands changed",
  sql: `
    ALTER TABLE wip ADD COLUMN effects BLOB;
    ALTER TABLE history ADD COLUMN differs INTEGER;
    ALTER TABLE history ADD COLUMN differences TEXT;
    CREATE INDEX history_differs ON history (seq) WHERE differs > 0;
  `,
}, {
  version: 9,
  name: "a chain over what was executed",
  sql: `
    CREATE TABLE execution_link (
      i INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER NOT NULL, line TEXT NOT NULL, event TEXT NOT NULL,
      before BLOB NOT NULL, chain BLOB NOT NULL) STRICT;
    CREATE INDEX execution_link_of_line ON execution_link (line, i);
    CREATE INDEX execution_link_of_n ON execution_link (n, i);
    INSERT INTO meta (name, value) SELECT 'record', CAST(max(n) AS TEXT) FROM execution HAVING max(n) IS NOT NULL;
  `,
}, {
  version: 10,
  name: "events, tokens of the API, and answers that are given again",
  sql: `
    CREATE TABLE event (
      n INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, type TEXT NOT NULL, host TEXT NOT NULL,
      branch TEXT NOT NULL, subject TEXT NOT NULL, data TEXT NOT NULL) STRICT;
    CREATE TABLE event_mark (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE api_token (
      id TEXT PRIMARY KEY, hash BLOB NOT NULL, uid INTEGER NOT NULL, user TEXT NOT NULL, roles TEXT NOT NULL,
      note TEXT NOT NULL, made_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, used_ms INTEGER) STRICT;
    CREATE TABLE answer (
      uid INTEGER NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL, status INTEGER, body BLOB,
      at_ms INTEGER NOT NULL, PRIMARY KEY (uid, key)) STRICT;
    CREATE INDEX answer_at ON answer (at_ms);
  `,
}];

/** Opens agent.db. FULL: a lost row could repeat a command or fork a journal. */
export function openAgentDb(path: string): Db {
  return openDatabase(path, { migrations: MIGRATIONS, synchronous: "FULL" });
}

/** Names of the few single values that this host remembers. */
export type MetaName =
  | "domain"
  | "host_name"
  | "branch"
  | "diverged"
  | "resume"
  | "shared"
  | "report"
  | "joining"
  | "head"
  | "ahead"
  | "record"
  | "events";

export function getMeta(db: Db, name: MetaName): string | undefined {
  return db.read((r: Reader) =>
    r.get<{ value: string }>("SELECT value FROM meta WHERE name = ?", name)?.value
  );
}

export function setMeta(tx: Tx, name: MetaName, value: string | undefined): void {
  if (value === undefined) tx.run("DELETE FROM meta WHERE name = ?", name);
  else {tx.run(
      "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      name,
      value,
    );}
}
