// heads: keepers' words about where a branch ends: what is kept of them, when a host is stale, what needs to be fresh. And how
// many bytes that costs. Who put them together: contact.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Cbor,
  encode,
  fromHex,
  generateKeyPair,
  type KeyPair,
  sign1,
  systemClock,
  VirtualClock,
} from "../mq/mod.ts";
import {
  faultOf,
  joinDomain,
  makeDomain,
  makeFirstHost,
  makeHost,
  MESHED,
  type TestHost,
  until,
  UP,
} from "../tests/world.ts";
import { context, TYPE } from "./entry.ts";
import { addOther, checkIn, extend, follower, type Other } from "./fixture.ts";
import { MESH_CHECKS } from "./doctor_mesh.ts";
import { Heads, type HeadWords } from "./heads.ts";
import { hostId } from "./host.ts";
import { headAgainMs, headEveryMs, headStaleMs, headWordBytesMax } from "./limits.ts";
import { CONTROL } from "./names.ts";
import { Own } from "./own.ts";
import { Reports } from "./reports.ts";
import { Contact } from "./contact.ts";

type Ctx = Parameters<typeof makeFirstHost>[0];
const newKey = () => generateKeyPair(systemClock);

/** A host that is no keeper, on main, under three keepers that the test speaks for; two have to agree. */
async function under(t: Ctx) {
  const a = await makeFirstHost(t);
  const keepers = [await addOther(a, "k1"), await addOther(a, "k2"), await addOther(a, "k3")];
  const hosts = keepers.map(({ id }) => fromHex(id));
  await extend(a, [{ op: "keepers", hosts, quorum: 2, cuts: {}, terms: {} }], ...keepers.map((k) => k.host));
  const clock = new VirtualClock(3);
  const f = follower(t, a, 0, clock);
  const key = newKey();
  const own = new Own({ db: f.db, key: () => key, self: () => "me", log: () => {} });
  const open = () =>
    new Heads({ ...f, own, key: () => key, self: () => "me", branch: () => "main", maySign: () => true });
  const { domain } = f.journal.needPolicy("test");
  const say = (
    k: Other | { host: KeyPair },
    n: number,
    change: Partial<HeadWords> = {},
    branch = "main",
  ): Cbor => {
    const words = { epoch: 0, seq: 4, id: new Uint8Array(32), control: 5, n, timeMs: 1, ...change };
    return [branch, sign1(k.host, context(TYPE.head, domain, branch), encode(words))];
  };
  return { a, f, keepers: keepers as [Other, Other, Other], clock, open, say, own };
}

test("a host is stale when a quorum has said nothing new for long; the words of one keeper are not enough, old ones are none", async (t) => {
  const { keepers: [k1, k2], clock, open, say, f } = await under(t);
  const heads = open();
  assert.equal(heads.state("main").isStale, false, "it has just begun");
  await clock.advance(headStaleMs + 1);
  assert.equal(heads.state("main").isStale, true);
  heads.take("peer", [say(k1, 10)]);
  assert.equal(heads.state("main").isStale, true);
  heads.take("peer", [say(k2, 10)]);
  const { isStale, seq, control } = heads.state("main");
  assert.deepEqual([isStale, seq, control], [false, 4, 5]);
  await clock.advance(headStaleMs + 1);
  const since = heads.state("main").sinceMs;
  heads.take("peer", [say(k1, 10), say(k2, 10)]);
  heads.take("peer", [say(k1, 9), say(k2, 9)]);
  assert.equal(heads.state("main").isStale, true, "what is not new is no sign of life");
  assert.equal(heads.state("main").sinceMs, since);
  heads.take("peer", [say(k1, 11, { seq: 9 }), say(k2, 11)]);
  assert.deepEqual([heads.state("main").isStale, heads.state("main").seq], [false, 4], "two have at least 4");
  const again = open();
  assert.equal(again.state("main").isStale, false, "what was heard is remembered");
  again.take("peer", [say(k1, 11), say(k2, 11)]);
  await clock.advance(headStaleMs + 1);
  assert.equal(open().state("main").isStale, true, "and for how long, by the clock on the wall");
  assert.equal(f.db.read((r) => r.all("SELECT * FROM head_word")).length, 2);
});

