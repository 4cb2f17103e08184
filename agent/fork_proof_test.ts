// fork proofs: what two statements prove, what they do not, what follows for who signed them, and how proofs come to others.
// Two certified entries for one place met in chains: forks_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, encode, fromHex, generateKeyPair, systemClock } from "../mq/mod.ts";
import { faultOf, makeDomain, makeFirstHost, type TestHost, until } from "../tests/world.ts";
import { sealVote } from "./entry.ts";
import {
  addOther,
  askKeeper,
  certified,
  checkIn,
  claimOf,
  extend,
  follower,
  type Other,
  revokeKey,
  stolen,
  workOf,
} from "./fixture.ts";
import { certifiedHalf, checkForkProof, forkId } from "./fork_proof.ts";
import { ForkSpread } from "./fork_spread.ts";
import { hostId } from "./host.ts";
import { prove, takeIn } from "./intake.ts";
import { forksPerKeyMax } from "./limits.ts";
import { CONTROL } from "./names.ts";

type Ctx = Parameters<typeof makeFirstHost>[0];

/** A keeper, and a host of its domain whose person may append to main. */
async function withOther(t: Ctx): Promise<[TestHost, Other]> {
  const a = await makeFirstHost(t);
  a.agent.host.replica.settled = () => Promise.resolve(); // nobody is there to compare its journal with
  return [a, await addOther(a, "hostb", [["append", "main"]])];
}

/** Two entries that `by` signs for the next place of main in a term. */
const twoEntries = (a: TestHost, by: Other, term = 1): [Uint8Array, Uint8Array] => [
  workOf(a, by, term)[0]![0]!,
  workOf(a, by, term, 1, { message: "other" })[0]![0]!,
];
const batch = new Uint8Array(32).fill(7);

test("two entries of one author, two votes of one keeper, two certificates are proofs, and their names are of what they prove", async (t) => {
  const [a, b] = await withOther(t);
  const { journal } = a.agent.host;
  const [one, two] = twoEntries(a, b);
  const author = checkForkProof(journal, "author", "main", one, two);
  assert.deepEqual([author.key, author.epoch, author.term, author.seq], [b.author, 0, 1, 1]);
  const three = workOf(a, b, 1, 1, { message: "third" })[0]![0]!;
  assert.deepEqual(forkId(checkForkProof(journal, "author", "main", three, one)), forkId(author));
  const { domain } = journal.needPolicy("test");
  const vote = (id: number, term = 1) =>
    sealVote({ epoch: 0, term, seq: 1, id: new Uint8Array(32).fill(id) }, domain, "main", b.host);
  assert.equal(checkForkProof(journal, "keeper", "main", vote(1), vote(2)).key, b.id);
  const [x, y] = certified(a, [workOf(a, b, 1)[0]!, workOf(a, b, 2)[0]!]);
  const both = checkForkProof(journal, "certified", "main", certifiedHalf(x!), certifiedHalf(y!));
  assert.deepEqual([both.key, both.term, both.seq], ["", 0, 1]);
});

