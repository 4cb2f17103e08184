// resolve: two certified entries for one place, of a branch or of the control journal: people with root keys say which counts, and
// who had run the other is diverged. And hosts that are not built yet. Between real hosts on loopback.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encode, fromHex, generateKeyPair, systemClock, toHex } from "../mq/mod.ts";
import { carry, faultOf, grantTo, makeHost, type TestHost, until, UP } from "../tests/world.ts";
import { type EntryRecord, type Op, readEntry } from "./entry.ts";
import { certified, entriesOf, recordsOf, stolen, workOf } from "./fixture.ts";
import { gather } from "./gather.ts";
import { hostId } from "./host.ts";
import { takeIn } from "./intake.ts";
import { Journal } from "./journal.ts";
import { CONTROL } from "./names.ts";
import {
  checkIn,
  connected,
  type Ctx,
  fleet,
  policyOf,
  same,
  seqOf,
  signed,
  submit,
} from "./recovery_fixture.ts";

/** A second host of main, and on the first an entry for a place at which the other has another, both certified. */
async function forked(t: Ctx) {
  const { hosts, recovery } = await fleet(t, ["hosta", "hostb", "hostc", "hostd"]);
  const [a, b, c, d] = hosts as [TestHost, TestHost, TestHost, TestHost];
  await checkIn(a, "first");
  for (const host of [b, c, d]) {
    await host.acts.apply.up(host.call(), UP);
  }
  const [twin] = certified(a, workOf(a, stolen(a), 2, 1, { message: "by the clone" })) as [EntryRecord];
  for (const host of [b, c, d]) await host.stop();
  await checkIn(a, "by the keeper");
  await checkIn(a, "and on top of that");
  const ours = recordsOf(a)[1] as EntryRecord;
  await a.stop();
  // hostc and hostd have heard the clone, and hostd has run what it said.
  for (const host of [c, d]) {
    await host.start();
    takeIn(host.agent.host, [twin]);
  }
  d.agent.host.db.write((tx) => {
    const id = readEntry(twin.entry).id;
    d.agent.host.history.intent(tx, { seq: 2, id, boot: "boot-1", startedMs: 1 });
    d.agent.host.history.ended(tx, 2, { status: 0, endedMs: 2 });
  });
  for (const host of [a, b]) await host.start();
  await connected(hosts);
  await until("all have heard of both", async () => {
    for (const host of hosts) await gather(host.agent.host);
    return [a, c, d].every((host) => host.agent.host.journal.forkOf("main") !== undefined);
  }, 45_000);
  return { hosts: [a, b, c, d] as const, recovery, twin, ours };
}

test("two certified entries for one place: the branch stands still everywhere until root keys say which counts; who had run the other is diverged", async (t) => {
  const { hosts, recovery, ours, twin } = await forked(t);
  const [a, b, c, d] = hosts;
  for (const host of [a, c, d]) {
    assert.equal((await faultOf(() => host.acts.locks.lock(host.call(), "why"))).exit, 225);
    assert.equal((await faultOf(() => host.acts.apply.up(host.call(), UP))).exit, 225);
  }
  const idOf = ({ entry }: EntryRecord) => toHex(readEntry(entry).id);
  const resolve = (host: TestHost, keep?: string, branch = "main") =>
    host.acts.recovery.resolve(host.call(), { branch, yes: true, ...(keep === undefined ? {} : { keep }) });
  assert.match(
    (await faultOf(() => resolve(a))).message,
    /say which entry 2 is to count: .*by the keeper|by the clone/,
  );
  assert.match((await faultOf(() => resolve(a, "00000000"))).message, /say which entry 2/);
  assert.match((await faultOf(() => resolve(a, idOf(twin)))).message, /this host has the other one/);
  assert.match((await faultOf(() => resolve(a, undefined, CONTROL))).message, /is not forked/);
  const plan = await resolve(a, idOf(ours));
  assert.equal(
    (await faultOf(() => submit(a, signed(plan.proposal, generateKeyPair(systemClock))))).kind,
    "denied",
  );
  await submit(a, signed(plan.proposal, recovery));
  await same(hosts);
  await same(hosts, "main");
  for (const host of [a, b, c]) {
    await host.acts.apply.up(host.call(), UP);
    assert.equal(host.agent.host.history.applied(), 3);
  }
  assert.equal((await faultOf(() => d.acts.apply.up(d.call(), UP))).exit, 224);
  assert.equal(d.acts.status.standing(d.agent.host).state, "diverged");
  await checkIn(c, "it goes on");
  for (const host of hosts) {
    assert.equal((await faultOf(() => takeIn(host.agent.host, [twin]))).kind, "corrupt", "no fork again");
    assert.equal(host.agent.host.journal.forkOf("main"), undefined);
    await host.acts.report.verify(host.call(), {});
  }
});

