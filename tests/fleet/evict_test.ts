// evict: a host that is taken out of the domain is alone at once, keeps what it has, and knows why; and names are given once.
import assert from "node:assert/strict";
import {
  agentLog,
  checkIn,
  connected,
  grant,
  makeDomain,
  refused,
  status,
  token,
  until,
  untilConnected,
} from "./domain.ts";
import { type Fleet, fleetTest } from "./fleet.ts";
import { linesBetween } from "./sockets.ts";

/** Milliseconds in which every host has cut an evicted one off. */
const cutOffMs = 1_500;

/** Whether any of these hosts has a connection with another. */
async function isConnected(fleet: Fleet, name: string, others: string[]): Promise<boolean> {
  const lines = await Promise.all(others.map((other) => linesBetween(fleet, other, name)));
  return lines.some((n) => n > 0);
}

fleetTest(
  "an evicted host is cut off by all at once, with its persons, and says why nothing works",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb", "hostc", "hostd"]);
    const [a, b, c] = [fleet.host("hosta"), fleet.host("hostb"), fleet.host("hostc")];
    await grant(fleet, "hosta", "root@hostb");
    await checkIn(a, "before", ["exec", "sh", "-c", "echo 1 >>/srv/n"]);
    await b.ok("up");
    await b.ok("lock", "held by who is evicted");
    await untilConnected(fleet, ...fleet.names);
    assert.ok(await isConnected(fleet, "hostb", ["hosta", "hostc", "hostd"]));
    await a.ok("evict", "hostb", "stolen");
    const sinceMs = performance.now();
    await until(
      "all have cut hostb off",
      async () => !await isConnected(fleet, "hostb", ["hosta", "hostc", "hostd"]),
    );
    const tookMs = performance.now() - sinceMs;
    assert.ok(tookMs < cutOffMs, `it took ${tookMs} ms`);
    assert.match(await a.ok("hosts"), /hostb +\S+ +evicted/);

    await refused(b, 77, /evicted/, "lock", "anything");
    await refused(b, 77, /no append role/, "ci");
    assert.match(await agentLog(b), /this host was evicted from the domain/);
    assert.match((await b.isconf("status")).stdout, /evicted/);
    assert.equal(await b.sh("cat /srv/n"), "1");
    await b.ok("restart");
    assert.deepEqual([(await status(b)).at, await connected(b)], [1, []]);
    await a.ok("unlock", "--steal"); // it was held from there
    await checkIn(a, "after", ["exec", "sh", "-c", "echo 2 >>/srv/n"]);
    await c.ok("up");
    assert.match(await b.ok("up"), /nothing to do; at entry 1 of main; nobody could be asked/);
    assert.equal((await status(b)).of, 1);
    assert.ok(!await isConnected(fleet, "hostb", ["hosta", "hostc", "hostd"]));
    await refused(b, 1, /already belongs to the domain/, "join", await token(a, "--approve"));
  },
);

fleetTest("two hosts of one name are told apart: the second waits until somebody decides", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb"]);
  const [a, b, twin] = [fleet.host("hosta"), fleet.host("hostb"), await fleet.add("twin")];
  const knocks = twin.spawn(["isconf", "join", "--host", "hostb", await token(a, "--approve")]);
  await until("it waits", () => /waiting for approval/.test(knocks.said()));
  assert.match(await a.ok("hosts"), /hostb +\S+ +waits +to join main, since .*isconf approve/);
  await refused(a, 1, /another host is called hostb/, "approve", "hostb");
  assert.deepEqual((await connected(a)).sort(), ["hostb"]);
  await checkIn(a, "for the one and only", ["exec", "touch", "/srv/here"]);
  await b.ok("up");
  await twin.sh("test ! -e /srv/here");
  knocks.child.kill("SIGKILL");
});
