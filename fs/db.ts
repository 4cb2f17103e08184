// db: a SQLite database, its migrations, and who may write: the only file that imports better-sqlite3.
// No query builder and no schema: those who own the tables bring their SQL.
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import Database from "better-sqlite3";
import { Fault } from "../mq/mod.ts";
import { busyMs, journalTriesMax, statementsMax } from "./limits.ts";

/** One step from a version of the schema to the next; versions are 1, 2, 3 … without gaps. */
export interface Migration {
  version: number;
  name: string;
  sql: string;
}

export interface OpenOptions {
  migrations: Migration[];
  /** FULL: a commit survives a power cut. NORMAL: the last commits may be lost, none is torn. */
  synchronous: "FULL" | "NORMAL";
  /** Path of the native addon; else what {@link setNativeBinding} said, else the npm package's own. */
  nativeBinding?: string;
}

/** A value bound to a `?`. Bytes come back as Uint8Array. */
export type Param = null | number | bigint | string | Uint8Array;

/** Reads of one consistent state. A statement that writes is a bug and throws. */
export interface Reader {
  get<T>(sql: string, ...params: Param[]): T | undefined;
  all<T>(sql: string, ...params: Param[]): T[];
  iterate<T>(sql: string, ...params: Param[]): IterableIterator<T>;
}

/** One transaction that writes, all or nothing. */
export interface Tx extends Reader {
  run(sql: string, ...params: Param[]): { changes: number; lastInsertRowid: number };
  /** Calls `fn` after the commit, in order; never when it is rolled back. */
  onCommit(fn: () => void): void;
}

let binding: string | object | undefined;
let isAnyOpen = false;

/** Says where the native addon is, or gives it loaded already, once, before the first database is opened. */
export function setNativeBinding(path: string | object): void {
  assert(binding === undefined && !isAnyOpen, "setNativeBinding: once, and before the first openDatabase");
  binding = path;
}

/**
 * Opens (creates, with mode 0600) the database at `path` and brings its schema up to the newest migration.
 * @throws {Fault} refused, when it was written by a newer isconf; corrupt, when it is no database; environment
 */
export function openDatabase(path: string, options: OpenOptions): Db {
  options.migrations.forEach((m, i) =>
    assert.equal(m.version, i + 1, `migration "${m.name}" is out of order`)
  );
  const nativeBinding = options.nativeBinding ?? binding;
  return guard("db.open", path, () => {
    closeSync(openSync(path, "a", 0o600));
    const raw = new Database(path, {
      timeout: busyMs,
      ...(nativeBinding !== undefined && { nativeBinding: nativeBinding as string }), // an addon object too
    });
    isAnyOpen = true;
    try {
      raw.pragma("trusted_schema = OFF");
      raw.pragma("foreign_keys = ON");
      useLog(raw);
      raw.pragma(`synchronous = ${options.synchronous}`);
      migrate(raw, path, options.migrations);
      return new Db(raw, path);
    } catch (e) {
      raw.close();
      throw e;
    }
  });
}

/** SQLite does not wait when two processes switch the journal of a database at once; a transaction does. */
function useLog(raw: Database.Database): void {
  for (let i = 0;; i++) {
    try {
      raw.pragma("journal_mode = WAL");
      return;
    } catch (e) {
      if ((e as { code?: unknown }).code !== "SQLITE_BUSY" || i === journalTriesMax) throw e;
      raw.exec("BEGIN IMMEDIATE; COMMIT");
    }
  }
}

function migrate(raw: Database.Database, path: string, migrations: Migration[]): void {
  const version = () => raw.pragma("user_version", { simple: true }) as number;
  const known = migrations.length;
  for (;;) {
    const at = version();
    if (at > known) {
      throw new Fault("db.open", "refused", `${path} has version ${at}, this isconf knows up to ${known}`, {
        hint: "isconf version; a newer isconf wrote this database, install that one again",
      });
    }
    if (at === known) return;
    // Another process may be at the same step: who gets the lock second finds it done.
    raw.transaction(() => {
      if (version() !== at) return;
      raw.exec(migrations[at]!.sql);
      raw.pragma(`user_version = ${at + 1}`);
    }).immediate();
  }
}

