// Shelve: puts a root on the net half's shelf, when everything that it reaches is there. Not the list itself (fs/catalog.ts).
import { type Catalog, type CatalogRow, type Id, readRoot, type SqliteStore } from "../fs/mod.ts";
import { type Cbor, type Clock, Fault } from "../mq/mod.ts";
import { messageBytesMax } from "./limits.ts";
import { isPlainText } from "./names.ts";
import type { NewShelfRow } from "./seam.ts";

export interface ShelveParts {
  store: SqliteStore;
  catalog: Catalog;
  clock: Clock;
  /** Other hosts may hear that we have these. */
  announce(roots: Id[]): void;
}

/**
 * Puts a root on the shelf: who does that means it for the whole domain.
 * @throws {Fault} usage, for what cannot be a label; notFound, when not all of it is here; corrupt
 */
export async function shelve(
  { store, catalog, clock, announce }: ShelveParts,
  { id, label, uid, pinned }: NewShelfRow,
): Promise<CatalogRow> {
  const isLabel = typeof label === "string" && isPlainText(label) &&
    Buffer.byteLength(label) <= messageBytesMax;
  if (!isLabel) throw new Fault("put", "usage", "a label is short UTF-8 text", { hint: "isconf help put" });
  const root = await readRoot(store, id);
  await store.share(id);
  if (!store.isWhole(id)) {
    throw new Fault("put", "notFound", `not all of ${id} is here`, { hint: "isconf put it again" });
  }
  const row = catalog.add({ ...root, label, uid, pinned }, clock.wall());
  announce([id]);
  return row;
}

/** A line of the catalog as it goes over a seam. */
export function rowToCbor(row: CatalogRow): { [field: string]: Cbor } {
  const { id, kind, size, label, uid, pinned, atMs, sha256 = "" } = row;
  return { id, kind, size, sha256, label, uid, pinned, addedMs: atMs };
}
