// forks: two certified entries for one place, however they are met: the proof is kept, the branch is frozen. And what is no
// proof freezes nothing. Not the cloned disk by way of bundles (domain_test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, encode, sleep, systemClock } from "../mq/mod.ts";
import { faultOf, makeDomain, makeFirstHost, type TestHost, until, UP } from "../tests/world.ts";
import type { EntryRecord } from "./entry.ts";
import { addOther, certified, checkIn, follower, honest, recordsOf, stolen, workOf } from "./fixture.ts";
import { hostId } from "./host.ts";
import { takeIn, writeRecord } from "./intake.ts";
import { sweepMs } from "./limits.ts";
import { CONTROL } from "./names.ts";

/** A keeper with three entries on main, and the three that a clone of it has certified in the place of the last two. */
async function forkedAt2(
  t: Parameters<typeof makeFirstHost>[0],
): Promise<{ a: TestHost; twin: EntryRecord[] }> {
  const a = await makeFirstHost(t);
  await addOther(a, "hostb");
  await checkIn(a, 1);
  const twin = [...recordsOf(a), ...certified(a, workOf(a, stolen(a), 2, 3))];
  await checkIn(a, 2);
  return { a, twin };
}

/** A host of the clone's side, with so many entries of it. */
const of = (a: TestHost, twin: EntryRecord[], branch = "main") => (method: string, value: Cbor): Cbor => {
  if (method === "heads") {
    const [heads] = honest(a)("heads", null) as [[string, number, Uint8Array][]];
    return [
      heads.map(([b, seq, id]) => b === branch ? [b, twin.length, new Uint8Array(32)] : [b, seq, id]),
      null,
    ];
  }
  const [asked, after] = value as [string, number];
  return asked === branch ? twin.slice(after).map(writeRecord) : honest(a)(method, value);
};

for (const [name, have] of [["shorter than", 2], ["as long as", 3], ["longer than", 4]] as const) {
  test(`a fork in a chain that is ${name} ours is found where the chains part, and freezes the branch`, async (t) => {
    const { a, twin } = await forkedAt2(t);
    const b = follower(t, a, 3);
    b.mesh.hosts.set("peer", of(a, twin.slice(0, have)));
    await b.clock.advance(sweepMs);
    for (let i = 0; i < 100 && b.journal.forkOf("main") === undefined; i++) await sleep(systemClock, 5);
    assert.equal(b.journal.forkOf("main")?.seq, 2);
    assert.equal(b.seq(), 3);
    const before = b.mesh.asked.length;
    await b.replica.sync();
    assert.ok(b.mesh.asked.length - before < 10);
    assert.equal(b.seq(), 3, "a frozen branch does not grow");
    assert.match(b.log.join(), /two different entries 2 of main were certified/);
  });
}

test("a fork of the control journal is found where the chains part", async (t) => {
  const a = await makeFirstHost(t);
  const [first] = recordsOf(a, CONTROL);
  const ops = [{ op: "branch" as const, name: "mine", from: null }];
  const second = certified(a, workOf(a, stolen(a), 0, 1, { branch: CONTROL, ops }));
  for (const name of ["hostb", "hostc", "hostd"]) await addOther(a, name);
  const b = follower(t, a);
  b.mesh.hosts.set("peer", of(a, [first as EntryRecord, ...second, ...second, ...second], CONTROL));
  await b.clock.advance(sweepMs);
  for (let i = 0; i < 100 && b.journal.forkOf(CONTROL) === undefined; i++) await sleep(systemClock, 5);
  assert.equal(b.journal.forkOf(CONTROL)?.seq, 2);
});

test("a second entry that nobody certified, or that is not of this domain, freezes nothing: the certified one stands", async (t) => {
  const { a, twin } = await forkedAt2(t);
  const b = follower(t, a, 3);
  const [, second] = twin as [EntryRecord, EntryRecord];
  const other = await makeFirstHost(t);
  await checkIn(other, 2);
  const foreign = recordsOf(other)[1] as EntryRecord;
  const [genesis] = recordsOf(other, CONTROL);
  const bad = second.entry.slice();
  bad[100] = (bad[100] as number) ^ 1;
  for (
    const record of [
      { ...second, cert: encode([]) },
      { ...second, cert: recordsOf(a)[1]?.cert as Uint8Array },
      { ...second, origin: recordsOf(a)[1]?.origin as Uint8Array },
      { ...second, entry: bad },
      foreign,
      genesis as EntryRecord,
    ]
  ) assert.notEqual((await faultOf(() => takeIn(b, [record]))).kind, "forked");
  for (const branch of ["main", CONTROL]) assert.equal(b.journal.forkOf(branch), undefined);
  assert.equal((await faultOf(() => takeIn(b, [second]))).kind, "forked", "the same, certified");
});

test("a fork met over the network: up and lock end with 225, status says so, also after a restart", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const { journal } = a.agent.host;
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "append", branch: "main" });
  const [twin] = certified(a, workOf(a, stolen(a), 1)) as [EntryRecord];
  await checkIn(a, 1);
  await b.acts.apply.up(b.call(), UP);
  a.agent.host.db.write((tx) => {
    tx.run("DELETE FROM entry WHERE branch = 'main'");
    journal.append(tx, [journal.check(twin, journal.head("main"))]);
    tx.run("UPDATE history SET id = (SELECT id FROM entry WHERE branch = 'main')"); // as if that had run there
  });
  await checkIn(a, 1);
  await until("b has seen it", async () => {
    await b.agent.host.replica.sync();
    return b.agent.host.journal.forkOf("main") !== undefined;
  });
  for (const again of [false, true]) {
    if (again) await b.restart();
    assert.equal((await faultOf(() => b.acts.apply.up(b.call(), UP))).exit, 225);
    assert.equal((await faultOf(() => b.acts.locks.lock(b.call(), "why"))).exit, 225);
    assert.equal(b.acts.status.standing(b.agent.host).state, "forked");
  }
  assert.equal(hostId(b.agent.host).length, 64);
});
