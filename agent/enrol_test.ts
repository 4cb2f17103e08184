// enrol: strangers that knock with what is not theirs, and hosts of the domain that let in what they should not.
// Not the joining host's side (join_test.ts), and no network: questions arrive as the net half would pass them on.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Reader } from "../fs/mod.ts";
import {
  type Cbor,
  decode,
  encode,
  generateKeyPair,
  keyId,
  type KeyPair,
  sign1,
  systemClock,
  VirtualClock,
} from "../mq/mod.ts";
import { faultOf, makeDomain, makeFirstHost, makeHost, MESHED, type TestHost } from "../tests/world.ts";
import { answerStranger, fingerprint } from "./enrol.ts";
import { context, TYPE } from "./entry.ts";
import { addOther, allOf } from "./fixture.ts";
import { hostId } from "./host.ts";
import { joinersMax, openJoinersMax, tokensMax } from "./limits.ts";
import { checkMac, mac, readToken, type Token, writeToken } from "./token.ts";

const newKey = () => generateKeyPair(systemClock);

/** A first host that others can reach. */
async function first(t: Parameters<typeof makeFirstHost>[0], clock = systemClock): Promise<TestHost> {
  return await makeFirstHost(t, { conf: MESHED, clock });
}

async function tokenOf(a: TestHost, args: Partial<Parameters<TestHost["acts"]["enrol"]["token"]>[1]> = {}) {
  return readToken((await a.acts.enrol.token(a.call(), { approve: false, ...args })).token);
}

interface Knock {
  pair?: KeyPair;
  net?: KeyPair;
  name?: string;
  /** The network key that the stranger has really proven. */
  proven?: Uint8Array;
  signer?: KeyPair;
  secret?: Uint8Array;
  proof?: Cbor;
  words?: Record<string, Cbor>;
}

/** Knocks with a token; what is answered, its proof checked. */
async function knock(a: TestHost, token: Token, how: Knock = {}): Promise<string> {
  const { pair = newKey(), net = newKey(), name = "hostb" } = how;
  const nonce = systemClock.random(16);
  const words = { token: token.id, key: pair.publicKey, net: net.publicKey, name, nonce, ...how.words };
  const request = sign1(how.signer ?? pair, context(TYPE.join, token.domain, ""), encode(words));
  const proof = mac(how.secret ?? token.secret, "join", request);
  const question = encode({ what: "join", request, proof: how.proof ?? proof });
  const answer = decode(await answerStranger(a.agent.host, how.proven ?? net.publicKey, question)) as Record<
    string,
    Cbor
  >;
  const { state, why, branch } = answer as { state: string; why: string; branch: string };
  assert.ok(checkMac(answer.proof, token.secret, "joined", [nonce, state, why, branch]));
  return why === "" ? state : `${state}: ${why}`;
}

const members = (a: TestHost) =>
  a.acts.enrol.hosts(a.call()).hosts.map(({ name, state }) => `${name} ${state}`);

test("wrong secret, token of another domain, unsigned, signed by another, a net key not proven, keys that are none: nobody waits", async (t) => {
  const a = await first(t);
  const token = await tokenOf(a);
  const small = new Uint8Array(32);
  small[0] = 1; // the neutral element
  const before = allOf(a);
  const denied: [string, Token, Knock][] = [
    ["a wrong secret", token, { secret: new Uint8Array(32) }],
    ["a cut proof", token, { proof: new Uint8Array(31) }],
    ["another domain", { ...token, domain: new Uint8Array(32) }, {}],
    ["an unknown token", { ...token, id: "0".repeat(16) }, {}],
    ["another signer", token, { signer: newKey() }],
    ["another's net key", token, { proven: newKey().publicKey }],
    ["a key of small order", token, { words: { key: small } }],
    ["no key", token, { words: { key: new Uint8Array(0) } }],
    ["no net key", token, { words: { net: null } }],
    ["no name", token, { words: { name: 7 } }],
    ["a token that is none", token, { words: { token: { a: 1 } } }],
    ["no nonce", token, { words: { nonce: "x" } }],
  ];
  for (const [name, with_, how] of denied) {
    assert.equal((await faultOf(() => knock(a, with_, how))).kind, "denied", name);
  }
  await faultOf(() => knock(a, token, { name: "\x1b[2J" }));
  await faultOf(() => knock(a, token, { name: "" }));
  assert.equal(allOf(a), before);
});

