// replica: peers that send what is wrong, late, endless or nothing; what this host keeps of it, and whom it asks next.
// Not forks (forks_test.ts) and not the network below: the mesh here does what the test says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, decode, encode, sign1, sleep, systemClock, toHex, VirtualClock } from "../mq/mod.ts";
import { makeFirstHost, type TestHost } from "../tests/world.ts";
import { context, type EntryRecord, TYPE } from "./entry.ts";
import {
  addOther,
  checkIn,
  follower,
  forged,
  honest,
  lying,
  type Other,
  recordsOf,
  stolen,
} from "./fixture.ts";
import { hostId } from "./host.ts";
import { writeRecord } from "./intake.ts";
import { pullAskMs, settleInMs, sweepMs } from "./limits.ts";
import { CONTROL } from "./names.ts";

type Ctx = Parameters<typeof makeFirstHost>[0];

/** A keeper with `n` entries on main, all hosts of its domain being in the test's hand. */
async function origin(t: Ctx, n: number): Promise<{ a: TestHost; keeper: string; liar: Other; good: Other }> {
  const a = await makeFirstHost(t);
  const [liar, good] = [await addOther(a, "liar"), await addOther(a, "good")];
  await checkIn(a, n);
  return { a, keeper: hostId(a.agent.host), liar, good };
}

const until = async (isSo: () => boolean) => {
  for (let i = 0; i < 200 && !isSo(); i++) await sleep(systemClock, 5);
};

test("an older or equal head is ignored and nobody is asked; a newer one brings the whole gap in order", async (t) => {
  const { a, good } = await origin(t, 70);
  const b = follower(t, a, 68);
  b.mesh.hosts.set(good.id, honest(a));
  for (const seq of [0, 1, 67, 68, -5]) b.mesh.rumour(good.id, "head", ["main", seq]);
  b.mesh.rumour(good.id, "head", ["other", 99]);
  for (const value of [null, ["main"], ["main", "70"], [7, 70], "main"] as Cbor[]) {
    b.mesh.rumour(good.id, "head", value);
  }
  assert.equal(b.mesh.asked.length, 0);
  b.mesh.rumour(good.id, "head", ["main", 70]);
  await until(() => b.seq() === 70);
  assert.equal(b.seq(), 70);
  assert.equal((await b.replica.sync()).asked, "peer");
});

test("a peer that sends too little, too much, twice, out of order, or of somewhere else: what is right is kept, and another peer is asked", async (t) => {
  const { a, liar, good } = await origin(t, 6);
  await a.acts.domain.fork(a.call(), "web");
  await checkIn(a, 2); // on web
  const all = recordsOf(a).map(writeRecord);
  const other = await makeFirstHost(t);
  await checkIn(other, 6);
  const foreign = recordsOf(other).map(writeRecord);
  const cases: [string, (after: number) => Cbor, number][] = [
    ["a gap", (after) => all.slice(after + 1), 2],
    ["a gap in the middle", () => [all[2] as Cbor, all[4] as Cbor], 3],
    ["out of order", () => [all[3] as Cbor, all[2] as Cbor], 2],
    ["twice", () => [all[2] as Cbor, all[2] as Cbor], 3],
    ["what we have", () => all.slice(0, 3), 2],
    ["another branch", () => recordsOf(a, "web").slice(6).map(writeRecord), 2],
    ["the control journal", () => recordsOf(a, CONTROL).map(writeRecord), 2],
    ["another domain", (after) => foreign.slice(after), 2],
    ["other shapes", () => [all[2] as Cbor, [new Uint8Array(1)]], 2],
    ["text", () => "all is well", 2],
    ["an object", () => ({ entries: all }), 2],
  ];
  for (const [name, say, kept] of cases) {
    const b = follower(t, a, 2);
    b.mesh.hosts.set(liar.id, lying(a, say));
    await b.replica.sync();
    assert.equal(b.seq(), kept, name);
    assert.equal(b.journal.head("web").seq, 6, `${name}: nothing that was not asked for`);
    assert.ok(b.mesh.asked.length < 8, `${name}: ${b.mesh.asked.length} questions`);
    b.mesh.hosts.set(good.id, honest(a));
    const { hosts } = await b.replica.sync();
    assert.ok(hosts.includes(good.id), name);
    assert.equal(b.seq(), 6, name);
  }
});

test("entries of another branch in the very places that were asked for are not kept", async (t) => {
  const { a, liar } = await origin(t, 2);
  await a.acts.domain.fork(a.call(), "web");
  await checkIn(a, 2);
  const b = follower(t, a, 2);
  b.mesh.hosts.set(liar.id, lying(a, (after) => recordsOf(a, "web").slice(after).map(writeRecord)));
  await b.replica.sync();
  assert.deepEqual([b.seq(), b.journal.head("web").seq], [2, 2]);
  assert.match(b.log.join(), /entry 3 of web was not asked for/);
});

