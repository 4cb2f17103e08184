// The door of fs: all that other folders may use of it.
// Not a place for code.
export {
  batchBytesMax,
  batchIdsMax,
  fetchBacklogBytes,
  idPrefixMin,
  inlineBytesMax,
  labelBytesMax,
  manifestLevelMax,
  manifestPartsMax,
  objectBytesMax,
  treeDepthMax,
  windowBytes,
} from "./limits.ts";
export type { Migration, OpenOptions, Param, Reader, Tx } from "./db.ts";
export { Db, openDatabase, setNativeBinding } from "./db.ts";
export type { Id, Keyed, KeyedStore, SharedObjects, SharingStore, Store } from "./store.ts";
export { idOf, isId, MemoryStore, verifyObject } from "./store.ts";
export { openStoreDatabase, STORE_MIGRATIONS } from "./store_db.ts";
export { SqliteStore } from "./store_sqlite.ts";
export type { Hold } from "./holds.ts";
export type { RoomLimits } from "./room.ts";
export type { FsckOptions, FsckReport } from "./fsck.ts";
export { fsck, isComplete } from "./fsck.ts";
export type { RebuildOptions, RebuildReport } from "./rebuild.ts";
export { rebuildDatabase } from "./rebuild.ts";
export type { GcReport } from "./gc.ts";
export { gc } from "./gc.ts";
export type { CatalogRow, Root } from "./catalog.ts";
export { Catalog } from "./catalog.ts";
export type { Cutter } from "./cutter.ts";
export { fixedCutter } from "./cutter.ts";
export { contentCutter } from "./cutter_content.ts";
export type { ByteRange, FileRef, Manifest, Part } from "./manifest.ts";
export { putFile, readChunks, readFile, readManifest } from "./manifest.ts";
export type { Fill } from "./put_whole.ts";
export { putWhole } from "./put_whole.ts";
export type { DirNode, Entry, FileNode, LinkNode, Meta, Node, TreeEntry, Xattr } from "./tree.ts";
export { entriesOf, listTree, nodeAt, readNode } from "./tree.ts";
export { readNodeFile } from "./read_node.ts";
export type { RootKind } from "./objects.ts";
export { objectsOf, readRoot } from "./objects.ts";
export type { Answerer } from "./serve.ts";
export { serveObjects } from "./serve.ts";
export { shuffled } from "./shuffle.ts";
export type { Asker } from "./questions.ts";
export type { Finder } from "./finder.ts";
export { MemoryDirectory, MemoryFinder, StaticFinder } from "./finder.ts";
export { LanFinder } from "./finder_lan.ts";
export type { JoinOptions } from "./finder_join.ts";
export { joinFinders } from "./finder_join.ts";
export type { Fetched } from "./walk.ts";
export type { FetcherOptions, FetchOptions } from "./fetch.ts";
export { Fetcher } from "./fetch.ts";
export type { Captured, CaptureInto, CaptureOptions } from "./capture.ts";
export { capture, captureInto } from "./capture.ts";
export { below, TreeWriter } from "./tree_writer.ts";
export { StepSender, tellSteps } from "./tree_steps.ts";
export { Kept } from "./kept.ts";
export { PutBatch } from "./put_batch.ts";
export { Ahead } from "./ahead.ts";
export type { Walked } from "./tree_ahead.ts";
export { walkAhead, WalkedStore } from "./tree_ahead.ts";
export { sweepPath, temporaryNames } from "./leftovers.ts";
export type { Restored, RestoreOptions } from "./restore.ts";
export { restore } from "./restore.ts";
export type { Difference } from "./differ.ts";
export type { Drift } from "./compare.ts";
export { compare } from "./compare.ts";
export type { Look } from "./look.ts";
export { ABSENT, look, lookDifferences, LOOKS } from "./look.ts";
export { remove } from "./remove.ts";
export type { ExportOptions } from "./oci_export.ts";
export { exportOci } from "./oci_export.ts";
export type { Imported, ImportOptions } from "./oci_import.ts";
export { importOci } from "./oci_import.ts";
export type { TarOptions } from "./tar_import.ts";
export { importTar } from "./tar_import.ts";
export type { CpioEntry } from "./cpio.ts";
export { checkCpio, writeCpio } from "./cpio.ts";
export type { TreeDifference } from "./tree_diff.ts";
export { diffTrees } from "./tree_diff.ts";
export { showPath } from "./path.ts";
