// join: a joining host that is told lies, interrupted, or sent elsewhere: nothing is kept that would keep it from joining
// rightly afterwards. Not the side of those who let it in (enrol_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import { test } from "node:test";
import { type Cbor, decode, encode, fromHex, generateKeyPair, sign1, systemClock, toHex } from "../mq/mod.ts";
import {
  faultOf,
  joinDomain,
  makeDomain,
  makeFirstHost,
  makeHost,
  MESHED,
  type TestHost,
  until,
} from "../tests/world.ts";
import { sealControl } from "./control.ts";
import { answerStranger } from "./enrol.ts";
import { context, entryId, type Op, readEntry, TYPE } from "./entry.ts";
import { addOther, allOf, extend, forged, stolen } from "./fixture.ts";
import { hostId, hostPair, personPair } from "./host.ts";
import { takeIn, writeRecord } from "./intake.ts";
import {
  branchesMax,
  certBytesMax,
  controlEntryBytesMax,
  introductionBytesMax,
  messageBytesMax,
} from "./limits.ts";
import { readToken, type Token, writeToken } from "./token.ts";
import { userByName } from "./users.ts";

type Ctx = Parameters<typeof makeHost>[0];
/** Changes what the domain answers to a joining host; throws to say nothing. */
type Lie = (
  what: string,
  answer: () => Promise<Uint8Array>,
  after: number,
) => Promise<Uint8Array> | Uint8Array;

/** A domain, a host outside of it, and a token; what passes between them passes through `lie`. */
async function between(
  t: Ctx,
  args: { approve: boolean; open?: boolean } = { approve: true },
): Promise<{ a: TestHost; b: TestHost; token: string; tell(lie: Lie | undefined): void }> {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  const b = await makeHost(t, { conf: MESHED });
  const { token } = await a.acts.enrol.token(a.call(), args);
  const own = await b.agent.host.mesh.identity();
  const theirs = toHex(await a.agent.host.mesh.identity());
  const tell = (lie: Lie | undefined) => {
    const { mesh } = b.agent.host;
    Reflect.deleteProperty(mesh, "introduce");
    if (lie === undefined) return;
    mesh.introduce = async (_, question) => {
      const { what, after } = decode(question) as { what: string; after: number };
      const answer = await lie(what, () => answerStranger(a.agent.host, own, question), after);
      return { net: theirs, answer };
    };
  };
  return { a, b, token, tell };
}

const join = (b: TestHost, token: string) => b.acts.join.join(b.call(), { token, host: "hostb" });
const journal = (b: TestHost) => b.agent.host.journal;

/** A lie about the control journal only. */
const control = (records: (after: number) => Cbor): Lie => (what, answer, after) =>
  what === "control" ? encode(records(after)) : answer();

