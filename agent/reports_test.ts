// reports: what hosts say of themselves and of others, true or not: kept when it is theirs, newer and of the right form,
// and shown to people only. And the seam itself, when the net half is the one that lies.
import assert from "node:assert/strict";
import { test } from "node:test";
import { duplexPair } from "node:stream";
import {
  type Cbor,
  encode,
  encodeFrame,
  generateKeyPair,
  sign1,
  systemClock,
  toHex,
  VirtualClock,
} from "../mq/mod.ts";
import { faultOf, makeFirstHost, type TestHost } from "../tests/world.ts";
import { context, TYPE } from "./entry.ts";
import { addOther, allOf, type Other, stolen } from "./fixture.ts";
import { hostId } from "./host.ts";
import { reportBytesMax, reportHostsMax, seamQueueBytesMax, timeMsMax } from "./limits.ts";
import type { ReportWords } from "./reports.ts";
import { type Answers, openSeam, ROOT_REQUESTS, type RootRequest } from "./seam.ts";
import { makeTerm } from "./screen.ts";
import { statusVerb } from "./verbs/status.ts";

/** A host, and another of its domain that it believes to be connected with. */
async function withOther(t: Parameters<typeof makeFirstHost>[0]): Promise<[TestHost, Other]> {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb");
  await a.agent.host.settleMesh();
  await a.agent.host.mesh.answers.peer([b.id, true]);
  return [a, b];
}

const WORDS: ReportWords = {
  n: 5,
  timeMs: 1,
  branch: "main",
  at: 1,
  of: 2,
  state: "behind",
  sinceMs: 1,
  why: "slow",
};

function report(
  a: TestHost,
  b: Other,
  change: Partial<Record<keyof ReportWords | "more", Cbor>> = {},
  by = b.host,
) {
  const { domain } = a.agent.host.journal.needPolicy("test");
  return sign1(by, context(TYPE.report, domain, ""), encode({ ...WORDS, ...change }));
}

const tell = (a: TestHost, b: Other, value: Cbor) =>
  a.agent.host.mesh.answers.rumour([b.id, "report", value]);
const known = (a: TestHost) => a.agent.host.reports.known();

test("a report is kept when it is newer, and shown of whom it is, whoever passed it on", async (t) => {
  const [a, b] = await withOther(t);
  let told = 0;
  a.agent.host.mesh.publish = (topic) => void (told += topic === "report" ? 1 : 0);
  await tell(a, b, report(a, b));
  for (let i = 0; i < 10; i++) await tell(a, b, report(a, b, { n: 7, why: "newer" }));
  assert.equal(told, 2, "what is no news is not told on");
  await a.agent.host.mesh.answers.rumour(["nobody", "report", report(a, b, { n: 9 })]);
  await tell(a, b, report(a, b, { n: 6, why: "older, a second time" }));
  assert.deepEqual(known(a).map(({ host, why, n }) => [host, why, n]), [[b.id, "newer", 7]]);
});

test("a report that others pass on or play again makes nobody look alive, nor heard of later than it spoke itself", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc");
  await a.agent.host.settleMesh();
  await a.agent.host.mesh.answers.peer([c.id, true]);
  const { mesh, journal } = a.agent.host;
  const { domain } = journal.needPolicy("test");
  const line = async () => {
    const { hosts } = await a.acts.status.status(a.call());
    const { reached, saidMs, n } = { n: known(a)[0]?.n, ...hosts.find(({ name }) => name === "hostb") };
    return { reached, saidMs, n };
  };
  const weekAgoMs = systemClock.wall() - 7 * 86_400_000;
  const old = report(a, b, { timeMs: weekAgoMs });
  const present = (nonce: Cbor, by = b.host, type: string = TYPE.present) =>
    sign1(by, context(type, domain, ""), encode([nonce, old]));
  const heard: Uint8Array[] = [];
  const lies: ((nonce: Uint8Array) => Cbor)[] = [
    () => old,
    () => null,
    (nonce) => present(nonce, c.host),
    (nonce) => present(nonce, b.host, TYPE.report),
    (nonce) => present(nonce, b.person),
    () => present(heard[0] as Uint8Array),
    () => present(new Uint8Array(16)),
    () => present(null),
    (nonce) => [nonce, old],
  ];
  await tell(a, c, old);
  for (const [i, lie] of lies.entries()) {
    mesh.ask = (host, method, value) => {
      const [nonce] = Array.isArray(value) ? value as [Uint8Array] : [new Uint8Array(16)];
      if (host !== b.id || method !== "report") return Promise.resolve(method === "reports" ? [old] : null);
      heard.push(nonce);
      return Promise.resolve(lie(nonce));
    };
    assert.deepEqual(await line(), { reached: false, saidMs: weekAgoMs, n: 5 }, `${i}`);
  }
  assert.equal(new Set(heard.map(toHex)).size, lies.length);
  mesh.ask = (host, _, value) =>
    Promise.resolve(host === b.id ? present((value as Cbor[])[0] as Cbor) : null);
  assert.deepEqual(await line(), { reached: true, saidMs: weekAgoMs, n: 5 }, "it is its old self, and here");
  await tell(a, c, report(a, b, { n: 6, timeMs: systemClock.wall() + 86_400_000 }));
  const { saidMs = Infinity } = await line();
  assert.ok(saidMs <= systemClock.wall(), "a clock that is ahead is no word from the future");
});

