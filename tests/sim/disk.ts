// Disk: what stays of a host when it dies: its tables, and how a disk fails. It takes the place of better-sqlite3 where
// the simulation is bundled (bundle.ts), so that fs/db.ts, its transactions and the schema are the real ones.
// Not SQL (sql.ts), and not when something fails (faults.ts).
import { type Change, define, type Row, SqlFault, Table, type Value } from "./table.ts";
import { compile, type Compiled } from "./sql.ts";

/** What watches and disturbs a disk. */
export interface DiskEvents {
  /** Before a commit becomes durable: may throw what a disk that fails throws, or {@link PowerCut}. */
  committing(changes: readonly Change[]): void;
  /** After it is durable, or as durable as was asked for. May throw {@link PowerCut}. */
  committed(changes: readonly Change[]): void;
}

/** Thrown into a host that has no power any more: nothing that it does from then on reaches anybody. */
export class PowerCut extends Error {
  readonly code = "SQLITE_IOERR_POWER";
  /** What then becomes of the host, once the transaction is there as a whole or not at all. */
  readonly then: () => void;

  constructor(then = () => {}) {
    super("this host has no power");
    this.then = then;
  }
}

const quiet: DiskEvents = { committing: () => {}, committed: () => {} };

export class Disk {
  readonly tables: Map<string, Table>;
  /** user_version of the database. */
  version: number;
  events: DiskEvents = quiet;
  /** Commits that a power cut may still take back, the oldest first; none with synchronous=FULL. */
  unsynced: Change[][] = [];
  isSynced = true;
  /** How often the host was started on it: an older one cannot use it any more. */
  life = 0;

  constructor(from?: Disk) {
    this.tables = new Map(
      from && [...from.tables].map(([name, table]) => [name, new Table(table.shape, table)]),
    );
    this.version = from?.version ?? 0;
  }

  /** From now on who opened it before is dead. The last `lost` commits that were not synced are gone. */
  cut(lost: number): void {
    this.life++;
    this.events = quiet;
    const from = Math.max(0, this.unsynced.length - lost);
    for (const changes of this.unsynced.splice(from).reverse()) takeBack(changes);
    this.unsynced = [];
  }

  /** It is put back to what it was when `from` was copied from it. */
  restore(from: Disk): void {
    for (const [name, table] of from.tables) this.tables.set(name, new Table(table.shape, table));
  }

  rows(table: string): Row[] {
    return [...this.tables.get(table)?.rows.values() ?? []];
  }
}

function takeBack(changes: readonly Change[]): void {
  for (let i = changes.length - 1; i >= 0; i--) {
    const { table, key, before } = changes[i]!;
    if (before === undefined) table.rows.delete(key);
    else table.rows.set(key, before);
  }
}

let inserted: Disk | undefined;

/** The disk on which the next database is opened. */
export function insert(disk: Disk): void {
  inserted = disk;
}

/** A connection, as far as fs/db.ts uses better-sqlite3. */
export default class Database {
  readonly #disk: Disk;
  readonly #life: number;
  inTransaction = false;
  #changes: Change[] = [];

  constructor() {
    if (inserted === undefined) throw new Error("no disk is inserted");
    this.#disk = inserted;
    this.#life = inserted.life;
    inserted = undefined;
  }

  pragma(text: string): unknown {
    const [, name, value] = /^(\w+)(?: = (\w+))?$/.exec(text) ?? [];
    if (name === "user_version" && value === undefined) return this.#disk.version;
    if (name === "user_version") this.#disk.version = Number(value);
    if (name === "synchronous") this.#disk.isSynced = value === "FULL";
    return undefined;
  }

  exec(sql: string): this {
    const verb = sql.trim().split(/\s|;/)[0];
    if (verb === "ROLLBACK") this.#rollback();
    else define(sql, this.#disk.tables);
    return this;
  }

  /** What is done to the schema, once, when a disk is formatted. */
  transaction(fn: () => void): { immediate(): void } {
    return { immediate: fn };
  }

  prepare(sql: string): Statement {
    const control = {
      "BEGIN": () => this.#begin(),
      "BEGIN IMMEDIATE": () => this.#begin(),
      COMMIT: () => this.#commit(),
    };
    if (sql in control) return new Control(control[sql as keyof typeof control]);
    return new Statement(this, compile(sql, this));
  }

  close(): void {}

  table(name: string): Table {
    const table = this.#disk.tables.get(name);
    if (table === undefined) throw new SqlFault("SQLITE_ERROR", `no such table: ${name}`);
    return table;
  }

  set(table: Table, key: string | number, row: Row | undefined): void {
    this.#changes.push({ table, key, before: table.rows.get(key), after: row });
    if (row === undefined) table.rows.delete(key);
    else table.rows.set(key, row);
  }

  #begin(): void {
    if (this.#disk.life !== this.#life) throw new PowerCut();
    this.inTransaction = true;
  }

  #commit(): void {
    const changes = this.#changes;
    try {
      if (changes.length > 0) this.#disk.events.committing(changes);
    } catch (e) {
      this.#rollback();
      if (e instanceof PowerCut) e.then();
      throw e;
    }
    this.#changes = [];
    this.inTransaction = false;
    if (changes.length === 0) return;
    if (!this.#disk.isSynced) this.#disk.unsynced.push(changes);
    try {
      this.#disk.events.committed(changes);
    } catch (e) {
      if (e instanceof PowerCut) e.then();
      throw e;
    }
  }

  #rollback(): void {
    takeBack(this.#changes);
    this.#changes = [];
    this.inTransaction = false;
  }
}

class Statement {
  readonly #db: Database;
  readonly #compiled: Compiled;
  readonly readonly: boolean;

  constructor(db: Database, compiled: Compiled) {
    this.#db = db;
    this.#compiled = compiled;
    this.readonly = compiled.readonly;
  }

  get(...params: Value[]): unknown {
    return this.#compiled.all(this.#db, params)[0];
  }

  all(...params: Value[]): unknown[] {
    return this.#compiled.all(this.#db, params);
  }

  iterate(...params: Value[]): IterableIterator<unknown> {
    return this.all(...params).values();
  }

  run(...params: Value[]): { changes: number; lastInsertRowid: number } {
    return this.#compiled.run(this.#db, params);
  }
}

/** BEGIN and COMMIT. */
class Control extends Statement {
  readonly #fn: () => void;

  constructor(fn: () => void) {
    super(undefined as unknown as Database, NOTHING);
    this.#fn = fn;
  }

  override run(): { changes: number; lastInsertRowid: number } {
    this.#fn();
    return { changes: 0, lastInsertRowid: 0 };
  }
}

const NOTHING: Compiled = { readonly: true, all: () => [], run: () => ({ changes: 0, lastInsertRowid: 0 }) };
