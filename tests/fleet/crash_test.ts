// crash: an agent, or one half of it, dies in the middle of something: afterwards all of it is there or nothing, and the
// next verb goes on. Not the loss of power (replay_test.ts).
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Host } from "../hosts.ts";
import {
  agentLog,
  checkIn,
  connected,
  grant,
  makeDomain,
  refused,
  status,
  until,
  untilConnected,
} from "./domain.ts";
import { fleetTest } from "./fleet.ts";

/** Milliseconds after which an agent dies, from the start of the verb on. */
const DELAYS_MS = [0, 100, 160, 220, 300, 400];

/** Kills the net half as whoever owns it would, and waits until it is gone. */
async function killNet(host: Host): Promise<void> {
  const { net } = host.agent();
  assert.ok(net, "no net half runs");
  await host.must(["kill", "-9", String(net)], { uid: await host.uidOf("_isconf") });
  await until("it is gone", () => host.agent().net !== net);
}

fleetTest(
  "a check-in far from the keeper whose agent dies is whole or nothing, and the next one says so",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb"]);
    const [a, b] = [fleet.host("hosta"), fleet.host("hostb")];
    await grant(fleet, "hosta", "root@hostb");
    const ends: string[] = [];
    for (const [i, delayMs] of DELAYS_MS.entries()) {
      const before = (await status(a)).of;
      await b.ok("lock", `the agent dies after ${delayMs} ms`);
      await b.write(`/srv/file-${i}`, `file ${i}`);
      await b.ok("snap", `/srv/file-${i}`);
      await b.ok("exec", "sh", "-c", `echo ${i} >>/srv/n`);
      const ci = b.spawn(["isconf", "ci"]);
      await pause(delayMs);
      await fleet.kill9("hostb");
      const { status: ended } = await ci.ended;
      const certified = (await status(a)).of - before;
      assert.ok([0, 2].includes(certified), `${certified} of 2 entries are certified`);
      ends.push(`${delayMs}: ${ended}, ${certified}`);
      await fleet.start("hostb");
      if (await b.isconf("wip").then(({ stderr }) => /no work waits/.test(stderr))) {
        assert.equal((await status(a)).of, before + 2);
      } else {
        const again = await b.isconf("ci");
        if (again.status === 0) {
          const done = new RegExp(`checked in: entries ${before + 1} to ${before + 2} of main`);
          assert.match(again.stdout + again.stderr, done);
        } else { // it was certified, and came back between the two verbs
          assert.match(again.stderr, /main is not locked/);
          assert.match((await b.isconf("wip")).stderr, /no work waits/);
        }
      }
      assert.equal((await status(a)).of, before + 2, ends.join("; "));
      assert.equal((await status(b)).at, before + 2);
    }
    console.log(`  after ms: exit of ci, entries certified by then: ${ends.join("; ")}`);
    await a.ok("up");
    assert.equal(await a.sh("cat /srv/n"), DELAYS_MS.map((_, i) => i).join("\n"));
    assert.equal(await b.sh("cat /srv/n"), await a.sh("cat /srv/n"));
    assert.equal(await a.sh("cat /srv/file-*"), DELAYS_MS.map((_, i) => `file ${i}`).join(""));
    await b.ok("verify");
    await a.ok("lock", "no lock is left behind");
  },
);

fleetTest(
  "a net half that is killed is said so and followed by another, which is told everything again",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb"]);
    const [a, b] = [fleet.host("hosta"), fleet.host("hostb")];
    await grant(fleet, "hosta", "root@hostb");
    for (const host of [b, a]) {
      const was = await killNet(host);
      await until("there is another", () => (host.agent().net ?? was) !== was);
      assert.match(await agentLog(host), /the net half has ended: SIGKILL; another is started in 250 ms/);
      await untilConnected(fleet, "hosta", "hostb");
      await checkIn(b, "after that", ["exec", "sh", "-c", "echo x >>/srv/n"]);
      await a.ok("up");
      assert.equal(await a.sh("cat /srv/n"), await b.sh("cat /srv/n"));
    }
    // In the middle of contents.
    await b.sh("head -c 60000000 /dev/urandom >/srv/big");
    await checkIn(b, "big", ["snap", "/srv/big"]);
    const up = a.spawn(["isconf", "up"]);
    await pause(400);
    await killNet(a);
    const { status: ended, stderr } = await up.ended;
    if (ended !== 0) assert.match(stderr, /net half|nobody has it|net .*ended/);
    await untilConnected(fleet, "hosta", "hostb");
    await a.ok("up");
    assert.equal(await a.sh("sha256sum </srv/big"), await b.sh("sha256sum </srv/big"));
    // Again and again: later each time, and the verbs of this host that need nobody else go on.
    for (let i = 0; i < 3; i++) {
      await until("a net half runs", () => a.agent().net !== undefined);
      await killNet(a);
    }
    assert.match(await agentLog(a), /another is started in 2000 ms/);
    assert.match((await a.must(["isconf", "status"])).stdout, /main/);
    await until("hostb is heard again", async () => (await connected(a)).includes("hostb"), 30_000);
    await refused(a, 221, /not locked/, "ci");
  },
);
