// The contract of the register: what a domain's hosts may count on, whatever decides: one keeper, several, or an etcd. Asked at
// the verbs, from several hosts at once. Not a test file by itself; each register's test calls it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOf, makeDomain, type Options, run, type TestHost, until, UP } from "../world.ts";

type Ctx = { after(fn: () => Promise<void>): void };

/** Hosts that are connected, all of them owners; the first three are keepers when there are `several`. */
export async function makeFleet(
  t: Ctx,
  names: string[],
  several: boolean,
  options: Partial<Options> = {},
): Promise<TestHost[]> {
  const hosts = await makeDomain(t, names, options);
  const [a] = hosts as [TestHost];
  for (const name of names.slice(1)) {
    await a.acts.roles.grant(a.call(), { person: `root@${name}`, role: "owner", branch: "*" });
  }
  await allConnected(hosts);
  if (several) await a.acts.keepers.change(a.call(), { add: names.slice(1, 3) });
  await allKnow(hosts);
  await allConnected(hosts);
  return hosts;
}

/** The same, with an etcd that decides. */
export async function makeEtcdFleet(t: Ctx, names: string[], options: Partial<Options>): Promise<TestHost[]> {
  const hosts = await makeFleet(t, names, true, options);
  await hosts[0]!.acts.keepers.change(hosts[0]!.call(), { register: "etcd" });
  await allKnow(hosts);
  return hosts;
}

export const seqOf = (host: TestHost, branch = "main") => host.agent.host.journal.head(branch).seq;

export const allConnected = (hosts: TestHost[]) =>
  until("all are connected", () => hosts.every((h) => h.agent.host.mesh.peers().length === hosts.length - 1));

/** Waits until all hosts have what the one with the most has of the control journal. */
export const allKnow = (hosts: TestHost[], branch = "@domain") =>
  until("all know", () => new Set(hosts.map((host) => seqOf(host, branch))).size === 1);

/** Lock, a command, ci, once this host has applied what there is. */
export async function checkIn(host: TestHost, argv = ["/bin/true"]): Promise<void> {
  await host.acts.apply.up(host.call(), UP);
  await host.acts.locks.lock(host.call(), "why");
  await run(host, argv);
  await host.acts.checkin.ci(host.call());
}

/** The ids of a branch's entries, in order, in one text. */
export const chainOf = (host: TestHost, branch = "main") => {
  const { journal } = host.agent.host;
  return [...journal.range(branch, 1, journal.head(branch).seq)].map(({ id }) =>
    Buffer.from(id).toString("hex")
  )
    .join();
};

/** Waits until all have the same chain of so many entries, and has each of them verify it. */
export async function allSame(hosts: TestHost[], seq: number, branch = "main"): Promise<void> {
  await until(`all have ${seq} entries`, () => hosts.every((host) => seqOf(host, branch) === seq));
  assert.equal(new Set(hosts.map((host) => chainOf(host, branch))).size, 1);
  for (const host of hosts) await host.acts.report.verify(host.call(), {});
}

