// catalog: the roots that somebody put, so that they are found by label, hash or the first digits of an id, and stay until
// they are taken off. It grants nothing: a list beside the store.
import { bytesEqual, encode, Fault, fromHex, sha256, toHex } from "../mq/mod.ts";
import type { Db, Tx } from "./db.ts";
import { idPrefixMin, labelBytesMax } from "./limits.ts";
import type { Id } from "./store.ts";
import { isId } from "./store.ts";

/** A root to be remembered. `sha256` is that of a whole file, what sha256sum prints. */
export interface Root {
  id: Id;
  kind: "file" | "tree";
  size: number;
  sha256?: Id;
  label: string;
  /** Who put it. */
  uid: number;
  /** Whether it stays here however many other hosts have it. */
  pinned: boolean;
}

/** A remembered root; `atMs` is wall-clock milliseconds since 1970. */
export interface CatalogRow extends Root {
  atMs: number;
}

/** A row of the table `root` without its number. */
export interface RawRoot {
  id: Uint8Array;
  kind: "file" | "tree";
  size: number;
  sha256: Uint8Array | null;
  label: string;
  uid: number;
  pinned: 0 | 1;
  at_ms: number;
  /** What {@link rootSum} says of the others. */
  sum: Uint8Array;
}

/** The columns of `root` but its number and its sum. */
const ROOT_COLUMNS = "id, kind, size, sha256, label, uid, pinned, at_ms";

/** The first 8 bytes of the SHA-256 over a row of `root`: whether its columns are what was written. */
export function rootSum(
  { id, kind, size, sha256: whole, label, uid, pinned, at_ms }: Omit<RawRoot, "sum">,
): Uint8Array {
  return sha256(encode([id, kind, size, whole, label, uid, pinned, at_ms])).slice(0, 8);
}

/** Whether the columns of a row of `root` are what was written. */
export function isSoundRoot(raw: RawRoot): boolean {
  return bytesEqual(rootSum(raw), raw.sum);
}

/** Adds a row to `root`, as the newest or, where `n` is free, under that number. */
export function insertRoot(
  tx: Tx,
  { id, kind, size, sha256, label, uid, pinned, at_ms, sum }: RawRoot,
  n: number | null = null,
): void {
  tx.run(
    `INSERT INTO root (n, ${ROOT_COLUMNS}, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[n, id, kind, size, sha256, label, uid, pinned, at_ms, sum],
  );
}

/** The lines of a root, or what `uid` put of it. */
const linesOf = (id: Id, uid: number | undefined): [where: string, params: (Uint8Array | number)[]] =>
  uid === undefined ? ["id = ?", [fromHex(id)]] : ["id = ? AND uid = ?", [fromHex(id), uid]];

/** The roots of a database of `openStoreDatabase`. */
export class Catalog {
  #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * Remembers `root`. The same id may stand there under several labels; what was added last is the newest. What is the
   * newest of its label and uid already is not written again. Returns its line.
   */
  add(root: Root, atMs: number): CatalogRow {
    if (Buffer.byteLength(root.label) > labelBytesMax) {
      throw new Fault("catalog.add", "usage", `the label is longer than ${labelBytesMax} bytes`, {
        hint: "isconf put --help",
      });
    }
    const newest = this.#rows("WHERE label = ? AND uid = ?", root.label, root.uid)[0];
    if (newest?.id === root.id && newest.pinned === root.pinned) return newest;
    const raw = {
      id: fromHex(root.id),
      kind: root.kind,
      size: root.size,
      sha256: root.sha256 === undefined ? null : fromHex(root.sha256),
      label: root.label,
      uid: root.uid,
      pinned: root.pinned ? 1 as const : 0 as const,
      at_ms: Math.trunc(atMs),
    };
    this.#db.write((tx) => insertRoot(tx, { ...raw, sum: rootSum(raw) }));
    return { ...root, atMs: raw.at_ms };
  }

  /** Takes the root `id` off the list, or only what `uid` put of it; how many lines that were. */
  remove(id: Id, uid?: number): number {
    const [where, params] = linesOf(id, uid);
    return this.#db.write((tx) => tx.run(`DELETE FROM root WHERE ${where}`, ...params).changes);
  }

  /** Says of all lines of the root `id`, or only of those of `uid`, whether it stays; how many that were. */
  pin(id: Id, isPinned: boolean, uid?: number): number {
    const [where, params] = linesOf(id, uid);
    return this.#db.write((tx) => {
      const rows = tx.all<RawRoot & { n: number }>(`SELECT * FROM root WHERE ${where}`, ...params);
      for (const row of rows) {
        const pinned = isPinned ? 1 : 0;
        const sum = rootSum({ ...row, pinned });
        tx.run("UPDATE root SET pinned = ?, sum = ? WHERE n = ?", pinned, sum, row.n);
      }
      return rows.length;
    });
  }

  /**
   * All roots, newest first.
   * @throws {Fault} corrupt, when a row is damaged: who took it for less would drop what it needs
   */
  list(): CatalogRow[] {
    return this.#rows("");
  }

  /**
   * The newest root that `text` means: a full id, the SHA-256 of a whole file, a label, or the first digits of an id
   * (at least `idPrefixMin`), in this order.
   * @throws {Fault} usage, when the digits begin more than one id; corrupt, when a row is damaged
   */
  resolve(text: string): CatalogRow | undefined {
    if (isId(text)) {
      const key = fromHex(text);
      const exact = this.#rows("WHERE id = ?", key)[0] ?? this.#rows("WHERE sha256 = ?", key)[0];
      if (exact !== undefined) return exact;
    }
    const labelled = this.#rows("WHERE label = ?", text)[0];
    if (labelled !== undefined || !/^[0-9a-f]{1,64}$/.test(text) || text.length < idPrefixMin) {
      return labelled;
    }
    const found = this.#rows(
      "WHERE id BETWEEN ? AND ?",
      fromHex(text.padEnd(64, "0")),
      fromHex(text.padEnd(64, "f")),
    );
    const ids = new Set(found.map((row) => row.id));
    if (ids.size > 1) {
      throw new Fault("catalog.resolve", "usage", `${text} begins ${ids.size} ids: ${[...ids].join(", ")}`, {
        hint: "isconf ls",
      });
    }
    return found[0];
  }

  #rows(where: string, ...params: (string | number | Uint8Array)[]): CatalogRow[] {
    const sql = `SELECT ${ROOT_COLUMNS}, sum FROM root ${where} ORDER BY n DESC`;
    const rows = this.#db.read((r) => r.all<RawRoot>(sql, ...params));
    if (!rows.every(isSoundRoot)) {
      throw new Fault("catalog", "corrupt", `${this.#db.path}: a remembered root is not what was written`, {
        hint: "isconf fsck",
      });
    }
    return rows.map(({ id, sha256, pinned, at_ms, sum: _sum, ...rest }) => ({
      ...rest,
      id: toHex(id),
      ...(sha256 !== null && { sha256: toHex(sha256) }),
      pinned: pinned === 1,
      atMs: at_ms,
    }));
  }
}
