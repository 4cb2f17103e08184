// The door of agent/: what the program entry and tests may use. Not a place for code.
export type { Acts } from "./acts.ts";
export { type Agent, startAgent, type Surroundings } from "./daemon.ts";
export { type Actor, type Call, type Host, personPair, type Progress } from "./host.ts";
export { type EntryRecord } from "./entry.ts";
export { takeIn } from "./intake.ts";
export { Journal } from "./journal.ts";
export { type Mesh } from "./mesh.ts";
export { below, type Cells, MemoryCells } from "./cells.ts";
export { EtcdCells, type EtcdSettings } from "./net_etcd.ts";
export { openSeamInside } from "./net.ts";
export { type Home, homeOf } from "./paths.ts";
export { Replica } from "./replica.ts";
export { openAgentDb } from "./schema.ts";
export { type Command, type Ended, ProcessRunner, type Runner, type Running, type Sink } from "./run.ts";
export { VERBS } from "./verbs/mod.ts";
