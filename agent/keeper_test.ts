// keeper: terms only rise, one holder at a time, and no vote for a term that is not the promised one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOf, makeFirstHost, type TestHost } from "../tests/world.ts";
import type { Claim, Proposal } from "./keeper.ts";

const claim = (who: string, message = "m"): Claim => ({
  holder: who,
  holderName: who,
  host: "h",
  hostName: "h",
  message,
});
const promise = (host: TestHost, c: Claim, steal = false) => {
  const { db, keeper } = host.agent.host;
  return db.write((tx) => keeper.promise(tx, "main", c, 1, steal));
};
const proposal: Proposal = {
  branch: "main",
  epoch: 0,
  seq: 1,
  id: new Uint8Array(32),
  entry: new Uint8Array(1),
  origin: new Uint8Array(1),
};

test("a second claim is refused while the first is held; the same holder on another host is another claim", async (t) => {
  const host = await makeFirstHost(t);
  promise(host, claim("alice"));
  assert.equal((await faultOf(() => promise(host, claim("bob")))).kind, "locked");
  assert.equal((await faultOf(() => promise(host, { ...claim("alice"), host: "h2" }))).kind, "locked");
  assert.equal(host.agent.host.keeper.holder("main")?.holder, "alice");
});

test("terms rise with each new holder, over releases and steals, and stay while one holder asks again", async (t) => {
  const host = await makeFirstHost(t);
  const { db, keeper } = host.agent.host;
  assert.equal(promise(host, claim("alice")).term, 1);
  assert.equal(promise(host, claim("alice", "other")).term, 1);
  db.write((tx) => keeper.release(tx, "main"));
  assert.equal(promise(host, claim("alice")).term, 2, "given back and taken again is a new term");
  assert.equal(promise(host, claim("bob"), true).term, 3);
  await host.restart();
  assert.equal(host.agent.host.keeper.holder("main")?.term, 3);
});

test("no vote for an old term, a released one, or one never promised", async (t) => {
  const host = await makeFirstHost(t);
  const { db, keeper } = host.agent.host;
  const vote = (term: number) => db.write((tx) => keeper.vote(tx, new Uint8Array(32), term, [proposal]));
  assert.equal((await faultOf(() => vote(0))).kind, "notLocked");
  promise(host, claim("alice"));
  assert.equal(vote(1).length, 1);
  promise(host, claim("bob"), true);
  assert.match((await faultOf(() => vote(1))).message, /term 1 is gone: the keeper has promised term 2/);
  db.write((tx) => keeper.release(tx, "main"));
  assert.equal((await faultOf(() => vote(2))).kind, "notLocked");
});
