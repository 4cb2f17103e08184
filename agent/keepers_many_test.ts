// keepers_many: three keepers, real hosts on loopback: what goes on when one of them is away, what stops when two are, and
// what becomes of a check-in that came to only some of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, decode, Fault, fromHex, keyId, open1, sleep, systemClock } from "../mq/mod.ts";
import { faultOf, grantTo, makeDomain, run, type TestHost, until, UP } from "../tests/world.ts";
import { readEntry, votesOf } from "./entry.ts";
import { allOf, askKeeper, entriesOf, stolen, workOf } from "./fixture.ts";
import { hostId, personPair } from "./host.ts";
import { encodeProof, NO_PROOF } from "./promises.ts";

const idOf = (host: TestHost) => hostId(host.agent.host);
const seqOf = (host: TestHost, branch = "main") => host.agent.host.journal.head(branch).seq;

/** Hosts of a domain, the first three of which are its keepers, all of them owners. */
async function withKeepers(t: Parameters<typeof makeDomain>[0], names = ["hosta", "hostb", "hostc"]) {
  const hosts = await makeDomain(t, names);
  const [a] = hosts as [TestHost];
  for (const name of names.slice(1)) {
    await a.acts.roles.grant(a.call(), { person: `root@${name}`, role: "owner", branch: "*" });
  }
  await until(
    "all are connected",
    () => hosts.every((h) => h.agent.host.mesh.peers().length === names.length - 1),
  );
  await a.acts.keepers.change(a.call(), { add: ["hostb", "hostc"], remove: [] });
  await until("all know", () => hosts.every((host) => seqOf(host, "@domain") === seqOf(a, "@domain")));
  await until(
    "all are connected",
    () => hosts.every((h) => h.agent.host.mesh.peers().length === names.length - 1),
  );
  return hosts as [TestHost, TestHost, TestHost, ...TestHost[]];
}

/** Lock, a command, ci, once this host has applied what there is. */
async function checkIn(host: TestHost, why = "why"): Promise<void> {
  await host.acts.apply.up(host.call(), UP);
  await host.acts.locks.lock(host.call(), why);
  await run(host, ["/bin/true"]);
  await host.acts.checkin.ci(host.call());
}

const votesAt = (host: TestHost, seq: number) =>
  votesOf(host.agent.host.journal.at("main", seq)!.cert).map(({ kid }) => kid);

test("any host checks in by the votes of two of three keepers, and all come to have the same", async (t) => {
  const hosts = await withKeepers(t, ["hosta", "hostb", "hostc", "hostd"]);
  const [a, b, , d] = hosts as TestHost[] as [TestHost, TestHost, TestHost, TestHost];
  for (const host of [b, a, d, b]) await checkIn(host);
  await until("all have it", () => hosts.every((host) => seqOf(host) === 4));
  const all = hosts.map((host) => entriesOf(host).map(({ seq, origin }) => `${seq} ${origin}`).join());
  assert.equal(new Set(all).size, 1);
  assert.equal(new Set(votesAt(a, 4)).size, 2);
  for (const host of hosts) assert.equal((await host.acts.report.verify(host.call(), {})).entries > 4, true);
  await d.acts.roles.grant(d.call(), { person: "root@hostc", role: "publish", branch: "main" });
  await until(
    "the policy comes",
    () => hosts.every((host) => seqOf(host, "@domain") === seqOf(d, "@domain")),
  );
  for (const host of hosts.slice(0, 3)) assert.equal(host.agent.host.keeper.accepted("main"), undefined);
});

test("with one keeper away all goes on, and it catches up; with two away nobody locks, and it is said who is missing", async (t) => {
  const [a, b, c] = await withKeepers(t);
  await c.stop();
  await until("c is gone", () => !a.agent.host.mesh.peers().includes(idOf(c)));
  await checkIn(b);
  await checkIn(a);
  await b.stop();
  await until("b is gone", () => a.agent.host.mesh.peers().length === 0);
  const before = allOf(a);
  const fault = await faultOf(() => a.acts.locks.lock(a.call(), "alone"));
  assert.deepEqual([fault.kind, fault.message], [
    "noQuorum",
    "1 of 3 keepers reachable from here; missing: hostb, hostc",
  ]);
  assert.equal((await faultOf(() => extendBy(a))).kind, "noQuorum");
  assert.equal(allOf(a), before);
  await c.start();
  await until("c is back", () => seqOf(c) === 2);
  await checkIn(c);
  assert.equal(seqOf(a) === 3 || await until("a has it", () => seqOf(a) === 3) === undefined, true);
});