test("how far a branch was is known of a quorum of keepers who told this host themselves, and for ever", async (t) => {
  const { keepers: [k1, k2], open, say } = await under(t);
  const heads = open();
  heads.take(k2.id, [say(k1, 10), say(k2, 10)]);
  assert.equal(heads.direct("main"), undefined, "what k1 said came from another, and may be old");
  heads.take(k1.id, [say(k1, 9)]);
  assert.equal(heads.direct("main"), undefined, "this was old already");
  heads.take(k1.id, [say(k1, 10)]);
  assert.equal(heads.direct("main"), 4);
  heads.take("peer", [say(k1, 11, { seq: 6 }), say(k2, 11, { seq: 5 })]);
  assert.equal(open().direct("main"), 5, "later words of theirs count from whomever they come");
});

test("words of strangers, of hosts that are no keepers, for another branch or domain, padded, and nonsense are not kept", async (t) => {
  const { a, keepers: [k1], open, say, f } = await under(t);
  const heads = open();
  const d = await addOther(a, "hostd").catch(() => undefined);
  const [, good] = say(k1, 10) as [string, Uint8Array];
  const flipped = good.slice();
  flipped[60]! ^= 1;
  for (
    const value of [
      null,
      [],
      [null],
      [["main"]],
      [["main", new Uint8Array(9)]],
      [["main", new Uint8Array(headWordBytesMax + 1)]],
      [["web", good]],
      [["main", flipped]],
      [say({ host: newKey() }, 10)],
      ...(d ? [[say(d, 10)]] : []),
      [say(k1, 10, { seq: -1 })],
      [say(k1, 10, { id: "x" as unknown as Uint8Array })],
      [say(k1, 10, {}, "web")],
      [["main", (say(k1, 10, {}, "web") as Cbor[])[1]!]],
    ] as Cbor[]
  ) heads.take("peer", value);
  assert.equal(f.db.read((r) => r.all("SELECT * FROM head_word")).length, 0);
  heads.take("peer", [["main", good]]);
  assert.equal(f.db.read((r) => r.all("SELECT * FROM head_word")).length, 1);
});

test("a keeper says it anew once a minute, sooner when the branch has grown, and not at all while it may not sign", async (t) => {
  const a = await makeFirstHost(t);
  const { db, journal, keys, own } = a.agent.host;
  const clock = new VirtualClock(3);
  let may = true;
  const heads = new Heads({
    db,
    journal,
    clock,
    own,
    key: () => keys.obtain("host"),
    self: () => hostId(a.agent.host),
    branch: () => "main",
    maySign: () => may,
  });
  const bytesNow = () => {
    const [[, bytes] = []] = heads.words(["main", "nowhere"]) as [string, Uint8Array][];
    return bytes;
  };
  const first = bytesNow();
  assert.ok(first!.length < 220, `${first!.length} bytes`);
  assert.deepEqual(bytesNow(), first);
  await clock.advance(headEveryMs);
  const second = bytesNow();
  assert.notDeepEqual(second, first);
  await checkIn(a, 1);
  assert.deepEqual(bytesNow(), second);
  await clock.advance(headAgainMs);
  assert.notDeepEqual(bytesNow(), second);
  may = false;
  assert.equal(bytesNow(), undefined);
});

test("what two hosts say at a contact is small, and tells a host of a report and a word that it does not remember", async (t) => {
  const { keepers: [k1, k2, k3], open, say, f, own, a } = await under(t);
  const heads = open();
  heads.take("peer", [say(k1, 10), say(k2, 10), say(k3, 10)]);
  const reports = new Reports({ ...f, own, key: newKey, self: () => k1.id, stands: () => undefined });
  const forks = { digest: () => f.journal.forks.digest(), compare: () => Promise.resolve() };
  const contact = new Contact({ heads, forks: forks as never, branch: () => "main" });
  contact.reports = reports;
  const answer = contact.answer("peer", contact.ask());
  assert.ok(encode(answer).length < 800, `${encode(answer).length} bytes of three keepers`);
  for (const bad of [null, 7, [7], [[7, null], "x"]] as Cbor[]) contact.answer("peer", bad);
  for (const bad of [null, 7, [7], [7, 7, 7], [new Uint8Array(32), [[7]], new Uint8Array(9)]] as Cbor[]) {
    await contact.heard("peer", bad);
  }
  const self = new Own({ db: f.db, key: newKey, self: () => k1.id, log: () => {} });
  const theirs = new Heads({
    ...f,
    own: self,
    key: newKey,
    self: () => k1.id,
    branch: () => "main",
    maySign: () => false,
  });
  assert.equal(self.ahead(), undefined);
  theirs.take("peer", [say(k1, 11)]);
  assert.match(self.ahead() ?? "", /a later word of this host/);
  assert.equal(hostId(a.agent.host).length, 64);
});