test("a token is one host's, in time, and under its name: others are refused with the reason, the same may ask again", async (t) => {
  const clock = new VirtualClock(1, 1_700_000_000_000);
  const a = await first(t, { ...systemClock, wall: () => clock.wall() });
  const token = await tokenOf(a, { host: "hostb", hours: 1 });
  const b = { pair: newKey(), net: newKey() };
  assert.match(await knock(a, token, { ...b, name: "hostc" }), /for a host called hostb/);
  assert.equal(await knock(a, token, b), "waiting");
  const before = allOf(a);
  for (let i = 0; i < 20; i++) {
    clock.stepWall(1000);
    assert.equal(await knock(a, token, b), "waiting");
  }
  assert.equal(allOf(a), before, "to ask again costs no write");
  assert.match(await knock(a, token), /used by another host/);
  clock.stepWall(3_600_001);
  assert.match(await knock(a, token, b), /too old/);
  await a.acts.enrol.approve(a.call(), { host: fingerprint(keyId(b.pair.publicKey)), replace: false });
  assert.equal(await knock(a, token, b), "admitted");
});

test("strangers are told nothing, and only a host that was let in gets the control journal, also a long one", async (t) => {
  const a = await first(t);
  const b = await addOther(a, "hostb");
  const ask = (net: Uint8Array, value: Cbor) => answerStranger(a.agent.host, net, encode(value));
  for (
    const value of [
      { what: "control", after: 0 },
      { what: "entries" },
      { what: "join" },
      null,
      [],
      "x",
    ] as Cbor[]
  ) assert.equal((await faultOf(() => ask(newKey().publicKey, value))).kind, "denied");
  for (const after of [-1, "0", null] as Cbor[]) {
    assert.equal((await faultOf(() => ask(b.net.publicKey, { what: "control", after }))).kind, "denied");
  }
  for (let i = 0; i < 120; i++) await addOther(a, `other${i}`);
  let after = 0;
  for (let pages = 0; pages < 20; pages++) {
    const answer = await ask(b.net.publicKey, { what: "control", after });
    assert.ok(answer.length <= 64 * 1024, `${answer.length} bytes are more than an introduction carries`);
    const page = decode(answer) as Cbor[];
    if (page.length === 0) break;
    after += page.length;
  }
  assert.equal(after, a.agent.host.journal.head("@domain").seq);
  await a.acts.roles.evict(a.call(), { host: "hostb", reason: "stolen" });
  const eviction = a.agent.host.journal.head("@domain").seq;
  await addOther(a, "later");
  const told = decode(await ask(b.net.publicKey, { what: "control", after: eviction - 1 })) as Cbor[];
  assert.equal(told.length, 1, "who was evicted may know that, and nothing that came later");
  assert.equal(
    (await faultOf(() => ask(b.net.publicKey, { what: "control", after: eviction }))).kind,
    "denied",
  );
});

test("hosts that wait and tokens are bounded; who waits already is not turned away when there is no room", async (t) => {
  const a = await first(t);
  const [one, two] = [await tokenOf(a), await tokenOf(a)];
  const b = { pair: newKey(), net: newKey() };
  assert.equal(await knock(a, one, b), "waiting");
  a.agent.host.db.write((tx) => {
    for (let i = 1; i < joinersMax; i++) {
      const now = systemClock.wall();
      tx.run(
        "INSERT INTO joiner VALUES (?, ?, ?, 'x', 'main', 't', ?)",
        `${i}`,
        b.pair.publicKey,
        b.net.publicKey,
        now,
      );
    }
    for (let i = 2; i < tokensMax; i++) {
      tx.run("INSERT INTO token VALUES (?, ?, 'main', '', 0, 0, 'x', ?, NULL)", `${i}`, one.secret, 2 ** 50);
    }
  });
  assert.match(await knock(a, two), /^waiting: 256 hosts wait already/);
  assert.equal(await knock(a, one, b), "waiting");
  assert.equal(await knock(a, one, { ...b, name: "renamed" }), "waiting");
  const kept = (r: Reader) =>
    r.get<{ name: string }>("SELECT name FROM joiner WHERE host = ?", keyId(b.pair.publicKey));
  assert.equal(a.agent.host.db.read(kept)?.name, "renamed");
  assert.match((await faultOf(() => tokenOf(a))).message, /tokens are kept/);
  a.agent.host.db.write((tx) => void tx.run("UPDATE token SET until_ms = 1 WHERE user_name = 'x'"));
  await tokenOf(a); // those that nobody can use any more have made room
  a.agent.host.db.write((tx) => void tx.run("UPDATE joiner SET asked_ms = 1 WHERE name = 'x'"));
  assert.equal(await knock(a, two), "waiting", "who has waited for a month waits no more");
});

