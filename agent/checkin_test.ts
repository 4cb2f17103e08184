// checkin: what becomes of work when the keeper, its answer, or the lock is lost on the way.
// Not the keeper's side (keepers_test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cbor } from "../mq/mod.ts";
import { Fault } from "../mq/mod.ts";
import { faultOf, makeDomain, run, type TestHost, until, UP } from "../tests/world.ts";
import { checkIn, entriesOf } from "./fixture.ts";
import { hostId } from "./host.ts";

type Ctx = Parameters<typeof makeDomain>[0];

/** A keeper and a host whose root may do everything, connected. */
async function pair(t: Ctx): Promise<[TestHost, TestHost]> {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "owner", branch: "*" });
  await connected(a, b);
  return [a, b];
}

const connected = (a: TestHost, b: TestHost) =>
  until("connected", async () => {
    await b.agent.host.replica.sync();
    return b.agent.host.mesh.peers().includes(hostId(a.agent.host)) &&
      a.agent.host.journal.head("@domain").seq === b.agent.host.journal.head("@domain").seq;
  });

const lock = (host: TestHost, steal = false) => host.acts.locks.lock(host.call(), "why", steal);
const ci = (host: TestHost) => host.acts.checkin.ci(host.call());
const gone = () => new Fault("ask", "gone", "cut off", { hint: "isconf status" });

/** Changes what a host hears; returns what undoes that. */
function between(b: TestHost, fn: (method: string, ask: () => Promise<Cbor>) => Promise<Cbor>): () => void {
  const { mesh } = b.agent.host;
  const ask = mesh.ask.bind(mesh);
  mesh.ask = (host, method, value, waitMs) => fn(method, () => ask(host, method, value, waitMs));
  return () => void Reflect.deleteProperty(mesh, "ask");
}

/** From the moment the keeper has certified something, nothing is heard any more. */
function cutAtCertify(a: TestHost, b: TestHost): () => void {
  const { seq } = a.agent.host.journal.head("main");
  return between(b, async (_, ask) => {
    if (a.agent.host.journal.head("main").seq > seq) throw gone();
    const answer = await ask();
    if (a.agent.host.journal.head("main").seq > seq) throw gone();
    return answer;
  });
}

test("the keeper is gone before it has certified: the work is still there and goes in later", async (t) => {
  const [a, b] = await pair(t);
  await lock(b);
  await run(b, ["/bin/true"]);
  let parts = 0;
  const undo = between(
    b,
    (method, ask) => method === "keeper" && ++parts > 2 ? Promise.reject(gone()) : ask(),
  );
  assert.equal((await faultOf(() => ci(b))).exit, 223);
  undo();
  assert.equal(entriesOf(a).length, 0);
  assert.equal(b.agent.host.wip.count(), 1);
  await b.restart();
  await connected(a, b);
  assert.deepEqual(await ci(b), { branch: "main", from: 1, to: 1 });
  assert.deepEqual([b.agent.host.wip.count(), b.agent.host.pending.count()], [0, 0]);
});

test("certified, the answer lost, sealed and sent again while nobody answers: the entries are there once and count as done", async (t) => {
  const [a, b] = await pair(t);
  await lock(b);
  await run(b, ["/bin/true"]);
  await run(b, ["/bin/echo", "2"]);
  const undo = cutAtCertify(a, b);
  for (let i = 0; i < 3; i++) assert.equal((await faultOf(() => ci(b))).exit, 223);
  assert.equal(b.agent.host.wip.count(), 2);
  undo();
  await b.restart();
  await until("it is known again", () => b.agent.host.pending.count() === 0);
  assert.deepEqual([b.agent.host.wip.count(), b.agent.host.history.applied()], [0, 2]);
  assert.equal(entriesOf(a).length, 2);
  assert.equal((await b.acts.apply.up(b.call(), UP)).applied, 0, "nothing runs a second time");
});

test("work done after a check-in whose answer was lost stays work, on top of it", async (t) => {
  const [a, b] = await pair(t);
  await lock(b);
  await run(b, ["/bin/true"]);
  const undo = cutAtCertify(a, b);
  await faultOf(() => ci(b));
  await run(b, ["/bin/echo", "more"]);
  await faultOf(() => ci(b));
  undo();
  await lock(b);
  assert.equal(b.agent.host.wip.count(), 1);
  assert.deepEqual(await ci(b), { branch: "main", from: 2, to: 2 });
  assert.deepEqual(entriesOf(a).map((e) => e.seq), [1, 2]);
  assert.equal(b.agent.host.history.applied(), 2);
});