test("forged reports, of strangers, of evicted hosts, for another domain or type, and nonsense change nothing", async (t) => {
  const [a, b] = await withOther(t);
  const c = await addOther(a, "hostc");
  await tell(a, b, report(a, b));
  await a.acts.roles.evict(a.call(), { host: "hostc", reason: "stolen" });
  const before = allOf(a);
  const { domain } = a.agent.host.journal.needPolicy("test");
  const words = encode({ ...WORDS, n: 99 });
  const good = report(a, b, { n: 99 });
  const flipped = good.slice();
  flipped[60] = (flipped[60] as number) ^ 1;
  for (
    const value of [
      report(a, b, { n: 99 }, generateKeyPair(systemClock)),
      report(a, c, { n: 99 }),
      sign1(b.person, context(TYPE.report, domain, ""), words),
      sign1(b.host, context(TYPE.report, new Uint8Array(32), ""), words),
      sign1(b.host, context(TYPE.vote, domain, ""), words),
      sign1(b.host, context(TYPE.report, domain, ""), encode([1])),
      sign1(b.host, context(TYPE.report, domain, ""), encode(null)),
      flipped,
      good.subarray(0, -1),
      null,
      "text",
      [good],
    ] as Cbor[]
  ) await tell(a, b, value);
  assert.equal(allOf(a), before);
});

test("a report of this host that it did not make says that it was put back, or runs twice: it signs nothing more", async (t) => {
  const [a, b] = await withOther(t);
  const { domain } = a.agent.host.journal.needPolicy("test");
  const n = systemClock.wall() + 1000;
  await tell(a, b, sign1(b.host, context(TYPE.report, domain, ""), encode({ ...WORDS, n })));
  assert.equal(a.agent.host.own.ahead(), undefined);
  await tell(a, b, sign1(stolen(a).host, context(TYPE.report, domain, ""), encode({ ...WORDS, n })));
  assert.equal(known(a).some(({ host }) => host === hostId(a.agent.host)), false);
  const fault = await faultOf(() => a.acts.locks.lock(a.call(), "why"));
  assert.deepEqual([fault.kind, fault.hint], ["refused", "isconf recover"]);
  assert.match(fault.message, /others have heard a later report of this host/);
  assert.equal(a.acts.status.standing(a.agent.host).state, "restored");
  await a.restart();
  assert.equal((await faultOf(() => a.acts.locks.lock(a.call(), "why"))).hint, "isconf recover");
});

test("huge texts, strange numbers, states nobody has and fields nobody knows are not kept", async (t) => {
  const [a, b] = await withOther(t);
  const before = allOf(a);
  const cases: Parameters<typeof report>[2][] = [
    { why: "x".repeat(1001) },
    { branch: "x".repeat(100_000) },
    { why: "\u{1f600}".repeat(500), branch: "ä".repeat(1000), more: new Uint8Array(reportBytesMax) },
    { more: 1 },
    { n: 2n ** 53n },
    { n: 2n ** 64n - 1n },
    { n: -1 },
    { at: "1" },
    { at: -1 },
    { sinceMs: timeMsMax + 1 },
    { timeMs: 2 ** 53 - 1 },
    { state: "\x1b[2J" },
    { state: "well" },
    { why: null },
  ];
  for (const change of cases) {
    await tell(a, b, report(a, b, change));
    assert.equal(allOf(a), before, JSON.stringify(Object.keys(change ?? {})));
  }
});

test("status shows the words of other hosts inert, and times that no calendar has", async (t) => {
  const [a, b] = await withOther(t);
  const evil = "\x1b]0;owned\x07\u202e\n\r<script>";
  await tell(a, b, report(a, b, { why: evil, branch: evil, sinceMs: timeMsMax, at: 2 ** 53 - 1 }));
  let out = "";
  const stdout = (chunk: Uint8Array | string) => void (out += chunk);
  const term = makeTerm({ stdout, stderr: stdout, colour: false, quiet: false, verbose: false });
  statusVerb.show?.(await a.acts.status.status(a.call()), term, {
    offline: false,
    all: false,
    detailedExitcode: false,
  });
  assert.match(out, /hostb/);
  assert.match(out, /\\x1b\]0;owned/);
  assert.doesNotMatch(out, /[\x00-\x09\x0b-\x1f\u202e]/);
});

