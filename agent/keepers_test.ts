// keepers: hosts that ask a keeper for what is not theirs, and keepers that answer what is not so.
// Not the way between them: what arrives here is what a compromised net half or host would send.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, fromHex, generateKeyPair, keyId, systemClock, VirtualClock } from "../mq/mod.ts";
import { faultOf, makeFirstHost, type TestHost } from "../tests/world.ts";
import {
  addOther,
  allOf,
  askKeeper,
  claimOf,
  entriesOf,
  extend,
  type Other,
  revokeKey,
  stolen,
  tell,
  workOf,
} from "./fixture.ts";
import { certifiedHalf } from "./fork_proof.ts";
import { hostId } from "./host.ts";
import { Journal } from "./journal.ts";
import { sealRequest } from "./keeper_words.ts";
import { entriesPerCommitMax, stageBytesMax, stageIdleMs, stagesMax } from "./limits.ts";
import { Stages } from "./stages.ts";

/** A keeper, and a host of its domain whose person may append to main. */
async function withOther(t: Parameters<typeof makeFirstHost>[0]): Promise<[TestHost, Other]> {
  const a = await makeFirstHost(t);
  a.agent.host.replica.settled = () => Promise.resolve(); // nobody is there to compare its journal with
  return [a, await addOther(a, "hostb", [["append", "main"]])];
}

const batch = new Uint8Array(32).fill(7);
const stage = (entries: Uint8Array[][], part = 0) => ({ what: "stage" as const, batch, part, entries });
const certify = (term: number, parts = 1) => ({ what: "certify" as const, batch, parts, term });

/** Expects a fault of this kind and nothing changed on disk. */
async function refused(a: TestHost, kind: string, why: RegExp, fn: () => Promise<unknown>): Promise<void> {
  const before = allOf(a);
  const fault = await faultOf(fn);
  assert.equal(fault.kind, kind, fault.message);
  assert.match(fault.message, why);
  assert.match(fault.hint, /^isconf /);
  assert.equal(allOf(a), before);
}

test("a check-in brought in parts by the holder is certified as a whole, and the lock is given back", async (t) => {
  const [a, b] = await withOther(t);
  await askKeeper(a, b, claimOf(a, b));
  const work = workOf(a, b, 1, 3);
  await askKeeper(a, b, stage(work.slice(0, 2)));
  await askKeeper(a, b, stage(work.slice(2), 1));
  assert.equal(entriesOf(a).length, 0);
  await askKeeper(a, b, certify(1, 2));
  assert.deepEqual(entriesOf(a).map((e) => e.seq), [1, 2, 3]);
  assert.equal(a.agent.host.keeper.holder("main")?.held, false);
});

test("requests signed by another host, for another keeper or branch, or by a host that was evicted are refused", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc", [["append", "main"]]);
  const stranger = generateKeyPair(systemClock);
  const look = { what: "look" as const };
  await refused(a, "corrupt", /another key/, () => askKeeper(a, b, look, { signer: c.host }));
  await refused(a, "corrupt", /another key/, () => askKeeper(a, b, look, { signer: stranger }));
  await refused(a, "corrupt", /another key/, () => askKeeper(a, b, claimOf(a, b), { from: c.id }));
  await refused(a, "corrupt", /malformed/, () => askKeeper(a, b, look, { keeper: c.id }));
  await refused(a, "corrupt", /does not hold/, () => askKeeper(a, b, look, { sealed: "web" }));
  const nobody = keyId(stranger.publicKey);
  await refused(a, "denied", /not of this domain/, () => askKeeper(a, b, look, { from: nobody }));
  await a.acts.roles.evict(a.call(), { host: "hostb", reason: "stolen" });
  await refused(a, "denied", /not of this domain/, () => askKeeper(a, b, claimOf(a, b)));
});

test("what is no request at all is refused: garbage, wrong shapes, a branch that nobody made", async (t) => {
  const [a, b] = await withOther(t);
  const { domain } = a.agent.host.journal.needPolicy("test");
  const to = { domain, branch: "main", keeper: fromHex(hostId(a.agent.host)), nonce: new Uint8Array(16) };
  for (const value of [null, [], ["main"], ["main", null], [1, new Uint8Array(9)], { a: 1 }] as Cbor[]) {
    await refused(a, "corrupt", /malformed/, () => tell(a, b, value));
  }
  const bodies = [
    null,
    {},
    { what: "vote" },
    { what: "claim" },
    { what: "claim", claim: "x" },
    {
      what: "stage",
      batch,
      part: -1,
      entries: [],
    },
    { what: "stage", batch, part: 0, entries: [[new Uint8Array(1)]] },
    {
      what: "certify",
      batch: new Uint8Array(31),
      parts: 1,
      term: 1,
    },
  ];
  for (const body of bodies) {
    const request = sealRequest(body as never, to, b.host);
    await refused(a, "corrupt", /malformed/, () => tell(a, b, ["main", request]));
  }
  const elsewhere = { branch: "nowhere", sealed: "nowhere" };
  await refused(a, "notFound", /no branch/, () => askKeeper(a, b, { what: "look" }, elsewhere));
});