/** Runs `fn`; what SQLite or the system says becomes a Fault, a bug in SQL stays what it is. */
function guard<T>(op: string, path: string, fn: () => T): T {
  try {
    return fn();
  } catch (e) {
    const code = (e as { code?: unknown } | null)?.code;
    if (typeof code !== "string") throw e;
    if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) {
      throw new Fault(op, "corrupt", `${path} is damaged or not a database: ${(e as Error).message}`, {
        hint: "isconf fsck",
        cause: e,
      });
    }
    if (
      /^SQLITE_(FULL|IOERR|READONLY|BUSY|CANTOPEN|PERM|NOMEM|PROTOCOL|AUTH)/.test(code) ||
      /^E[A-Z]/.test(code)
    ) {
      throw Fault.from(op, Object.assign(e as Error, { path }));
    }
    throw e;
  }
}

/** Buffers of a row as plain Uint8Arrays over the same memory. */
function plain<T>(row: unknown): T {
  const columns = row as Record<string, unknown>;
  for (const key in columns) {
    const v = columns[key];
    if (v instanceof Uint8Array) {
      columns[key] = new Uint8Array(v.buffer as ArrayBuffer, v.byteOffset, v.length);
    }
  }
  return row as T;
}

/** An open database. Every use happens inside {@link Db.read} or {@link Db.write}, which do not wait for anything. */
export class Db {
  readonly path: string;
  #raw: Database.Database;
  #statements = new Map<string, Database.Statement>();
  #inside: "nothing" | "read" | "write" = "nothing";
  readonly #changed = new Set<() => void>();

  constructor(raw: Database.Database, path: string) {
    this.#raw = raw;
    this.path = path;
  }

  /** Calls `fn` with one consistent state of the database. Inside a write it sees that write. */
  read<T>(fn: (r: Reader) => T): T {
    if (this.#inside !== "nothing") return this.#use(false, fn);
    return guard("db.read", this.path, () => this.#transaction("BEGIN", "read", () => this.#use(false, fn)));
  }

  /** Calls `fn` in a transaction that has the write lock from the start. When `fn` throws, nothing has happened. */
  write<T>(fn: (tx: Tx) => T): T {
    assert.equal(this.#inside, "nothing", "a write inside a read or a write");
    const after: (() => void)[] = [];
    const result = guard(
      "db.write",
      this.path,
      () => this.#transaction("BEGIN IMMEDIATE", "write", () => this.#use(true, fn, after)),
    );
    for (const f of after) f();
    for (const f of this.#changed) f();
    return result;
  }

  /** Calls `fn` after each commit of a write, whoever made it. A hint: what has changed is looked up. Returns what ends that. */
  onChange(fn: () => void): () => void {
    this.#changed.add(fn);
    return () => void this.#changed.delete(fn);
  }

  close(): void {
    this.#statements.clear();
    this.#raw.close();
  }

  #transaction<T>(begin: string, kind: "read" | "write", fn: () => T): T {
    this.#statement(begin).run();
    this.#inside = kind;
    try {
      const result = fn();
      this.#statement("COMMIT").run();
      return result;
    } catch (e) {
      if (this.#raw.inTransaction) this.#raw.exec("ROLLBACK");
      throw e;
    } finally {
      this.#inside = "nothing";
    }
  }

  #use<T>(canWrite: boolean, fn: (tx: Tx) => T, after: (() => void)[] = []): T {
    let isOver = false;
    const prepare = (sql: string) => {
      assert(!isOver, "a transaction was used after its end");
      const statement = this.#statement(sql);
      assert(canWrite || statement.readonly, `only a transactor writes: ${sql}`);
      return statement;
    };
    const tx: Tx = {
      get: <R>(sql: string, ...params: Param[]) => {
        const row = prepare(sql).get(...params);
        return row === undefined ? undefined : plain<R>(row);
      },
      all: <R>(sql: string, ...params: Param[]) => prepare(sql).all(...params).map((row) => plain<R>(row)),
      iterate: <R>(sql: string, ...params: Param[]) => rows<R>(prepare(sql).iterate(...params)),
      run: (sql, ...params) => {
        assert(canWrite, `only a transactor writes: ${sql}`);
        const { changes, lastInsertRowid } = prepare(sql).run(...params);
        return { changes, lastInsertRowid: Number(lastInsertRowid) };
      },
      onCommit: (f) => void after.push(f),
    };
    try {
      const result = fn(tx);
      assert(!(result instanceof Promise), "a transaction does not wait: its function must not be async");
      return result;
    } finally {
      isOver = true;
    }
  }

  #statement(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      if (this.#statements.size >= statementsMax) this.#statements.clear();
      statement = this.#raw.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function* rows<T>(raw: IterableIterator<unknown>): IterableIterator<T> {
  for (const row of raw) yield plain<T>(row);
}