test("a check-in that came back is told with its own places, whatever others have checked in since", async (t) => {
  const [a, b] = await pair(t);
  await lock(b);
  await run(b, ["/bin/true"]);
  const undo = cutAtCertify(a, b);
  await faultOf(() => ci(b));
  await a.acts.apply.up(a.call(), UP);
  await checkIn(a, 3);
  undo();
  assert.deepEqual(await ci(b), { branch: "main", from: 1, to: 1 });
  assert.equal((await b.acts.apply.up(b.call(), UP)).applied, 3);
});

test("work given up while its check-in was under way: what was certified is known, and nothing is given up twice", async (t) => {
  const [a, b] = await pair(t);
  await lock(b);
  await run(b, ["/bin/true"]);
  const undo = cutAtCertify(a, b);
  await faultOf(() => ci(b));
  undo();
  assert.deepEqual(await b.acts.work.dropWip(b.call(), true), { dropped: 0, diverged: false });
  assert.equal(b.agent.host.history.applied(), 1);
  assert.equal((await b.acts.apply.up(b.call(), UP)).applied, 0);
});

for (const ran of [true, false]) {
  test(`a lock stolen and used meanwhile: ci is refused with both terms; ${ran ? "who ran something is diverged" : "who only snapped is not"}`, async (t) => {
    const [a, b] = await pair(t);
    await lock(b);
    if (ran) await run(b, ["/bin/true"]);
    else await b.acts.work.snap(b.call(), "/etc/hostname", false);
    const undo = between(b, () => Promise.reject(gone())); // it hears of nothing
    await lock(a, true);
    await run(a, ["/bin/echo", "first"]);
    await ci(a);
    undo();
    const fault = await faultOf(() => ci(b));
    assert.match(fault.message, /your lock \(term 1\) was taken over by .* \(term 2\)/);
    assert.equal(fault.kind, ran ? "diverged" : "notLocked");
    assert.equal(b.acts.status.standing(b.agent.host).diverged !== null, ran);
    assert.equal(entriesOf(a).length, 1);
    if (ran) return;
    await b.acts.work.dropWip(b.call(), false);
    assert.equal((await b.acts.apply.up(b.call(), UP)).at, 1);
  });
}

test("a lock stolen and not used: the same work goes in after locking again, and nobody is diverged", async (t) => {
  const [a, b] = await pair(t);
  await lock(b);
  await run(b, ["/bin/true"]);
  await lock(a, true);
  assert.match((await faultOf(() => ci(b))).message, /term 1.*term 2/);
  assert.equal(b.acts.status.standing(b.agent.host).diverged, null);
  await a.acts.locks.unlock(a.call(), false);
  await lock(b);
  assert.deepEqual(await ci(b), { branch: "main", from: 1, to: 1 });
});

test("a check-in that was refused because the policy had changed is made anew under the newer one", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const grant = (role: string) =>
    a.acts.roles.grant(a.call(), { person: "root@hostb", role, branch: "main" });
  await grant("append");
  await b.acts.locks.lock(b.call(), "work");
  await run(b, ["/bin/true"]);
  const { mesh, journal, wip } = b.agent.host;
  const ask = mesh.ask.bind(mesh);
  mesh.ask = (to, method, value, waitMs) =>
    method === "keeper"
      ? ask(to, method, value, waitMs)
      : Promise.reject(new Fault("test", "gone", "not heard", { hint: "isconf status" }));
  await grant("publish");
  const refused = await faultOf(() => b.acts.checkin.ci(b.call()));
  assert.deepEqual([refused.kind, refused.hint], ["refused", "isconf ci"], refused.message);
  mesh.ask = ask;
  const end = a.agent.host.journal.head("@domain").seq;
  await until("it has heard", () => journal.head("@domain").seq === end);
  assert.deepEqual(await b.acts.checkin.ci(b.call()), { branch: "main", from: 1, to: 1 });
  await until("both have it", () => [a, b].every((host) => host.agent.host.journal.head("main").seq === 1));
  assert.equal(wip.count(), 0);
});
