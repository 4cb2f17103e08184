// reach: which objects some roots reach, and which of these are not here: for gc and fsck. It keeps them in tables of
// SQLite's own, on the disk when they are many, that no other connection sees. It drops nothing and judges nothing.
import { fromHex, pause, toHex } from "../mq/mod.ts";
import type { Db, Tx } from "./db.ts";
import { reachBatch } from "./limits.ts";
import type { Link } from "./objects.ts";
import type { Id } from "./store.ts";
import { type Row, rowOf } from "./store_sqlite.ts";

export interface ReachOptions {
  /** What the object of this link names; called once for each object that is structure. */
  linksOf: (link: Link) => Promise<Link[]> | Link[];
  /** Called in a transaction for each object that is met. */
  met?: (tx: Tx, row: Row) => void;
  signal?: AbortSignal | undefined;
}

/** At most one at a time on one connection. */
export class Reach {
  readonly #db: Db;
  readonly #options: ReachOptions;
  #looks = 0;

  constructor(db: Db, options: ReachOptions) {
    this.#db = db;
    this.#options = options;
    // An object that is also a chunk of some file is structure all the same for whoever names it as that.
    db.write((tx) => {
      tx.run(
        "CREATE TABLE IF NOT EXISTS temp.reached (id BLOB PRIMARY KEY, looked INTEGER NOT NULL) WITHOUT ROWID, STRICT",
      );
      tx.run(
        `CREATE TABLE IF NOT EXISTS temp.wanted (id BLOB, link TEXT, root BLOB NOT NULL, PRIMARY KEY (id, link))
         WITHOUT ROWID, STRICT`,
      );
    });
    this.forget();
  }

  /** How many objects were met that are here. */
  get size(): number {
    return this.#db.read((r) => r.get<{ n: number }>("SELECT count(*) AS n FROM temp.reached")!.n);
  }

  /** What is needed and was not here, each with one root that needs it. */
  missing(): { id: Id; root: Id }[] {
    const rows = this.#db.read((r) =>
      r.all<{ id: Uint8Array; root: Uint8Array }>("SELECT id, min(root) AS root FROM temp.wanted GROUP BY id")
    );
    return rows.map(({ id, root }) => ({ id: toHex(id), root: toHex(root) }));
  }

  /** Adds what these roots reach, and what was not here before and is now, with what that reaches. */
  async add(roots: Iterable<Id>): Promise<void> {
    for (;;) {
      const wanted = this.#db.write((tx) => {
        const rows = tx.all<{ id: Uint8Array; link: string; root: Uint8Array }>(
          "SELECT id, link, root FROM temp.wanted WHERE id IN (SELECT id FROM object) LIMIT ?",
          reachBatch,
        );
        for (const { id, link } of rows) {
          tx.run("DELETE FROM temp.wanted WHERE id = ? AND link = ?", id, link);
        }
        return rows;
      });
      if (wanted.length === 0) break;
      for (const { id, link, root } of wanted) {
        await this.#walk([{ ...JSON.parse(link), id: toHex(id) } as Link], toHex(root));
      }
    }
    for (const root of roots) await this.#walk([{ as: "root", id: root }], root);
  }

  forget(): void {
    this.#db.write((tx) => {
      tx.run("DELETE FROM temp.reached");
      tx.run("DELETE FROM temp.wanted");
    });
  }

  async #walk(links: Link[], root: Id): Promise<void> {
    const stack = this.#meet(links, root);
    for (let link = stack.pop(); link !== undefined; link = stack.pop()) {
      stack.push(...this.#meet(await this.#options.linksOf(link), root));
      if (++this.#looks % reachBatch === 0) {
        this.#options.signal?.throwIfAborted();
        await pause();
      }
    }
  }

  /** Those of `links` that are here, are structure and were not looked into yet. */
  #meet(links: Link[], root: Id): Link[] {
    if (links.length === 0) return [];
    return this.#db.write((tx) => links.filter((link) => this.#isNew(tx, link, root)));
  }

  #isNew(tx: Tx, link: Link, root: Id): boolean {
    const { id, ...rest } = link, key = fromHex(id);
    const row = rowOf(tx, id);
    if (row === undefined) {
      const sql = "INSERT OR IGNORE INTO temp.wanted (id, link, root) VALUES (?, ?, ?)";
      tx.run(sql, key, JSON.stringify(rest), fromHex(root));
      return false;
    }
    this.#options.met?.(tx, row);
    if (link.as === "chunk") {
      tx.run("INSERT OR IGNORE INTO temp.reached (id, looked) VALUES (?, 0)", key);
      return false;
    }
    const sql = `INSERT INTO temp.reached (id, looked) VALUES (?, 1)
      ON CONFLICT (id) DO UPDATE SET looked = 1 WHERE looked = 0`;
    return tx.run(sql, key).changes > 0;
  }
}
