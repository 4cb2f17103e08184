export * from "./limits.ts";
export * from "./store.ts";
export * from "./catalog.ts";
export * from "./db.ts";
export * from "./manifest.ts";
export * from "./cutter.ts";
import type { Id, Store } from "./store.ts";
import type { Clock } from "../mq/mod.ts";
export declare function capture(
  s: Store,
  p: Uint8Array,
  o: { clock: Clock },
): Promise<{ id: Id; kind: string; files: number; bytes: number }>;
export declare function restore(s: Store, id: Id, p: Uint8Array, o: { clock: Clock }): Promise<unknown>;
export declare function remove(p: Uint8Array): Promise<void>;
export declare function compare(
  s: Store,
  id: Id,
  p: Uint8Array,
): AsyncIterable<{ path: Uint8Array; what: string }>;
export declare function listTree(s: Store, id: Id): AsyncIterable<{ path: Uint8Array; node: any }>;
export declare function objectsOf(s: Store, id: Id): AsyncIterable<Id>;
export declare function decodeNode(b: Uint8Array): any;