test("what proves nothing: the same twice, another place, term, branch or key, a stranger, a bit flipped, no certificate", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc", [["append", "main"]]);
  await extend(a, [{ op: "branch", name: "web", from: null }]);
  const { journal, db } = a.agent.host;
  const { domain } = journal.needPolicy("test");
  const [one, two] = twoEntries(a, b);
  const entry = (change: object, by = b, term = 1) => workOf(a, by, term, 1, change)[0]![0]!;
  const stranger = { ...b, person: generateKeyPair(systemClock) };
  const flipped = two.slice();
  flipped[flipped.length - 3]! ^= 1;
  const vote = (
    id: number,
    more: { term?: number; seq?: number; epoch?: number } = {},
    by = b.host,
    branch = "main",
  ) => sealVote({ epoch: 0, term: 1, seq: 1, id: new Uint8Array(32).fill(id), ...more }, domain, branch, by);
  const [x, y] = certified(a, [workOf(a, b, 1)[0]!, workOf(a, b, 2)[0]!]);
  const none = { ...y!, cert: encode([]) };
  const cases: [kind: "author" | "keeper" | "certified", second: Uint8Array, first?: Uint8Array][] = [
    ["author", one],
    ["author", entry({}, b, 2)],
    ["author", entry({ seq: 2 })],
    ["author", entry({ epoch: 1 })],
    ["author", entry({ branch: "web" })],
    ["author", entry({}, c)],
    ["author", entry({ domain: new Uint8Array(32) })],
    ["author", flipped],
    ["author", new Uint8Array(3)],
    ["author", vote(1)],
    ["author", entry({ message: "x" }, b, 0), entry({}, b, 0)],
    ["keeper", vote(1), vote(1)],
    ["keeper", vote(2, { term: 2 }), vote(1)],
    ["keeper", vote(2, { seq: 2 }), vote(1)],
    ["keeper", vote(2, { epoch: 1 }), vote(1)],
    ["keeper", vote(2, {}, c.host), vote(1)],
    ["keeper", vote(2, {}, b.host, "web"), vote(1)],
    ["keeper", vote(2, {}, generateKeyPair(systemClock)), vote(1)],
    ["keeper", two],
    ["certified", certifiedHalf(none), certifiedHalf(x!)],
    ["certified", certifiedHalf(x!), certifiedHalf(x!)],
    ["certified", encode([1, 2, 3]), certifiedHalf(x!)],
    ["certified", two],
  ];
  for (const [i, [kind, second, first = one]] of cases.entries()) {
    for (const pair of [[first, second], [second, first]] as const) {
      const fault = await faultOf(() => checkForkProof(journal, kind, "main", ...pair));
      assert.match(fault.kind, /^(corrupt|denied)$/, `case ${i}: ${fault.message}`);
      assert.equal(prove(a.agent.host, kind, "main", ...pair), false);
    }
  }
  assert.throws(() => checkForkProof(journal, "author", "main", workOf(a, stranger, 1)[0]![0]!, one));
  assert.equal(db.read((r) => r.all("SELECT * FROM proof")).length, 0);
});

test("an author who signs two entries for one place: the certified one stands, the other is dropped, he gets no lock and no vote until an owner acknowledges it", async (t) => {
  const [a, b] = await withOther(t);
  await askKeeper(a, b, claimOf(a, b));
  const [first] = workOf(a, b, 1);
  const [second] = workOf(a, b, 1, 1, { message: "other" });
  const stage = (entries: Uint8Array[][]) => ({ what: "stage" as const, batch, part: 0, entries });
  const certify = { what: "certify" as const, batch, parts: 1, term: 1 };
  await askKeeper(a, b, stage([first!]));
  await askKeeper(a, b, certify);
  const { journal } = a.agent.host;
  const [entry, origin] = second as [Uint8Array, Uint8Array];
  assert.equal(
    (await faultOf(() => takeIn(a.agent.host, [{ entry, origin, cert: encode([]) }]))).kind,
    "corrupt",
  );
  assert.deepEqual(journal.at("main", 1)?.entry, first![0]);
  journal.needUnforked("test", "main");
  const refused = await faultOf(() => askKeeper(a, b, claimOf(a, b)));
  assert.equal(refused.kind, "denied");
  assert.match(refused.message, /eve@hostb signed two different entries 1 of main in term 1/);
  assert.equal(refused.hint, "isconf acknowledge eve@hostb, by an owner of the domain");
  const { proofs, state } = a.acts.status.standing(a.agent.host);
  assert.deepEqual(proofs.map(({ kind, name, open }) => [kind, name, open]), [["author", "eve@hostb", true]]);
  assert.equal(state, "behind");
  const { findings } = await a.acts.doctor.examine(a.call());
  assert.match(
    findings.find(({ check }) => check === "equivocation")?.text ?? "",
    /^1 proof: eve@hostb signed/,
  );
  const said = /signed two different entries 1 of main/;
  assert.match(a.acts.report.log(a.call(), {}).entries[0]?.proofs.join() ?? "", said);
  assert.match(a.acts.report.show(a.call(), { seq: 1 }).proofs.join(), said);
  await checkInAfterUp(a); // everybody else goes on
  assert.equal((await a.acts.acknowledging.acknowledge(a.call(), { name: "eve@hostb" })).proofs, 1);
  assert.equal(
    (await faultOf(() => a.acts.acknowledging.acknowledge(a.call(), { name: "eve@hostb" }))).kind,
    "notFound",
  );
  await askKeeper(a, b, claimOf(a, b));
  assert.equal(a.acts.status.standing(a.agent.host).proofs[0]?.open, false);
  assert.equal(
    (await a.acts.doctor.examine(a.call())).findings.find((f) => f.check === "equivocation")?.ok,
    true,
  );
});

