// replay: what is checked in on one host is the same on the others of the domain, when they ask for it, and not before.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Host } from "../hosts.ts";
import { soon } from "../soon.ts";
import { FACTS, TREE } from "../tree.ts";
import {
  checkIn,
  grant,
  isconfAs,
  lineOf,
  makeDomain,
  okAs,
  refused,
  status,
  token,
  until,
  untilConnected,
  untilHeld,
} from "./domain.ts";
import { fleetTest } from "./fleet.ts";

/** How long an agent waits for its first connections before it says that nobody is there. */
const settleInMs = 3_000;

/** How many files of a host's isconf hold these bytes. */
async function holding(host: Host, bytes: string): Promise<number> {
  return Number(await host.sh('grep -rlaF "$1" /var/lib/isconf | wc -l', bytes));
}

fleetTest("work on one host is nowhere else before ci, and everywhere the same after up", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb", "hostc", "hostd"], {
    users: ["alice"],
    policy: "permit alice\n",
  });
  const [a, b, c, d] = fleet.names.map((name) => fleet.host(name)) as [Host, Host, Host, Host];
  await untilConnected(fleet, ...fleet.names);
  await a.sh(TREE);
  const marker = "these bytes are looked for everywhere";
  await a.write("/srv/tree/marked", marker);
  const before = await a.sh(FACTS, "/srv/tree");
  await a.ok("lock", "a tree");
  await a.ok("snap", "/srv/tree");
  await a.ok("exec", "sh", "-c", "echo ran >>/srv/ran");
  await pause(2_000); // as long as nothing comes of it anywhere
  assert.ok(await holding(a, marker) > 0);
  for (const host of [b, c, d]) {
    assert.equal(await holding(host, marker), 0, `${host.name} has contents that are not checked in`);
    assert.equal((await status(host)).of, 0);
    assert.match(await host.ok("up"), /nothing to do; at entry 0 of main; up to date with the keeper hosta/);
    await host.sh("test ! -e /srv/tree && test ! -e /srv/ran");
  }
  await a.ok("ci");
  for (const host of [b, c, d]) await untilHeld(host, 2);
  await b.sh("test ! -e /srv/tree");
  await Promise.all([b, c, d].map((host) => host.ok("up")));
  for (const host of [a, b, c, d]) {
    assert.equal(await host.sh(FACTS, "/srv/tree"), before, host.name);
    assert.equal(await host.sh("cat /srv/ran"), "ran");
    assert.ok(await holding(host, marker) > 0);
    await host.ok("verify");
  }
  assert.match(before, /^sparse \.\/sparse$/m);
  assert.match(before, /^ \.\/deep\/hard \.\/hard \.\/plain$/m);
  assert.match(before, /^\.\/plain user\.note 612076616c7565$/m);

  // The same from a host that is no keeper, by a user who may append.
  assert.equal((await isconfAs(c, "alice", "lock", "not yet")).status, 77);
  await grant(fleet, "hosta", "alice@hostc");
  await okAs(c, "alice", "lock", "by alice");
  await refused(a, 220, /alice@hostc/, "lock", "at the same time");
  await c.sh("mkdir /srv/c; echo c >/srv/c/c; chmod 2750 /srv/c; chown alice /srv/c/c");
  await okAs(c, "alice", "snap", "/srv/c");
  await okAs(c, "alice", "exec", "sh", "-c", "id -un >/srv/who; umask >>/srv/who");
  for (const host of [a, b, d]) await host.sh("test ! -e /srv/c && test ! -e /srv/who");
  await okAs(c, "alice", "ci");
  await Promise.all([a, b, d].map((host) => host.ok("up")));
  const after = await c.sh(FACTS, "/srv/c");
  for (const host of [a, b, d]) {
    assert.equal(await host.sh(FACTS, "/srv/c"), after, host.name);
    assert.equal(await host.sh("cat /srv/who"), await c.sh("cat /srv/who"));
    assert.match(await host.ok("log"), /alice@hostc.*by alice/);
  }
  await a.ok("lock", "it was given back");
});

fleetTest("a host that is behind gets no lock, and gets it after up", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostc"]);
  const [a, c] = [fleet.host("hosta"), fleet.host("hostc")];
  await grant(fleet, "hosta", "root@hostc");
  await checkIn(a, "first", ["exec", "true"]);
  await refused(c, 1, /has applied 0 of 1 entries of main[^]*isconf up/, "lock", "too early");
  await c.ok("up");
  await c.ok("lock", "now");
});

fleetTest(
  "a host built anew takes its name back, and goes through the journal from its first entry",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb", "hostd"]);
    const [a, b, d] = [fleet.host("hosta"), fleet.host("hostb"), fleet.host("hostd")];
    await grant(fleet, "hosta", "root@hostd");
    await checkIn(a, "order counts", ["exec", "sh", "-c", "echo one >/srv/order"], [
      "exec",
      "sh",
      "-c",
      "echo two >>/srv/order",
    ]);
    await d.ok("up");
    await checkIn(d, "from the one to be lost", ["exec", "sh", "-c", "echo three >>/srv/order"]);
    await b.ok("up");
    const old = (await status(d)).hostId;
    await fleet.wipe("hostd");
    await d.sh("test ! -e /srv/order");

    const knocks = d.spawn(["isconf", "join", await token(a, "--approve")]); // even so: its name is another's
    await until("hostd waits", () => /waiting for approval/.test(knocks.said()));
    await refused(a, 1, /another host is called hostd/, "approve", "hostd");
    await a.ok("approve", "--replace", "hostd");
    assert.equal((await knocks.ended).status, 0, knocks.said());
    assert.notEqual((await status(d)).hostId, old);
    assert.match(await a.ok("hosts"), /hostd +\S+ +evicted/);
    assert.match(await d.ok("up"), /applied 3; at entry 3 of main/);
    assert.equal(await d.sh("cat /srv/order"), "one\ntwo\nthree");
    await d.ok("verify");
    await refused(d, 77, /no append role/, "lock", "the old key's roles are gone with it");
    const hash = "sha256sum </srv/order; stat -c '%a %U' /srv/order";
    assert.equal(await d.sh(hash), await b.sh(hash));
  },
);