test("a control journal of another domain, cut off, forged, endless or without this host: refused, and the right one is taken later", async (t) => {
  const { a, b, token, tell } = await between(t);
  const other = await makeFirstHost(t);
  await addOther(a, "hostc");
  const row = (of: TestHost, seq: number) => writeRecord(journal(of).at("@domain", seq) as never);
  const key = stolen(other).host.publicKey;
  const fake = forged(other, stolen(other), {
    branch: "@domain",
    ops: [{ op: "host", key: stolen(other).host.publicKey, net: key, name: "hostb" }],
  });
  const lies: [string, Lie, RegExp][] = [
    ["of another domain", control((after) => after === 0 ? [row(other, 1)] : []), /another genesis/],
    ["nothing at all", control(() => []), /belongs to no domain|does not name this host/],
    ["no records", control(() => [[1, 2, 3]]), /malformed/],
    ["a record of four", control(() => [[...row(a, 1), new Uint8Array(0)]]), /malformed/],
    ["no list", control(() => null), /belongs to no domain/],
    ["text", control(() => "records"), /belongs to no domain/],
    [
      "an entry of main",
      control((after) => after === 0 ? [row(a, 1), writeRecord(forged(a, stolen(a), {}))] : []),
      /not asked for/,
    ],
    ["a cut record", control(() => [row(a, 1).map((part) => part.subarray(0, -1))]), /./],
    ["forged behind the first", control((after) => after === 0 ? [row(a, 1), writeRecord(fake)] : []), /./],
    [
      "cut off before this host",
      control((after) => after < 2 ? [row(a, after + 1)] : []),
      /does not name this host/,
    ],
    ["the same for ever", control(() => [row(a, 1)]), /goes no further/],
    ["garbage", (what, answer) => what === "control" ? new Uint8Array([0xff]) : answer(), /./],
  ];
  for (const [name, lie, why] of lies) {
    tell(lie);
    const fault = await faultOf(() => join(b, token));
    assert.match(fault.message, why, name);
    assert.match(fault.hint, /^isconf /, name);
    assert.equal(b.acts.status.standing(b.agent.host).branch, null, name);
  }
  tell(undefined);
  const onBranch = (name: string) =>
    a.agent.host.db.write((tx) => void tx.run("UPDATE token SET branch = ?", name));
  onBranch("nowhere");
  assert.equal((await faultOf(() => join(b, token))).kind, "corrupt", "a branch that nobody made");
  onBranch("main");
  assert.equal((await join(b, token)).host, "hostb");
  await b.acts.report.verify(b.call(), {});
});