async function checkInAfterUp(a: TestHost): Promise<void> {
  await a.acts.apply.up(a.call(), { reboot: false, step: false, dryRun: false, offline: false });
  await checkIn(a, 1);
}

test("the author of the control journal too; an owner acknowledges his own only where he is the only one", async (t) => {
  const a = await makeFirstHost(t);
  const self = stolen(a);
  const { host } = a.agent;
  assert.ok(prove(host, "author", "main", ...twoEntries(a, self)));
  const grant = () => a.acts.roles.grant(a.call(), { person: "root", role: "publish", branch: "main" });
  assert.match((await faultOf(grant)).hint, /isconf acknowledge root@hosta/);
  assert.equal((await faultOf(() => a.acts.locks.lock(a.call(), "why"))).kind, "denied");
  assert.equal((await a.acts.acknowledging.acknowledge(a.call(), { name: "root@hosta" })).proofs, 1);
  await grant();
  const b = await addOther(a, "hostb", [["owner", "*"]]);
  assert.ok(prove(host, "author", "main", ...twoEntries(a, self, 2)));
  const fault = await faultOf(() => a.acts.acknowledging.acknowledge(a.call(), { name: "root@hosta" }));
  assert.match(fault.message, /cannot acknowledge what is proven of it itself/);
  const [{ id }] = host.journal.forks.openOf(host.journal.needPolicy("test"), self.author) as unknown as [
    { id: Uint8Array },
  ];
  const ops = [{ op: "acknowledge" as const, key: fromHex(self.author), proofs: [id] }];
  const [theirs] = certified(a, workOf(a, b, 0, 1, { branch: CONTROL, ops }));
  host.db.write((tx) => host.own.sign(tx, "vote", CONTROL, { epoch: 0, seq: 1000, term: 0 })); // it did vote
  takeIn(host, [theirs!]);
  await grant();
});

test("a suspended author's entry that may be certified already is proposed again all the same; what keepers certified is kept", async (t) => {
  const [a, b] = await withOther(t);
  const twins = twoEntries(a, b);
  const [record] = certified(a, workOf(a, b, 1));
  assert.ok(prove(a.agent.host, "author", "main", ...twins));
  assert.equal(takeIn(a.agent.host, [record!]), 1);
});

test("of a key that goes on and on some proofs are kept and no more; of a revoked one none matters", async (t) => {
  const [a, b] = await withOther(t);
  const { journal } = a.agent.host;
  for (let term = 1; term <= forksPerKeyMax + 3; term++) {
    prove(a.agent.host, "author", "main", ...twoEntries(a, b, term));
  }
  assert.equal(journal.forks.all().length, forksPerKeyMax);
  await revokeKey(a, b.author, {});
  assert.equal(journal.forks.suspends(journal.needPolicy("test"), b.author), undefined);
  prove(a.agent.host, "author", "main", ...twoEntries(a, b, 500));
  assert.equal(journal.forks.all().length, forksPerKeyMax);
});

