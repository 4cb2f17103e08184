// recover: on a real network a domain loses two of its three keepers for good; with the recovery key it goes on without them. They
// come back with what nobody else has, and even go on among themselves; nobody believes them, and they find out.
import assert from "node:assert/strict";
import type { Host } from "../hosts.ts";
import { checkIn, grant, join, refused, status, until, untilConnected, untilKnown } from "./domain.ts";
import { fleetTest, makeFleet } from "./fleet.ts";

const append = (line: string) => ["exec", "sh", "-c", `echo ${line} >>/srv/n`];
const hasAll = (host: Host, of: number) =>
  until(`${host.name} has ${of}`, async () => (await status(host)).of === of, 60_000);
const isApart = (host: Host, from: string) =>
  until(
    `${host.name} misses ${from}`,
    async () =>
      (await host.ok("hosts")).split("\n").some((line) =>
        line.startsWith(from) && line.includes("not connected")
      ),
    60_000,
  );

fleetTest(
  "two of three keepers are lost, the recovery key lets the others go on, and what the lost ones bring back counts nowhere",
  async (t) => {
    const fleet = await makeFleet(t, ["hosta", "hostb", "hostc", "hostd", "hoste"]);
    const [a, b, c, d, e] = fleet.names.map((name) => fleet.host(name)) as [Host, Host, Host, Host, Host];
    const recovery = (await a.must(["isconf", "init"])).stdout;
    for (const host of [b, c, d, e]) await join(a, host);
    for (const { name } of [b, c, d]) await grant(fleet, "hosta", `root@${name}`);
    await untilConnected(fleet, ...fleet.names);
    await a.ok("keeper", "add", "hostb", "hostc");
    await checkIn(d, "before", append("before"));
    for (const host of [a, b, c, d, e]) {
      await hasAll(host, 1);
      await host.ok("up");
      await untilKnown(fleet, "hosta", host.name);
    }

    await fleet.partition([["hosta", "hostb"], ["hostc", "hostd", "hoste"]]);
    await isApart(a, "hostc");
    await checkIn(a, "seen by hosta and hostb alone", append("lost"));
    await fleet.off("hosta");
    await fleet.off("hostb");
    await fleet.heal();
    await untilConnected(fleet, "hostc", "hostd", "hoste");
    await refused(c, 223, /of 3 keepers/, "lock", "without them");
    const shown = await c.isconf("keeper", "recover", "hostc", "hostd", "hoste");
    assert.equal(shown.status, 1);
    assert.match(shown.stderr, /NOT reached: hosta, hostb;/);
    assert.match(shown.stderr, /main goes on after entry 1/);

    await c.sh("isconf keeper recover hostc hostd hoste --owner --yes >/root/go-on");
    await refused(c, 77, /lacks the signatures of root keys: 1 of 1/, "root", "submit", "/root/go-on");
    await c.sh("isconf root key | sed -n 's/^secret *//p' | isconf root sign /root/go-on");
    await refused(c, 77, /lacks the signatures of root keys: 1 of 1/, "root", "submit", "/root/go-on");
    await c.write("/root/recovery", recovery);
    await c.ok("root", "sign", "--key", "/root/recovery", "/root/go-on");
    await c.ok("root", "submit", "/root/go-on");
    assert.match(await c.ok("keeper"), /2 of 3 have to agree/);
    await untilKnown(fleet, "hostc", "hostd");
    await untilKnown(fleet, "hostc", "hoste");
    await checkIn(d, "after", append("after"));
    await c.ok("up");
    await checkIn(c, "and again", append("again"));

    // The old keepers are a quorum of the old ones still, and hear nobody else.
    await fleet.partition([["hosta", "hostb"], ["hostc", "hostd", "hoste"]]);
    await fleet.on("hosta");
    await fleet.on("hostb");
    await untilConnected(fleet, "hosta", "hostb");
    await b.ok("up");
    await checkIn(b, "as if nothing had been", append("ghost"));
    await fleet.heal();
    for (const host of [a, b]) {
      await until(
        `${host.name} has found out`,
        async () => (await status(host)).state === "diverged",
        90_000,
      );
      await refused(host, 224, /does not count any more/, "up");
      await refused(host, 224, /diverged/, "lock", "why");
      await hasAll(host, 3);
    }
    assert.match((await a.isconf("doctor")).stdout, /BAD {2}congruent: this host is diverged/);
    for (const host of [c, d, e]) {
      await hasAll(host, 3);
      await host.ok("up");
      assert.equal(await host.sh("cat /srv/n"), "before\nafter\nagain");
    }
    const f = await fleet.add("hostf");
    await join(c, f);
    await f.ok("up");
    for (const host of [a, b, c, d, e, f]) await host.ok("verify");

    // Somebody puts right by hand what had been done there.
    assert.equal((await a.isconf("rebase")).status, 1);
    await a.sh("echo before >/srv/n");
    await a.ok("rebase", "--yes");
    for (const host of [a, f]) {
      await host.ok("up");
      assert.equal(await host.sh("cat /srv/n"), "before\nafter\nagain");
    }
    await checkIn(a, "one of all again", append("all"));
  },
  { timeoutMs: 600_000 },
);