test("one bit flipped in any byte of what a peer sends: the entries before it are kept, it is refused, another peer is asked", async (t) => {
  const { a, liar, good } = await origin(t, 3);
  const all = recordsOf(a).map(writeRecord);
  const b = follower(t, a, 1);
  for (const part of [0, 1, 2]) {
    for (let at = 0; at < (all[1]?.[part]?.length as number); at += 3) {
      const bad = structuredClone(all);
      const bytes = bad[1]?.[part] as Uint8Array;
      bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
      b.mesh.hosts.set(liar.id, lying(a, (after) => bad.slice(after)));
      await b.replica.sync();
      assert.equal(b.seq(), 1, `part ${part}, byte ${at}`);
    }
  }
  const cut = all.map(([entry, ...more]) => [(entry as Uint8Array).subarray(0, -1), ...more] as Cbor);
  b.mesh.hosts.set(liar.id, lying(a, (after) => cut.slice(after)));
  await b.replica.sync();
  assert.equal(b.seq(), 1);
  assert.ok(b.log.some((line) => /what .* sends is not taken/.test(line)));
  assert.ok(b.log.length < 40, "the log does not grow without end");
  b.mesh.hosts.set(good.id, honest(a));
  await b.replica.sync();
  assert.equal(b.seq(), 3);
});

test("a peer that pads certificates fills no disk", async (t) => {
  const { a, liar } = await origin(t, 1);
  const [right] = recordsOf(a) as [EntryRecord];
  const { domain } = a.agent.host.journal.needPolicy("test");
  const junk = sign1(liar.host, context(TYPE.vote, domain, "main"), new Uint8Array(300_000));
  const padded = writeRecord({ ...right, cert: encode([...decode(right.cert) as Cbor[], junk]) });
  const b = follower(t, a);
  b.mesh.hosts.set(liar.id, lying(a, () => [padded]));
  await b.replica.sync();
  assert.equal(b.seq(), 0);
});

test("an entry of a higher level stops the journal before it, and who looks for newer entries is told of it", async (t) => {
  const { a, keeper } = await origin(t, 5);
  const newer = forged(a, stolen(a), { level: 2 });
  const unsigned = { ...forged(a, stolen(a), { level: 2 }), cert: encode([]) };
  const b = follower(t, a, 1);
  const send = (last: EntryRecord) =>
    lying(a, (after) => [...recordsOf(a), last].slice(after).map(writeRecord));
  b.mesh.hosts.set(keeper, send(unsigned));
  assert.equal(
    (await b.replica.sync()).tooNew,
    undefined,
    "nobody is frightened by what no keeper has certified",
  );
  assert.equal(b.seq(), 5);
  b.mesh.hosts.set(keeper, send(newer));
  const { tooNew } = await b.replica.sync();
  assert.match(tooNew?.message ?? "", /entry 6 of main needs an agent of level 2/);
  assert.match(tooNew?.hint ?? "", /^isconf version/);
  assert.equal(b.seq(), 5);
});

test("entries that nobody certified, of a person without the role or of another epoch are refused", async (t) => {
  const { a, keeper, liar } = await origin(t, 1);
  const right = forged(a, stolen(a), {});
  for (
    const bad of [
      { ...right, cert: encode([]) },
      { ...right, cert: recordsOf(a)[0]?.cert as Uint8Array },
      { ...right, origin: recordsOf(a)[0]?.origin as Uint8Array },
      forged(a, liar, {}),
      forged(a, stolen(a), { epoch: 1 }),
      forged(a, stolen(a), { term: 2 ** 53 - 1 }),
    ]
  ) {
    const b = follower(t, a, 1);
    b.mesh.hosts.set(keeper, lying(a, (after) => [...recordsOf(a), bad].slice(after).map(writeRecord)));
    await b.replica.sync();
    assert.equal(b.seq(), 1);
  }
  const b = follower(t, a, 1);
  b.mesh.hosts.set(keeper, lying(a, (after) => [...recordsOf(a), right].slice(after).map(writeRecord)));
  await b.replica.sync();
  assert.equal(b.seq(), 2, "the same entry, with nothing wrong in it");
});

test("entries under a policy that came up meanwhile: the policy is fetched, nothing is skipped", async (t) => {
  const { a, keeper } = await origin(t, 2);
  const b = follower(t, a);
  const old = recordsOf(a, CONTROL).length;
  await addOther(a, "hostd");
  await checkIn(a, 2);
  let isLate = true;
  b.mesh.hosts.set(keeper, (method, value) => {
    const [branch, after] = value as [string, number];
    if (branch !== CONTROL || !isLate) return honest(a)(method, value);
    isLate = false; // what it has grows between the two questions
    return recordsOf(a, CONTROL).slice(after, old).map(writeRecord);
  });
  assert.equal((await b.replica.sync()).asked, "keeper");
  assert.equal(b.seq(), 4);
  const c = follower(t, a);
  const cut = c.journal.policy()?.seq as number;
  assert.ok(cut > old);
});