test("a keeper that votes twice for one place is named by every certificate in which it did, and its vote is asked for there no more", async (t) => {
  const [a, b] = await withOther(t);
  const [ours, theirs] = certified(a, [workOf(a, b, 1)[0]!, workOf(a, b, 1, 1, { message: "other" })[0]!]);
  takeIn(a.agent.host, [ours!]);
  assert.equal((await faultOf(() => takeIn(a.agent.host, [theirs!]))).kind, "forked");
  const { journal } = a.agent.host;
  assert.deepEqual(journal.forks.all().map(({ kind }) => kind).sort(), ["certified", "keeper"]);
  assert.ok(journal.forks.hasVotedTwice(hostId(a.agent.host), { branch: "main", epoch: 0, term: 1, seq: 1 }));
  assert.equal(journal.forkOf("main")?.seq, 1);
  assert.equal(
    journal.forks.suspends(journal.needPolicy("test"), b.author),
    undefined,
    "the branch stops, nobody is blamed",
  );
});

test("proofs go to others at once and at every contact, are checked there, survive a restart; lies are not kept", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["append", "main"]]);
  const f = follower(t, a);
  const log: string[] = [];
  const spread = new ForkSpread({ ...f, log: (line) => void log.push(line) });
  const [one, two] = twoEntries(a, b);
  const proof = checkForkProof(f.journal, "author", "main", one, two);
  const id = forkId(proof);
  const peer = (first: Uint8Array, second: Uint8Array) => (method: string, value: Cbor): Cbor =>
    method === "proofs"
      ? [id]
      : ["author", "main", (value as [Uint8Array, number])[1] === 0 ? first : second];
  f.mesh.hosts.set("liar", peer(one, one));
  f.mesh.hosts.set("other", peer(one, workOf(a, b, 2)[0]![0]!));
  f.mesh.hosts.set("good", peer(one, two));
  const [three, four] = twoEntries(a, b, 2);
  f.mesh.hosts.set("elsewhere", peer(three, four)); // proves something, and not that
  for (const liar of ["liar", "other", "elsewhere"]) await spread.compare(liar, new Uint8Array(32));
  assert.equal(f.journal.forks.all().length, 0);
  assert.equal(log.length, 3);
  f.mesh.rumour("good", "proof", id);
  await until("it is here", () => f.journal.forks.has(id));
  assert.deepEqual(f.mesh.published.map(({ topic, value }) => [topic, value]), [["proof", id]]);
  const asked = f.mesh.asked.length;
  f.mesh.rumour("good", "proof", id);
  await spread.compare("good", spread.digest());
  assert.equal(f.mesh.asked.length, asked, "what is here is not asked for");
  const half = (v: Cbor) => f.mesh.answerers.get("proof")!("x", v);
  assert.deepEqual(await half([id, 0]), ["author", "main", one]);
  assert.equal(await half([new Uint8Array(32), 0]), null);
  for (const bad of [null, [id], [id, 2], [new Uint8Array(31), 0]] as Cbor[]) {
    assert.equal((await faultOf(() => half(bad))).kind, "corrupt");
  }
});

test("a proof that one host found is on every host, before what else it has, and after a restart", async (t) => {
  const [a, b, c] = await makeDomain(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  const all = [a, b, c];
  await until("all are connected", () => all.every((h) => h.agent.host.mesh.peers().length === 2));
  await c.stop();
  const evil = stolen(b);
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "append", branch: "main" });
  assert.ok(prove(a.agent.host, "author", "main", ...twoEntries(a, evil)));
  const known = (h: TestHost) => h.agent.host.journal.forks.all().map(({ key }) => key);
  await until("b has heard", () => known(b).length === 1);
  await c.start();
  await until("c has heard", () => known(c).length === 1);
  await b.restart();
  assert.deepEqual(known(b), [evil.author]);
  assert.equal((await faultOf(() => b.acts.locks.lock(b.call(), "why"))).kind, "denied");
});
