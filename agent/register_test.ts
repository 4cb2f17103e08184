// register: the contract, for one keeper, for three, and for keepers before whom an etcd decides, of which a twin in memory
// stands here; and what becomes of it when that twin fails, lies, or goes back.
import { makeEtcdFleet, makeFleet, registerContract } from "../tests/contract/register.ts";
import { MemoryCells } from "./cells.ts";

const NAMES = ["hosta", "hostb", "hostc"];

registerContract("one keeper", (t) => makeFleet(t, NAMES, false));
registerContract("three keepers", (t) => makeFleet(t, NAMES, true));
registerContract("an etcd in memory", (t) => makeEtcdFleet(t, NAMES, { cells: new MemoryCells() }));
