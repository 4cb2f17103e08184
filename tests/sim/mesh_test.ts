// mesh, simulated: one check-in reaches every host, with rumours in a moment, without any by comparing journals, over
// lines that lose, and at a cost to each host that hardly grows with their number. Real journals, virtual time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type MeshOptions, SimMesh } from "./mesh.ts";
import { makeRecords, type Records } from "./records.ts";

/** Enough that most are no neighbours of the first, with as few connections as a host ever keeps. */
const SPARSE = { hosts: 24, neighbours: 6, seed: 1 };
/** How often each host compares its journal with one other (sweepMs of agent/), in milliseconds. */
const SWEEP_MS = 30_000;

function simTest(
  name: string,
  options: Partial<MeshOptions>,
  fn: (mesh: SimMesh, records: Records) => Promise<void>,
): void {
  test(name, async (t) => {
    const records = await makeRecords(t);
    await using mesh = await SimMesh.begin({ ...SPARSE, ...options }, records);
    await fn(mesh, records);
    assert.deepEqual(mesh.logged, []);
  });
}

simTest("rumours bring a check-in to all but a few at once, and sweeps to those", {}, async (mesh) => {
  mesh.checkIn();
  await mesh.converge(1_000, { but: 1 });
  await mesh.converge(10 * SWEEP_MS, { stepMs: 50 });
});

simTest("with every rumour lost, all hosts converge by comparing", { rumours: false }, async (mesh) => {
  mesh.checkIn();
  await mesh.advance(1_000);
  assert.ok(mesh.hosts.filter((host) => mesh.isCurrent(host)).length < mesh.hosts.length / 2);
  await mesh.converge(20 * SWEEP_MS, { stepMs: 50 });
});

simTest("over lines that lose a tenth, all hosts converge", { link: { loss: 0.1 } }, async (mesh) => {
  mesh.checkIn();
  await mesh.converge(20 * SWEEP_MS, { stepMs: 5 });
});

simTest("hosts that were cut off meanwhile are current soon after", {}, async (mesh) => {
  const names = mesh.hosts.map(({ name }) => name);
  mesh.network.partition([names.slice(0, 12), names.slice(12)]);
  mesh.checkIn();
  await mesh.advance(1_000);
  assert.ok(mesh.hosts.slice(12).every((host) => !mesh.isCurrent(host)));
  mesh.network.heal();
  await mesh.converge(1_000, { but: 1 });
});

test("what a check-in costs a host does not grow with their number, once it has neighbours enough", async (t) => {
  const records = await makeRecords(t);
  const costOf = async (hosts: number) => {
    await using mesh = await SimMesh.begin({ ...SPARSE, hosts, neighbours: 12 }, records);
    mesh.checkIn();
    await mesh.advance(1_000);
    return mesh.hosts.reduce((sum, { count }) => sum + count.messages, 0) / hosts;
  };
  const [few, many] = [await costOf(16), await costOf(64)];
  assert.ok(many < 1.3 * few, `${few} messages a host of 16, ${many} a host of 64`);
});

test("the same seed gives the same run", async (t) => {
  const records = await makeRecords(t);
  const costs = async (seed: number) => {
    await using mesh = await SimMesh.begin({ ...SPARSE, seed }, records);
    mesh.checkIn();
    await mesh.advance(500);
    return mesh.hosts.map(({ count }) => count);
  };
  assert.deepEqual(await costs(5), await costs(5));
  assert.notDeepEqual(await costs(5), await costs(6));
});
