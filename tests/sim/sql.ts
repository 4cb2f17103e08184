// SQL, as much of it as the agent's tables are used with: statements are compiled once into functions over rows in memory.
// What it does not know it refuses loudly. Not a database: rows are in table.ts, transactions and faults in disk.ts; that it says what SQLite says
// is a test (sim_sqlite_test.ts).
import { compare, type Row, SqlFault, type Table, unknown, type Value } from "./table.ts";

/** What a statement needs of the database that it runs in. */
export interface Within {
  table(name: string): Table;
  /** Puts, replaces or (undefined) takes away a row. */
  set(table: Table, key: string | number, row: Row | undefined): void;
}

export interface Ran {
  changes: number;
  lastInsertRowid: number;
}

export interface Compiled {
  readonly: boolean;
  all(db: Within, params: Value[]): Record<string, Value>[];
  run(db: Within, params: Value[]): Ran;
}

/** An expression: its value for a row, the row that an insert would have put there, and the parameters. */
type Expr = (row: Row, params: Value[], excluded: Row) => Value;

const compiled = new Map<string, Compiled>();

/** A statement, compiled the first time that it is seen. Tables are looked up by name when it runs, all of one shape. */
export function compile(sql: string, db: Within): Compiled {
  let found = compiled.get(sql);
  if (found === undefined) compiled.set(sql, found = new Parser(sql, db).statement());
  return found;
}

const TOKEN = /\s*(\w+|'[^']*'|<>|!=|<=|>=|[=<>(),.?*+-])/y;

/** A condition taken apart: what must be equal, by column, so that a row can be found by its key. */
interface Where {
  holds: Expr;
  equal: Map<number, Expr>;
}

class Parser {
  readonly #sql: string;
  readonly #db: Within;
  readonly #tokens: string[] = [];
  #next = 0;
  #params = 0;
  #table!: Table;

  constructor(sql: string, db: Within) {
    this.#sql = sql;
    this.#db = db;
    TOKEN.lastIndex = 0;
    for (const text = sql.trimEnd(); TOKEN.lastIndex < text.length;) {
      const found = TOKEN.exec(text);
      if (found === null) unknown(sql);
      this.#tokens.push(found[1]!);
    }
  }