test("a host that is no keeper answers as none", async (t) => {
  const [a, b] = await withOther(t);
  await extend(a, [{ op: "keepers", hosts: [fromHex(b.id)], quorum: 1, cuts: {}, terms: {} }], b.host);
  await refused(a, "refused", /no keeper/, () => askKeeper(a, b, { what: "look" }));
});

test("claims without the role, of a revoked person, of another host or domain, behind, or out of reach get no lock", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc");
  await refused(a, "denied", /no append role/, () => askKeeper(a, c, claimOf(a, c)));
  await refused(a, "denied", /no owner role/, () => askKeeper(a, b, claimOf(a, b, { steal: true })));
  const nobody = generateKeyPair(systemClock);
  await refused(a, "denied", /not known/, () => askKeeper(a, b, claimOf(a, b, {}, nobody)));
  await refused(a, "denied", /another host/, () => askKeeper(a, b, claimOf(a, b, { host: fromHex(c.id) })));
  for (const after of [1, 2 ** 20, 2 ** 20 + 1, 2 ** 53 - 1]) {
    await refused(a, "notLocked", /promised meanwhile/, () => askKeeper(a, b, claimOf(a, b, { after })));
  }
  await refused(a, "refused", /that host is at entry 3/, () => askKeeper(a, b, claimOf(a, b, { seq: 3 })));
  const id = new Uint8Array(32);
  await refused(a, "refused", /that host is at/, () => askKeeper(a, b, claimOf(a, b, { id })));
  const wrong = [{ what: "steal" }, { after: "0" }, { steal: 1 }, { message: 7 }, { seq: -1 }, { id: null }];
  for (const change of [...wrong, { host: new Uint8Array(31) }]) {
    await refused(a, "corrupt", /malformed/, () => askKeeper(a, b, claimOf(a, b, change as never)));
  }
  await refused(a, "needMessage", /message/, () => askKeeper(a, b, claimOf(a, b, { message: " " })));
  await revokeKey(a, b.author, {});
  await refused(a, "denied", /no append role/, () => askKeeper(a, b, claimOf(a, b)));
  await a.acts.locks.lock(a.call(), "an honest admin still can");
});

test("a claim that comes a second time does nothing: no lock taken again, none given back", async (t) => {
  const [a, b] = await withOther(t);
  const lock = claimOf(a, b);
  await askKeeper(a, b, lock);
  const unlock = claimOf(a, b, { what: "unlock" });
  await askKeeper(a, b, unlock);
  assert.equal(a.agent.host.keeper.holder("main")?.held, false);
  await refused(a, "notLocked", /promised meanwhile/, () => askKeeper(a, b, lock));
  await askKeeper(a, b, claimOf(a, b));
  await refused(a, "notLocked", /promised meanwhile/, () => askKeeper(a, b, unlock));
  assert.deepEqual([a.agent.host.keeper.holder("main")?.held, a.agent.host.keeper.holder("main")?.term], [
    true,
    2,
  ]);
});

test("somebody else's lock is not given back without the owner role, and not under another claim's name", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc", [["append", "main"]]);
  await askKeeper(a, b, claimOf(a, b));
  await refused(a, "locked", /locked by eve@hostb/, () => askKeeper(a, c, claimOf(a, c, { what: "unlock" })));
  const steal = { what: "unlock" as const, steal: true };
  await refused(a, "denied", /no owner role/, () => askKeeper(a, c, claimOf(a, c, steal)));
  await refused(a, "locked", /locked by eve@hostb/, () => askKeeper(a, c, claimOf(a, c)));
  await refused(a, "corrupt", /key/, () => askKeeper(a, c, claimOf(a, b), { from: c.id, signer: b.host }));
  for (const what of ["lock", "unlock"] as const) { // the holder's key, on a host where they did not take it
    const claim = claimOf(a, c, { what }, b.person);
    await refused(a, "locked", /locked by eve@hostb/, () => askKeeper(a, c, claim));
  }
});