const extendBy = (host: TestHost) =>
  host.acts.roles.grant(host.call(), { person: "root@hostc", role: "publish", branch: "*" });

test("changes of the domain that one host makes at the same time are as many entries, and none is signed twice", async (t) => {
  const [a, b, c] = await withKeepers(t);
  const before = seqOf(a, "@domain");
  const ended = await Promise.allSettled(
    [1, 2, 3, 4].map((n) => grantTo(a, 4000 + n, `user-${n}`, "publish", "main")),
  );
  assert.deepEqual(ended.filter(({ status }) => status === "rejected"), []);
  assert.ok(seqOf(a, "@domain") >= before + 4);
  await until("all have it", () => [b, c].every((host) => seqOf(host, "@domain") === seqOf(a, "@domain")));
  for (const host of [a, b, c]) assert.deepEqual(host.agent.host.journal.forks.all(), []);
  await grantTo(a, 4005, "user-5", "publish", "main");
});

test("where this host has signed a change of the domain before, it signs another in a higher term only", async (t) => {
  const [a] = await withKeepers(t);
  const { journal, own, db } = a.agent.host;
  const termAt = (seq: number) => readEntry(journal.at("@domain", seq)!.entry).entry.term;
  await grantTo(a, 4001, "one", "publish", "main");
  const { seq, epoch } = journal.head("@domain");
  // The next turn was had and used, and what came of it was lost: a crash, or another change at the same time.
  const term = termAt(seq) + 1;
  db.write((tx) => own.sign(tx, "entry", "@domain", { epoch, seq: seq + 1, term }));
  await grantTo(a, 4002, "two", "publish", "main");
  assert.ok(seqOf(a, "@domain") > seq);
  assert.equal(termAt(seq + 1), term + 1);
});

test("somebody has the lock: no other host gets it, until it is given back or taken by an owner", async (t) => {
  const [a, b, c] = await withKeepers(t);
  await b.acts.locks.lock(b.call(), "mine");
  assert.match((await faultOf(() => a.acts.locks.lock(a.call(), "me too"))).message, /locked by root@hostb/);
  await b.acts.locks.unlock(b.call(), false);
  const { term } = await c.acts.locks.lock(c.call(), "now me");
  const held = await a.acts.locks.lock(a.call(), "stolen", true);
  assert.ok(held.term > term);
  await run(a, ["/bin/true"]);
  assert.match((await faultOf(() => run(c, ["/bin/true"]))).message, /locked by root@hosta/);
  await a.acts.checkin.ci(a.call());
});

/** Lets the requests that `drops` names be lost on their way from a host. */
function lossy(host: TestHost, drops: (to: string, what: string) => boolean): void {
  const { mesh } = host.agent.host;
  const ask = mesh.ask.bind(mesh);
  const whatOf = (value: Cbor) =>
    (decode(open1((value as [string, Uint8Array])[1]).payload) as { body: { what: string } }).body.what;
  mesh.ask = (to, method, value, waitMs) =>
    method === "keeper" && drops(to, whatOf(value))
      ? Promise.reject(new Fault("test", "gone", "lost", { hint: "isconf status" }))
      : ask(to, method, value, waitMs);
}

test("a check-in that came to one keeper before its host died is finished by the next who locks, or proven to be nothing", async (t) => {
  const [a, b, c, d] = await withKeepers(t, ["hosta", "hostb", "hostc", "hostd"]);
  await d!.acts.locks.lock(d!.call(), "what dies");
  await run(d!, ["/bin/true"]);
  lossy(d!, (to, what) => to !== idOf(a) && what === "stage"); // votes come from hosta alone
  assert.match((await faultOf(() => d!.acts.checkin.ci(d!.call()))).message, /1 of 3 keepers/);
  assert.equal(a.agent.host.keeper.accepted("main")?.seq, 1);
  await d!.stop();
  assert.deepEqual([a, b, c].map((host) => seqOf(host)), [0, 0, 0]);
  const fault = await faultOf(() => a.acts.locks.lock(a.call(), "next", true));
  assert.deepEqual([fault.kind, fault.hint], ["refused", "isconf up"], fault.message);
  await until("it is certified everywhere", () => [a, b, c].every((host) => seqOf(host) === 1));
  const { entry } = readEntry(b.agent.host.journal.at("main", 1)!.entry);
  assert.equal(Buffer.from(entry.origin).toString("hex"), idOf(d!));
  await checkIn(b);
  await d!.start();
  await until("it comes back and knows its own", () => seqOf(d!) === 2 && d!.agent.host.wip.count() === 0);
});