test("being asked for reports over and over costs no writes, and an answer fits into one message", async (t) => {
  const [a, b] = await withOther(t);
  const { answers } = a.agent.host.mesh;
  const nonce = new Uint8Array(16);
  const first = await answers.answer([b.id, "report", [nonce, null]]);
  assert.ok(first instanceof Uint8Array);
  const before = allOf(a);
  for (let i = 0; i < 100; i++) {
    assert.deepEqual(await answers.answer([b.id, "report", [nonce, null]]), first);
  }
  assert.equal(allOf(a), before);
  const why = "\u{fffd}".repeat(1000);
  a.agent.host.db.write((tx) => {
    for (let i = 0; i < 1000; i++) {
      tx.run("INSERT INTO report VALUES (?, 1, ?, 1)", `${i}`, report(a, b, { why }));
    }
  });
  const ids = Array.from({ length: 100_000 }, (_, i) => `${i}`);
  const kept = await answers.answer([b.id, "reports", ids]) as Uint8Array[];
  assert.ok(kept.length > 200 && encode(kept).length < 1024 * 1024, `${kept.length}`);
  assert.equal(await answers.answer([b.id, "report", [new Uint8Array(100_000), null]]), null);
  const late = [...Array.from({ length: reportHostsMax }, () => "nobody"), "0"];
  for (const value of [null, "x", [null], [{}], late] as Cbor[]) {
    assert.deepEqual(await answers.answer([b.id, "reports", value]), []);
  }
});

test("a million names of hosts that a compromised net half calls connected are not remembered, and not asked", async (t) => {
  const [a, b] = await withOther(t);
  const { mesh } = a.agent.host;
  for (let i = 0; i < 1_000_000; i++) await mesh.answers.peer([`host ${i}`, true]);
  assert.deepEqual(mesh.peers(), [b.id]);
  let heard = 0;
  mesh.onPeer(() => heard++);
  for (let i = 0; i < 1000; i++) await mesh.answers.peer([b.id, true]);
  assert.equal(heard, 0, "nothing new");
  await a.acts.roles.evict(a.call(), { host: "hostb", reason: "stolen" });
  assert.deepEqual(mesh.peers(), [], "an evicted host is connected no more, whether net says so or not");
  await mesh.answers.peer([b.id, true]);
  assert.deepEqual(mesh.peers(), []);
});

test("wrong shapes in each request of the net half are corrupt, and nothing changes on disk", async (t) => {
  const [a, b] = await withOther(t);
  const { answers } = a.agent.host.mesh;
  await answers.answer([b.id, "report", [new Uint8Array(16), null]]); // counts once
  const before = allOf(a);
  const key = new Uint8Array(32);
  const deep = encode([[[[[[[[1]]]]]]]]);
  const values: Cbor[] = [null, 1, "x", [], {}, [1], [1, 2], [1, 2, 3], [[], []], [{}, {}, {}], [key], [
    key,
    7,
  ]];
  for (const request of ROOT_REQUESTS) {
    for (const value of values) {
      if (request === "roots" && value === null) continue; // this one is right
      const fault = await faultOf(() => answers[request](value));
      assert.ok(["corrupt", "notFound"].includes(fault.kind), `${request}: ${fault.kind}: ${fault.message}`);
    }
  }
  for (
    const question of [
      key,
      deep,
      new Uint8Array(0),
      encode({ what: "join" }),
      encode({ what: "join", request: key }),
    ]
  ) {
    await assert.rejects(answers.question([key, question]));
  }
  for (const method of ["heads", "report"]) await answers.answer([b.id, method, { x: [deep] }]);
  for (const method of ["entries", "keeper", "person", "exec", "__proto__"]) {
    await faultOf(() => answers.answer([b.id, method, [{ a: deep }]]));
  }
  for (const answer of [deep, encode([[key, key, key]]), encode(null)]) {
    await answers.meet([key, answer]).catch((e) => assert.equal(e.kind, "corrupt"));
  }
  assert.equal(allOf(a), before);
});

/** A root half that answers every request alike. */
const answering = (fn: () => Promise<Cbor>) =>
  Object.fromEntries(ROOT_REQUESTS.map((name) => [name, fn])) as unknown as Answers<RootRequest>;

test("a net half that numbers its requests with megabytes, or with no number, ends the seam and not the agent", async () => {
  for (const id of [new Uint8Array(9_000_000), null, "1", [[]]] as Cbor[]) {
    const [root, net] = duplexPair();
    const { ended, ask } = openSeam(
      root,
      systemClock,
      answering(() => Promise.resolve(null)),
      "the net half",
    );
    net.resume();
    const body = encode([id, "peer", null]);
    net.write(encodeFrame({ type: 1, channel: 0, body }, { bodyBytesMax: 16_000_000 }));
    await ended;
    assert.equal((await faultOf(() => ask("identity", null))).kind, "gone");
  }
});

test("a net half that asks and never reads is answered no more than so much, and others are told", async () => {
  const [root, net] = duplexPair();
  const big = new Uint8Array(4_000_000);
  let answered = 0;
  const answers = answering(() => Promise.resolve(++answered && big));
  const seam = openSeam<RootRequest, "publish">(
    root,
    new VirtualClock(1),
    answers,
    "net",
  );
  for (let i = 0; i < 100; i++) {
    net.write(encodeFrame({ type: 1, channel: 0, body: encode([i, "peer", null]) }));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(answered > 10);
  assert.ok(
    root.writableLength <= seamQueueBytesMax + big.length + 1024,
    `${root.writableLength} bytes wait`,
  );
  assert.match((await faultOf(() => seam.ask("publish", null))).message, /does not read/);
});
