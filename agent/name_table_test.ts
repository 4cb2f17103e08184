// name table, naming: what is kept and what forgotten, how much one person can make a host keep, and what becomes of names
// whose author's key is revoked or rotated.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, keyId } from "../mq/mod.ts";
import { faultOf, grantTo, makeFirstHost, type TestHost } from "../tests/world.ts";
import { addOther, type Other } from "./fixture.ts";
import { personPair } from "./host.ts";
import { namesMax, namesPerAuthorMax, nameVersionsKept } from "./limits.ts";
import { heldOf, idOf, recordOf, say, unsay } from "./name_fixture.ts";
import { readName } from "./name_records.ts";
import { NameTable } from "./name_table.ts";

const resolve = (a: TestHost, name: string, by?: string) => a.agent.host.names.resolve(name, by);
const idsOf = (a: TestHost) => a.agent.host.names.roots().map(({ id }) => id).sort();

/** Takes in a record of another person as if it had come from a host. */
function hear(a: TestHost, by: Other, change: Parameters<typeof recordOf>[2] = {}) {
  const { db, journal } = a.agent.host;
  const record = readName(recordOf(a, by, change));
  return { record, kept: new NameTable(db).take(journal.needPolicy("test"), [record]).length === 1 };
}

test("a name means what was said last; its last versions can be had, older ones are forgotten", async (t) => {
  const a = await makeFirstHost(t);
  const n = nameVersionsKept + 4;
  for (let i = 1; i <= n; i++) assert.equal(say(a, "main/app", `${i}`, i).seq, i);
  assert.deepEqual([resolve(a, "main/app").id, resolve(a, "main/app").copies], [idOf(`${n}`), n]);
  assert.equal(resolve(a, `main/app@${n - 1}`).id, idOf(`${n - 1}`));
  assert.equal(resolve(a, "main/app@5").id, idOf("5"));
  for (const text of ["main/app@4", `main/app@${n + 1}`, "main/other", "main"]) {
    assert.equal((await faultOf(() => resolve(a, text))).kind, "notFound", text);
  }
  for (
    const text of [
      "main/app@",
      "main/app@0",
      "main/app@1@2",
      "main/../app",
      "@1",
      "main/app@99999999999999999",
    ]
  ) {
    assert.equal((await faultOf(() => resolve(a, text))).kind, "usage", text);
  }
  assert.equal(heldOf(a, "main/app").length, nameVersionsKept);
  assert.deepEqual(idsOf(a), Array.from({ length: nameVersionsKept }, (_, i) => idOf(`${n - i}`)).sort());
  assert.equal(a.agent.host.names.roots().filter(({ isCurrent }) => isCurrent).length, 1);
  await a.restart();
  assert.equal(resolve(a, "main/app").seq, n);
});

test("the same said again is no new version; withdrawn, a name means nothing, and its versions stay", async (t) => {
  const a = await makeFirstHost(t);
  say(a, "main/app", "1");
  assert.equal(say(a, "main/app", "1").seq, 1);
  assert.equal(say(a, "main/app", "1", 2).seq, 2, "another number of copies is");
  assert.equal(unsay(a, "main/app").seq, 3);
  assert.equal((await faultOf(() => resolve(a, "main/app"))).kind, "notFound");
  assert.equal((await faultOf(() => unsay(a, "main/app"))).kind, "notFound");
  assert.equal((await faultOf(() => unsay(a, "main/never"))).kind, "notFound");
  assert.deepEqual(a.agent.host.names.list(), []);
  assert.equal(resolve(a, "main/app@1").id, idOf("1"));
  assert.equal(say(a, "main/app", "4").seq, 4);
});