test("two certified entries for one place of the control journal: neither stays, and what was said has to be said again", async (t) => {
  const { hosts, recovery } = await fleet(t, ["hosta", "hostb"]);
  const [a, b] = hosts as [TestHost, TestHost];
  await checkIn(a, "before");
  await same(hosts, "main");
  const before = seqOf(a, CONTROL);
  const ops: Op[] = [{ op: "branch", name: "mine", from: null }];
  const [twin] = certified(a, workOf(a, stolen(a), 0, 1, { branch: CONTROL, ops })) as [EntryRecord];
  await b.stop();
  await grantTo(a, 2_012_345_678, "carol", "append", "main");
  await checkIn(a, "under the one");
  await a.stop();
  await b.start();
  takeIn(b.agent.host, [twin]);
  await a.start();
  await connected(hosts);
  await until("both know", async () => {
    for (const host of hosts) await gather(host.agent.host);
    return hosts.every((host) => host.agent.host.journal.forkOf(CONTROL) !== undefined);
  }, 45_000);
  assert.equal((await faultOf(() => grantTo(a, 2_012_345_679, "dave", "append", "main"))).exit, 225);
  const { proposal, ends } = await a.acts.recovery.resolve(a.call(), { branch: CONTROL, yes: true });
  assert.deepEqual(ends, [{ branch: CONTROL, seq: before }, { branch: "main", seq: 1 }]);
  await submit(a, signed(proposal, recovery));
  await same(hosts);
  for (const host of hosts) {
    assert.equal(host.agent.host.journal.forkOf(CONTROL), undefined);
    assert.equal(policyOf(host).branches.has("mine"), false);
    assert.ok(![...policyOf(host).persons].some(([, { name }]) => name.startsWith("carol")));
  }
  assert.equal(
    (await faultOf(() => a.acts.apply.up(a.call(), UP))).exit,
    224,
    "it ran what was made under what is void",
  );
  await b.acts.apply.up(b.call(), UP);
  await grantTo(a, 2_012_345_678, "carol", "append", "main");
  await checkIn(b, "after");
  for (const host of hosts) await host.acts.report.verify(host.call(), {});
});

test("a host that is not built yet replays across epochs, from a bundle and from others, and refuses what does not count", async (t) => {
  const { hosts, recovery } = await fleet(t, ["hosta", "hostb"]);
  const [a, b] = hosts as [TestHost, TestHost];
  await checkIn(a, "in the first");
  await same(hosts, "main");
  const first = certified(a, workOf(a, stolen(a), 2, 1))[0] as EntryRecord;
  await a.stop();
  for (const round of [1, 2]) {
    const { proposal } = await recoverAlone(b);
    await submit(b, signed(proposal, recovery));
    assert.equal(policyOf(b).epoch, round);
    await checkIn(b, `in epoch ${round}`);
  }
  const c = await makeHost(t);
  await carry(b, c);
  assert.deepEqual(entriesOf(c).map(({ epoch }) => epoch), [0, 1, 2]);
  await c.acts.apply.up(c.call(), UP);
  assert.equal(c.agent.host.history.applied(), 3);
  assert.equal((await c.acts.report.verify(c.call(), {})).entries, seqOf(c) + seqOf(c, CONTROL));
  // With the control journal alone: nothing can be put in its place.
  const d = await makeHost(t);
  const records = [...recordsOf(b, CONTROL)];
  const domain = b.agent.host.journal.domain() as string;
  for (const record of records) takeIn(d.agent.host, [record], { domain });
  const [one, two, three] = recordsOf(b) as [EntryRecord, EntryRecord, EntryRecord];
  const work = workOf(b, stolen(b), 9, 1, { seq: 1, prev: new Uint8Array(0) });
  const [early] = certified(b, work) as [EntryRecord];
  assert.match(
    (await faultOf(() => takeIn(d.agent.host, [early]))).message,
    /stands before entry 1, from which/,
  );
  takeIn(d.agent.host, [one]);
  assert.match(
    (await faultOf(() => takeIn(d.agent.host, [first]))).message,
    /an epoch that ended with entry 1/,
  );
  takeIn(d.agent.host, [two]);
  for (const cert of [encode([]), one.cert]) {
    assert.equal((await faultOf(() => takeIn(d.agent.host, [{ ...three, cert }]))).kind, "corrupt");
  }
  takeIn(d.agent.host, [three]);
  const again = new Journal(d.agent.host.db);
  assert.equal(again.policy()?.epoch, 2, "also when it is read anew");
});

/** Lets the chains go on with this host alone, although it is there: what a test needs only once is worth no keeper. */
async function recoverAlone(b: TestHost) {
  const { host } = b.agent;
  const { journal } = host;
  const bases = Object.fromEntries([CONTROL, "main"].map((branch) => {
    const { seq, id } = journal.head(branch);
    return [branch, [seq, id] as [number, Uint8Array]];
  }));
  const ops: Op[] = [{ op: "epoch", hosts: [fromHex(hostId(host))], quorum: 1, bases, drops: [] }];
  return await Promise.resolve(b.acts.roots.propose(b.call(), journal.needPolicy("test"), ops));
}
