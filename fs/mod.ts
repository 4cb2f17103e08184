// The door of fs: all that other folders may use of it.
// Not a place for code.
export { batchBytesMax, batchIdsMax, inlineBytesMax, objectBytesMax } from "./limits.ts";
export type { Db, Migration, Reader, Tx } from "./db.ts";
export { openDatabase, setNativeBinding } from "./db.ts";
export type { FsckReport, Id, Store } from "./store.ts";
export { idOf, isId, MemoryStore, openStoreDatabase, SqliteStore } from "./store.ts";
export type { CatalogRow, Root } from "./catalog.ts";
export { Catalog } from "./catalog.ts";
export type { Cutter } from "./cutter.ts";
export { fixedCutter } from "./cutter.ts";
export type { ByteRange, FileRef } from "./manifest.ts";
export { putFile, readFile } from "./manifest.ts";
export type { Node, TreeEntry } from "./tree.ts";
export { listTree, readNode } from "./tree.ts";
export type { Captured } from "./capture.ts";
export { capture } from "./capture.ts";
export type { Restored } from "./restore.ts";
export { restore } from "./restore.ts";
export { remove } from "./remove.ts";
export type { Drift } from "./compare.ts";
export { compare } from "./compare.ts";
export { objectsOf } from "./objects.ts";
