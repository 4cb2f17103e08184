// restored: hosts whose disk was put back from a backup, on a real network: what they are not allowed to sign, how they come
// back, and what everybody hears when one has signed something else before anybody could tell it. What the proofs are:
// agent/fork_proof_test.ts.
import assert from "node:assert/strict";
import type { Host } from "../hosts.ts";
import { checkIn, grant, makeDomain, refused, status, until, untilConnected } from "./domain.ts";
import { fleetTest } from "./fleet.ts";

const append = (n: string) => ["exec", "sh", "-c", `echo ${n} >>/srv/n`];
const hasAll = (host: Host, of: number) =>
  until(`${host.name} has ${of}`, async () => (await status(host)).of === of, 60_000);

/** Keeps a copy of what a host has on its disk, files that its entries made too. */
async function backUp(host: Host): Promise<void> {
  await host.ok("stop");
  await host.sh("rm -rf /root/backup; mkdir /root/backup; cp -a /var/lib/isconf /srv /root/backup/");
  await host.ok("start");
}

/** Puts that copy back; its agent is not running then. */
async function putBack(host: Host): Promise<void> {
  await host.ok("stop");
  await host.sh("rm -rf /var/lib/isconf /srv; cp -a /root/backup/isconf /var/lib/; cp -a /root/backup/srv /");
}

/** What a host says in `status` and has as its exit status for it. */
async function said(host: Host): Promise<string> {
  return (await host.isconf("status")).stdout;
}

fleetTest(
  "a host put back from a backup signs nothing until isconf recover, and then is like the others",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb", "hostc"]);
    const [a, b, c] = fleet.names.map((name) => fleet.host(name)) as [Host, Host, Host];
    await grant(fleet, "hosta", "root@hostb");
    await untilConnected(fleet, ...fleet.names);
    await checkIn(b, "before", append("1"));
    await backUp(b);
    await untilConnected(fleet, ...fleet.names);
    await checkIn(b, "after", append("2"));
    await putBack(b);
    await b.ok("start");
    await untilConnected(fleet, ...fleet.names);
    await refused(b, 1, /was put back from a backup, or runs twice[^]*isconf recover/, "lock", "once more");
    assert.match(await said(b), /restored +.*isconf recover/);
    assert.match(
      await b.ok("recover"),
      /asked: hosta, hostc\n1 entries made on this host are to be applied here/,
    );
    await b.ok("up");
    await checkIn(b, "again", append("3"));
    for (const host of [a, b, c]) {
      await hasAll(host, 3);
      await host.ok("up");
      assert.equal(await host.sh("cat /srv/n"), "1\n2\n3");
      assert.doesNotMatch(await said(host), /proven|restored|forked/);
    }
  },
);

fleetTest(
  "a keeper that forgot its vote and votes again, unheard by who knows it, is named on every host, and the branch stops",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb", "hostc", "hostd"]);
    const [a, b, c, d] = fleet.names.map((name) => fleet.host(name)) as [Host, Host, Host, Host];
    await grant(fleet, "hosta", "root@hostb");
    await untilConnected(fleet, ...fleet.names);
    await a.ok("keeper", "add", "hostb", "hostc");
    await checkIn(a, "with all", append("1"));
    for (const host of [b, c, d]) await hasAll(host, 1);
    await b.ok("up");
    await fleet.partition([["hosta", "hostc", "hostd"], ["hostb"]]); // what hostc says from here on hostb does not hear
    await backUp(c);
    await untilConnected(fleet, "hosta", "hostc", "hostd");
    await checkIn(a, "with hostc", append("2"));
    await hasAll(c, 2);
    await putBack(c);
    await fleet.partition([["hosta", "hostd"], ["hostb", "hostc"]]);
    await c.ok("start");
    await untilConnected(fleet, "hostb", "hostc");
    await checkIn(b, "with hostc again", append("two"));
    await fleet.heal();
    for (const host of [a, b, d]) {
      await until(`${host.name} knows`, async () => {
        const text = await said(host);
        return /hostc voted for two different entries 2 of main/.test(text) &&
          /forked +at entry 2/.test(text);
      }, 90_000);
      await refused(host, 225, /two different entries 2 of main|frozen/, "up");
    }
    await refused(a, 225, /frozen/, "lock", "as if nothing were");
    assert.match(await said(a), /isconf keeper remove hostc, then isconf evict hostc/);
    assert.match((await d.isconf("doctor")).stdout, /BAD +equivocation: 2 proofs/);
    await fleet.kill9("hostd");
    await fleet.start("hostd");
    assert.match(await said(d), /hostc voted for two different entries 2 of main/);
  },
);
