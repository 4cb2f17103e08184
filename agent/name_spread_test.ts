// name spread: names from host to host over libp2p on loopback: told, missed and made up for, said on both sides of a part;
// and a peer that answers with what is wrong.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, type Clock, fromHex, systemClock } from "../mq/mod.ts";
import {
  joinDomain,
  makeDomain,
  makeFirstHost,
  makeHost,
  MESHED,
  type TestHost,
  until,
} from "../tests/world.ts";
import { addOther, extend, FakeMesh, type Other } from "./fixture.ts";
import { hostId } from "./host.ts";
import { nameAskIds, namePageIds, nameRumoursMax, sweepMs } from "./limits.ts";
import { heldOf, idOf, recordOf, say, unsay } from "./name_fixture.ts";
import { readName } from "./name_records.ts";
import { NameSpread } from "./name_spread.ts";
import { NameTable } from "./name_table.ts";

type Ctx = Parameters<typeof makeFirstHost>[0];

const isConnected = (host: TestHost, ...others: TestHost[]) =>
  others.every((o) => host.agent.host.mesh.peers().includes(hostId(o.agent.host)));
const meaningOf = (host: TestHost, name: string) => {
  try {
    return host.agent.host.names.resolve(name).id;
  } catch {
    return "";
  }
};
const part = (host: TestHost) => host.agent.host.mesh.settle(null);
const join = (host: TestHost) => host.agent.host.settleMesh();
/** Neither tells nor hears rumours of names. */
const deafen = ({ agent: { host: { mesh } } }: TestHost) => {
  const publish = mesh.publish.bind(mesh);
  mesh.publish = (topic, value) => void (topic === "name" || publish(topic, value));
};

/** A clock on which the time between two sweeps is short. */
const brisk: Clock = { ...systemClock, after: (ms, fn) => systemClock.after(ms === sweepMs ? 150 : ms, fn) };

/** Hosts whose users may name things below main, all connected with the first. */
async function publishers(t: Ctx, names: string[], clock: Clock = systemClock): Promise<TestHost[]> {
  const hosts = await makeDomain(t, names, { clock });
  const [a, ...others] = hosts as [TestHost, ...TestHost[]];
  for (const name of names.slice(1)) {
    await a.acts.roles.grant(a.call(), { person: `root@${name}`, role: "publish", branch: "main" });
  }
  const seq = (host: TestHost) => host.agent.host.journal.head("@domain").seq;
  await until("all know it", () => others.every((o) => seq(o) === seq(a)));
  return hosts;
}