test("an open token: any host may ask with it, each waits for itself, and only approval lets one in", async (t) => {
  const clock = new VirtualClock(1, 1_700_000_000_000);
  const a = await first(t, { ...systemClock, wall: () => clock.wall() });
  for (
    const [own, args] of [["--approve", { approve: true }], ["--host hostb", { host: "hostb" }]] as const
  ) {
    const fault = await faultOf(() => tokenOf(a, { ...args, open: true }));
    assert.deepEqual([fault.exit, fault.hint.startsWith(`isconf token ${own},`)], [22, true], fault.hint);
  }
  const token = await tokenOf(a, { open: true, hours: 1 });
  assert.equal(token.secret.length, 0);
  const one = (name: string) => ({ pair: newKey(), net: newKey(), name });
  const [b, c] = [one("hostb"), one("hostc")];
  for (const who of [b, c]) assert.equal(await knock(a, token, who), "waiting");
  await knock(a, await tokenOf(a), { name: "secret" });
  const waits = () => a.acts.enrol.hosts(a.call()).waiting.map((w) => `${w.name} ${w.open}`).sort();
  assert.deepEqual(waits(), ["hostb true", "hostc true", "secret false"]);
  const before = allOf(a);
  assert.equal(await knock(a, token, b), "waiting");
  assert.equal(allOf(a), before, "to ask again costs no write");
  await a.acts.enrol.approve(a.call(), { host: fingerprint(keyId(b.pair.publicKey)), replace: false });
  assert.equal(await knock(a, token, b), "admitted");
  assert.equal(await knock(a, token, c), "waiting");
  assert.deepEqual(members(a), ["hosta this host", "hostb not connected"]);
  clock.stepWall(3_600_001);
  assert.match(await knock(a, token, c), /^refused: that token is too old/);
  assert.match(await knock(a, token, one("hostd")), /^refused: that token is too old/);
  assert.equal(await knock(a, token, b), "admitted");
});

test("an open token is none with a secret, and a token with a secret is no open one, whatever is proven", async (t) => {
  const a = await first(t);
  const [open, token] = [await tokenOf(a, { open: true }), await tokenOf(a, { approve: true })];
  const before = allOf(a);
  const none = new Uint8Array(0), zeros = new Uint8Array(32);
  const denied: [string, Token, Knock][] = [
    ["no secret", { ...token, secret: none }, {}],
    ["the secret, not proven", token, { proof: none }],
    ["a secret of zeros", { ...token, secret: zeros }, {}],
    ["an open one with a secret", { ...open, secret: token.secret }, {}],
    ["an open one with a secret of zeros", { ...open, secret: zeros }, {}],
    ["an open one with no proof at all", open, { proof: "" }],
  ];
  for (const [name, with_, how] of denied) {
    assert.equal((await faultOf(() => knock(a, with_, how))).kind, "denied", name);
  }
  assert.equal(allOf(a), before);
});

