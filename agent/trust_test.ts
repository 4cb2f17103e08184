// trust: keys that change hands: rotation, also cut off in the middle; and what no entry of the control journal can say,
// whoever has signed it. Not who may ask a keeper for it (keepers_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { fromHex, generateKeyPair, keyId, systemClock, toHex } from "../mq/mod.ts";
import { faultOf, grantTo, makeDomain, makeFirstHost, type TestHost, until, UP } from "../tests/world.ts";
import {
  addOther,
  allOf,
  askKeeper,
  bySignatures,
  checkIn,
  claimOf,
  entriesOf,
  extend,
  forged,
  stolen,
  workOf,
} from "./fixture.ts";
import { type EntryRecord, type Op, readEntry } from "./entry.ts";
import { hostId, hostPair, personPair } from "./host.ts";
import { settleRotations } from "./roles.ts";
import { follow, isCut } from "./trust.ts";

type Bytes = Uint8Array;
type Ctx = Parameters<typeof makeFirstHost>[0];

const person = (host: TestHost) => keyId(personPair(host.agent.host, host.call().actor).publicKey);
const rotate = (host: TestHost, whose: "person" | "host") => host.acts.roles.rotate(host.call(), whose);
const verify = (host: TestHost) => host.acts.report.verify(host.call(), {});

for (const whose of ["person", "host"] as const) {
  test(`the key of a ${whose} rotated: entries of both keys verify, and the old one counts no more`, async (t) => {
    const a = await makeFirstHost(t);
    await checkIn(a, 2);
    const old = stolen(a);
    const used = [keyId(old.host.publicKey)];
    await rotate(a, whose);
    await checkIn(a, 1);
    used.push(keyId(stolen(a).host.publicKey));
    await rotate(a, whose);
    await checkIn(a, 1);
    await verify(a);
    const key = whose === "person" ? "author" : "origin";
    assert.equal(new Set(entriesOf(a).map((e) => toHex(e[key]))).size, 3);
    const { journal } = a.agent.host;
    const next = forged(a, {
      ...stolen(a),
      ...(whose === "person" ? { person: old.person, author: old.author } : { host: old.host, id: old.id }),
    }, {});
    assert.match(
      (await faultOf(() => journal.check(next, journal.head("main")))).message,
      /revoked before entry 5/,
    );
    const files = fs.readdirSync(`${a.home.state}/keys`).sort();
    // A host's are kept for what was sealed for them; a person's are not.
    const kept = whose === "host" ? used.map((id) => `host.past-${id}.key`).sort() : [];
    assert.deepEqual(files, ["host.key", ...kept, `user-${process.getuid?.()}.key`]);
    await a.restart();
    await checkIn(a, 1);
    await verify(a);
  });

  test(`a rotation of a ${whose}'s key cut off before it was certified, or before the key was put in place, ends whole`, async (t) => {
    const a = await makeFirstHost(t);
    const name = whose === "person" ? `user-${process.getuid?.()}` : "host";
    const id = () => whose === "person" ? person(a) : hostId(a.agent.host);
    const before = id();
    const prepared = keyId(a.agent.host.keys.prepare(name).publicKey);
    await a.restart();
    assert.equal(id(), before, "made and not certified: not used");
    await checkIn(a, 1);
    const { keys } = a.agent.host;
    const promote = keys.promote.bind(keys);
    keys.promote = () => {}; // the crash
    await rotate(a, whose).catch(() => {});
    keys.promote = promote;
    assert.equal(id(), before);
    await a.restart();
    assert.equal(id(), prepared, "the key that was prepared first, and no third one");
    settleRotations(a.agent.host);
    await checkIn(a, 1);
    await verify(a);
  });
}

test("a rotated key gets nothing from the keeper any more; the new one has the same roles", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["append", "main"]]);
  const fresh = generateKeyPair(systemClock);
  const cuts = { main: 0, "@domain": a.agent.host.journal.head("@domain").seq + 1 };
  await extend(a, [{ op: "rotate", old: fromHex(b.author), key: fresh.publicKey, net: null, cuts }]);
  assert.equal((await faultOf(() => askKeeper(a, b, claimOf(a, b)))).kind, "denied");
  await askKeeper(a, b, claimOf(a, b, {}, fresh));
  assert.equal(a.agent.host.keeper.holder("main")?.holderName, "eve@hostb");
});

