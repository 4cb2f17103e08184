// keeper_replies: what a compromised keeper, or somebody in its place, answers to a host: refused as corrupt, and what this
// host knows stays as it was. Not what a keeper should do (keepers_test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Cbor,
  encode,
  fromHex,
  generateKeyPair,
  keyId,
  type KeyPair,
  sign1,
  systemClock,
} from "../mq/mod.ts";
import { faultOf, grantTo, makeFirstHost, type TestHost } from "../tests/world.ts";
import { context, type Op, TYPE } from "./entry.ts";
import { addOther, allOf, extend, FakeMesh, forged, type Other, stolen } from "./fixture.ts";
import { hostId, hostPair } from "./host.ts";
import { openRequest, sealReply } from "./keeper_words.ts";
import { Keepers } from "./keepers.ts";
import { termStepMax, timeMsMax } from "./limits.ts";

/** A host whose keeper is another one, in the test's hand: what it answers is `reply`'s to say. */
async function under(t: Parameters<typeof makeFirstHost>[0]) {
  const a = await makeFirstHost(t);
  const k = await addOther(a, "keeper");
  await extend(a, [keepersAre(k)], k.host);
  const { db, journal, keeper, heads } = a.agent.host;
  const mesh = new FakeMesh();
  const key = () => hostPair(a.agent.host);
  const door = () => assert.fail("this host is no keeper");
  const keepers = new Keepers({ db, journal, local: keeper, door, key, clock: systemClock, mesh, heads });
  const policy = journal.needPolicy("test");
  const answer = (fn: (nonce: Uint8Array) => Cbor) =>
    mesh.hosts.set(k.id, (_, value) => {
      const [branch, bytes] = value as [string, Uint8Array];
      return fn(openRequest(bytes, policy, branch, hostId(a.agent.host), fromHex(k.id)).nonce);
    });
  const look = () => keepers.look("lock", policy, "main");
  /** Answers rightly but for what it says, or who signs, or what for. */
  const say = (body: Cbor, by: KeyPair = k.host, change: { nonce?: Uint8Array; branch?: string } = {}) =>
    answer((nonce) => sealReply(body, change.nonce ?? nonce, policy.domain, change.branch ?? "main", by));
  return { a, k, keepers, policy, answer, say, look };
}

const keepersAre = (k: Other, cuts: Record<string, number> = {}): Op => {
  return { op: "keepers", hosts: [fromHex(k.id)], quorum: 1, cuts, terms: {} };
};
const lockOf = (k: Other, change: Record<string, Cbor> = {}) => ({
  branch: "main",
  term: 3,
  held: true,
  holder: k.author,
  holderName: "eve@keeper",
  host: k.id,
  hostName: "keeper",
  message: "why",
  sinceMs: 1,
  change: false,
  ...change,
});
const end = { seq: 0, id: new Uint8Array(0) };

async function corrupt(a: TestHost, what: string, look: () => Promise<unknown>): Promise<void> {
  const before = allOf(a);
  const fault = await faultOf(look);
  assert.equal(fault.kind, "corrupt", `${what}: ${fault.message}`);
  assert.match(fault.hint, /^isconf /);
  assert.equal(allOf(a), before, what);
}

test("a reply of another host, to another question, for another branch, or no reply at all is refused", async (t) => {
  const { a, k, policy, answer, say, look } = await under(t);
  const right = { ...end, lock: lockOf(k) };
  const replyTo = context(TYPE.reply, policy.domain, "main");
  const other = await addOther(a, "other").catch(() => undefined);
  assert.equal(other, undefined, "only the keeper extends the control journal now");
  for (
    const [what, lie] of [
      ["another host", () => say(right, hostPair(a.agent.host))],
      ["a stranger", () => say(right, generateKeyPair(systemClock))],
      ["another question", () => say(right, k.host, { nonce: new Uint8Array(16) })],
      ["no question", () => answer(() => sign1(k.host, replyTo, encode([null, right])))],
      ["no answer", () => answer((nonce) => sign1(k.host, replyTo, encode([nonce])))],
      ["another branch", () => say(right, k.host, { branch: "web" })],
      ["nothing", () => answer(() => null)],
      ["garbage", () => answer(() => new Uint8Array(100))],
      ["text", () => answer(() => "ok")],
    ] as [string, () => void][]
  ) {
    lie();
    await corrupt(a, what, look);
  }
  say(right);
  assert.equal((await look()).lock?.term, 3);
});