test("strangers with an open token fill half of the list and no more, until it is over; who is told so gets in when there is room", async (t) => {
  const clock = new VirtualClock(1, 1_700_000_000_000);
  const a = await first(t, { ...systemClock, wall: () => clock.wall() });
  const open = await tokenOf(a, { open: true, hours: 1 });
  const lasting = await tokenOf(a, { open: true, hours: 2 });
  const key = newKey().publicKey;
  const flood = (n: number) =>
    a.agent.host.db.write((tx) => {
      const sql = "INSERT OR REPLACE INTO joiner VALUES (?, ?, ?, 'x', 'main', ?, ?)";
      for (let i = 0; i < n; i++) tx.run(sql, `${i}`.padStart(64), key, key, open.id, clock.wall());
    });
  const [b, c] = [{ pair: newKey(), net: newKey() }, { pair: newKey(), net: newKey(), name: "hostc" }];
  const waits = (name: string) => a.acts.enrol.hosts(a.call()).waiting.find((w) => w.name === name)?.open;
  flood(openJoinersMax);
  const full = /^waiting: 128 hosts with open tokens wait already, this one asks again/;
  for (const token of [open, lasting]) assert.match(await knock(a, token, b), full);
  assert.equal(waits("hostb"), undefined);
  assert.equal(await knock(a, await tokenOf(a), c), "waiting", "who has a secret");
  assert.match(await knock(a, open, c), full);
  assert.equal(waits("hostc"), false, "and keeps its place");
  a.agent.host.db.write((tx) => void tx.run("DELETE FROM joiner WHERE host LIKE '% 0'"));
  assert.equal(await knock(a, open, b), "waiting");
  flood(1);
  assert.equal(await knock(a, open, b), "waiting", "who waits already is not turned away");
  clock.stepWall(3_600_001);
  assert.equal(await knock(a, lasting, b), "waiting");
  assert.deepEqual(a.acts.enrol.hosts(a.call()).waiting.map((w) => w.name).sort(), ["hostb", "hostc"]);
});

test("approve: a name taken needs --replace, which evicts the old one; a fingerprint is no other host's name; twice is once", async (t) => {
  const a = await first(t);
  const old = await addOther(a, "hostb", [["append", "*"]]);
  const b = { pair: newKey(), net: newKey() };
  await knock(a, await tokenOf(a), b);
  const approve = (host: string, replace = false) => a.acts.enrol.approve(a.call(), { host, replace });
  const taken = await faultOf(() => approve("hostb"));
  assert.match(taken.hint, /^isconf approve --replace hostb/);
  await approve("hostb", true);
  assert.deepEqual(members(a), ["hosta this host", "hostb evicted", "hostb not connected"]);
  assert.ok(a.agent.host.journal.needPolicy("test").revoked.has(old.author), "and the persons on it");
  assert.equal((await faultOf(() => approve("hostb"))).kind, "notFound");
  const c = newKey();
  const shown = fingerprint(keyId(c.publicKey));
  await knock(a, await tokenOf(a), { name: shown });
  assert.equal((await faultOf(() => approve(shown))).kind, "notFound", "that fingerprint is nobody's");
  const twins = [newKey(), newKey()];
  for (const pair of twins) await knock(a, await tokenOf(a), { pair, name: "twin" });
  assert.match((await faultOf(() => approve("twin"))).message, /^2 hosts that wait/);
  for (const pair of twins) await approve(fingerprint(keyId(pair.publicKey)), true);
  const d = { pair: newKey(), net: newKey(), name: "hostd" };
  await knock(a, await tokenOf(a), d);
  const row = a.agent.host.db.read((r) =>
    r.get<Record<string, string>>("SELECT * FROM joiner WHERE name = 'hostd'")
  );
  await approve("hostd");
  a.agent.host.db.write((tx) => {
    tx.run(
      "INSERT INTO joiner VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...Object.values(row as Record<string, string>),
    );
  });
  const { seq } = a.agent.host.journal.head("@domain");
  await approve("hostd"); // as after a crash between the certificate and the list
  assert.equal(a.agent.host.journal.head("@domain").seq, seq);
  assert.deepEqual(a.acts.enrol.hosts(a.call()).waiting.map((w) => w.name), [shown]);
});

test("a token that needs no approval admits, once, and leaves a taken name to people", async (t) => {
  const a = await first(t);
  const token = await tokenOf(a, { approve: true });
  const b = { pair: newKey(), net: newKey() };
  const both = await Promise.all([knock(a, token, b), knock(a, token, b)]);
  assert.deepEqual(both, ["admitted", "admitted"]);
  assert.deepEqual(members(a), ["hosta this host", "hostb not connected"]);
  assert.match(await knock(a, await tokenOf(a, { approve: true })), /waiting: another host is called hostb/);
  const again = await tokenOf(a, { approve: true });
  assert.match(await knock(a, again, { ...b, pair: newKey(), name: "hostz" }), /waiting: a second host/);
});