fleetTest("a host that was off while others went on catches up by up", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb"]);
  const [a, b] = [fleet.host("hosta"), fleet.host("hostb")];
  await checkIn(a, "one", ["exec", "sh", "-c", "echo 1 >/srv/n"]);
  await b.ok("up");
  await fleet.off("hostb");
  for (let n = 2; n <= 5; n++) await checkIn(a, `entry ${n}`, ["exec", "sh", "-c", `echo ${n} >>/srv/n`]);
  assert.deepEqual(await lineOf(a, "hostb").then((l) => [l.at, l.reached]), [1, false]);
  let said = "";
  await soon("finding the keeper right after power has come", settleInMs, async (n) => {
    if (n > 0) await fleet.off("hostb");
    await fleet.on("hostb");
    said = await b.ok("up");
    return /nobody could be asked/.test(said) ? Infinity : 0;
  });
  assert.match(said, /applied 4; at entry 5 of main; up to date with the keeper hosta/);
  assert.equal(await b.sh("cat /srv/n"), await a.sh("cat /srv/n"));
});

fleetTest(
  "a restart in the journal holds a host back until it may restart, and is gone through once",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb"]);
    const [a, b] = [fleet.host("hosta"), fleet.host("hostb")];
    await a.ok("lock", "with a restart");
    await a.ok("exec", "sh", "-c", "echo before >>/srv/steps");
    await a.ok("reboot");
    await until(
      "hosta is told to restart",
      async () => (await a.sh("cat /var/log/restarts || :")) === "restart",
    );
    await fleet.off("hosta");
    await fleet.on("hosta");
    await untilConnected(fleet, "hosta", "hostb");
    await a.ok("exec", "sh", "-c", "echo after >>/srv/steps");
    await a.ok("ci");
    await refused(b, 1, /entry 2 restarts this host[^]*isconf up -r/, "up");
    await refused(b, 1, /entry 2 restarts this host/, "up");
    assert.equal(await b.sh("cat /srv/steps"), "before");
    await b.sh("test ! -e /var/log/restarts");
    await b.ok("up", "-r");
    await until(
      "hostb is told to restart",
      async () => (await b.sh("cat /var/log/restarts || :")) === "restart",
    );
    await b.sh("! grep after /srv/steps");
    await fleet.off("hostb");
    await fleet.on("hostb");
    await until("hostb has gone on by itself", async () => (await status(b)).at === 3);
    assert.equal(await b.sh("cat /srv/steps /var/log/restarts"), "before\nafter\nrestart");
  },
);

fleetTest(
  "an entry that fails stops one host there, which others see, and nothing overtakes it",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb", "hostc"]);
    const [a, b, c] = [fleet.host("hosta"), fleet.host("hostb"), fleet.host("hostc")];
    await b.sh("touch /srv/in-the-way");
    await checkIn(a, "fails on b", ["exec", "sh", "-c", "echo 1 >>/srv/n"], [
      "exec",
      "sh",
      "-c",
      "test ! -e /srv/in-the-way && echo 2 >>/srv/n",
    ]);
    await refused(b, 1, /entry 2 failed here with status 1[^]*up --again 2/, "up");
    await until("hosta hears of it", async () => (await lineOf(a, "hostb")).state === "failed");
    const { at, why, reached } = await lineOf(a, "hostb");
    assert.deepEqual([at, reached], [1, true]);
    assert.match(why, /entry 2 is failed: sh -c/);
    await checkIn(a, "in its place", ["exec", "sh", "-c", "echo 3 >>/srv/n"]);
    await c.ok("up");
    assert.equal(await c.sh("cat /srv/n"), "1\n2\n3");
    await refused(b, 1, /entry 2 failed here/, "up");
    await refused(b, 1, /entry 2 failed here/, "up");
    assert.equal(await b.sh("cat /srv/n"), "1");
    assert.deepEqual(await lineOf(a, "hostb").then((l) => [l.at, l.of, l.state]), [1, 3, "failed"]);
    await fleet.off("hostb");
    await until("hostb is missed", async () => !(await lineOf(a, "hostb")).reached, 60_000);
    assert.deepEqual(await lineOf(a, "hostb").then((l) => [l.at, l.of, l.state]), [1, 3, "failed"]);
    assert.match(await a.ok("status"), /hostb +main +1 of 3 +failed .*heard .*entry 2 is failed/);
    await fleet.on("hostb");
    await b.sh("rm /srv/in-the-way");
    await refused(b, 1, /entry 2 failed here/, "up"); // it is never started again unasked
    await b.ok("up", "--again", "2");
    assert.equal(await b.sh("cat /srv/n"), "1\n2\n3");
    assert.equal((await lineOf(a, "hostb")).state, "current");
  },
);
