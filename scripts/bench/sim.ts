// Sim: what a check-in costs each host, and how long it takes to be everywhere, among 100, 300 and 1,000 simulated hosts of
// which each has about 32 connections. Real replicas and journals, no network and no time of this machine.
import { type Count, SimMesh } from "../../tests/sim/mesh.ts";
import { makeRecords, type Records } from "../../tests/sim/records.ts";
import { type Figure, seconds, tell } from "./figure.ts";
import { costFigures, growth } from "./growth.ts";

const sizes = [100, 300, 1000];
const seed = 1;
/** Milliseconds, simulated, for what follows when every host is current, and at most until it is. */
const afterMs = 1_000;
const convergeMsMax = 1_800_000;

export async function sim(): Promise<Figure[]> {
  const ends: (() => Promise<void>)[] = [];
  try {
    const records = await makeRecords({ after: (end) => void ends.push(end) });
    const figures: Figure[] = [];
    const costs: Count[][] = [];
    for (const hosts of sizes) {
      const { nearlyMs, allMs, counts } = await withRumours(hosts, records);
      const sweptMs = await withoutRumours(hosts, records);
      costs.push(counts);
      figures.push(
        ...costFigures(`simulated ci, ${hosts} hosts`, "messages", counts.map((c) => c.messages)),
        ...costFigures(`simulated ci, ${hosts} hosts`, "bytes", counts.map((c) => c.bytes)),
        plain(`simulated ci until 99 % of ${hosts} have it`, nearlyMs),
        plain(`simulated ci until all ${hosts} have it`, allMs),
        plain(`simulated ci until all ${hosts} have it, rumours lost`, sweptMs),
      );
    }
    for (const what of ["messages", "bytes"] as const) {
      figures.push(growth(`simulated ci, ${what}`, sizes, costs.map((counts) => counts.map((c) => c[what]))));
    }
    return figures;
  } finally {
    for (const end of ends) await end();
  }
}

async function withRumours(hosts: number, records: Records) {
  await using mesh = await SimMesh.begin({ hosts, seed }, records);
  mesh.checkIn();
  const nearlyMs = await mesh.converge(convergeMsMax, { but: Math.floor(hosts / 100) });
  await mesh.advance(afterMs);
  const counts = mesh.hosts.map(({ count }) => ({ ...count }));
  const lateMs = await mesh.converge(convergeMsMax, { stepMs: 10 });
  const allMs = lateMs === 0 ? nearlyMs : nearlyMs + afterMs + lateMs;
  tell(`${hosts} hosts: 99 % after ${seconds(nearlyMs / 1000)}, all after ${seconds(allMs / 1000)}`);
  return { nearlyMs, allMs, counts };
}

async function withoutRumours(hosts: number, records: Records): Promise<number> {
  await using mesh = await SimMesh.begin({ hosts, seed, rumours: false }, records);
  mesh.checkIn();
  return await mesh.converge(convergeMsMax, { stepMs: 50 });
}

const plain = (name: string, ms: number): Figure => ({ name, ours: seconds(ms / 1000), peer: "-" });