test("a lock of the wrong shape, of another branch, or of a term that uses all terms up is refused and not remembered", async (t) => {
  const { a, k, say, look } = await under(t);
  const bad: Record<string, Cbor>[] = [
    { term: -1 },
    { term: 2 ** 53 - 1 },
    { term: termStepMax + 1 },
    { term: 2n ** 60n },
    { term: "3" },
    { held: 1 },
    { holder: null },
    { message: "x".repeat(1_000_000) },
    { message: { toString: "x" } },
    { sinceMs: timeMsMax + 1 },
    { sinceMs: null },
    { branch: "web" },
    { more: 1 },
    { holderName: new Uint8Array(3) },
  ];
  for (const change of bad) {
    say({ ...end, lock: lockOf(k, change) });
    await corrupt(a, Object.keys(change).join(), look);
  }
  for (
    const body of [
      {},
      { ...end },
      { lock: null },
      { ...end, lock: [] },
      { ...end, lock: 7 },
      1,
      "x",
      [],
    ] as Cbor[]
  ) {
    say(body);
    await corrupt(a, JSON.stringify(body), look);
  }
  for (const change of [{ seq: -1 }, { id: "x" }, { id: new Uint8Array(31) }] as Record<string, Cbor>[]) {
    say({ ...end, lock: null, ...change });
    await corrupt(a, "its end", look);
  }
});

test("an older lock does not replace a newer one, and the same is not written again", async (t) => {
  const { a, k, say, look } = await under(t);
  say({ ...end, lock: lockOf(k, { term: 5 }) });
  await look();
  const before = allOf(a);
  const { db } = a.agent.host;
  const write = db.write.bind(db);
  db.write = () => assert.fail("the same is written again");
  await look();
  db.write = write;
  say({ ...end, lock: lockOf(k, { term: 4 }) });
  await look();
  say({ ...end, lock: null });
  await look();
  assert.equal(allOf(a), before);
});

test("a keeper that answers nonsense does not keep status from saying the rest", async (t) => {
  const { a, k } = await under(t);
  const { mesh } = a.agent.host;
  mesh.peers = () => [k.id];
  mesh.ask = () => Promise.resolve(new Uint8Array(9));
  const said = await a.acts.status.status(a.call());
  assert.deepEqual([said.branch, said.lock, said.hosts.length], ["main", null, 2]);
  assert.equal((await faultOf(() => a.acts.locks.lock(a.call(), "why"))).kind, "corrupt");
});

test("a keeper that says yes and gives no vote is not believed", async (t) => {
  const { a, k } = await under(t);
  const { mesh } = a.agent.host;
  const policy = a.agent.host.journal.needPolicy("test");
  mesh.peers = () => [k.id];
  mesh.ask = (_, method, value) => {
    if (method !== "keeper") return Promise.resolve([]);
    const [branch, bytes] = value as [string, Uint8Array];
    const { nonce } = openRequest(bytes, policy, branch, hostId(a.agent.host), fromHex(k.id));
    return Promise.resolve(sealReply({ ...end, lock: null }, nonce, policy.domain, branch, k.host));
  };
  const fault = await faultOf(() => a.acts.roles.evict(a.call(), { host: "hostx", reason: "" }));
  assert.equal(fault.kind, "notFound");
  const said = await faultOf(() => grantTo(a, 2_012_345_678, "bob", "append", "main"));
  assert.equal(said.kind, "corrupt");
  assert.match(said.hint, /^isconf /);
});

test("the votes of who is no keeper any more, or not yet, certify nothing", async (t) => {
  const a = await makeFirstHost(t);
  const k = await addOther(a, "keeper");
  const early = forged(a, stolen(a), {});
  const check = (record: typeof early) =>
    a.agent.host.journal.check(record, a.agent.host.journal.head("main"));
  assert.equal(check(early).entry.seq, 1);
  await extend(a, [keepersAre(k, { main: 1 })], k.host);
  const late = forged(a, stolen(a), {});
  assert.match((await faultOf(() => check(late))).message, /votes of 0 keepers/);
  assert.equal(check(early).entry.seq, 1, "what it voted for while it was the keeper stays good");
  assert.equal(keyId(k.host.publicKey), k.id);
});