test("status and doctor say that a host is stale, and that it is behind what keepers speak of though nobody gives it", async (t) => {
  const clock = new VirtualClock(3);
  const a = await makeFirstHost(t);
  const k = await addOther(a, "k1");
  await extend(a, [{ op: "keepers", hosts: [fromHex(k.id)], quorum: 1, cuts: {}, terms: {} }], k.host);
  const { host } = a.agent;
  const { db, journal, own, keys } = host;
  const self = () => hostId(host);
  const made = { db, journal, own, clock, self, key: () => keys.obtain("host"), branch: () => "main" };
  Object.assign(host, { heads: new Heads({ ...made, maySign: () => true }) });
  const standing = () => a.acts.status.standing(host);
  const finding = () => MESH_CHECKS["freshness"]!(a.call());
  assert.deepEqual([standing().stale, standing().state], [null, "current"]);
  assert.deepEqual(standing().quorum, { need: 1, reached: 0, of: 1 });
  await clock.advance(headStaleMs + 1);
  assert.equal(typeof standing().stale?.sinceMs, "number");
  assert.match(
    (await finding() as { text: string } | undefined)?.text ?? "",
    /^stale: no quorum of keepers was heard since /,
  );
  const { domain } = host.journal.needPolicy("test");
  const words = { epoch: 0, seq: 3, id: new Uint8Array(32), control: 1, n: 1, timeMs: 1 };
  host.heads.take("peer", [["main", sign1(k.host, context(TYPE.head, domain, "main"), encode(words))]]);
  assert.deepEqual([standing().stale, standing().state, standing().of], [null, "behind", 3]);
  assert.equal(await finding(), undefined);
});

test("a host without memory applies nothing before a quorum of keepers has said how far the branch is, and all of that is here", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await checkIn(a, 1);
  await b.acts.apply.up(b.call(), UP);
  const c = await makeHost(t, { conf: MESHED });
  const { mesh, heads } = c.agent.host;
  heads.take = () => {}; // it hears from nobody how far the branch is
  await joinDomain(a, c, "hostc");
  await until("c has b", () => c.agent.host.mesh.peers().length === 2);
  await a.stop();
  await until("a is gone", () => c.agent.host.mesh.peers().length === 1);
  const fault = await faultOf(() => c.acts.apply.up(c.call(), UP));
  assert.equal(fault.kind, "noQuorum");
  assert.equal(c.agent.host.history.last(), undefined);
  await a.start();
  await until("a is back", () => c.agent.host.mesh.peers().length === 2);
  await checkIn(a, 1);
  const ask = mesh.ask.bind(mesh);
  mesh.ask = (to, method, value, waitMs) =>
    method === "entries" ? Promise.resolve([]) : ask(to, method, value, waitMs); // it is kept from the rest
  if (c.agent.host.journal.head("main").seq < 2) {
    const kept = await faultOf(() => c.acts.apply.up(c.call(), UP));
    assert.match(kept.message, /the keepers are at entry 2 of main, and \d have come here/);
  }
  mesh.ask = ask;
  await c.acts.apply.up(c.call(), UP);
  assert.equal(c.agent.host.history.applied(), 2);
  await a.stop();
  await until("a is gone again", () => c.agent.host.mesh.peers().length === 1);
  await c.acts.apply.up(c.call(), UP); // it has a memory now
  assert.ok(c.agent.host.journal.head(CONTROL).seq > 1);
});

test("what the keepers told a host without memory is enough when they are off", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await checkIn(a, 1);
  const { host } = b.agent;
  await until("b was told", () => host.heads.direct("main") !== undefined);
  await until("b has it", () => host.journal.head("main").seq === 1);
  await a.stop();
  await until("a is gone", () => host.mesh.peers().length === 0);
  await b.acts.apply.up(b.call(), UP);
  assert.equal(host.history.applied(), 1);
});