test("a peer that never answers, answers late, or for ever the same is asked a bounded number of times, and holds up nobody", async (t) => {
  const { a, liar, good } = await origin(t, 3);
  for (
    const say of [
      () => new Promise<Cbor>(() => {}),
      () => Promise.reject(new Error("no")),
      () => [],
      () => recordsOf(a).slice(0, 1).map(writeRecord),
    ]
  ) {
    const b = follower(t, a, 1);
    b.mesh.hosts.set(liar.id, lying(a, say));
    b.mesh.rumour(liar.id, "head", ["main", 3]);
    await sleep(systemClock, 10);
    b.mesh.hosts.set(good.id, honest(a));
    b.mesh.rumour(good.id, "head", ["main", 3]);
    await sleep(systemClock, 10);
    await b.clock.advance(pullAskMs);
    await until(() => b.seq() === 3);
    assert.equal(b.seq(), 3);
    assert.ok(b.mesh.asked.filter(({ host }) => host === liar.id).length < 20);
  }
});

test("100,000 rumours of what nobody has are no 100,000 questions, from members or from strangers", async (t) => {
  const { a, liar } = await origin(t, 1);
  const b = follower(t, a, 1);
  b.mesh.hosts.set(liar.id, honest(a));
  for (let i = 0; i < 100_000; i++) {
    b.mesh.rumour(liar.id, "head", ["main", 2 + i]);
    b.mesh.rumour(toHex(systemClock.random(4)), "head", ["main", 2 ** 53 - 1]);
    if (i % 1000 === 0) b.mesh.peer(liar.id, i % 2000 === 0);
    if (i % 1000 === 999) await sleep(systemClock, 1);
  }
  assert.ok(b.clock.pending < 20, `${b.clock.pending} timers`);
  const times = (method: string) => b.mesh.asked.filter((asked) => asked.method === method).length;
  assert.ok(times("entries") <= 51, `${times("entries")} questions; it was connected 50 times`);
  assert.ok(times("heads") <= 51, `${times("heads")} looks; it was connected 50 times`);
  assert.equal(b.mesh.asked.length, times("entries") + times("heads"));
  assert.ok(b.mesh.asked.every(({ host }) => host === liar.id));
});

test("with every rumour lost a look at some peer now and then brings what is new", async (t) => {
  const { a, good } = await origin(t, 1);
  const b = follower(t, a, 1);
  b.mesh.hosts.set(good.id, honest(a));
  await checkIn(a, 2);
  await b.clock.advance(sweepMs - 1);
  assert.equal(b.seq(), 1);
  await b.clock.advance(1);
  await until(() => b.seq() === 3);
  assert.equal(b.seq(), 3);
  b.replica.stop();
  const asked = b.mesh.asked.length;
  await b.clock.advance(10 * sweepMs);
  assert.equal(b.mesh.asked.length, asked, "after its end it asks nobody");
});

test("who looks for newer entries at the start of an agent waits for a keeper, so long and no longer", async (t) => {
  const { a, keeper, good } = await origin(t, 3);
  const begin = () => {
    const b = follower(t, a, 1, new VirtualClock(1), settleInMs);
    let asked = "";
    const sync = () => void b.replica.sync().then((fresh) => asked = fresh.asked);
    return { ...b, sync, asked: () => asked };
  };
  const late = begin();
  late.sync();
  late.mesh.hosts.set(good.id, honest(a)); // no keeper
  await late.clock.advance(settleInMs - 100);
  assert.deepEqual([late.asked(), late.seq()], ["", 1]);
  late.mesh.hosts.set(keeper, honest(a));
  await late.clock.advance(50);
  await until(() => late.asked() !== "");
  assert.deepEqual([late.asked(), late.seq()], ["keeper", 3]);

  const alone = begin();
  alone.sync();
  await alone.clock.advance(settleInMs - 50);
  assert.equal(alone.asked(), "");
  await alone.clock.advance(50);
  await until(() => alone.asked() !== "");
  assert.equal(alone.asked(), "nobody");
  alone.mesh.hosts.set(good.id, honest(a));
  alone.sync(); // from now on nobody is waited for
  await until(() => alone.asked() === "peer");
  assert.deepEqual([alone.asked(), alone.seq()], ["peer", 3]);
});

test("what is asked of a host for its entries is answered in bounded pages, and nonsense is refused", async (t) => {
  const { a } = await origin(t, 300);
  const { mesh } = a.agent.host;
  const ask = (value: Cbor) => mesh.answers.answer(["", "entries", value]);
  const page = await ask(["main", 0]) as Cbor[];
  assert.equal(page.length, 256);
  assert.equal((await ask(["main", 256]) as Cbor[]).length, 44);
  assert.deepEqual(await ask(["main", 2 ** 53 - 1]), []);
  assert.deepEqual(await ask(["nowhere", 0]), []);
  for (const value of [null, [], ["main"], ["main", -1], ["main", "0"], [["main"], 0]] as Cbor[]) {
    await assert.rejects(ask(value), /asked for by branch and place/);
  }
});