test("the same with a check-in that is longer than a message, and all of it or nothing", async (t) => {
  const [a, b, c, d] = await withKeepers(t, ["hosta", "hostb", "hostc", "hostd"]);
  await d!.acts.locks.lock(d!.call(), "what dies");
  const long = Array.from({ length: 7 }, (_, i) => String(i).repeat(100_000));
  for (let i = 0; i < 3; i++) await run(d!, ["/bin/true", ...long]);
  lossy(d!, (to, what) => to !== idOf(a) && what === "stage");
  assert.match((await faultOf(() => d!.acts.checkin.ci(d!.call()))).message, /1 of 3 keepers/);
  await d!.stop();
  await c.stop();
  await until("both are gone", () => b.agent.host.mesh.peers().length === 1); // hosta is needed, over the mesh
  const fault = await faultOf(() => b.acts.locks.lock(b.call(), "next", true));
  assert.deepEqual([fault.kind, fault.hint], ["refused", "isconf up"], fault.message);
  await until("it is certified everywhere", () => [a, b].every((host) => seqOf(host) === 3));
  for (const host of [a, b]) {
    await until("and done with", () => host.agent.host.keeper.accepted("main") === undefined);
  }
});

test("a keeper that has not heard that a lock was given back hears it from whoever wants the next, in the words of who gave it", async (t) => {
  const [a, b, c] = await withKeepers(t);
  await b.acts.locks.lock(b.call(), "mine");
  await until("hostc has promised it too", () => c.agent.host.keeper.holder("main")?.held === true);
  await c.stop();
  await until("hostc is gone", () => !b.agent.host.mesh.peers().includes(idOf(c)));
  await b.acts.locks.unlock(b.call(), false);
  await c.start();
  await until("hostc is back", () => [a, b].every((host) => host.agent.host.mesh.peers().length === 2));
  assert.equal(c.agent.host.keeper.holder("main")?.held, true, "it does not know");
  await b.stop();
  await until("hostb is gone", () => a.agent.host.mesh.peers().length === 1);
  await checkIn(a, "needs hostc");
  assert.equal(seqOf(a), 1);
});

test("what one keeper has voted for and two others have never heard of is nothing, and nobody's work is taken for it", async (t) => {
  const [a, b, c, d] = await withKeepers(t, ["hosta", "hostb", "hostc", "hostd"]);
  await d!.acts.locks.lock(d!.call(), "what dies");
  await run(d!, ["/bin/true"]);
  lossy(d!, (to, what) => to !== idOf(a) && what === "stage");
  await faultOf(() => d!.acts.checkin.ci(d!.call()));
  await d!.stop();
  await a.stop();
  await until("hosta is gone", () => !b.agent.host.mesh.peers().includes(idOf(a)));
  await b.acts.locks.lock(b.call(), "without it", true);
  await run(b, ["/bin/sh", "-c", "true"]);
  await a.start();
  await until("hosta is back", () => b.agent.host.mesh.peers().includes(idOf(a)));
  assert.ok(a.agent.host.keeper.accepted("main") !== undefined);
  lossy(b, (to, what) => to === idOf(c) && what === "claim"); // the promises of b and c are good, and not asked for again
  await b.acts.checkin.ci(b.call());
  await until("all have it", () => [a, b, c].every((host) => seqOf(host) === 1));
  for (const host of [a, b, c]) {
    assert.equal(Buffer.from(entriesOf(host)[0]!.origin).toString("hex"), idOf(b));
    assert.equal(host.agent.host.keeper.accepted("main"), undefined);
  }
  await d!.start();
  await until("hostd has it", () => seqOf(d!) === 1);
  assert.deepEqual([d!.agent.host.pending.count(), d!.agent.host.wip.count()], [0, 1]);
});

