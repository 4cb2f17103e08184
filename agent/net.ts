// Net: the half that will parse what strangers send. It keeps the content store, and owns no uid but its own.
// It never sees a private signing key, and root believes nothing it says unchecked.
import * as fs from "node:fs";
import * as path from "node:path";
import { type Duplex, duplexPair } from "node:stream";
import { Catalog, type Id, openStoreDatabase, SqliteStore } from "../fs/mod.ts";
import { type Clock, Fault } from "../mq/mod.ts";
import {
  type Answers,
  type Ask,
  askSeam,
  serveSeam,
  type Shelf,
  type ShelfRow,
  storeAnswers,
} from "./seam.ts";

/** Opens the store in a directory of the net half's own and makes its answers. */
export function openNet(dir: string, stop: () => void): { answers: Answers; close(): void } {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const db = openStoreDatabase(path.join(dir, "store.db"));
  const shelf = new CatalogShelf(new Catalog(db));
  return { answers: storeAnswers(new SqliteStore(db), shelf, stop), close: () => db.close() };
}

/** The catalog of the store, as the seam speaks of it. */
class CatalogShelf implements Shelf {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  add(row: ShelfRow): Promise<void> {
    const { id, size, sha256, label, addedMs } = row;
    this.#catalog.add({ id: id as Id, kind: "file", size, sha256, label }, addedMs);
    return Promise.resolve();
  }

  list(): Promise<ShelfRow[]> {
    return Promise.resolve(this.#catalog.list().map(toShelf));
  }

  find(text: string): Promise<ShelfRow | undefined> {
    const row = this.#catalog.resolve(text);
    return Promise.resolve(row === undefined ? undefined : toShelf(row));
  }
}

function toShelf(row: ReturnType<Catalog["list"]>[number]): ShelfRow {
  return {
    id: row.id,
    kind: row.kind,
    size: row.size,
    sha256: row.sha256 ?? "",
    label: row.label,
    addedMs: row.atMs,
  };
}

/** The net half's whole life: serves the seam until the pipe closes. Refuses to go on with a way back to root. */
export async function runNet(dir: string, pipe: Duplex, clock: Clock, mustDrop: boolean): Promise<void> {
  if (mustDrop) proveDropped();
  const net = openNet(dir, () => pipe.end());
  await serveSeam(pipe, clock, net.answers);
  net.close();
}

/** Dropped rights must be gone for good: trying to take them back has to fail. */
function proveDropped(): void {
  const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()];
  let back = false;
  try {
    process.setuid?.(0);
    back = true;
  } catch {
    back = false; // refused by the kernel, as it must be
  }
  if (back || ids.includes(0)) {
    throw new Fault("net", "denied", "the net half still has root's rights", { hint: "isconf doctor" });
  }
}

/** Both halves in one process, the seam between them a pair of pipes in memory: for tests. */
export function openSeamInside(dir: string, clock: Clock): { ask: Ask; close(): Promise<void> } {
  const [root, net] = duplexPair();
  const { answers, close } = openNet(dir, () => net.end());
  const served = serveSeam(net, clock, answers);
  return {
    ask: askSeam(root, clock),
    async close() {
      root.end();
      await served;
      close();
    },
  };
}
