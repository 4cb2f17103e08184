// Table: rows in memory as SQLite keeps them: columns, keys, order. Their definitions are read from the same SQL.
// Not statements over them (sql.ts) and not transactions (disk.ts).
import { compareBytes } from "../../mq/mod.ts";

export type Value = null | number | string | Uint8Array;
export type Row = Value[];

export interface Column {
  name: string;
  isNotNull: boolean;
  otherwise: Value;
}

/** A table's shape, and which columns its primary key and its other unique keys are. */
export interface Shape {
  name: string;
  columns: Column[];
  key: number[];
  isRowid: boolean;
  uniques: number[][];
}

/** One change of a row: it came (`before` undefined), went (`after` undefined) or became another. */
export interface Change {
  table: Table;
  key: string | number;
  before: Row | undefined;
  after: Row | undefined;
}

/** The rows of a table by their key, in the order in which they came. Rows are never changed, only replaced. */
export class Table {
  readonly shape: Shape;
  readonly rows: Map<string | number, Row>;
  /** The highest number given to a row so far. */
  last = 0;
  #at: Map<string, number>;

  constructor(shape: Shape, from?: Table) {
    this.shape = shape;
    this.rows = new Map(from?.rows);
    this.last = from?.last ?? 0;
    this.#at = new Map(shape.columns.map(({ name }, i) => [name, i]));
  }

  column(name: string): number {
    const i = this.#at.get(name);
    if (i === undefined) throw new Error(`SQL: ${this.shape.name} has no column ${name}`);
    return i;
  }

  keyOf(row: Row): string | number {
    const { key } = this.shape;
    if (key.length === 1) return keyPart(row[key[0]!]!);
    return key.map((i) => keyPart(row[i]!)).join("\u0001");
  }
}

const keyPart = (v: Value): string | number =>
  v instanceof Uint8Array ? Array.from(v, (b) => String.fromCharCode(b)).join("") : v ?? "\u0000";

export class SqlFault extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Takes part in the definition of tables: what `exec` is given. */
export function define(sql: string, tables: Map<string, Table>): void {
  for (const text of sql.split(";").map((one) => one.trim()).filter(Boolean)) {
    // What moves rows of an older version finds none: disks are new.
    if (/^CREATE INDEX |^INSERT INTO \w+ \([^)]*\)\s+SELECT /.test(text)) continue;
    const table = /^CREATE TABLE (\w+) \(([^]*)\) STRICT$/.exec(text);
    const dropped = /^ALTER TABLE (\w+) DROP COLUMN (\w+)$/.exec(text);
    const column = /^ALTER TABLE (\w+) ADD COLUMN ([^]*)$/.exec(text);
    if (table !== null) {
      const [, name, body] = table as unknown as [string, string, string];
      tables.set(name, new Table(shapeOf(name, body)));
    } else if (dropped !== null) {
      const [, name, gone] = dropped as unknown as [string, string, string];
      const { shape } = tables.get(name) ?? unknown(text);
      const columns = shape.columns.filter((one) => one.name !== gone);
      const isBehind = columns.length === shape.columns.length || shape.key.some((i) => i >= columns.length);
      if (isBehind) unknown(text);
      tables.set(name, new Table({ ...shape, columns }));
    } else if (column !== null) {
      const [, name, body] = column as unknown as [string, string, string];
      const { shape } = tables.get(name) ?? unknown(text);
      tables.set(name, new Table({ ...shape, columns: [...shape.columns, columnOf(body)] }));
    } else unknown(text);
  }
}

function shapeOf(name: string, body: string): Shape {
  const parts = body.split(/,(?![^(]*\))/).map((part) => part.trim());
  const keys = parts.flatMap((part) => /^PRIMARY KEY \(([^)]*)\)$/.exec(part)?.[1] ?? []);
  const defined = parts.filter((part) => !part.startsWith("PRIMARY KEY"));
  const columns = defined.map(columnOf);
  const at = (column: string) => columns.findIndex((one) => one.name === column.trim());
  const own = defined.findIndex((part) => part.includes("PRIMARY KEY"));
  return {
    name,
    columns,
    key: own >= 0 ? [own] : keys.flatMap((key) => key.split(",").map(at)),
    isRowid: own >= 0 && defined[own]!.includes("INTEGER PRIMARY KEY"),
    uniques: defined.flatMap((part, i) => part.includes("UNIQUE") ? [[i]] : []),
  };
}

function columnOf(text: string): Column {
  const number = /DEFAULT (\d+)/.exec(text)?.[1];
  return {
    name: text.split(/\s/)[0]!,
    isNotNull: text.includes("NOT NULL"),
    otherwise: number === undefined ? null : Number(number),
  };
}

export function unknown(text: string): never {
  throw new Error(`SQL that the simulator does not know: ${text}`);
}

/** Order of two values as SQLite has it: nothing, numbers, texts, bytes. */
export function compare(a: Value, b: Value): number {
  const rank = (v: Value) => v === null ? 0 : typeof v === "number" ? 1 : typeof v === "string" ? 2 : 3;
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (typeof a === "number") return a - (b as number);
  if (typeof a === "string") return a < (b as string) ? -1 : a > (b as string) ? 1 : 0;
  return a === null ? 0 : compareBytes(a, b as Uint8Array);
}
