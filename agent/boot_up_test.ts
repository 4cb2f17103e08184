// boot_up: a machine is up when the host that it became says so, at its branch's end, since it joined; what is said on the wire makes nobody up.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeDomain, run, type TestHost, until, UP } from "../tests/world.ts";
import { machinesUp, nearlyUp } from "./boot_up.ts";
import type { BootLine } from "./seam_netboot.ts";

const [ONE, TWO] = ["52:54:00:00:00:01", "52:54:00:00:00:02"];
const line = (mac: string, step: string, text = "", timeMs = 5): BootLine => ({
  mac,
  step,
  text,
  timeMs,
  percent: null,
});

test("nearly up is who joined and went on towards a disk; not who began again, has failed, or is up", () => {
  const of = (...notes: BootLine[]) => [...nearlyUp(notes)];
  assert.deepEqual(of(line(ONE, "joined", "web1")), [[ONE, { name: "web1", sinceMs: 5 }]]);
  assert.deepEqual(
    of(
      line(ONE, "joined", "web1"),
      line(TWO, "joined", "web2"),
      line(ONE, "image"),
      line(ONE, "installed", "/dev/vda"),
    ),
    [[ONE, { name: "web1", sinceMs: 5 }], [TWO, { name: "web2", sinceMs: 5 }]],
  );
  for (const step of ["failed", "up", "offered", "asks"]) {
    assert.deepEqual(of(line(ONE, "joined", "web1"), line(ONE, step)), [], step);
  }
  assert.deepEqual(of(line(ONE, "installed", "web1")), [], "nobody knows what it is called");
});

test("who says that it is current is up; who lags, is another, or said so before is not", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const up = (...notes: BootLine[]) => machinesUp(a.agent.host, notes);
  await a.acts.locks.lock(a.call(), "work");
  await run(a, ["/bin/true"]);
  await a.acts.checkin.ci(a.call());
  const joined = line(ONE, "joined", "hostb");
  assert.deepEqual(await up(joined), [], "it has not gone through the journal");
  await b.acts.apply.up(b.call(), UP);
  await until("it says so", async () => (await up(joined)).length === 1);
  assert.deepEqual(await up(joined, line(TWO, "joined", "hostc")), [[ONE, "hostb"]]);
  assert.deepEqual(await up(line(ONE, "joined", "hostb", Date.now() + 60_000)), []);
  await a.acts.locks.lock(a.call(), "more work");
  await run(a, ["/bin/true"]);
  await a.acts.checkin.ci(a.call());
  assert.deepEqual(await up(joined), [], "the branch has gone on");
});
