// api_answers: a request with a key is done once, whatever became of its answer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOf, makeFirstHost, run } from "../tests/world.ts";
import { onceFor } from "./api_answers.ts";
import { sender } from "./api_fixture.ts";
import { answersPerUidMax } from "./limits_api.ts";

const JSON_TYPE = { "content-type": "application/json" };
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

test("the same request with the same key is done once and answered again, results and faults", async (t) => {
  const host = await makeFirstHost(t);
  const send = sender(host);
  const post = (verb: string, args: unknown, key: string) =>
    send("POST", `/v1/${verb}`, { ...JSON_TYPE, "idempotency-key": key }, bytes(args));
  const first = await post("lock", { message: ["why"] }, '"k1"');
  const text = await first.text();
  assert.equal(first.headers.get("idempotency-replayed"), null);
  const term = host.agent.host.keeper.holder("main")!.term;
  await host.acts.locks.unlock(host.call(), false);
  for (const key of ["k1", '"k1"']) {
    const again = await post("lock", { message: ["why"] }, key);
    assert.deepEqual([again.status, again.headers.get("idempotency-replayed"), await again.text()], [
      200,
      "true",
      text,
    ]);
  }
  const held = host.agent.host.keeper.holder("main")!;
  assert.deepEqual([held.term, held.held], [term, false], "it was not locked again");
  assert.equal((await post("lock", { message: ["other"] }, "k1")).status, 400, "a key is for one request");
  const refused = await post("ci", {}, "k2");
  assert.equal(refused.status, 428);
  await host.acts.locks.lock(host.call(), "now it would do");
  assert.deepEqual(await (await post("ci", {}, "k2")).json(), await refused.json());
  assert.equal((await post("lock", { message: "no list" }, "k3")).status, 400);
  assert.equal(
    (await post("lock", { message: ["a list"] }, "k3")).status,
    200,
    "what was no request took no key",
  );
  for (const key of ["", " ", "x".repeat(256), "ä"]) {
    const answer = await post("unlock", {}, key).catch(() => undefined); // some are no header at all
    if (answer !== undefined && key !== "") assert.equal(answer.status, 400, JSON.stringify(key));
  }
});

test("a request whose agent was killed in its middle is uncertain, and is not done again", async (t) => {
  const host = await makeFirstHost(t);
  let done = 0, release = () => {};
  const slow = () => new Promise((resolve) => (done++, release = () => resolve("x")));
  const call = host.call();
  const running = onceFor(call, "k", ["up", {}], slow);
  assert.equal((await faultOf(() => onceFor(call, "k", ["up", {}], slow))).kind, "refused", "it runs");
  assert.equal(
    (await onceFor(host.call(1001, "alice"), "k", ["up", {}], () => Promise.resolve(1))).result,
    1,
  );
  release();
  await running;
  host.agent.host.db.write((tx) => tx.run("UPDATE answer SET status = NULL, body = NULL WHERE uid = 0")); // as the kill leaves it
  const fault = await faultOf(() => onceFor(call, "k", ["up", {}], slow));
  assert.deepEqual([fault.kind, done], ["uncertain", 1]);
});

test("of one uid so many answers are kept, the newest", async (t) => {
  const host = await makeFirstHost(t);
  const count = () =>
    host.agent.host.db.read((r) => r.get<{ n: number }>("SELECT count(*) AS n FROM answer"))!.n;
  for (let i = 0; i < answersPerUidMax + 20; i++) {
    await onceFor(host.call(), `k${i}`, ["x", {}], () => Promise.resolve(i));
  }
  assert.ok(count() <= answersPerUidMax + 1, `${count()}`);
  const last = `k${answersPerUidMax + 19}`;
  assert.equal(
    (await onceFor(host.call(), last, ["x", {}], () => Promise.reject(new Error("no")))).isReplayed,
    true,
  );
});

test("If-Match: what changes something is done only where the branch ends as the caller believes; ETags of what reads", async (t) => {
  const host = await makeFirstHost(t);
  const send = sender(host);
  await host.acts.locks.lock(host.call(), "why");
  await run(host, ["/bin/true"]);
  await host.acts.checkin.ci(host.call());
  const answer = await send("GET", "/v1/log");
  const { entries } = await answer.json() as { entries: { id: string }[] };
  const etag = answer.headers.get("etag")!;
  assert.equal((await send("GET", "/v1/log", { "if-none-match": etag })).status, 304);
  const lock = (match: string) =>
    send("POST", "/v1/lock", { ...JSON_TYPE, "if-match": match }, bytes({ message: ["x"] }));
  const stale = await lock(`"${"0".repeat(64)}"`);
  assert.equal(stale.status, 412);
  assert.equal(stale.headers.get("content-type"), "application/problem+json");
  assert.equal(host.agent.host.keeper.holder("main")?.held, false);
  assert.equal((await lock(`"${entries[0]!.id}"`)).status, 200);
  assert.notEqual((await send("GET", "/v1/wip", {})).status, 200);
});