test("who does not know the token's secret cannot say that this host is let in, or on which branch", async (t) => {
  const { b, token, tell } = await between(t);
  const changed = (change: Record<string, Cbor>): Lie => async (_, answer) =>
    encode({ ...decode(await answer()) as Record<string, Cbor>, ...change });
  const changes: Record<string, Cbor>[] = [
    { branch: "web" },
    { state: "waiting" },
    { proof: new Uint8Array(32) },
    { proof: new Uint8Array(0) },
    { proof: null },
    { why: "x" },
  ];
  for (const change of changes) {
    tell(changed(change));
    assert.match((await faultOf(() => join(b, token))).message, /does not know the token's secret/);
  }
  for (const answer of [encode(null), encode([]), encode("admitted")]) {
    tell(() => answer);
    assert.match((await faultOf(() => join(b, token))).message, /does not know the token's secret/);
  }
  assert.equal(journal(b).policy(), undefined);
});

test("an answer to an open token lets nobody in: only the journal of the domain that it names does", async (t) => {
  const { a, b, token, tell } = await between(t, { approve: false, open: true });
  const other = await makeFirstHost(t);
  const genesis = (of: TestHost) => writeRecord(journal(of).at("@domain", 1) as never);
  const admitted = { state: "admitted", why: "", branch: "main", proof: new Uint8Array(0) };
  const says = (answer: Cbor, records?: Cbor): Lie => (what, right, after) =>
    what === "join" ? encode(answer) : records === undefined ? right() : encode(after === 0 ? records : []);
  const lies: [string, Lie, RegExp][] = [
    ["let in, and nothing to show", says(admitted), /a stranger is not answered/],
    ["let in, another domain", says(admitted, [genesis(other)]), /another genesis/],
    ["let in, a journal without this host", says(admitted, [genesis(a)]), /does not name this host/],
    ["the proof of a secret", says({ ...admitted, proof: new Uint8Array(32) }), /the token's secret/],
    ["no proof at all", says({ ...admitted, proof: null }), /the token's secret/],
  ];
  for (const [name, lie, why] of lies) {
    tell(lie);
    assert.match((await faultOf(() => join(b, token))).message, why, name);
    assert.equal(b.acts.status.standing(b.agent.host).branch, null, name);
  }
  tell(undefined);
  const elsewhere = (change: Partial<Token>) =>
    b.acts.join.join({ ...b.call(), hasGone: () => true }, {
      token: writeToken({ ...readToken(token), ...change }),
      host: "hostb",
    });
  const domain = fromHex(journal(other).domain() as string);
  assert.match((await faultOf(() => elsewhere({ domain }))).message, /network|not good here|nobody/);
  assert.match(
    (await faultOf(() => elsewhere({ net: new Uint8Array(32) }))).message,
    /somebody else answers/,
  );
});

test("two hosts join with one open token, each when it is approved", async (t) => {
  const { a, b, token } = await between(t, { approve: false, open: true });
  const c = await makeHost(t, { conf: MESHED });
  const joining = [join(b, token), c.acts.join.join(c.call(), { token, host: "hostc" })] as const;
  const { enrol } = a.acts;
  const waiting = () => enrol.hosts(a.call()).waiting.map((w) => w.name).sort();
  await until("both wait", () => waiting().length === 2);
  const byName = await faultOf(() => enrol.approve(a.call(), { host: "hostb", replace: false }));
  assert.match(
    `${byName.message} ${byName.hint}`,
    /any stranger may say that it is hostb .*approve [0-9a-f]{4}-/,
  );
  await enrol.approve(a.call(), { host: hostId(b.agent.host), replace: false });
  assert.equal((await joining[0]).host, "hostb");
  assert.deepEqual(waiting(), ["hostc"]);
  await enrol.approve(a.call(), { host: hostId(c.agent.host), replace: false });
  assert.equal((await joining[1]).host, "hostc");
  assert.equal(journal(c).domain(), journal(a).domain());
});

test("somebody else at the token's address is not asked again for anything, and nothing is kept", async (t) => {
  const { b, token } = await between(t);
  const { mesh } = b.agent.host;
  const before = allOf(b);
  mesh.introduce = () => Promise.resolve({ net: "ff".repeat(32), answer: encode({ state: "admitted" }) });
  const fault = await faultOf(() => join(b, token));
  assert.equal(fault.exit, 77);
  assert.match(fault.message, /somebody else answers/);
  assert.equal(allOf(b), before);
});

test("a join that is cut off at any question goes on with the same token, and ends on the branch", async (t) => {
  const { a, b, token, tell } = await between(t);
  for (let cut = 0; cut < 3; cut++) {
    let n = 0;
    tell(async (_, answer) => {
      const said = await answer(); // it arrives there, and the answer is lost
      if (n++ === cut) throw new Error("cut off");
      return said;
    });
    await assert.rejects(join(b, token));
    assert.equal(b.acts.status.standing(b.agent.host).branch, null, `${cut}`);
    await b.restart();
  }
  const joined = await join(b, token);
  assert.equal(joined.branch, "main");
  assert.deepEqual(a.acts.enrol.hosts(a.call()).hosts.map((h) => h.name), ["hosta", "hostb"]);
  assert.equal((await faultOf(() => join(b, token))).kind, "refused", "it belongs to the domain now");
});

test("a host that has begun to join one domain and was not let in can still join another, or begin its own", async (t) => {
  for (const how of ["join", "init"]) {
    const { a, b, token, tell } = await between(t);
    tell(control((after) => after === 0 ? [writeRecord(journal(a).at("@domain", 1) as never)] : []));
    await faultOf(() => join(b, token));
    assert.equal(journal(b).domain(), journal(a).domain());
    tell(undefined);
    const [c] = await makeDomain(t, ["hostc"]) as [TestHost];
    if (how === "join") await joinDomain(c, b, "hostb");
    else await b.acts.domain.init(b.call(), { host: "hostb", branch: "main" });
    if (how === "join") assert.equal(journal(b).domain(), journal(c).domain());
    else assert.notEqual(journal(b).domain(), journal(a).domain());
    await b.restart();
    await b.acts.report.verify(b.call(), {});
  }
});

test("a host joins a domain whose control journal is longer than one answer", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  for (let i = 0; i < 150; i++) await addOther(a, `other${i}`);
  const b = await makeHost(t, { conf: MESHED });
  await joinDomain(a, b, "hostb");
  assert.equal(journal(b).needPolicy("test").hosts.size, 152);
  await until("they are connected", () => a.agent.host.mesh.peers().includes(hostId(b.agent.host)));
});

test("who asks for the keys of all users of a host makes it make none but for those who have a socket there", async (t) => {
  const a = await makeFirstHost(t, { policy: "permit daemon\npermit nobody-at-all\n" });
  const b = await addOther(a, "hostb");
  const { host } = a.agent;
  const keys = () => fs.readdirSync(`${a.home.state}/keys`).sort();
  const own = process.geteuid?.() ?? 0;
  const users = fs.readFileSync("/etc/passwd", "utf8").split("\n").map((line) =>
    line.split(":")[0] as string
  );
  const ask = (user: Cbor) => Promise.resolve(host.mesh.answers.answer([b.id, "person", user]));
  const answered: string[] = [];
  for (const user of [...users, "nobody-at-all", "x".repeat(100_000), "0", "", null]) {
    const said = await ask(user).catch((e) => e.kind);
    if (said instanceof Uint8Array) answered.push(String(user));
    else assert.equal(said, "notFound", String(user).slice(0, 40));
  }
  const others = own === 0 ? ["daemon"] : []; // an agent that is not root's has a socket for its own user only
  assert.deepEqual(answered.sort(), [os.userInfo().username, ...others].sort());
  assert.deepEqual(
    keys(),
    ["host.key", `user-${own}.key`, ...others.map((name) => `user-${userByName("test", name).uid}.key`)]
      .sort(),
  );
  const mallory = a.call(own + 4711, "mallory");
  for (const person of ["mail", "mail@hosta", "mail@hostb"]) {
    assert.equal(
      (await faultOf(() => a.acts.roles.grant(mallory, { person, role: "append", branch: "main" }))).kind,
      "denied",
    );
  }
  assert.equal(keys().length, 3 + others.length, "mallory's own, and none of those that were named");
});

test("whatever an owner does, others can still join: no entry of the control journal is larger than a stranger can be given", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  const { host } = a.agent;
  const named = (length: number): Op[] => [
    { op: "person", key: generateKeyPair(systemClock).publicKey, name: "x".repeat(length) },
  ];
  const before = allOf(a);
  assert.equal((await faultOf(() => extend(a, named(controlEntryBytesMax)))).kind, "usage");
  const owner = personPair(host, a.call().actor);
  const place = {
    domain: fromHex(journal(a).domain() as string),
    prev: journal(a).head("@domain").id,
    epoch: 0,
    seq: 2,
    term: 0,
  };
  const { entry } = readEntry(sealControl(host, owner, named(1), "test", place).entry);
  const payload = encode({ ...entry, ops: named(controlEntryBytesMax) as unknown as Cbor });
  const signed = (type: string, what: Uint8Array, by = hostPair(host)) =>
    sign1(by, context(type, place.domain, "@domain"), what);
  const record = {
    entry: signed(TYPE.entry, payload, owner),
    origin: signed(TYPE.origin, entryId(payload)),
    cert: encode([signed(TYPE.vote, encode({ epoch: 0, term: 0, seq: 2, id: entryId(payload) }))]),
  };
  assert.match((await faultOf(() => takeIn(host, [record]))).message, /too long/);
  assert.equal(allOf(a), before);

  const branches = Array.from({ length: branchesMax }, (_, i): Op => {
    return { op: "branch", name: `${i}`.padStart(64, "b"), from: null };
  });
  for (let i = 1; i < branchesMax; i += 51) await extend(a, branches.slice(i, i + 51));
  assert.match((await faultOf(() => extend(a, branches.slice(0, 1)))).message, /more than 256 branches/);
  assert.equal((await faultOf(() => a.acts.domain.fork(a.call(), "web"))).kind, "refused");
  await addOther(a, "hostb");
  const evict = (bytes: number) => a.acts.roles.evict(a.call(), { host: "hostb", reason: "x".repeat(bytes) });
  assert.equal((await faultOf(() => evict(messageBytesMax + 1))).kind, "usage");
  const reason = "x".repeat(messageBytesMax + 1);
  const revoke = () => a.acts.roles.revoke(a.call(), { person: "eve@hostb", reason });
  assert.equal((await faultOf(revoke)).kind, "usage");
  await evict(messageBytesMax);
  await extend(a, named(controlEntryBytesMax - 500));
  assert.ok(controlEntryBytesMax + certBytesMax + 1024 < introductionBytesMax, "also with the most votes");
  const b = await makeHost(t, { conf: MESHED });
  await joinDomain(a, b, "hostb");
  assert.equal(journal(b).needPolicy("test").branches.size, branchesMax);
});

test("a host that lies about whose key a user has gives no role to anybody else's key", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await until("they are connected", () => a.agent.host.mesh.peers().includes(hostId(b.agent.host)));
  const { mesh } = b.agent.host;
  const c = await addOther(a, "hostc");
  const { vouch } = b.acts.roles;
  const grant = () => a.acts.roles.grant(a.call(), { person: "root@hostb", role: "owner", branch: "*" });
  const before = () => [...a.agent.host.journal.needPolicy("test").grants].flatMap(([, g]) => g).length;
  const had = before();
  const { domain } = a.agent.host.journal.needPolicy("test");
  const say = (words: Cbor, by = stolen(b).host, type: string = TYPE.person) =>
    mesh.answer("person", () => sign1(by, context(type, domain, ""), encode(words)));
  const mine = stolen(b).person.publicKey;
  for (
    const lie of [
      () => say(["root@hostb", c.person.publicKey]),
      () => say(["root@hostb", c.host.publicKey]),
      () => say(["eve@hostc", mine]),
      () => say(["root@hostb", mine], c.host),
      () => say(["root@hostb", mine], stolen(b).host, TYPE.report),
      () => say(["root@hostb", new Uint8Array(31)]),
      () => say(["root@hostb", fromHex("01" + "00".repeat(31))]),
      () => say(null),
      () => mesh.answer("person", () => null),
    ]
  ) {
    lie();
    const { kind, message } = await faultOf(grant);
    assert.equal(kind, "corrupt");
    assert.match(message, /^hostb did not say whose key|^signed message refused|small order/);
    assert.equal(before(), had);
  }
  mesh.answer("person", (_, value) => vouch(b.agent.host, value));
  await grant();
  assert.equal(before(), had + 1);
});

test("a token that is ended before its time lets nobody ask, and who waits by it waits no longer", async (t) => {
  const { a, b, token } = await between(t, { approve: false, open: true });
  const revoke = (id: string) =>
    a.acts.enrol.tokens(a.call(), { action: "revoke", id, role: [], approve: false });
  const waiting = () => a.acts.enrol.hosts(a.call()).waiting.map(({ name }) => name);
  let isTired = false;
  const joining = b.acts.join.join({ ...b.call(), hasGone: () => isTired }, { token, host: "hostb" });
  const ended = assert.rejects(joining);
  await until("it waits", () => waiting().includes("hostb"));
  const other = writeToken({ ...readToken(token), secret: new Uint8Array(32) });
  assert.equal((await faultOf(() => revoke(other))).kind, "notFound", "who knows only its id");
  assert.deepEqual(waiting(), ["hostb"]);
  assert.deepEqual(await revoke(token), { what: "withdrawn", branch: "main", waited: 1 });
  assert.deepEqual(waiting(), []);
  assert.equal((await faultOf(() => revoke(token))).kind, "notFound");
  isTired = true; // it asks once more, then it gives up
  await ended;
  assert.deepEqual(waiting(), []);
});
