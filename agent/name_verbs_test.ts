// name verbs: name and names over the local API, with contents that are there, elsewhere or nowhere, and as people see them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault, fromHex } from "../mq/mod.ts";
import { makeDomain, makeFirstHost, type TestHost, until } from "../tests/world.ts";
import { makeApi } from "./api.ts";
import { runVerb } from "./api_verbs.ts";
import { addOther } from "./fixture.ts";
import { hostId } from "./host.ts";
import { nameCopiesDefault } from "./limits.ts";
import { idOf, recordOf, say } from "./name_fixture.ts";
import { makeTerm } from "./screen.ts";
import type { Verb } from "./verb.ts";
import { namesVerb, nameVerb } from "./verbs/names.ts";

async function send(host: TestHost, method: string, path: string, body?: unknown) {
  const app = makeApi(host.agent.host, host.acts);
  const json = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const init = {
    method,
    headers: { "content-type": "application/json" },
    ...(json === undefined ? {} : { body: json as string }),
  };
  const answer = await app.fetch(new Request(`http://isconf${path}`, init), { actor: host.call().actor });
  return { status: answer.status, ...await answer.json() };
}

/** What the verb prints for people, on both streams. */
function shown<A extends object, R>(verb: Verb<A, R>, result: R): string {
  let out = "";
  const stdout = (chunk: Uint8Array | string) => void (out += chunk);
  verb.show?.(
    result,
    makeTerm({ stdout, stderr: stdout, colour: false, quiet: false, verbose: false }),
    {} as A,
  );
  return out;
}

test("what is on the shelf is named by its label or id, listed with its versions, withdrawn; size and kind are those of the bytes", async (t) => {
  const a = await makeFirstHost(t);
  const one = await send(a, "PUT", "/v1/blob?label=base.img", "the first");
  const two = await send(a, "PUT", "/v1/blob?label=base.img2", "the second one");
  const { find } = a.agent.host.shelf;
  a.agent.host.shelf.find = async (text) => ({
    ...(await find.call(a.agent.host.shelf, text))!,
    size: 7,
    kind: "tree",
  });
  const first = await send(a, "POST", "/v1/name", { name: "images/base", what: "base.img" });
  assert.deepEqual(
    [first.id, first.kind, first.size, first.copies, first.seq, first.who, first.state],
    [one.id, "file", 9, nameCopiesDefault, 1, "root@hosta", "current"],
  );
  a.agent.host.shelf.find = find;
  const second = await send(a, "POST", "/v1/name", { name: "images/base", what: two.id, copies: 3 });
  assert.deepEqual([second.id, second.copies, second.seq], [two.id, 3, 2]);
  assert.deepEqual((await send(a, "GET", "/v1/names")).names.map((n: { seq: number }) => n.seq), [2]);
  const both = await send(a, "GET", "/v1/names?name=images/base");
  assert.deepEqual(both.names.map((n: { id: string; state: string }) => [n.id, n.state]), [
    [two.id, "current"],
    [one.id, "replaced"],
  ]);
  const row = (await a.agent.host.shelf.list()).find(({ label }) => label === "images/base");
  assert.deepEqual([row?.id, row?.pinned], [two.id, false]);
  const gone = await send(a, "POST", "/v1/name", { name: "images/base", delete: true });
  assert.deepEqual([gone.id, gone.seq], ["", 3]);
  assert.deepEqual((await send(a, "GET", "/v1/names")).names, []);
  assert.match(shown(namesVerb, { names: [] }), /nothing has a name yet/);
});

test("what is nowhere gets no name; words that are none are refused with the next command", async (t) => {
  const a = await makeFirstHost(t);
  const nobodyHas = new Fault("fetch", "notFound", "nobody has it", { hint: "isconf status" });
  a.agent.host.store.fetch = () => Promise.reject(nobodyHas); // else after a while
  const cases: [Record<string, unknown>, number, RegExp][] = [
    [{ name: "main/app", what: "nowhere" }, 404, /^isconf ls/],
    [{ name: "main/app", what: idOf("nowhere") }, 404, /isconf/],
    [{ name: "main/app" }, 400, /^isconf name NAME ID/],
    [{ name: "main/app", what: "x", delete: true }, 400, /^isconf name NAME ID/],
    [{ name: "main/app", delete: true, copies: 1 }, 400, /^isconf name NAME ID/],
    [{ name: "main/app", delete: true }, 404, /^isconf names/],
    [{ name: "main/../app", what: "x" }, 400, /^isconf help name/],
    [{ name: "main/app@1", what: "x" }, 400, /^isconf help name/],
    [{ name: "../x", delete: true }, 400, /^isconf help name/],
  ];
  for (const [body, status, hint] of cases) {
    const answer = await send(a, "POST", "/v1/name", body);
    assert.deepEqual([answer.status, hint.test(answer.hint)], [status, true], JSON.stringify([body, answer]));
  }
  const { id } = await send(a, "PUT", "/v1/blob?label=x", "x");
  assert.equal((await send(a, "POST", "/v1/name", { name: "main/app", what: id, copies: 0 })).status, 400);
  const { shelf } = a.agent.host;
  const lies = await shelf.find("x");
  shelf.find = () => Promise.resolve(lies); // whatever is asked for
  const { kind, exit } = await send(a, "POST", "/v1/name", { name: "main/app", what: idOf("y") });
  assert.deepEqual([kind, exit], ["corrupt", 226]);
  assert.equal((await send(a, "GET", "/v1/names?name=main/app")).status, 404);
  assert.equal((await send(a, "GET", "/v1/names?name=main//app")).status, 400);
});

test("on another host a content is named by its id alone, fetched and put on the shelf; without the role it is denied", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const { id } = await send(a, "PUT", "/v1/blob?label=x", "from a".repeat(10_000));
  const connected = () => b.agent.host.mesh.peers().includes(hostId(a.agent.host));
  await until("they are connected", connected);
  const name = () => runVerb(b.call(), nameVerb as unknown as Verb, { name: "main/app", what: id });
  await assert.rejects(name, /may not say what main\/app is/);
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "publish", branch: "main" });
  const may = () => b.agent.host.journal.head("@domain").seq === a.agent.host.journal.head("@domain").seq;
  await until("b knows", may);
  await name();
  assert.equal((await b.agent.host.shelf.find("main/app"))?.id, id);
  await until("a hears", () => a.agent.host.names.list().some((n) => n.id === id && n.who === "root@hostb"));
});

test("names are shown with what each person says, and texts of others inert", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["publish", "main"]]);
  await a.agent.host.settleMesh();
  await a.agent.host.mesh.answers.peer([b.id, true]);
  say(a, "main/app", "1");
  const hear = (change: Parameters<typeof recordOf>[2]) =>
    a.agent.host.mesh.answers.rumour([b.id, "name", recordOf(a, b, change)]);
  await hear({ id: fromHex(idOf("2")), timeMs: 8_640_000_000_000_000 });
  const lines = shown(namesVerb, { names: a.agent.host.names.list("main/app") }).split("\n");
  assert.equal(lines.filter((line) => /^main\/app@1 .* one of several$/.test(line)).length, 2);
  assert.match(
    shown(nameVerb, say(a, "main/app", "3")),
    /^main\/app is [0-9a-f]{16} \(file, 1 B\); version 2/,
  );
  const [line] = a.agent.host.names.list();
  const evil = shown(namesVerb, { names: [{ ...line!, who: "\x1b]0;owned\x07\u202e", name: "\x1b[2J" }] });
  assert.doesNotMatch(evil, /[\x00-\x09\x0b-\x1f\u202e]/);
});
