// parted: hosts of one domain that do not hear each other: who may go on, who is told why not, and that nothing is lost.
import assert from "node:assert/strict";
import type { Host } from "../hosts.ts";
import { soon } from "../soon.ts";
import { checkIn, grant, makeDomain, refused, status, until, untilConnected } from "./domain.ts";
import { fleetTest } from "./fleet.ts";

/** Milliseconds in which a host that cannot reach the keeper says so. */
const noQuorumMs = 6_000;

/** The ids of the entries of the branch, as a host tells them. */
async function journal(host: Host): Promise<string[]> {
  const { entries } = JSON.parse((await host.must(["isconf", "--json", "log"])).stdout) as {
    entries: { id: string }[];
  };
  return entries.map(({ id }) => id);
}

async function isLockRefused(host: Host): Promise<void> {
  await soon(
    "a refusal",
    noQuorumMs,
    () => refused(host, 223, /keeper.*hosta/, "lock", "without the keeper"),
  );
}

fleetTest("a keeper that hears nobody works alone; the others get no lock, and lose nothing", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb", "hostc"]);
  const [a, b, c] = [fleet.host("hosta"), fleet.host("hostb"), fleet.host("hostc")];
  await grant(fleet, "hosta", "root@hostb");
  await checkIn(a, "before", ["exec", "true"]);
  await c.ok("up"); // from now on it has a memory
  await checkIn(a, "before", ["exec", "sh", "-c", "echo 1 >>/srv/n"]);
  await b.ok("up");
  await untilConnected(fleet, ...fleet.names);
  await fleet.partition([["hosta"]]);
  await isLockRefused(b);
  assert.match(await c.ok("up"), /applied 1; .*the keeper could not be asked; up to date with hostb/);
  await a.ok("lock", "alone");
  await a.ok("exec", "sh", "-c", "echo 2 >>/srv/n");
  await a.ok("ci");
  await a.ok("lock", "still alone");
  assert.equal((await status(b)).of, 2);
  await fleet.heal();
  await until("hostb hears of the entry", async () => (await status(b)).of === 3, 60_000);
  await b.ok("up");
  await refused(b, 220, /root@hosta/, "lock", "while hosta has it");
  await a.ok("unlock");
  await checkIn(b, "with the keeper again", ["exec", "sh", "-c", "echo 3 >>/srv/n"]);
  await Promise.all([a, c].map((host) => host.ok("up")));
  const [one, ...others] = await Promise.all([a, b, c].map(journal)) as [string[], ...string[][]];
  assert.equal(one.length, 4);
  for (const other of others) assert.deepEqual(other, one);
  for (const host of [a, b, c]) assert.equal(await host.sh("cat /srv/n"), "1\n2\n3");
});

fleetTest("a host whose cable is out keeps its work, and nobody waits for it", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb", "hostc"]);
  const [a, b, c] = [fleet.host("hosta"), fleet.host("hostb"), fleet.host("hostc")];
  for (const host of ["hostb", "hostc"]) await grant(fleet, "hosta", `root@${host}`);
  await untilConnected(fleet, ...fleet.names);
  await fleet.cut("hostb");
  await checkIn(c, "without hostb", ["exec", "sh", "-c", "echo c >>/srv/n"]);
  await a.ok("up");
  await isLockRefused(b);
  await fleet.heal();
  await until("hostb hears of it", async () => (await status(b)).of === 1, 60_000);
  await b.ok("up");
  await b.ok("lock", "about to be cut off");
  await b.ok("exec", "sh", "-c", "echo b >>/srv/n");
  await fleet.cut("hostb");
  await refused(b, 223, /hosta/, "ci");
  assert.match(await b.ok("wip"), /echo b/);
  await c.ok("up");
  await refused(c, 220, /root@hostb/, "lock", "while hostb has it");
  await fleet.heal();
  await until("hostb can check in", async () => (await b.isconf("ci")).status === 0, 60_000);
  await until("hostc hears of it", async () => (await status(c)).of === 2);
  await Promise.all([a, c].map((host) => host.ok("up")));
  for (const host of [a, b, c]) assert.equal(await host.sh("cat /srv/n"), "c\nb");
});
