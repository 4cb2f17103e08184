// remains: nothing of a fleet stays on this machine: process, mount, directory or interface, however its test ends.
// Not what a fleet does (fleet_test.ts).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { disksHome } from "../disk.ts";
import { until } from "../hosts.ts";
import { fleetTest, makeFleet } from "./fleet.ts";
import { busyFleet, remains, type Trace } from "./trace.ts";

const interfaces = () => fs.readdirSync("/sys/class/net");

/** Three processes that hold each, but one for a host without power; two of a relay; two halves of agents; disks. */
const THINGS_MIN = 3 * 3 + 1 + 2 + 2 * 2 + 3;

fleetTest("nothing of a fleet stays when its test ends", async () => {
  const before = interfaces();
  const ends: (() => Promise<void>)[] = [];
  try {
    const trace = await busyFleet(ends);
    assert.ok(remains(trace).length >= THINGS_MIN, `there must be more than ${remains(trace).join()}`);
    assert.deepEqual(interfaces(), before);
    for (const end of ends.splice(0)) await end();
    assert.deepEqual([remains(trace), interfaces()], [[], before]);
  } finally {
    for (const end of ends) await end();
  }
});

fleetTest("nothing of a fleet that cannot be made stays", async () => {
  const ends: (() => Promise<void>)[] = [];
  const owner = { after: (end: () => Promise<void>) => void ends.push(end) };
  const disks = () => fs.readdirSync(disksHome()).filter((name) => name.startsWith("isconf-unmade"));
  await assert.rejects(
    makeFleet(owner, ["unmade-a", "unmade-b"], { lower: "/nowhere" }),
    /unmade-. cannot be made/,
  );
  for (const end of ends) await end();
  assert.deepEqual(disks(), []);
});

fleetTest("nothing of a fleet stays when its test is killed", async () => {
  const before = interfaces();
  const code = `
    import { busyFleet } from ${JSON.stringify(new URL("trace.ts", import.meta.url).href)};
    const trace = await busyFleet([]);
    console.log(JSON.stringify(trace));
    setInterval(() => {}, 1000);
  `;
  const doomed = spawn(process.execPath, ["eval", code], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = await once(doomed.stdout, "data") as [Uint8Array];
    const trace: Trace = JSON.parse(String(line));
    assert.ok(remains(trace).length >= THINGS_MIN, `there must be more than ${remains(trace).join()}`);
    doomed.kill("SIGKILL");
    await until("nothing remains", () => remains(trace).length === 0);
    assert.deepEqual(interfaces(), before);
  } finally {
    doomed.kill("SIGKILL");
  }
});
