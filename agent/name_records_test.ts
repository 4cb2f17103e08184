// name records: what is one and what is none, who may say it, and what a hostile host can make of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, encode, fromHex, generateKeyPair, sha256, sign1, systemClock } from "../mq/mod.ts";
import { faultOf, grantTo, makeFirstHost, type TestHost } from "../tests/world.ts";
import { context, TYPE } from "./entry.ts";
import { addOther, allOf, extend, type Other, stolen } from "./fixture.ts";
import { personPair } from "./host.ts";
import { nameCopiesMax, nameRecordBytesMax, nameValuesMax, timeMsMax } from "./limits.ts";
import { heldOf, idOf, recordOf, say, wordsOf } from "./name_fixture.ts";
import { checkNameRecord, readName } from "./name_records.ts";

type Ctx = Parameters<typeof makeFirstHost>[0];

/** A host, and another of its domain whose user may name things below main. */
async function withPublisher(t: Ctx, roles: [string, string][] = [["publish", "main"]]) {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", roles);
  await a.agent.host.settleMesh();
  await a.agent.host.mesh.answers.peer([b.id, true]);
  return [a, b] as [TestHost, Other];
}

const tell = (a: TestHost, b: Other, value: Cbor) => a.agent.host.mesh.answers.rumour([b.id, "name", value]);

test("a record is kept when its author may say so, whoever passed it on, and told on once", async (t) => {
  const [a, b] = await withPublisher(t);
  const c = await addOther(a, "hostc");
  await a.agent.host.settleMesh();
  await a.agent.host.mesh.answers.peer([c.id, true]);
  let told = 0;
  a.agent.host.mesh.publish = (topic) => void (told += topic === "name" ? 1 : 0);
  for (let i = 0; i < 3; i++) await tell(a, c, recordOf(a, b));
  assert.equal(told, 1);
  assert.deepEqual(heldOf(a, "main/app"), ["1 eve@hostb current"]);
  assert.equal(a.agent.host.names.resolve("main/app").id, idOf("1"));
  await a.agent.host.mesh.answers.rumour(["nobody", "name", recordOf(a, b, { name: "main/other" })]);
  assert.deepEqual(heldOf(a, "main/other"), []);
});

test("records of another form are refused, each field by itself, and nothing changes on disk", async (t) => {
  const [a, b] = await withPublisher(t);
  const before = allOf(a);
  const id = (n: number) => new Uint8Array(32).fill(n);
  const changes: Record<string, Cbor>[] = [
    { v: 2 },
    { name: "main/../app" },
    { name: "main/." },
    { name: ".." },
    { name: "/main/app" },
    { name: "main//app" },
    { name: "main/app/" },
    { name: "" },
    { name: "main/app@1" },
    { name: "main/app\n" },
    { name: `main/${"a/".repeat(100)}a` },
    { name: `main/${"a".repeat(65)}` },
    { name: 7 },
    { seq: 0 },
    { seq: -1 },
    { seq: 2n ** 53n },
    { seq: "1" },
    { id: id(1).subarray(1) },
    { id: new Uint8Array(0) },
    { id: null },
    { kind: "dir" },
    { kind: "" },
    { size: -1 },
    { copies: 0 },
    { copies: nameCopiesMax + 1 },
    { id: new Uint8Array(0), kind: "", copies: 0, size: 1 },
    { id: new Uint8Array(0), kind: "", copies: 1, size: 0 },
    { id: new Uint8Array(0), kind: "file", copies: 0, size: 0 },
    { after: [id(2), id(1)] },
    { after: [id(1), id(1)] },
    { after: [id(1).subarray(1)] },
    { after: Array.from({ length: nameValuesMax + 1 }, (_, i) => id(i)) },
    { after: null },
    { policy: -1 },
    { timeMs: timeMsMax + 1 },
    { host: id(1).subarray(1) },
    { author: id(1) },
    { more: 1 },
    { more: new Uint8Array(nameRecordBytesMax) },
  ];
  for (const change of changes) {
    const bytes = recordOf(a, b, change);
    const fault = await faultOf(() => readName(bytes));
    assert.equal(fault.kind, "corrupt", JSON.stringify(change, (_, v) => typeof v === "bigint" ? `${v}` : v));
    await tell(a, b, bytes);
  }
  const { domain } = a.agent.host.journal.needPolicy("test");
  for (const field of Object.keys(wordsOf(a, b))) {
    const { [field]: _, ...rest } = wordsOf(a, b);
    const less = sign1(b.person, context(TYPE.name, domain, ""), encode(rest));
    assert.equal((await faultOf(() => readName(less))).kind, "corrupt", field);
    await tell(a, b, less);
  }
  for (const value of [null, 1, "x", [], {}, new Uint8Array(0), [recordOf(a, b)]] as Cbor[]) {
    await tell(a, b, value);
  }
  assert.equal(allOf(a), before);
  await tell(a, b, recordOf(a, b, { after: Array.from({ length: nameValuesMax }, (_, i) => id(i)) }));
  assert.deepEqual(heldOf(a, "main/app"), ["1 eve@hostb current"], "what is unknown is followed");
});

