// branches: hosts of one domain on different branches: each gets its own, and moves only where its history allows.
import assert from "node:assert/strict";
import type { Host } from "../hosts.ts";
import { checkIn, makeDomain, refused, status, until, untilHeld, untilKnown } from "./domain.ts";
import { fleetTest } from "./fleet.ts";

fleetTest("work on a fork reaches those who moved onto it, and nobody else", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb", "hostc", "hostd"]);
  const [a, b, c, d] = fleet.names.map((name) => fleet.host(name)) as [Host, Host, Host, Host];
  await a.ok("grant", "root@hostc", "owner", "*");
  await untilKnown(fleet, "hosta", "hostc");
  await checkIn(a, "for all", ["exec", "sh", "-c", "echo all >>/srv/n"]);
  await Promise.all([b, c, d].map((h) => h.ok("up")));
  assert.match(await c.ok("fork", "web"), /forked web from main at entry 1/);
  await untilKnown(fleet, "hostc", "hostd");
  assert.match(await d.ok("migrate", "web"), /moved from main to web, at entry 1 of 1/);

  await checkIn(c, "for web", ["exec", "sh", "-c", "echo web >>/srv/n"]);
  await checkIn(a, "for main", ["exec", "sh", "-c", "echo main >>/srv/n"]); // both branches have a lock of their own
  await untilHeld(d, 2);
  await untilHeld(b, 2);
  await Promise.all([a, b, c, d].map((h) => h.ok("up")));
  for (const h of [a, b]) {
    assert.deepEqual([(await status(h)).branch, await h.sh("cat /srv/n")], ["main", "all\nmain"]);
  }
  for (const h of [c, d]) {
    assert.deepEqual([(await status(h)).branch, await h.sh("cat /srv/n")], ["web", "all\nweb"]);
  }
  await until(
    "hosta shows who is where",
    async () => /hostd +web +2 of 2 +current/.test(await a.ok("status")),
  );

  for (const h of [c, d]) {
    await refused(h, 1, /main does not hold entry 2, which this host has applied/, "migrate", "main");
  }
  await refused(b, 1, /web does not hold entry 2/, "migrate", "web");
  await refused(b, 2, /no branch nowhere/, "migrate", "nowhere");
  await checkIn(a, "goes on", ["exec", "sh", "-c", "echo main2 >>/srv/n"]);
  await Promise.all([b, c, d].map((h) => h.ok("up")));
  assert.equal(await b.sh("cat /srv/n"), "all\nmain\nmain2");
  assert.equal(await d.sh("cat /srv/n"), "all\nweb");
});
