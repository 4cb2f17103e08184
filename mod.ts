// isconf as a library: its three rooms, each usable alone. The program's entry is agent/main.ts.
// Not a place for code.
export * as agent from "./agent/mod.ts";
export * as fs from "./fs/mod.ts";
export * as mq from "./mq/mod.ts";
