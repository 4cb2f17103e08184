// apart: two domains on one network, with the same names in both: neither talks to, answers or stores for the other.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Host } from "../hosts.ts";
import { soon } from "../soon.ts";
import { checkIn, connected, join, status } from "./domain.ts";
import { fleetTest, makeFleet } from "./fleet.ts";
import { linesBetween } from "./sockets.ts";

/** How many times as long the same work may take once strangers are called, and what it may take longer however short it was. */
const slower = 2, slowerMs = 3_000;

fleetTest(
  "two domains on one network do not see each other, even when told where the other is",
  async (t) => {
    const fleet = await makeFleet(t, ["one-a", "one-b", "two-a", "two-b"]);
    const [a1, b1, a2, b2] = fleet.names.map((name) => fleet.host(name)) as [Host, Host, Host, Host];
    for (const [a, b] of [[a1, b1], [a2, b2]] as const) {
      await a.ok("init", "--host", "hosta");
      await join(a, b, "--host", "hostb");
      await a.ok("grant", "root@hostb", "append");
    }
    const lines = async () =>
      (await Promise.all(
        ["one-a", "one-b"].flatMap((one) => ["two-a", "two-b"].map((two) => linesBetween(fleet, one, two))),
      )).reduce((sum, n) => sum + n, 0);
    let seen = 0;
    for (let i = 0; i < 20; i++) {
      seen += await lines();
      await pause(100);
    }
    assert.equal(seen, 0, "connections between domains that only hear each other's multicast");

    // The same work twice, without and with strangers that call and are called.
    const checkIns = async (n: string) => {
      const sinceMs = performance.now();
      await checkIn(a1, "of domain one", ["snap", "/srv/marked"]);
      await b1.ok("up");
      await checkIn(b1, "of domain one", ["exec", "sh", "-c", `echo ${n} >/srv/n`]);
      await a1.ok("up");
      return performance.now() - sinceMs;
    };
    await a1.write("/srv/marked", "first bytes");
    const aloneMs = await checkIns("alone");

    // A host that is given the addresses of the other domain calls there, and gets nothing.
    await b2.write(
      "/etc/isconf/isconf.conf",
      `${await b2.sh("cat /etc/isconf/isconf.conf")}\npeers = ${fleet.address("one-a")}:4726 ${
        fleet.address("one-b")
      }:4726\n`,
    );
    await b2.ok("restart");
    const marker = "bytes of the first domain";
    const tries = await soon(
      "two check-ins, called by strangers,",
      slower * aloneMs + slowerMs,
      async (n) => {
        await a1.write("/srv/marked", `${marker}, ${n}`);
        await checkIns(`one ${n}`);
      },
    );
    await checkIn(a2, "of domain two", ["exec", "sh", "-c", "echo two >/srv/n"]);
    await b2.ok("up");
    assert.deepEqual(
      await Promise.all([a1, b1, a2, b2].map(async (host) => (await status(host)).of)),
      [2 + 2 * tries, 2 + 2 * tries, 1, 1],
    );
    const last = `one ${tries - 1}`;
    for (const [host, n] of [[a1, last], [b1, last], [a2, "two"], [b2, "two"]] as const) {
      assert.equal(await host.sh("cat /srv/n"), n);
      assert.deepEqual(await connected(host), [host === a1 || host === a2 ? "hostb" : "hosta"]);
    }
    for (const host of [a2, b2]) {
      assert.equal(await host.sh('grep -rlaF "$1" /var/lib/isconf | wc -l', marker), "0");
    }
  },
);