  statement(): Compiled {
    const verb = this.#word();
    const made = verb === "SELECT"
      ? this.#select()
      : verb === "INSERT"
      ? this.#insert()
      : verb === "UPDATE"
      ? this.#update()
      : verb === "DELETE"
      ? this.#delete()
      : unknown(this.#sql);
    if (this.#next < this.#tokens.length) unknown(this.#sql);
    return made;
  }

  #word(): string {
    return this.#tokens[this.#next++] ?? unknown(this.#sql);
  }

  /** Whether these words come next; takes them then. */
  #is(...words: string[]): boolean {
    if (!words.every((word, i) => this.#tokens[this.#next + i]?.toUpperCase() === word)) return false;
    this.#next += words.length;
    return true;
  }

  #need(...words: string[]): void {
    if (!this.#is(...words)) unknown(this.#sql);
  }

  #list<T>(one: () => T): T[] {
    const items = [one()];
    while (this.#is(",")) items.push(one());
    return items;
  }

  #select(): Compiled {
    const from = this.#tokens.indexOf("FROM");
    const begin = this.#next;
    this.#next = from + 1;
    const name = this.#word();
    this.#table = this.#db.table(name);
    const end = this.#next;
    this.#next = begin;
    const { columns } = this.#table.shape;
    let isCount = false;
    const items = this.#is("*")
      ? columns.map(({ name }, i): [string, Expr] => [name, (row) => row[i]!])
      : this.#list((): [string, Expr] => {
        const text = this.#tokens[this.#next]!;
        isCount ||= this.#is("COUNT", "(", "*", ")");
        const expr = isCount ? () => 0 : this.#expr();
        return [this.#is("AS") ? this.#word() : text, expr];
      });
    if (this.#next !== from) unknown(this.#sql);
    this.#next = end;
    const where = this.#where();
    const by = this.#is("ORDER", "BY") ? this.#list(() => this.#order()) : [];
    const limit = this.#is("LIMIT") ? this.#expr() : undefined;
    const shape = (row: Row, params: Value[]) => {
      const out: Record<string, Value> = {};
      for (const [name, expr] of items) out[name] = expr(row, params, NONE);
      return out;
    };
    return {
      readonly: true,
      all: (db, params) => {
        let rows = found(db.table(name), where, params).map(([, row]) => row);
        if (isCount) return [{ [items[0]![0]]: rows.length }];
        if (by.length > 0 && rows.length > 1) {
          rows.sort((a, b) => {
            for (const { expr, sign } of by) {
              const order = compare(expr(a, params, NONE), expr(b, params, NONE));
              if (order !== 0) return sign * order;
            }
            return 0;
          });
        }
        if (limit !== undefined) rows = rows.slice(0, limit(NONE, params, NONE) as number);
        return rows.map((row) => shape(row, params));
      },
      run: () => unknown(this.#sql),
    };
  }

  #order(): { expr: Expr; sign: number } {
    const expr = this.#expr();
    return { expr, sign: this.#is("DESC") ? -1 : this.#is("ASC") ? 1 : 1 };
  }

  #insert(): Compiled {
    const other = this.#is("OR", "IGNORE") ? "ignore" : this.#is("OR", "REPLACE") ? "replace" : "fail";
    this.#need("INTO");
    const name = this.#word();
    this.#table = this.#db.table(name);
    const { shape } = this.#table;
    const named = this.#is("(") ? this.#list(() => this.#table.column(this.#word())) : undefined;
    if (named !== undefined) this.#need(")");
    this.#need("VALUES", "(");
    const values = this.#list(() => this.#expr());
    this.#need(")");
    const places = named ?? shape.columns.map((_, i) => i);
    if (places.length !== values.length) unknown(this.#sql);
    let set: [number, Expr][] | undefined;
    if (this.#is("ON", "CONFLICT", "(")) {
      const on = this.#list(() => this.#table.column(this.#word()));
      this.#need(")", "DO", "UPDATE", "SET");
      if (on.join() !== shape.key.join()) unknown(this.#sql);
      set = this.#assignments();
    }
    const run = (db: Within, params: Value[]): Ran => {
      const table = db.table(name);
      const row: Row = shape.columns.map(({ otherwise }) => otherwise);
      for (const [i, place] of places.entries()) row[place] = values[i]!(NONE, params, NONE);
      if (shape.isRowid) {
        row[shape.key[0]!] ??= Math.max(table.last, 0) + 1;
        table.last = Math.max(table.last, row[shape.key[0]!] as number);
      } else table.last++;
      const key = table.keyOf(row);
      const there = table.rows.get(key);
      const ran = { changes: 1, lastInsertRowid: table.last };
      if (there !== undefined && set !== undefined) {
        const next = there.slice();
        for (const [i, expr] of set) next[i] = expr(there, params, row);
        put(db, table, key, next);
        return ran;
      }
      const clash = there !== undefined ? key : clashing(table, row);
      if (clash !== undefined && other === "ignore") return { ...ran, changes: 0 };
      if (clash !== undefined && other === "fail") {
        throw new SqlFault("SQLITE_CONSTRAINT_UNIQUE", `UNIQUE constraint failed: ${name}`);
      }
      if (clash !== undefined) db.set(table, clash, undefined);
      put(db, table, key, row);
      return ran;
    };
    return { readonly: false, all: () => unknown(this.#sql), run };
  }

  #update(): Compiled {
    const name = this.#word();
    this.#table = this.#db.table(name);
    this.#need("SET");
    const set = this.#assignments();
    const where = this.#where();
    return {
      readonly: false,
      all: () => unknown(this.#sql),
      run: (db, params) => {
        const table = db.table(name);
        const rows = found(table, where, params);
        for (const [key, row] of rows) {
          const next = row.slice();
          for (const [i, expr] of set) next[i] = expr(row, params, NONE);
          if (table.keyOf(next) !== key) unknown(this.#sql);
          put(db, table, key, next);
        }
        return { changes: rows.length, lastInsertRowid: table.last };
      },
    };
  }

  #delete(): Compiled {
    this.#need("FROM");
    const name = this.#word();
    this.#table = this.#db.table(name);
    const where = this.#where();
    return {
      readonly: false,
      all: () => unknown(this.#sql),
      run: (db, params) => {
        const table = db.table(name);
        const rows = found(table, where, params);
        for (const [key] of rows) db.set(table, key, undefined);
        return { changes: rows.length, lastInsertRowid: table.last };
      },
    };
  }

  #assignments(): [number, Expr][] {
    return this.#list((): [number, Expr] => {
      const column = this.#table.column(this.#word());
      this.#need("=");
      return [column, this.#expr()];
    });
  }

  #where(): Where {
    const equal: Where["equal"] = new Map();
    if (!this.#is("WHERE")) return { holds: () => 1, equal };
    const parts: Expr[] = [];
    do parts.push(this.#condition(equal)); while (this.#is("AND"));
    const [first, second] = parts as [Expr, Expr?];
    if (second === undefined) return { holds: first, equal };
    return { holds: (row, params, x) => parts.every((part) => part(row, params, x)) ? 1 : 0, equal };
  }

  /** One condition; what must be equal to something of which no column is part is noted in `equal`. */
  #condition(equal: Where["equal"]): Expr {
    const column = this.#table.shape.columns.findIndex(({ name }) => name === this.#tokens[this.#next]);
    const left = this.#expr();
    if (this.#is("IS")) {
      const isNot = this.#is("NOT");
      const right = this.#expr();
      return (row, params, x) =>
        (compare(left(row, params, x), right(row, params, x)) === 0) !== isNot ? 1 : 0;
    }
    if (this.#is("IN", "(")) {
      const among = this.#list(() => this.#expr());
      this.#need(")");
      return (row, params, x) =>
        among.some((one) => compare(left(row, params, x), one(row, params, x)) === 0) ? 1 : 0;
    }
    const how = HOLDS[this.#word()] ?? unknown(this.#sql);
    const isFree = this.#tokens[this.#next] === "?";
    const right = this.#expr();
    if (how === HOLDS["="] && column >= 0 && isFree) equal.set(column, right);
    return (row, params, x) => {
      const [a, b] = [left(row, params, x), right(row, params, x)];
      return a !== null && b !== null && how(compare(a, b)) ? 1 : 0;
    };
  }

  #expr(): Expr {
    const word = this.#word();
    if (word === "?") {
      const n = this.#params++;
      return (_, params) => params[n] ?? null;
    }
    if (/^\d+$/.test(word)) return () => Number(word);
    if (word.startsWith("'")) return () => word.slice(1, -1);
    if (word.toUpperCase() === "NULL") return () => null;
    if (word === "excluded") {
      this.#need(".");
      const i = this.#table.column(this.#word());
      return (_, __, excluded) => excluded[i]!;
    }
    if (!/^\w+$/.test(word) || this.#tokens[this.#next] === "(") unknown(this.#sql);
    const i = this.#table.column(word);
    return (row) => row[i]!;
  }
}

const NONE: Row = [];

const HOLDS: Record<string, (order: number) => boolean> = {
  "=": (order) => order === 0,
  "<>": (order) => order !== 0,
  "!=": (order) => order !== 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

/** The rows for which a condition holds, with their keys. */
function found(table: Table, { holds, equal }: Where, params: Value[]): [string | number, Row][] {
  const { key } = table.shape;
  if (key.length > 0 && key.every((i) => equal.has(i))) {
    const wanted: Row = [];
    for (const i of key) wanted[i] = equal.get(i)!(NONE, params, NONE);
    const at = table.keyOf(wanted);
    const row = table.rows.get(at);
    return row !== undefined && holds(row, params, NONE) ? [[at, row]] : [];
  }
  const rows: [string | number, Row][] = [];
  for (const pair of table.rows) if (holds(pair[1], params, NONE)) rows.push(pair);
  return rows;
}

/** The key of a row that has the same value where values are unique. */
function clashing(table: Table, row: Row): string | number | undefined {
  for (const unique of table.shape.uniques) {
    for (const [key, other] of table.rows) {
      if (unique.every((i) => compare(other[i]!, row[i]!) === 0)) return key;
    }
  }
  return undefined;
}

function put(db: Within, table: Table, key: string | number, row: Row): void {
  for (const [i, { name, isNotNull }] of table.shape.columns.entries()) {
    if (isNotNull && (row[i] ?? null) === null) {
      throw new SqlFault(
        "SQLITE_CONSTRAINT_NOTNULL",
        `NOT NULL constraint failed: ${table.shape.name}.${name}`,
      );
    }
  }
  db.set(table, key, row);
}