test("keepers are added and taken away while nobody has the lock; both sets vote, and everybody can check it later", async (t) => {
  const hosts = await withKeepers(t, ["hosta", "hostb", "hostc", "hostd"]);
  const [a, b, c, d] = hosts as TestHost[] as [TestHost, TestHost, TestHost, TestHost];
  await checkIn(d);
  await b.acts.apply.up(b.call(), UP);
  await b.acts.locks.lock(b.call(), "mine");
  const change = (host: TestHost, add: string[], remove: string[] = []) =>
    host.acts.keepers.change(host.call(), { add, remove });
  assert.match((await faultOf(() => change(a, ["hostd"]))).message, /main is locked by root@hostb/);
  await b.acts.locks.unlock(b.call(), false);
  assert.match((await faultOf(() => change(d, ["hostd"]))).hint, /on hosta, hostb, hostc/);
  const wrong = [[["nobody"], []], [[], ["hostd"]], [["hosta"], []], [[], [
    "hosta",
    "hostb",
    "hostc",
  ]]] as const;
  for (const [add, remove] of wrong) await faultOf(() => change(a, [...add], [...remove]));
  const { keepers, quorum, mayBeAway } = await change(c, ["hostd"], ["hosta", "hostb"]);
  assert.deepEqual([keepers.map(({ name }) => name), quorum, mayBeAway], [["hostc", "hostd"], 2, 0]);
  await until("all know", () => hosts.every((host) => seqOf(host, "@domain") === seqOf(c, "@domain")));
  await a.stop();
  await b.stop();
  await until("they are gone", () => c.agent.host.mesh.peers().length === 1);
  await checkIn(d);
  await change(d, [], ["hostc"]);
  await checkIn(d);
  await a.start();
  await until("a has all of it", () => seqOf(a) === 3);
  assert.deepEqual(votesAt(a, 3), [idOf(d)]);
  for (const host of [a, c, d]) await host.acts.report.verify(host.call(), {});
  const late = await faultOf(() => change(a, ["hosta"]));
  assert.equal(late.kind, "refused");
});