test("people who differ stand side by side: who says what is told, by picks, the next record replaces both", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["publish", "main"]]);
  say(a, "main/app", "1");
  const { record } = hear(a, b, { id: fromHex(idOf("2")) });
  const fault = await faultOf(() => resolve(a, "main/app"));
  assert.equal(fault.kind, "refused");
  assert.ok(fault.message.includes(`root@hosta says ${idOf("1").slice(0, 16)}`), fault.message);
  assert.ok(fault.message.includes(`eve@hostb says ${idOf("2").slice(0, 16)}`), fault.message);
  assert.match(fault.hint, /^isconf get main\/app --by WHO/);
  assert.equal(resolve(a, "main/app", "eve@hostb").id, idOf("2"));
  assert.equal(resolve(a, "main/app", record.author).id, idOf("2"));
  assert.equal(resolve(a, "main/app", "root@hosta").id, idOf("1"));
  assert.equal((await faultOf(() => resolve(a, "main/app", "nobody@hostx"))).kind, "notFound");
  assert.match((await faultOf(() => resolve(a, "main/app@1"))).message, /people differ/);
  assert.equal(resolve(a, "main/app@1", "eve@hostb").id, idOf("2"));
  assert.deepEqual(a.agent.host.names.list().map(({ state }) => state), ["beside", "beside"]);
  say(a, "main/app", "3");
  assert.equal(resolve(a, "main/app").id, idOf("3"));
  assert.equal(resolve(a, "main/app", "eve@hostb").id, idOf("2"), "what that person last said");
  hear(a, b, { id: fromHex(idOf("3")), seq: 2 });
  assert.equal(resolve(a, "main/app").id, idOf("3"), "two say the same");
  hear(a, b, { id: new Uint8Array(0), kind: "", size: 0, copies: 0, seq: 3 });
  assert.match((await faultOf(() => resolve(a, "main/app"))).message, /eve@hostb withdrew it/);
});

test("names said with a revoked key mean nothing, what they replaced does; who says them again is believed", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["publish", "main"]]);
  const first = say(a, "main/app", "1");
  const { record } = hear(a, b, { seq: 2, id: fromHex(idOf("2")), after: [fromHex(listed(a, first.seq))] });
  hear(a, b, { name: "main/only", id: fromHex(idOf("only")) });
  assert.equal(resolve(a, "main/app").id, idOf("2"));
  await a.acts.roles.revoke(a.call(), { person: "eve@hostb", reason: "left" });
  assert.equal(resolve(a, "main/app").id, idOf("1"));
  const fault = await faultOf(() => resolve(a, "main/only"));
  assert.deepEqual([fault.kind, /eve@hostb alone, whose key was revoked/.test(fault.message)], [
    "refused",
    true,
  ]);
  assert.equal(fault.hint, `isconf name main/only ${idOf("only")}, by somebody who may`);
  assert.equal((await faultOf(() => resolve(a, "main/only@1"))).kind, "notFound");
  assert.equal((await faultOf(() => resolve(a, "main/only", record.author))).kind, "notFound");
  assert.ok(idsOf(a).includes(idOf("only")), "its content is not taken away");
  assert.deepEqual(a.agent.host.names.list().map((n) => `${n.name} ${n.state}`), [
    "main/app current",
    "main/app lapsed",
    "main/only lapsed",
  ]);
  assert.equal(say(a, "main/only", "only").seq, 2);
  assert.deepEqual([resolve(a, "main/only").id, heldOf(a, "main/only").length], [idOf("only"), 1]);
  assert.equal(say(a, "main/app", "3").seq, 3);
  assert.equal(
    (await faultOf(() => resolve(a, "main/app@2"))).kind,
    "notFound",
    "no version changes its meaning",
  );
  const policy = a.agent.host.journal.needPolicy("test");
  assert.deepEqual(
    new NameTable(a.agent.host.db).ids(policy, new Uint8Array(0), 100).length,
    3,
    "not told to others",
  );
});

/** The id of the record that is version `seq` of main/app. */
function listed(a: TestHost, seq: number): string {
  const policy = a.agent.host.journal.needPolicy("test");
  const { versions } = new NameTable(a.agent.host.db).standing(policy, "main/app");
  return versions.find(({ words }) => words.seq === seq)!.id;
}