test("a name said on one host means the same on the others a moment later; withdrawn, nothing; said on the second, too", async (t) => {
  const [a, b, c] = await publishers(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  say(a, "main/app", "1");
  await until("b and c hear", () => [b, c].every((h) => meaningOf(h, "main/app") === idOf("1")));
  const seen = b.agent.host.names.resolve("main/app");
  assert.deepEqual([seen.who, seen.host, seen.seq, seen.copies, seen.state], [
    "root@hosta",
    "hosta",
    1,
    1,
    "current",
  ]);
  say(b, "main/app", "2");
  await until("a and c hear", () => [a, c].every((h) => meaningOf(h, "main/app") === idOf("2")));
  assert.equal(a.agent.host.names.resolve("main/app@1").id, idOf("1"));
  unsay(b, "main/app");
  await until("it is gone", () => [a, c].every((h) => meaningOf(h, "main/app") === ""));
});

test("set on both sides of a part, both stand side by side everywhere; who names it again replaces both", async (t) => {
  const [a, b] = await publishers(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  say(a, "main/app", "0");
  await until("b hears", () => meaningOf(b, "main/app") === idOf("0"));
  await part(b);
  await until("they are parted", () => !isConnected(a, b));
  say(a, "main/app", "a");
  say(b, "main/app", "b");
  assert.deepEqual([meaningOf(a, "main/app"), meaningOf(b, "main/app")], [idOf("a"), idOf("b")]);
  await join(b);
  const beside = ["1 root@hosta replaced", "2 root@hosta beside", "2 root@hostb beside"];
  await until(
    "both stand on both",
    () => [a, b].every((h) => JSON.stringify(heldOf(h, "main/app").sort()) === JSON.stringify(beside)),
  );
  assert.equal(meaningOf(b, "main/app"), "");
  assert.equal(b.agent.host.names.resolve("main/app", "root@hosta").id, idOf("a"));
  say(b, "main/app", "c");
  await until("one replaces both", () => [a, b].every((h) => meaningOf(h, "main/app") === idOf("c")));
});

test("a host that was off hears of it when it is back, from whoever knows; one that was not built yet when it joins", async (t) => {
  const [a, b, c] = await publishers(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  await c.stop();
  const n = nameAskIds + 5;
  for (let i = 0; i < n; i++) say(a, `main/x${i}`, `${i}`);
  await until("b has all", () => b.agent.host.names.list().length === n);
  await a.stop();
  await c.start();
  await until("c has all, from b", () => c.agent.host.names.list().length === n);
  await a.start();
  const d = await makeHost(t, { conf: MESHED });
  await joinDomain(a, d, "hostd");
  await until("d has all", () => d.agent.host.names.list().length === n);
});

test("with every rumour lost the sweep brings it all the same", async (t) => {
  const [a, b] = await publishers(t, ["hosta", "hostb"], brisk) as [TestHost, TestHost];
  await until("they are connected", () => isConnected(a, b) && isConnected(b, a));
  [a, b].forEach(deafen);
  say(a, "main/app", "1");
  await until("b has it", () => meaningOf(b, "main/app") === idOf("1"));
  say(b, "main/app", "2");
  await until("a has it", () => meaningOf(a, "main/app") === idOf("2"));
});

/** A host's names behind a mesh that does what the test says, and another host that may name things. */
async function behindFake(t: Ctx) {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["publish", "main"]]);
  const { db, journal } = a.agent.host;
  const mesh = new FakeMesh(), table = new NameTable(db), log: string[] = [];
  const spread = new NameSpread({
    table,
    journal,
    mesh,
    clock: systemClock,
    log: (line) => void log.push(line),
  });
  t.after(() => Promise.resolve(spread.stop()));
  const policy = journal.needPolicy("test");
  /** Lets a peer answer so, and waits until it was compared with. */
  const compare = async (answer: (method: string, value: Cbor) => Cbor) => {
    mesh.hosts.set(b.id, answer);
    mesh.asked.length = 0;
    mesh.peer(b.id, true);
    for (let still = 0, last = -1; still < 20; still++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (mesh.asked.length !== last) still = 0;
      last = mesh.asked.length;
    }
    return mesh.asked.map(({ method }) => method);
  };
  return { a, b, mesh, table, log, policy, compare };
}

test("a peer that answers with garbage, with what was not asked for, or with forged records is noted, and nothing is kept", async (t) => {
  const { a, b, table, log, policy, compare } = await behindFake(t);
  const good = recordOf(a, b), other = recordOf(a, b, { name: "main/other" });
  const id = fromHex(readName(good).id);
  const forged = good.slice();
  forged[good.length - 1] = (forged[good.length - 1] as number) ^ 1;
  const id2 = new Uint8Array(32).fill(255);
  const lists: Cbor[] = [
    7,
    "x",
    {},
    [1],
    [id.subarray(1)],
    [id2, id],
    [id, id],
    Array(namePageIds + 1).fill(id),
  ];
  for (const list of lists) {
    assert.deepEqual(await compare((method) => method === "names" ? list : []), ["names"]);
  }
  for (
    const records of [null, 7, [1], [other], [good, good], [forged], [null], [good.subarray(0, -1)]] as Cbor[]
  ) {
    await compare((method) => method === "names" ? [id] : records);
  }
  assert.ok(
    log.length >= 3 && log.every((line) => line.startsWith(`what ${b.id.slice(0, 12)} sends`)),
    log.join("\n"),
  );
  assert.deepEqual(table.ids(policy, new Uint8Array(0), 10), []);
});

test("a peer that speaks of records without end and has none is asked once a comparison", async (t) => {
  const { compare, log } = await behindFake(t);
  let n = 0;
  const page = () =>
    Array.from({ length: namePageIds }, () => {
      const id = new Uint8Array(32);
      new DataView(id.buffer).setUint32(0, ++n);
      return id;
    });
  assert.deepEqual(await compare((method) => method === "names" ? page() : []), ["names", "nameRecords"]);
  assert.deepEqual(log, []);
});

test("what cannot be kept is not asked for again, until the control journal grows", async (t) => {
  const { a, b, compare, table } = await behindFake(t);
  const bytes = recordOf(a, b, { name: "images/base" });
  const record = readName(bytes);
  const answer = (method: string) => method === "names" ? [fromHex(record.id)] : [bytes];
  assert.deepEqual(await compare(answer), ["names", "nameRecords"]);
  assert.deepEqual(await compare(answer), ["names"]);
  await extend(a, [
    { op: "branch", name: "images", from: null },
    { op: "grant", key: fromHex(b.author), role: "publish", branch: "images" },
  ]);
  assert.equal(table.has(record.id), false);
  assert.deepEqual(await compare(answer), ["names", "nameRecords"]);
  assert.equal(table.has(record.id), true);
});

test("a name said under a policy that is not here yet is no offence, and asked for again when the policy is here", async (t) => {
  const { a, b, mesh, table, log, policy } = await behindFake(t);
  const bytes = recordOf(a, b, { name: "images/base", policy: policy.seq + 1 });
  const record = readName(bytes);
  mesh.hosts.set(b.id, (method) => method === "names" ? [fromHex(record.id)] : [bytes]);
  mesh.rumour(b.id, "name", bytes);
  assert.deepEqual([log, mesh.asked, mesh.published], [[], [], []]);
  await extend(a, [
    { op: "branch", name: "images", from: null },
    { op: "grant", key: fromHex(b.author), role: "publish", branch: "images" },
  ]);
  await until("it is here", () => table.has(record.id));
});

test("a name by a key that was revoked, passed on by who has not heard, is not kept, and nobody is blamed", async (t) => {
  const { a, b, mesh, table, log, compare } = await behindFake(t);
  const bytes = recordOf(a, b);
  const record = readName(bytes);
  await a.acts.roles.revoke(a.call(), { person: "eve@hostb", reason: "left" });
  mesh.rumour(b.id, "name", bytes);
  await compare((method) => method === "names" ? [fromHex(record.id)] : [bytes]);
  assert.deepEqual([table.has(record.id), log, mesh.published], [false, [], []]);
});

test("questions about names that are none are refused, and answers are pages", async (t) => {
  const { a, b, mesh, table, policy } = await behindFake(t);
  const names = mesh.answerers.get("names")!, records = mesh.answerers.get("nameRecords")!;
  table.take(policy, [readName(recordOf(a, b)), readName(recordOf(a, b, { name: "main/other" }))]);
  const none = new Uint8Array(0);
  assert.equal(await names(b.id, [table.digest(policy), none]), null);
  const ids = await names(b.id, [new Uint8Array(32), none]) as Uint8Array[];
  assert.equal(ids.length, 2);
  assert.deepEqual(await names(b.id, [new Uint8Array(32), ids[0]!]), [ids[1]]);
  assert.equal((await records(b.id, [...ids, new Uint8Array(32)]) as Cbor[]).length, 2);
  for (const value of [null, [], [1, 2], [new Uint8Array(32)], "x"] as Cbor[]) {
    assert.throws(() => names(b.id, value), /names are asked for/);
  }
  for (const value of [null, "x", [1], [none], Array(nameAskIds + 1).fill(ids[0])] as Cbor[]) {
    assert.throws(() => records(b.id, value), /names are asked for/);
  }
});

test("of one person's rumours so many are listened to in a time, and told on; another's still are", async (t) => {
  const { a, b, mesh, table } = await behindFake(t);
  const c: Other = await addOther(a, "hostc", [["publish", "main"]]);
  for (let seq = 1; seq <= nameRumoursMax + 50; seq++) mesh.rumour(b.id, "name", recordOf(a, b, { seq }));
  assert.equal(mesh.published.length, nameRumoursMax);
  const late = recordOf(a, c, { name: "main/late" });
  mesh.rumour(b.id, "name", late);
  assert.ok(table.has(readName(late).id));
});