test("an entry is as good as the policy it names: not by who came later, not under an older one than before, not with a vote of a key that is cut off", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["append", "main"]]);
  const { journal, db } = a.agent.host;
  const older = journal.needPolicy("test").head;
  const c = await addOther(a, "hostc", [["append", "main"]]);
  const check = (record: EntryRecord) => faultOf(() => journal.check(record, journal.head("main")));
  assert.match((await check(forged(a, c, { policy: older }))).message, /had no right/);
  const ops: Op[] = [{ op: "branch", name: "web", from: null }];
  const control = forged(a, stolen(a), { branch: "@domain", policy: older, ops });
  const aside = await faultOf(() => journal.check(control, journal.head("@domain")));
  assert.match(aside.message, /does not follow the policy it names/);
  const mixed = (origin: typeof b, author: typeof b) =>
    forged(a, { ...origin, person: author.person, author: author.author }, { policy: older });
  assert.match((await check(mixed(c, b))).message, /^host .* is not known/);
  await extend(a, [{ op: "grant", key: fromHex(b.author), role: "append", branch: "*" }]);
  const under = journal.check(forged(a, b, { policy: older }), journal.head("main"));
  assert.equal(under.entry.seq, 1, "an older policy is no fault by itself");
  const late = forged(a, b, { policy: older });
  await rotate(a, "host");
  assert.match((await check(late)).message, /votes of 0 keepers/);
  const now = journal.check(forged(a, b, {}), journal.head("main"));
  db.write((tx) => journal.append(tx, [now]));
  assert.match((await check(forged(a, b, { policy: older }))).message, /older than the entry before it/);
});

test("who holds a lock cannot rotate the key that it is held by", async (t) => {
  const a = await makeFirstHost(t);
  await a.acts.locks.lock(a.call(), "why");
  for (const whose of ["person", "host"] as const) {
    const fault = await faultOf(() => rotate(a, whose));
    assert.deepEqual([fault.kind, fault.hint], ["refused", "isconf unlock"]);
  }
  await a.acts.locks.unlock(a.call(), false);
  const bob = a.call(2_012_345_678, "bob");
  await grantTo(a, bob.actor.uid, "bob", "append", "main");
  await a.acts.locks.lock(bob, "of another user of this host");
  assert.match((await faultOf(() => rotate(a, "host"))).message, /locked by bob@hosta/);
  assert.deepEqual(a.agent.host.keys.prepared(), []);
});

test("an owner far from the keeper revokes and evicts: what was certified on every branch stays good, also those it does not follow", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "owner", branch: "*" });
  const c = await addOther(a, "hostc", [["append", "*"]]);
  await checkIn(a, 1);
  await b.acts.apply.up(b.call(), UP);
  await a.acts.domain.fork(a.call(), "web");
  await checkIn(a, 3);
  const entry = forged(a, c, { branch: "web", seq: 5, prev: a.agent.host.journal.head("web").id });
  const { journal, db } = a.agent.host;
  const checked = journal.check(entry, journal.head("web"));
  db.write((tx) => {
    a.agent.host.own.sign(tx, "vote", "web", { epoch: 0, seq: 5, term: 1 }); // it did vote
    journal.append(tx, [checked]);
  });
  await b.agent.host.replica.sync();
  assert.equal(b.agent.host.journal.head("web").seq, 1, "it knows of no entry of that branch");
  await b.acts.roles.revoke(b.call(), { person: "eve@hostc", reason: "left" });
  await b.acts.roles.evict(b.call(), { host: "hostc", reason: "stolen" });
  await until("a has it", () => journal.needPolicy("test").revoked.has(c.id));
  const policy = journal.needPolicy("test");
  assert.equal(isCut(policy, c.author, "web", 5), false);
  assert.equal(isCut(policy, c.author, "web", 6), true);
  await verify(a);
  await b.acts.domain.migrate(b.call(), "web");
  assert.equal((await b.acts.apply.up(b.call(), UP)).at, 5);
});