test("a change of the keepers that was cut off leaves the old ones in charge, and is done again", async (t) => {
  const [a, b, c] = await makeDomain(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  await until("all are connected", () => [a, b, c].every((h) => h.agent.host.mesh.peers().length === 2));
  lossy(a, (_, what) => what === "certify");
  const change = () => a.acts.keepers.change(a.call(), { add: ["hostb", "hostc"], remove: [] });
  assert.equal((await faultOf(change)).kind, "noQuorum");
  assert.equal(a.agent.host.journal.needPolicy("test").keepers.hosts.length, 1);
  for (const steal of [false, true]) {
    const fault = await faultOf(() => a.acts.locks.lock(a.call(), "meanwhile", steal));
    assert.match(fault.message, /locked by .*: the keepers are being changed/);
    assert.match((await faultOf(() => a.acts.locks.unlock(a.call(), steal))).hint, /finishes it/);
  }
  assert.match((await faultOf(() => extendBy(a))).message, /being changed/);
  await a.restart();
  await until("all are connected", () => [a, b, c].every((h) => h.agent.host.mesh.peers().length === 2));
  await change(); // what was begun is finished, and is the same
  assert.equal(a.agent.host.journal.needPolicy("test").keepers.hosts.length, 3);
  await checkIn(a);
  await until("all have it", () => [a, b, c].every((host) => seqOf(host) === 1));
});

test("a keeper that has just started votes for nothing before it has heard from so many others that they are a quorum", async (t) => {
  const hosts = await withKeepers(t);
  const [a, b, c] = hosts;
  await checkIn(a);
  await c.stop();
  await b.stop();
  await b.start();
  const { replica } = b.agent.host;
  await until("b has heard a", () => replica.hasHeardEnough());
  await a.stop();
  await b.restart();
  await until("b has waited", async () => {
    await b.agent.host.replica.settled();
    return true;
  });
  assert.equal(b.agent.host.replica.hasHeardEnough(), false);
  const { keepers, journal } = b.agent.host;
  assert.equal((await keepers.ends("t", journal.needPolicy("t"), "main")).size, 0, "not even itself answers");
  await c.start();
  await until("b has heard c", () => b.agent.host.replica.hasHeardEnough());
  await checkIn(b);
});

test("two batches that one holder proposed in one term: the next who locks asks the other keepers too which may be certified", async (t) => {
  const hosts = await withKeepers(t);
  const [a, b, c] = hosts;
  const { host } = c.agent;
  const policy = host.journal.needPolicy("t");
  const { seq, id } = host.journal.head("main");
  const person = personPair(host, c.call().actor);
  const { lock, freed } = await host.keepers.look("t", policy, "main");
  const claim = { host: fromHex(idOf(c)), message: "x", after: lock?.term ?? 0, steal: false, seq, id };
  const words = { what: "lock" as const, ...claim };
  const { held, proof } = await host.keepers.lock(policy, "main", words, person, freed);
  const other = { ...stolen(c), author: keyId(person.publicKey), person };
  const one = workOf(c, other, held.term), two = workOf(c, other, held.term, 1, { message: "other" });
  const certify = async (to: TestHost, work: Uint8Array[][]) => {
    const batch = new Uint8Array(32).fill(7);
    await askKeeper(to, other, { what: "stage", batch, part: 0, entries: work });
    const proven = encodeProof(proof);
    await askKeeper(to, other, { what: "certify", batch, parts: 1, term: held.term, proof: proven });
  };
  await certify(a, one);
  await certify(b, two);
  await certify(c, two); // b's and c's are a quorum, of which nobody has told them
  const { mesh } = a.agent.host;
  const ask = mesh.ask.bind(mesh);
  mesh.ask = async (to, method, value, waitMs) => {
    if (method === "keeper" && to === idOf(b)) await sleep(systemClock, 300); // a and c answer first
    return await ask(to, method, value, waitMs);
  };
  const fault = await faultOf(() => a.acts.locks.lock(a.call(), "next", true));
  assert.equal(fault.hint, "isconf up", fault.message);
  await until("the second is certified", () => hosts.every((h) => seqOf(h) === 1));
  assert.equal(readEntry(a.agent.host.journal.at("main", 1)!.entry).entry.message, "other");
  await until(
    "the author of both is known",
    () => hosts.some((h) => h.agent.host.journal.forks.all().length > 0),
  );
});

test("keepers that have only a part of what they voted for promise nothing until the rest has come", async (t) => {
  const [a, b, c] = await withKeepers(t);
  await checkIn(a);
  await until("all have it", () => [a, b, c].every((host) => seqOf(host) === 1));
  const rest = new Uint8Array(32).fill(7);
  for (const { agent: { host: { db, journal, keeper } } } of [b, c]) {
    const first = { ...journal.at("main", 1)!, epoch: 0 };
    db.write((tx) => keeper.accept(tx, "main", 1, [first, { ...first, seq: 2, id: rest }], NO_PROOF));
  }
  const fault = await faultOf(() => a.acts.locks.lock(a.call(), "over the rest"));
  assert.equal(fault.kind, "refused");
  assert.match(fault.message, /a check-in into main only in part/);
  for (const { agent: { host: { db, keeper } } } of [b, c]) {
    db.write((tx) => keeper.settle(tx, "main", { seq: 2, id: rest }, 1));
  }
  await a.acts.locks.lock(a.call(), "with all of it");
});

test("of two who were promised one term by two keepers neither has it, and an owner takes a higher one", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "owner", branch: "*" });
  await until("both are connected", () => [a, b].every((h) => h.agent.host.mesh.peers().length === 1));
  await a.acts.keepers.change(a.call(), { add: ["hostb"], remove: [] });
  await until("both know", () => seqOf(b, "@domain") === seqOf(a, "@domain"));
  for (const host of [a, b]) {
    lossy(host, (_, what) => what === "claim"); // each has its own promise and not the other's
    assert.equal((await faultOf(() => host.acts.locks.lock(host.call(), "mine"))).kind, "noQuorum");
    host.agent.host.mesh.ask = Object.getPrototypeOf(host.agent.host.mesh).ask.bind(host.agent.host.mesh);
  }
  const split = [a, b].map((host) =>
    host.agent.host.db.write((tx) => {
      const { keeper } = host.agent.host;
      const author = keyId(personPair(host.agent.host, host.call().actor).publicKey);
      const claim = {
        holder: author,
        holderName: "root",
        host: idOf(host),
        hostName: "here",
        message: "mine",
      };
      const held = keeper.next("main", claim, 0, { after: 9 });
      keeper.follow(tx, held);
      return held;
    })
  );
  assert.deepEqual(split.map(({ term }) => term), [10, 10]);
  const { term } = await a.acts.locks.lock(a.call(), "now", true);
  assert.ok(term > 10);
  await run(a, ["/bin/true"]);
  await a.acts.checkin.ci(a.call());
  assert.equal(seqOf(a), 1);
});
