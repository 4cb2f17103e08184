// many: as many hosts as a small site has, on one machine: all join, and what is checked in arrives at each by itself.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { begin, status, until } from "./domain.ts";
import { fleetTest, makeFleet } from "./fleet.ts";

const HOSTS = Number(process.env.ISCONF_FLEET_HOSTS ?? 30);

/** Milliseconds until the last of them must have applied a small check-in by itself, however busy the machine is. */
const convergeMs = 60_000;

const read = (file: string) => fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";

fleetTest(`${HOSTS} hosts join, and each applies by itself what is checked in on one`, async (t) => {
  const names = Array.from({ length: HOSTS }, (_, i) => `h${i + 1}`) as [string, ...string[]];
  const sinceMs = performance.now();
  const fleet = await makeFleet(t, names, { conf: "follow = yes\n" });
  const madeMs = performance.now() - sinceMs;
  await begin(fleet, ...names);
  const joinedMs = performance.now() - sinceMs - madeMs;
  const first = fleet.host(names[0]);
  const lines = async () =>
    (JSON.parse((await first.must(["isconf", "--json", "status"])).stdout) as {
      hosts: { name: string; state: string; reached: boolean; at: number }[];
    }).hosts;
  await until("the keeper reaches all", async () => (await lines()).every((h) => h.reached), 60_000);
  const settledMs = performance.now() - sinceMs - madeMs - joinedMs;
  assert.equal((await lines()).length, HOSTS);

  const tookMs: number[] = [];
  for (const n of [1, 2, 3]) {
    await first.write(`/srv/file-${n}`, "x".repeat(10_000 * n));
    await first.ok("lock", `check-in ${n}`);
    await first.ok("snap", `/srv/file-${n}`);
    await first.ok("exec", "sh", "-c", `echo ${n} >>/srv/n`);
    await first.ok("ci");
    const ciMs = performance.now();
    const last = (name: string) =>
      read(fleet.host(name).path("/srv/n")).endsWith(`${n}
`);
    const left = new Set(names);
    await until(`all have applied check-in ${n}`, () => {
      for (const name of left) if (last(name)) left.delete(name);
      return left.size === 0;
    }, convergeMs);
    tookMs.push(performance.now() - ciMs);
  }
  for (const name of names) {
    const host = fleet.host(name);
    assert.equal(
      await host.sh("cat /srv/n; cat /srv/file-* | sha256sum"),
      await first.sh("cat /srv/n; cat /srv/file-* | sha256sum"),
    );
  }
  await until("the keeper knows that all are there", async () => (await lines()).every((h) => h.at === 6));
  assert.ok((await lines()).every((h) => h.state === "current" && h.reached));
  const round = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  console.log(
    `  made in ${round(madeMs)}, joined in ${round(joinedMs)}, all connected ${
      round(settledMs)
    } later; last applied after ${tookMs.map(round).join(", ")}`,
  );
  assert.equal((await status(fleet.host(names.at(-1) as string))).at, 6);
}, { timeoutMs: 600_000 });