test("a host with a hundred persons is evicted by one operation: none of them counts any more, on it or on its namesake", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["append", "main"]]);
  await addOther(a, "xhostb");
  const persons = Array.from({ length: 100 }, () => generateKeyPair(systemClock));
  const op = (pair: typeof persons[number], i: number) =>
    ({ op: "person", key: pair.publicKey, name: `user${i}@hostb` }) as const;
  for (let i = 0; i < 100; i += 50) await extend(a, persons.map(op).slice(i, i + 50));
  await extend(a, [op(generateKeyPair(systemClock), 100)]);
  const policy = () => a.agent.host.journal.needPolicy("test");
  const counts = () =>
    [...policy().persons].filter(([id]) => !policy().revoked.has(id)).map(([, p]) => p.name);
  assert.equal(counts().length, 104);
  const late = forged(a, b, {});
  await a.acts.roles.evict(a.call(), { host: "hostb", reason: "stolen" });
  assert.deepEqual(entriesOf(a, "@domain").at(-1)?.ops.map(({ op }) => op), ["revoke"]);
  assert.deepEqual(counts().sort(), ["eve@xhostb", "root@hosta"]);
  const { journal } = a.agent.host;
  assert.match((await faultOf(() => journal.check(late, journal.head("main")))).message, /was revoked/);
  const again = await addOther(a, "hostb");
  assert.equal(isCut(policy(), again.author, "main", 1), false);
  const cuts = { main: 99, "@domain": 99 };
  await extend(a, [{ op: "revoke", key: fromHex(b.id), cuts, reason: "again" }]);
  assert.equal(isCut(policy(), b.author, "main", 1), true, "who was cut off once stays so");
  assert.equal(isCut(policy(), again.author, "main", 1), false, "the host that has its name now is another");
  await a.restart();
  await verify(a);
});

test("an owner who revokes himself leaves a control journal that still verifies", async (t) => {
  const a = await makeFirstHost(t);
  await a.acts.roles.revoke(a.call(), { person: "root@hosta", reason: "leaving" });
  await verify(a);
  assert.equal(
    (await faultOf(() => a.acts.roles.revoke(a.call(), { person: "root@hosta", reason: "" }))).exit,
    2,
  );
  assert.equal((await faultOf(() => a.acts.locks.lock(a.call(), "why"))).kind, "denied");
});

test("what each role lets a person say in the control journal, and nothing beyond it", async (t) => {
  const a = await makeFirstHost(t);
  const { journal } = a.agent.host;
  const key = () => generateKeyPair(systemClock).publicKey;
  const first = stolen(a);
  const said = async (i: number, role: string, branch: string) => {
    const by = await addOther(a, `host${i}`, [[role, branch]]);
    const mine = fromHex(by.author);
    const ops: Record<string, Op> = {
      host: { op: "host", key: key(), net: key(), name: "hostx" },
      person: { op: "person", key: key(), name: "eve@hostx" },
      grant: { op: "grant", key: mine, role: "owner", branch: "*" },
      revoke: { op: "revoke", key: fromHex(first.author), cuts: {}, reason: "" },
      keepers: { op: "keepers", hosts: [fromHex(by.id)], quorum: 1, cuts: {}, terms: {} },
      roots: { op: "roots", keys: [key()], threshold: 1 },
      branch: { op: "branch", name: "web", from: null },
      fork: { op: "branch", name: "web", from: { branch: "main", seq: 1, id: key() } },
      own: { op: "rotate", old: mine, key: key(), net: null, cuts: {} },
      another: { op: "rotate", old: fromHex(first.author), key: key(), net: null, cuts: {} },
      ownHost: { op: "rotate", old: fromHex(by.id), key: key(), net: key(), cuts: {} },
      keeper: { op: "rotate", old: fromHex(first.id), key: key(), net: key(), cuts: {} },
    };
    const may: string[] = [];
    for (const [what, op] of Object.entries(ops)) {
      const [[entry, origin]] = workOf(a, by, 0, 1, { branch: "@domain", ops: [op] }) as [[Bytes, Bytes]];
      const check = () =>
        journal.check({ entry, origin, cert: new Uint8Array(0) }, journal.head("@domain"), "proposal");
      try {
        check();
        may.push(what);
      } catch {
        assert.match(
          (await faultOf(check)).message,
          /^eve@host\d may not |^roots in the control journal needs the signatures of a root key$/,
        );
      }
    }
    return may.join(" ");
  };
  assert.equal(await said(1, "append", "*"), "own");
  assert.equal(await said(2, "owner", "main"), "fork own");
  assert.equal(await said(3, "enrol", "main"), "own", "hosts are of the whole domain");
  assert.equal(await said(4, "enrol", "@domain"), "host own ownHost");
  for (const [i, role] of ["keeper", "secret", "release"].entries()) {
    assert.equal(await said(5 + i, role, "*"), "own");
  }
  const all = "host person grant revoke keepers branch fork own another ownHost keeper";
  assert.equal(await said(8, "owner", "@domain"), all.replace(" fork", ""));
  assert.equal(await said(9, "owner", "*"), all, "all but the root keys");
});

