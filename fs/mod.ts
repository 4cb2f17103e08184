// fs: the one door of isfs.
export * from "./limits.ts";
export type { Store } from "./store.ts";