test("forged records, of another domain, branch or type, by a stranger or a host's key, and from a policy to come change nothing", async (t) => {
  const [a, b] = await withPublisher(t);
  const before = allOf(a);
  const policy = a.agent.host.journal.needPolicy("test");
  const good = recordOf(a, b);
  const flipped = good.slice();
  flipped[good.length - 1] = (flipped[good.length - 1] as number) ^ 1;
  const changed = good.slice();
  changed[100] = (changed[100] as number) ^ 1;
  const stranger = { ...b, person: generateKeyPair(systemClock) };
  const wrong: [Uint8Array, string][] = [
    [flipped, "corrupt"],
    [changed, "corrupt"],
    [good.subarray(0, -1), "corrupt"],
    [recordOf(a, b, {}, { domain: new Uint8Array(32) }), "corrupt"],
    [recordOf(a, b, {}, { branch: "main" }), "corrupt"],
    [recordOf(a, b, {}, { type: TYPE.report }), "corrupt"],
    [recordOf(a, b, {}, { signer: b.host }), "corrupt"],
    [recordOf(a, { ...b, author: b.id }, {}, { signer: b.host }), "denied"],
    [recordOf(a, stranger), "corrupt"],
    [recordOf(a, b, { policy: policy.seq + 1 }), "refused"],
    [recordOf(a, b, { policy: 2 ** 53 - 1 }), "refused"],
  ];
  for (const [i, [bytes, kind]] of wrong.entries()) {
    const fault = await faultOf(() => checkNameRecord(readName(bytes), policy));
    assert.equal(fault.kind, kind, `${i}: ${fault.message}`);
    await tell(a, b, bytes);
  }
  assert.equal(allOf(a), before);
  assert.ok(
    a.logged.some((l) => /is not taken: signed message refused/.test(l)),
    "the log says who sends what",
  );
});

test("publish on a branch is for names below it, on the control journal for all; append is not enough, owner is", async (t) => {
  const [a, b] = await withPublisher(t);
  await extend(a, [{ op: "branch", name: "images", from: null }]);
  const kindOf = async (by: Other, name: string) => {
    const policy = a.agent.host.journal.needPolicy("test");
    try {
      checkNameRecord(readName(recordOf(a, by, { name })), policy);
      return "may";
    } catch {
      return (await faultOf(() => checkNameRecord(readName(recordOf(a, by, { name })), policy))).kind;
    }
  };
  const who: [string, [string, string][], string[]][] = [
    ["nothing", [], []],
    ["append", [["append", "main"]], []],
    ["enrol", [["enrol", "@domain"], ["release", "*"]], []],
    ["below", [["publish", "main"]], ["main/app", "main/x/y"]],
    ["owns", [["owner", "main"]], ["main/app", "main/x/y"]],
    ["images", [["publish", "images"]], ["images/base"]],
    ["all", [["publish", "@domain"]], [
      "main/app",
      "main/x/y",
      "main",
      "images/base",
      "mainly/app",
      "elsewhere",
    ]],
    ["star", [["publish", "*"]], ["main/app", "main/x/y", "main", "images/base", "mainly/app", "elsewhere"]],
  ];
  for (const [i, [what, roles, may]] of who.entries()) {
    const by = await addOther(a, `host-${i}`, roles);
    for (const name of ["main/app", "main/x/y", "main", "images/base", "mainly/app", "elsewhere"]) {
      assert.equal(await kindOf(by, name), may.includes(name) ? "may" : "denied", `${what}: ${name}`);
    }
  }
  assert.equal(await kindOf(b, "main/app"), "may");
  assert.equal(await kindOf(stolen(a), "elsewhere"), "may", "the first owner");
});

test("a name is refused to who lacks the role, told how to get it, and allowed after isconf grant", async (t) => {
  const a = await makeFirstHost(t);

  const alice = { uid: 4242, name: "alice" };
  const { host } = a.agent;
  const set = () =>
    host.names.set(personPair(host, alice), {
      name: "main/app",
      id: idOf("1"),
      kind: "file",
      size: 1,
      copies: 1,
    });
  const fault = await faultOf(set);
  assert.deepEqual([fault.kind, fault.exit], ["denied", 77]);
  assert.match(fault.hint, /^isconf grant USER publish BRANCH/);
  await grantTo(a, alice.uid, alice.name, "publish", "main");
  assert.deepEqual([set().who, set().seq], ["alice@hosta", 1]);
  assert.throws(
    () => host.names.set(personPair(host, alice), { ...set(), name: "web/app", kind: "file" }),
    /may not/,
  );
});

test("the id of a record is that of its payload, and the same words give the same bytes", async (t) => {
  const [a, b] = await withPublisher(t);
  const record = readName(recordOf(a, b));
  assert.deepEqual(fromHex(record.id), sha256(encode(wordsOf(a, b))));
  assert.deepEqual(recordOf(a, b), recordOf(a, b));
  assert.equal(say(a, "main/app", "1").seq, 1);
});