test("what no entry of the control journal can say, whoever signed it", async (t: Ctx) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb");
  const key = () => generateKeyPair(systemClock).publicKey;
  const small = fromHex("01" + "00".repeat(31));
  const [d, gone] = [await addOther(a, "hostd"), generateKeyPair(systemClock)];
  for (const id of [d.id, keyId(gone.publicKey)]) {
    await extend(a, [{ op: "revoke", key: fromHex(id), cuts: {}, reason: "" }]);
  }
  const [self, other] = [fromHex(hostId(a.agent.host)), fromHex(b.id)];
  const before = allOf(a);
  for (
    const op of [
      { op: "branch", name: "@domain", from: null },
      { op: "branch", name: "../x", from: null },
      { op: "branch", name: "main", from: null },
      { op: "branch", name: "web", from: { branch: "nowhere", seq: 1, id: key() } },
      { op: "host", key: key(), net: key(), name: "\x1b[2J" },
      { op: "host", key: key(), net: key(), name: "x".repeat(65) },
      { op: "host", key: key(), net: key(), name: "hostb" },
      { op: "host", key: b.host.publicKey, net: key(), name: "hostc" },
      { op: "host", key: key(), net: b.net.publicKey, name: "hostc" },
      { op: "host", key: small, net: key(), name: "hostc" },
      { op: "host", key: key(), net: small, name: "hostc" },
      { op: "person", key: small, name: "eve@hostc" },
      { op: "person", key: b.host.publicKey, name: "eve@hostc" },
      { op: "rotate", old: fromHex(b.id), key: key(), net: small, cuts: {} },
      { op: "rotate", old: fromHex(b.id), key: key(), net: null, cuts: {} },
      { op: "rotate", old: fromHex(b.id), key: hostPair(a.agent.host).publicKey, net: key(), cuts: {} },
      { op: "rotate", old: key(), key: key(), net: key(), cuts: {} },
      { op: "rotate", old: fromHex(d.id), key: key(), net: key(), cuts: {} },
      { op: "person", key: b.person.publicKey, name: "eve@hostc" },
      { op: "person", key: gone.publicKey, name: "eve@hostc" },
      { op: "person", key: key(), name: "eve@hostb" },
      { op: "keepers", hosts: [self, other], quorum: 1, cuts: {}, terms: {} },
      { op: "keepers", hosts: [self], quorum: 2, cuts: {}, terms: {} },
      { op: "keepers", hosts: [self, self], quorum: 2, cuts: {}, terms: {} },
      { op: "grant", key: fromHex(b.author), role: "king", branch: "*" },
      { op: "delete", path: "/x" },
    ] as Parameters<typeof extend>[1]
  ) {
    const fault = await faultOf(() => extend(a, [op]));
    assert.equal(fault.kind, "corrupt", `${op.op}: ${fault.message}`);
  }
  assert.equal(allOf(a), before);
  const { entry, id } = readEntry(forged(a, b, {}).entry);
  const policy = { ...a.agent.host.journal.needPolicy("test"), roots: [b.person.publicKey] };
  const roots = (threshold: number, ...keys: Bytes[]): Op => ({ op: "roots", keys, threshold });
  const [one] = [key()];
  const met = /^a threshold of root keys that cannot be met/;
  const rest: Op[] = [
    { op: "keepers", hosts: [self], quorum: 1, cuts: {}, terms: {} },
    { op: "branch", name: "main", from: null },
  ];
  const host: Op = { op: "host", key: hostPair(a.agent.host).publicKey, net: key(), name: "hosta" };
  const first = (...ops: Op[]) => () => follow(undefined, { ...entry, ops: [host, ...ops] }, id);
  for (const op of [roots(0, one), roots(2, one), roots(2, one, one)]) {
    assert.throws(first(op, ...rest), { message: met });
    const signed = bySignatures(policy, { ...entry, ops: [op] }, b.person);
    assert.throws(() => follow(policy, signed, id), { message: /cannot be met|lacks the signatures/ });
  }
  first(roots(1, b.person.publicKey), ...rest)();
  assert.throws(first(...rest), /names root keys, keepers and a branch/);
  assert.throws(first(roots(1, b.person.publicKey), rest[0] as Op), /names root keys, keepers and a branch/);
  assert.throws(first(roots(1, b.person.publicKey), rest[1] as Op), /names root keys, keepers and a branch/);
  assert.throws(first(roots(1, one), ...rest), /is signed by a root key/);
});