test("who has no lock cannot check in under the term of who has it", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc", [["append", "main"]]);
  await askKeeper(a, b, claimOf(a, b));
  const gone = /lock with term 1 is gone: the keeper has promised term 1 to eve@hostb/;
  await refused(a, "notLocked", gone, () => askKeeper(a, c, stage(workOf(a, c, 1))));
  const onB = { ...c, host: b.host, id: b.id };
  await refused(a, "notLocked", gone, () => askKeeper(a, b, stage(workOf(a, onB, 1))));
  const onC = { ...c, person: b.person, author: b.author };
  await refused(a, "notLocked", gone, () => askKeeper(a, c, stage(workOf(a, onC, 1))));
  const older = workOf(a, b, 0);
  await refused(a, "notLocked", /lock with term 0 is gone/, () => askKeeper(a, b, stage(older)));
  await refused(a, "denied", /another host/, () => askKeeper(a, c, stage(workOf(a, b, 1))));
  await askKeeper(a, b, claimOf(a, b, { what: "unlock" }));
  await refused(a, "notLocked", gone, () => askKeeper(a, b, stage(workOf(a, b, 1))));
});

test("a lock stolen between the parts and the vote: nothing is certified, and both terms are told", async (t) => {
  const [a, b] = await withOther(t);
  await askKeeper(a, b, claimOf(a, b));
  await askKeeper(a, b, stage(workOf(a, b, 1, 2)));
  await a.acts.locks.lock(a.call(), "mine", true);
  const gone = /lock with term 1 is gone: the keeper has promised term 2/;
  await refused(a, "notLocked", gone, () => askKeeper(a, b, certify(1)));
  a.agent.host.db.write((tx) => a.agent.host.keeper.release(tx, "main"));
  await askKeeper(a, b, claimOf(a, b));
  await askKeeper(a, b, stage(workOf(a, b, 3, 2)));
  await a.acts.locks.lock(a.call(), "mine again", true);
  const later = /lock with term 3 is gone: the keeper has promised term 4/;
  await refused(a, "notLocked", later, () => askKeeper(a, b, certify(4))); // the term of the thief
});

test("what was brought for one branch is not certified as another's, and no other lock is given back", async (t) => {
  const [a, b] = await withOther(t);
  await a.acts.domain.fork(a.call(), "web");
  await a.acts.locks.lock(a.call(), "of web");
  await askKeeper(a, b, claimOf(a, b));
  await askKeeper(a, b, stage(workOf(a, b, 1)));
  await refused(a, "refused", /whole/, () => askKeeper(a, b, certify(1), { branch: "web" }));
  await refused(a, "refused", /whole/, () => askKeeper(a, b, certify(1), { branch: "@domain" }));
  assert.equal(a.agent.host.keeper.holder("web")?.held, true);
  const web = { branch: "web" };
  await refused(a, "refused", /does not follow/, () => askKeeper(a, b, stage([], 1), web));
  const other = workOf(a, b, 1, 1, { branch: "web", seq: 1 });
  await refused(a, "refused", /another branch/, () => askKeeper(a, b, stage(other)));
});

test("parts out of order, of another batch, or too few: refused, and nothing of them is certified", async (t) => {
  const [a, b] = await withOther(t);
  await askKeeper(a, b, claimOf(a, b));
  const work = workOf(a, b, 1, 4);
  await refused(a, "refused", /does not follow/, () => askKeeper(a, b, stage(work.slice(1), 1)));
  await askKeeper(a, b, stage(work.slice(0, 1)));
  await refused(a, "refused", /does not follow/, () => askKeeper(a, b, stage(work.slice(2), 2)));
  const other = { ...stage(work.slice(1, 2), 1), batch: new Uint8Array(32) };
  await refused(a, "refused", /does not follow/, () => askKeeper(a, b, other));
  await refused(a, "refused", /whole/, () => askKeeper(a, b, certify(1, 2)));
  await refused(a, "corrupt", /does not follow entry 1/, () => askKeeper(a, b, stage(work.slice(2), 1)));
  await refused(a, "refused", /whole/, () => askKeeper(a, b, certify(1)));
  await askKeeper(a, b, stage([]));
  await refused(a, "refused", /whole/, () => askKeeper(a, b, certify(1)));
  await askKeeper(a, b, stage(work));
  await refused(a, "refused", /whole/, () => askKeeper(a, b, { ...certify(1), batch: other.batch }));
  await refused(a, "notLocked", /term 99 is gone/, () => askKeeper(a, b, certify(99)));
  await askKeeper(a, b, stage(work));
  await askKeeper(a, b, certify(1));
  await refused(a, "refused", /whole/, () => askKeeper(a, b, certify(1)));
  assert.equal(entriesOf(a).length, 4);
});

