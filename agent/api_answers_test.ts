// api_answers: a request with a key is done once, whatever became of its answer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../mq/mod.ts";
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

test("what has not begun took no key, whatever kept it; what was done and could not be noted is uncertain, not refused", async (t) => {
  const host = await makeFirstHost(t);
  const send = sender(host);
  const lock = (match: string) => {
    const headers = { ...JSON_TYPE, "idempotency-key": "k", "if-match": match };
    return send("POST", "/v1/lock", headers, bytes({ message: ["x"] }));
  };
  assert.equal((await lock(`"${"0".repeat(64)}"`)).status, 412);
  assert.equal((await lock("*")).status, 200, "it had not begun");
  const gone = new Fault("up", "gone", "the caller went away before its turn", { hint: "isconf up again" });
  const call = host.call();
  await faultOf(() => onceFor(call, "g", ["up", {}], () => Promise.reject(gone)));
  assert.equal((await onceFor(call, "g", ["up", {}], () => Promise.resolve("done"))).result, "done");
  const begun = (begins: () => void) => {
    begins();
    return Promise.reject(gone);
  };
  await faultOf(() => onceFor(call, "b", ["up", {}], begun));
  assert.equal((await faultOf(() => onceFor(call, "b", ["up", {}], () => Promise.resolve(1)))).kind, "gone");

  const { db } = host.agent.host;
  const full = async (begins: () => void) => {
    begins();
    const { page_count: pages } = db.read((r) => r.get<{ page_count: number }>("PRAGMA page_count"))!;
    db.write((tx) => tx.all(`PRAGMA max_page_count = ${pages}`));
    return await Promise.resolve("x".repeat(500_000));
  };
  assert.equal(String((await onceFor(call, "f", ["up", {}], full)).result).length, 500_000, "it was done");
  db.write((tx) => tx.all("PRAGMA max_page_count = 1000000"));
  assert.match(host.logged.join("\n"), /the answer to up could not be kept/);
  let again = 0;
  const fault = await faultOf(() => onceFor(call, "f", ["up", {}], () => Promise.resolve(again++)));
  assert.deepEqual([fault.kind, again], ["uncertain", 0]);
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
