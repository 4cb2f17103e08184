// keeper: terms only rise, one holder at a time, and what was voted for stays known. Who may have what: keepers_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOf, makeFirstHost, type TestHost } from "../tests/world.ts";
import type { Claim, Proposal } from "./keeper.ts";
import { NO_PROOF } from "./promises.ts";

const claim = (who: string, message = "m"): Claim => ({
  holder: who,
  holderName: who,
  host: "h",
  hostName: "h",
  message,
});
const promise = (host: TestHost, c: Claim, steal = false) => {
  const { db, keeper } = host.agent.host;
  return db.write((tx) => keeper.follow(tx, keeper.next("main", c, 1, { steal })));
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

test("a term that others have promised meanwhile is passed over; what is learnt of a lock never makes it older", async (t) => {
  const host = await makeFirstHost(t);
  const { db, keeper } = host.agent.host;
  const take = (after: number, who = "alice") =>
    db.write((tx) => keeper.follow(tx, keeper.next("main", claim(who), 1, { after }))).term;
  assert.equal(take(0), 1);
  assert.equal(take(0), 1, "asked for again");
  assert.equal(take(6), 7);
  const learn = (term: number, held: boolean) => {
    db.write((tx) =>
      keeper.learn(tx, { ...claim("bob"), branch: "main", term, held, sinceMs: 1, change: false })
    );
    const now = keeper.holder("main");
    return [now?.term, now?.held, now?.holder];
  };
  assert.deepEqual(learn(6, true), [7, true, "alice"]);
  assert.deepEqual(learn(8, true), [8, true, "bob"]);
  assert.deepEqual(learn(8, false), [8, false, "bob"]);
  assert.deepEqual(learn(8, true), [8, false, "bob"], "what was given back stays so");
});

test("what was voted for is remembered until the chain has grown over it, and the lock is given back then", async (t) => {
  const host = await makeFirstHost(t);
  promise(host, claim("alice"));
  const accept = () => {
    const { db, keeper } = host.agent.host;
    db.write((tx) => keeper.accept(tx, "main", 1, [proposal, { ...proposal, seq: 2 }], NO_PROOF));
  };
  accept();
  await host.restart();
  const again = host.agent.host.keeper;
  assert.deepEqual([again.accepted("main")?.term, again.accepted("main")?.records.length], [1, 2]);
  const end = (seq: number, id: Uint8Array, term: number) =>
    host.agent.host.db.write((tx) => again.settle(tx, "main", { seq, id }, term));
  end(0, proposal.id, 0);
  assert.deepEqual([again.accepted("main")?.seq, again.holder("main")?.held], [1, true]);
  end(1, proposal.id, 1);
  assert.deepEqual(
    [again.accepted("main")?.seq, again.holder("main")?.held],
    [1, false],
    "a part of it came",
  );
  end(2, proposal.id, 1);
  assert.equal(again.accepted("main"), undefined);
  const other = proposal.id.map((byte) => byte ^ 1);
  accept();
  end(1, other, 2);
  assert.equal(again.accepted("main"), undefined, "something else stands in its place");
});

test("a check-in that is longer than a message is remembered, too", async (t) => {
  const host = await makeFirstHost(t);
  const { db, keeper } = host.agent.host;
  const entry = new Uint8Array(900_000);
  const batch = [1, 2, 3].map((seq) => ({ ...proposal, seq, entry }));
  db.write((tx) => keeper.accept(tx, "main", 1, batch, NO_PROOF));
  assert.deepEqual(keeper.accepted("main")?.records.map(([bytes]) => bytes?.length), [
    900_000,
    900_000,
    900_000,
  ]);
});