test("a check-in under an older policy, on an older end, or of what the person may not write is refused", async (t) => {
  const [a, b] = await withOther(t);
  await askKeeper(a, b, claimOf(a, b));
  const under = workOf(a, b, 1);
  await askKeeper(a, b, stage(under));
  await addOther(a, "hostc");
  await refused(a, "refused", /policy of the domain has changed/, () => askKeeper(a, b, certify(1)));
  const old = workOf(a, b, 1);
  await askKeeper(a, b, stage(old));
  await askKeeper(a, b, certify(1));
  await askKeeper(a, b, claimOf(a, b));
  const behind = workOf(a, b, 2, 1, { seq: 1, prev: new Uint8Array(0) });
  await refused(a, "refused", /moved on to entry 1/, () => askKeeper(a, b, stage(behind)));
  const role = workOf(a, b, 2, 1, { ops: [{ op: "branch", name: "mine", from: null }] });
  await refused(a, "denied", /no right/, () => askKeeper(a, b, stage(role)));
  const level = workOf(a, b, 2, 1, { level: 2 });
  await refused(a, "refused", /needs an agent of level 2/, () => askKeeper(a, b, stage(level)));
  const epoch = workOf(a, b, 2, 1, { epoch: 2 ** 53 - 1 });
  await refused(a, "corrupt", /another epoch/, () => askKeeper(a, b, stage(epoch)));
});

test("a revocation that would make certified entries worthless, or revoke nothing, is refused by the keeper", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc", [["owner", "*"]]);
  await askKeeper(a, b, claimOf(a, b));
  await askKeeper(a, b, stage(workOf(a, b, 1)));
  await askKeeper(a, b, certify(1));
  let end = a.agent.host.journal.head("@domain").seq + 1;
  const revoke = (cuts: Record<string, number>) =>
    workOf(a, c, 0, 1, {
      branch: "@domain",
      ops: [{ op: "revoke", key: fromHex(b.author), cuts, reason: "r" }],
    });
  const whole = { branch: "@domain" };
  const person = { op: "person", key: generateKeyPair(systemClock).publicKey, name: "bob@hostc" } as const;
  await askKeeper(a, c, stage(workOf(a, c, 0, 1, { ...whole, ops: [person] })), whole);
  await addOther(a, "hostd"); // another's entry comes first
  await refused(a, "refused", /moved on/, () => askKeeper(a, c, certify(0), whole));
  end++;
  for (const cuts of [{}, { main: 0, "@domain": end }, { main: 2, "@domain": end }, { main: 1 }]) {
    await askKeeper(a, c, stage(revoke(cuts as Record<string, number>)), whole);
    await refused(a, "refused", /moved on/, () => askKeeper(a, c, certify(0), whole));
  }
  const mine = generateKeyPair(systemClock).publicKey;
  const rotate = workOf(a, b, 0, 1, {
    branch: "@domain",
    ops: [{
      op: "rotate",
      old: fromHex(b.author),
      key: mine,
      net: null,
      cuts: { main: 2 ** 53 - 1, "@domain": end },
    }],
  });
  await askKeeper(a, b, stage(rotate), whole);
  await refused(a, "refused", /moved on/, () => askKeeper(a, b, certify(0), whole));
  await askKeeper(a, c, stage(revoke({ main: 1, "@domain": end })), whole);
  await askKeeper(a, c, certify(0), whole);
  assert.equal((await a.acts.report.verify(a.call(), {})).branches.length, 2);
});

test("a branch is forked only from an entry that exists", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc", [["owner", "*"]]);
  await askKeeper(a, b, claimOf(a, b));
  await askKeeper(a, b, stage(workOf(a, b, 1)));
  await askKeeper(a, b, certify(1));
  const { id } = a.agent.host.journal.head("main");
  const whole = { branch: "@domain" };
  const fork = (seq: number, id: Uint8Array) =>
    stage(workOf(a, c, 0, 1, {
      ...whole,
      ops: [{ op: "branch", name: "web", from: { branch: "main", seq, id } }],
    }));
  for (const seq of [0, 2, 2 ** 53 - 1, 1]) {
    await askKeeper(a, c, fork(seq, seq === 1 ? new Uint8Array(32) : id), whole);
    await refused(a, "refused", /no such entry/, () => askKeeper(a, c, certify(0), whole));
  }
  await askKeeper(a, c, fork(1, id), whole);
  await askKeeper(a, c, certify(0), whole);
  assert.deepEqual(a.agent.host.journal.lineage("web"), ["main", "web"]);
});

