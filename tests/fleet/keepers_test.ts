// keepers: a domain with three keepers on a real network, where one is killed, cut off or taken out: what goes on, what waits,
// and that every host ends with the same. What keepers say to each other: agent/keepers_many_test.ts.
import assert from "node:assert/strict";
import type { Host } from "../hosts.ts";
import { checkIn, grant, makeDomain, refused, status, until, untilConnected } from "./domain.ts";
import { fleetTest } from "./fleet.ts";

const append = (n: number) => ["exec", "sh", "-c", `echo ${n} >>/srv/n`];
const hasAll = (host: Host, of: number) =>
  until(`${host.name} has ${of}`, async () => (await status(host)).of === of, 60_000);

fleetTest(
  "of three keepers one may be killed, cut off or replaced; two that are cut off wait, and nothing differs",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb", "hostc", "hostd"]);
    const [a, b, c, d] = fleet.names.map((name) => fleet.host(name)) as [Host, Host, Host, Host];
    for (const name of ["hostb", "hostc", "hostd"]) await grant(fleet, "hosta", `root@${name}`);
    await untilConnected(fleet, ...fleet.names);
    await a.ok("grant", "root@hostb", "owner", "*");
    assert.match(await a.ok("keeper", "add", "hostb", "hostc"), /2 of 3 have to agree: 1 may be away/);
    await checkIn(d, "by two of three", append(1));
    await b.ok("up");
    await checkIn(b, "a keeper itself", append(2));

    await fleet.cut("hosta");
    await until("hosta is missed", async () => !/hosta *$/m.test(await b.ok("keeper")), 60_000);
    await d.ok("up");
    await checkIn(d, "without the first host", append(3));
    await refused(a, 223, /1 of 3 keepers reachable from here; missing: hostb, hostc/, "lock", "alone");
    await fleet.heal();
    await hasAll(a, 3);

    await fleet.partition([["hosta", "hostd"], ["hostb", "hostc"]]);
    await refused(d, 223, /of 3 keepers/, "lock", "with one of three");
    await c.ok("up");
    await checkIn(c, "with two of three", append(4));
    await fleet.heal();
    await untilConnected(fleet, ...fleet.names);

    assert.match(await b.ok("keeper", "remove", "hosta"), /2 of 2 have to agree: none may be away/);
    assert.match(await b.ok("keeper", "add", "hostd"), /2 of 3 have to agree/);
    await fleet.cut("hosta");
    await b.ok("up");
    await checkIn(b, "without it for good", append(5));
    await fleet.heal();
    for (const host of [a, b, c, d]) {
      await hasAll(host, 5);
      await host.ok("up");
      assert.equal(await host.sh("cat /srv/n"), "1\n2\n3\n4\n5");
      await host.ok("verify");
    }
  },
);