test("a person whose key was rotated has the same names; what stood beside them still does, and a crash in between loses none", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["publish", "main"]]);
  say(a, "main/app", "1");
  say(a, "main/both", "1");
  hear(a, b, { name: "main/both", id: fromHex(idOf("2")) });
  say(a, "main/old", "1");
  hear(a, b, { name: "main/old", seq: 2, id: fromHex(idOf("2")), after: [fromHex(heldId(a, "main/old"))] });
  const before = keyId(personPair(a.agent.host, a.call().actor).publicKey);
  const { names, keys } = a.agent.host;
  const renew = names.renew.bind(names), promote = keys.promote.bind(keys);
  names.renew = () => {};
  keys.promote = () => {}; // the crash
  await a.acts.roles.rotate(a.call(), "person").catch(() => {});
  assert.equal((await faultOf(() => resolve(a, "main/app"))).kind, "refused");
  [names.renew, keys.promote] = [renew, promote];
  await a.restart();
  assert.notEqual(keyId(personPair(a.agent.host, a.call().actor).publicKey), before);
  assert.deepEqual([resolve(a, "main/app").id, resolve(a, "main/app").who], [idOf("1"), "root@hosta"]);
  assert.match(
    (await faultOf(() => resolve(a, "main/both"))).message,
    /root@hosta says .*eve@hostb says|eve@hostb says .*root@hosta says/,
  );
  assert.equal(resolve(a, "main/old").id, idOf("2"));
  assert.equal(heldOf(a, "main/old").filter((line) => line.includes("root@hosta")).length, 0);
});

const heldId = (a: TestHost, name: string) => {
  const policy = a.agent.host.journal.needPolicy("test");
  return new NameTable(a.agent.host.db).standing(policy, name).values[0]!.id;
};

test("a flood of names by one person who may has an end, and takes no room from others; one of versions neither", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["publish", "main"]]);
  const { db, journal } = a.agent.host;
  const table = new NameTable(db);
  const policy = journal.needPolicy("test");
  db.write((tx) => {
    for (let i = 0; i < namesPerAuthorMax - 1; i++) {
      const { id, author, words, bytes } = readName(recordOf(a, b, { name: `main/x${i}` }));
      tx.run("INSERT INTO name_record VALUES (?, ?, ?, ?)", fromHex(id), words.name, author, bytes);
    }
  });
  const two = [1, 2].map((i) => readName(recordOf(a, b, { name: `main/y${i}` })));
  assert.deepEqual(
    table.take(policy, two).map(({ words }) => words.name),
    ["main/y1"],
    "also when they come together",
  );
  assert.ok(hear(a, b, { name: "main/y1", seq: 2 }).kept, "of a name that is known there is room");
  say(a, "main/app", "1");
  for (let seq = 2; seq < 100; seq++) hear(a, b, { seq: 2 ** 40 + seq, id: fromHex(idOf(`${seq}`)) });
  assert.equal(hear(a, b, { seq: 2 ** 41 }).kept, false, "a name of his more");
  const of = Number(db.read((r) => r.get<{ n: number }>("SELECT COUNT(*) AS n FROM name_record"))?.n);
  assert.equal(of, namesPerAuthorMax + 2);
  for (let seq = 3; seq < 100; seq++) hear(a, b, { name: "main/y1", seq });
  assert.equal(heldOf(a, "main/y1").length, nameVersionsKept);
});

test("a domain has so many names and no more; those of revoked keys make room", async (t) => {
  const a = await makeFirstHost(t);
  const { host } = a.agent;
  await grantTo(a, 4242, "alice", "publish", "main");
  const alice = keyId(personPair(host, { uid: 4242, name: "alice" }).publicKey);
  host.db.write((tx) => {
    for (let i = 0; i < namesMax; i++) {
      const id = new Uint8Array(32);
      new DataView(id.buffer).setUint32(0, i);
      tx.run("INSERT INTO name_record VALUES (?, ?, ?, ?)", id, `x/${i}`, alice, new Uint8Array(0));
    }
  });
  const fault = await faultOf(() => say(a, "main/app", "1"));
  assert.deepEqual([fault.kind, fault.hint], ["refused", "isconf names"]);
  await a.acts.roles.revoke(a.call(), { person: "alice@hosta", reason: "left" });
  assert.equal(say(a, "main/app", "1").seq, 1);
  assert.equal(host.names.list().length, 1);
});

test("a person who has used up all versions of a name is named, and revoked there are some again", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["publish", "main"]]);
  hear(a, b, { seq: 2 ** 53 - 1 });
  assert.match((await faultOf(() => say(a, "main/app", "1"))).hint, /isconf revoke/);
  await a.acts.roles.revoke(a.call(), { person: "eve@hostb", reason: "hostile" });
  assert.equal(say(a, "main/app", "1").seq, 1);
});