test("an enroller cannot put a key of his own in the place of the keeper", async (t) => {
  const [a] = await withOther(t);
  const c = await addOther(a, "hostc", [["enrol", "@domain"]]);
  const key = generateKeyPair(systemClock).publicKey;
  const end = a.agent.host.journal.head("@domain").seq + 1;
  const rotate = workOf(a, c, 0, 1, {
    branch: "@domain",
    ops: [{
      op: "rotate",
      old: fromHex(hostId(a.agent.host)),
      key,
      net: key,
      cuts: { main: 0, "@domain": end },
    }],
  });
  await refused(
    a,
    "denied",
    /may not rotate/,
    () => askKeeper(a, c, stage(rotate), { branch: "@domain" }),
  );
});

test("check-ins that are never finished take bounded room and are forgotten", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc", [["append", "main"]]);
  const clock = new VirtualClock(1);
  const stages = new Stages(a.agent.host.journal, clock);
  const bring = (host: string, work: Uint8Array[][], part = 0) =>
    stages.take(host, "main", stage(work, part), () => {});
  const work = workOf(a, b, 1, 2);
  for (let i = 0; i < 1000; i++) await bring(`host ${i}`, work);
  assert.ok(stages.bytes <= stagesMax * work.flat().reduce((sum, bytes) => sum + bytes.length, 0));
  await bring(b.id, work);
  await bring(c.id, workOf(a, c, 1));
  assert.equal(stages.finish(b.id, "main", batch, 1).entries.length, 2, "two hosts at the same time");
  await clock.advance(stageIdleMs);
  assert.equal(stages.bytes, 0);
  assert.match((await faultOf(() => stages.finish(c.id, "main", batch, 1))).message, /whole/);
  await bring(b.id, work.slice(0, 1));
  await clock.advance(stageIdleMs - 1);
  await bring(b.id, work.slice(1), 1);
  await clock.advance(stageIdleMs - 1);
  assert.equal(stages.finish(b.id, "main", batch, 2).entries.length, 2, "it went on in time");
  const huge = new Uint8Array(stageBytesMax);
  await bring(c.id, work);
  assert.doesNotMatch((await faultOf(() => bring(b.id, [[huge, new Uint8Array(0)]]))).message, /too large/);
  assert.equal(stages.bytes, 0, "the older one gave way");
  const many = Array.from({ length: entriesPerCommitMax + 1 }, () => [new Uint8Array(0), new Uint8Array(0)]);
  assert.match((await faultOf(() => bring(b.id, many))).message, /too large/);
  assert.match((await faultOf(() => bring(b.id, [[huge, huge]]))).message, /too large/);
  assert.equal(stages.bytes, 0);
  assert.equal(clock.pending, 0);
});

test("a keeper that knows of a fork promises and certifies nothing there any more", async (t) => {
  const [a, b] = await withOther(t);
  await askKeeper(a, b, claimOf(a, b));
  const work = workOf(a, b, 1);
  await askKeeper(a, b, stage(work));
  const { db, journal } = a.agent.host;
  const half = certifiedHalf({ entry: work[0]![0]!, origin: work[0]![1]!, cert: new Uint8Array(0) });
  const place = { kind: "certified" as const, key: "", branch: "main", epoch: 0, term: 0, seq: 1 };
  const proof = { ...place, first: half, second: half };
  db.write((tx) => journal.forks.keep(tx, journal.needPolicy("test"), proof, 1));
  await refused(a, "forked", /frozen/, () => askKeeper(a, b, certify(1)));
  await refused(a, "forked", /frozen/, () => askKeeper(a, b, stage(work)));
  await refused(a, "forked", /frozen/, () => askKeeper(a, b, claimOf(a, b)));
  assert.equal(new Journal(db).forkOf("main")?.seq, 1);
});

test("the keeper's own key does not let another host speak for its users", async (t) => {
  const [a, b] = await withOther(t);
  const thief = { ...b, person: stolen(a).person, author: stolen(a).author };
  await refused(a, "denied", /another host/, () => askKeeper(a, b, claimOf(a, stolen(a), {}, thief.person)));
});