/** Runs the contract. `make` gives three connected hosts whose roots are owners of everything. */
export function registerContract(
  name: string,
  make: (t: Ctx) => Promise<TestHost[]>,
  skip: string | false = false,
): void {
  const promise = (title: string, fn: (a: TestHost, b: TestHost, c: TestHost) => Promise<void>) =>
    test(`${name}: ${title}`, { skip }, async (t) => {
      const [a, b, c] = await make(t) as [TestHost, TestHost, TestHost];
      await fn(a, b, c);
    });
  const lock = (host: TestHost, message: string, steal = false) =>
    host.acts.locks.lock(host.call(), message, steal);
  const look = (host: TestHost) =>
    host.agent.host.keepers.look("test", host.agent.host.journal.needPolicy("test"), "main");

  promise("a lock is one's until it is given back, and each has a higher term", async (a, b, c) => {
    const first = await lock(b, "mine");
    for (const host of [a, c]) {
      const fault = await faultOf(() => lock(host, "me too"));
      assert.equal(fault.kind, "locked");
      assert.match(fault.message, /locked by root@hostb on hostb .*: mine/);
    }
    const again = await lock(b, "mine, for another reason");
    assert.deepEqual([again.term, again.took], [first.term, false]);
    assert.match((await faultOf(() => a.acts.locks.unlock(a.call(), false))).message, /locked by root@hostb/);
    await b.acts.locks.unlock(b.call(), false);
    const second = await lock(c, "mine now");
    assert.ok(second.term > first.term);
    for (const host of [a, b, c]) {
      const seen = await look(host);
      assert.deepEqual([seen.lock?.term, seen.lock?.held, seen.lock?.hostName, seen.seq], [
        second.term,
        true,
        "hostc",
        0,
      ]);
    }
  });

  promise("of those who lock at the same moment one gets it at the most", async (a, b, c) => {
    let last = 0;
    for (let round = 0; round < 5; round++) {
      const hosts = [a, b, c];
      const all = await Promise.allSettled(hosts.map((host) => lock(host, `round ${round}`)));
      const terms = all.map((one) => one.status === "fulfilled" ? one.value.term : 0);
      const got = hosts.filter((_, i) => terms[i]! > 0);
      assert.ok(got.length <= 1, `${got.length} got it`);
      for (const host of got) {
        assert.ok(Math.max(...terms) > last);
        last = Math.max(...terms);
        await host.acts.locks.unlock(host.call(), false);
      }
    }
    await checkIn(a);
    await allSame([a, b, c], 1);
  });

  promise(
    "a check-in goes on from the newest entry, from whichever host, and everybody can check it",
    async (a, b, c) => {
      for (const host of [a, b, c, b]) await checkIn(host);
      await allSame([a, b, c], 4);
      for (const host of [a, b, c]) {
        const seen = await look(host);
        assert.deepEqual([seen.seq, seen.lock?.held], [4, false]);
      }
    },
  );

  promise("who lost the lock checks nothing in, whatever he does", async (a, b, c) => {
    await lock(b, "slow");
    await run(b, ["/bin/true"]);
    const { term } = await lock(a, "stolen", true);
    assert.ok(["locked", "notLocked"].includes((await faultOf(() => b.acts.checkin.ci(b.call()))).kind));
    await run(a, ["/bin/echo", "a"]);
    await a.acts.checkin.ci(a.call());
    assert.ok(["notLocked", "diverged"].includes((await faultOf(() => b.acts.checkin.ci(b.call()))).kind));
    await allSame([a, b, c], 1);
    assert.equal((await look(c)).lock?.term, term);
  });

  promise("work checked in twice is there once", async (a, b, c) => {
    await lock(b, "why");
    await run(b, ["/bin/true"]);
    const ci = () => b.agent.host.turn.take("ci", () => b.acts.checkin.ci(b.call())); // as the verb does
    const both = await Promise.allSettled([ci(), ci()]);
    assert.ok(both.some(({ status }) => status === "fulfilled"));
    await allSame([a, b, c], 1);
    assert.equal(b.agent.host.wip.count(), 0);
  });

  promise("hundreds of entries are checked in as a whole", async (a, b, c) => {
    await lock(b, "many");
    const large = "x".repeat(100_000);
    for (let i = 0; i < 30; i++) await run(b, ["/bin/true", large, String(i)]);
    await b.acts.checkin.ci(b.call());
    await allSame([a, b, c], 30);
  });

  promise(
    "several who extend the control journal at once all get there, one after the other",
    async (a, b, c) => {
      const before = seqOf(a, "@domain");
      const grants = [a, b, c].map((host, i) =>
        host.acts.roles.grant(host.call(), {
          person: `root@host${"abc"[i]}`,
          role: "publish",
          branch: "main",
        })
      );
      const done = (await Promise.allSettled(grants)).filter(({ status }) => status === "fulfilled").length;
      assert.ok(done > 0);
      // One that was told of no quorum may stand all the same: who comes next finishes what keepers have accepted.
      await until(
        "who was let in is, and all agree",
        () =>
          new Set([a, b, c].map((host) => chainOf(host, "@domain"))).size === 1 &&
          seqOf(a, "@domain") >= before + done,
      );
      await c.acts.domain.fork(c.call(), "other");
      const after = seqOf(c, "@domain");
      assert.ok(after > before + done && after <= before + grants.length + 1);
      await allSame([a, b, c], after, "@domain");
    },
  );

  promise("a key that is revoked ends where its branch does", async (a, b, c) => {
    await checkIn(c);
    await allSame([a, b, c], 1);
    await a.acts.roles.revoke(a.call(), { person: "root@hostc", reason: "left" });
    await allKnow([a, b, c]);
    assert.equal((await faultOf(() => checkIn(c))).kind, "denied");
    await checkIn(b);
    await allSame([a, b, c], 2);
  });

  promise("what was decided stays so when all were off", async (a, b, c) => {
    await checkIn(b);
    await allSame([a, b, c], 1);
    for (const host of [a, c]) await host.acts.apply.up(host.call(), UP);
    const { term } = await lock(a, "kept");
    for (const host of [a, b, c]) await host.stop();
    for (const host of [a, b, c]) await host.start();
    await allConnected([a, b, c]);
    assert.equal((await faultOf(() => lock(c, "mine"))).kind, "locked");
    const taken = await lock(c, "mine", true);
    assert.ok(taken.term > term);
    await run(c, ["/bin/true"]);
    await c.acts.checkin.ci(c.call());
    await allSame([a, b, c], 2);
  });
}