test("an evicted host cannot come back with its old key; with a new one it can", async (t) => {
  const a = await first(t);
  const b = await addOther(a, "hostb");
  await a.acts.roles.evict(a.call(), { host: "hostb", reason: "stolen" });
  const token = await tokenOf(a, { approve: true });
  assert.match(await knock(a, token, { pair: b.host, net: b.net }), /refused: this host's key was evicted/);
  assert.equal(await knock(a, token, { net: b.net }), "admitted");
});

test("who has no role makes no tokens, approves nobody, grants, revokes and evicts nothing", async (t) => {
  const a = await first(t);
  await addOther(a, "hostb");
  await knock(a, await tokenOf(a), { name: "hostc" });
  const mallory = a.call(4711, "mallory");
  const before = allOf(a);
  const tries: (() => Promise<unknown>)[] = [
    () => a.acts.enrol.token(mallory, { approve: true }),
    () => a.acts.enrol.approve(mallory, { host: "hostc", replace: false }),
    () => a.acts.enrol.approve(mallory, { host: "hostc", replace: true }),
    () => a.acts.roles.grant(mallory, { person: "root", role: "append", branch: "main" }),
    () => a.acts.roles.revoke(mallory, { person: "root@hosta", reason: "" }),
    () => a.acts.roles.evict(mallory, { host: "hostb", reason: "" }),
    () => a.acts.roles.rotate(mallory, "person"),
    () => a.acts.roles.rotate(mallory, "host"),
  ];
  for (const [i, fn] of tries.entries()) {
    const fault = await faultOf(fn);
    assert.equal(fault.exit, 77, `${i}: ${fault.message}`);
    assert.match(fault.hint, /^isconf /);
  }
  assert.equal(allOf(a), before);
  await a.acts.roles.revoke(a.call(), { person: "root@hosta", reason: "left" });
  assert.equal((await faultOf(() => tokenOf(a))).exit, 77, "the role is there, and the key counts no more");
});

test("neither the keeper nor the host itself is evicted, and nobody who is not there", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "owner", branch: "*" });
  const tries: [TestHost, string, RegExp][] = [
    [b, "hosta", /^hosta is a keeper/],
    [b, hostId(a.agent.host), /is a keeper/],
    [b, "hostb", /^hostb is this host itself/],
    [a, "hosta", /^hosta is this host itself/],
    [a, "hostx", /^no host is called hostx/],
  ];
  for (const [by, host, why] of tries) {
    assert.match(
      (await faultOf(() => by.acts.roles.evict(by.call(), { host, reason: "" }))).message,
      why,
    );
  }
  assert.equal(members(a).length, 2);
});

test("text that is no token is refused as usage, whatever it is", async (t) => {
  const a = await first(t);
  const good = await tokenOf(a);
  const word = writeToken(good);
  const b = await makeHost(t);
  const broken = [
    "",
    "isconf1.",
    "isconf2." + word.slice(8),
    word.slice(1),
    word.slice(0, -5),
    `${word} `,
    `${word}\n`,
    "isconf1." + "A".repeat(100_000),
    "isconf1.\u202e",
    writeToken({ ...good, domain: new Uint8Array(31) }),
    writeToken({ ...good, addresses: [7 as never] }),
    writeToken({ ...good, secret: new Uint8Array(31) }),
    writeToken({ ...good, net: new Uint8Array(31) }),
    writeToken({ ...good, id: 7 as never }),
  ];
  for (const token of broken) {
    const fault = await faultOf(() => b.acts.join.join(b.call(), { token, host: "hostb" }));
    assert.equal(fault.exit, 22, token.slice(0, 40));
    assert.match(fault.hint, /^isconf token/);
  }
  assert.equal((await faultOf(() => tokenOf(a, { host: "\x1b[2J" }))).exit, 22);
  assert.equal((await faultOf(() => tokenOf(a, { branch: "nowhere" }))).kind, "notFound");
  for (const hours of [0, -1, 1e9]) {
    assert.equal((await faultOf(() => tokenOf(a, { hours }))).exit, 22);
  }
});
