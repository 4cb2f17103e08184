// recovery: most keepers are lost for good, between real hosts on loopback: who can be reached, what root keys let go on, and what
// becomes of one that comes back. Not forks (resolve_test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesEqual, encode, fromHex, generateKeyPair, type KeyPair, systemClock } from "../mq/mod.ts";
import { faultOf, grantTo, type TestHost, until, UP } from "../tests/world.ts";
import { MemoryCells } from "./cells.ts";
import { type EntryRecord, type Op, readEntry } from "./entry.ts";
import { allOf, bySignatures, certified, entriesOf, recordsOf, stolen, workOf } from "./fixture.ts";
import { hostId } from "./host.ts";
import { takeIn } from "./intake.ts";
import { CONTROL } from "./names.ts";
import {
  checkIn,
  connected,
  fleet,
  headOf,
  policyOf,
  recover,
  same,
  seqOf,
  signed,
  submit,
} from "./recovery_fixture.ts";
import { readProposal } from "./roots.ts";
import { follow } from "./trust.ts";

test("two of three keepers lost for good: who is missing is said, root keys let the chains go on, one that comes back is told", async (t) => {
  const { hosts, recovery } = await fleet(t, ["hosta", "hostb", "hostc", "hostd"], 3);
  const [a, b, c, d] = hosts as [TestHost, TestHost, TestHost, TestHost];
  await checkIn(d);
  await same(hosts, "main");
  assert.match(
    (await faultOf(() => recover(c, ["hostc"]))).message,
    /2 of 3 keepers are there: nothing is lost/,
  );
  await a.stop();
  await b.stop();
  await until("they are missed", () => c.agent.host.mesh.peers().length === 1);
  assert.equal((await faultOf(() => c.acts.locks.lock(c.call(), "why"))).exit, 223);
  assert.match(
    (await faultOf(() => recover(c, ["hosta", "hostc"]))).message,
    /hosta, which is to vote, was not reached/,
  );
  for (const quorum of [0, 1, 3]) {
    const args = { keepers: ["hostc", "hostd"], quorum, owner: false, yes: true };
    assert.equal((await faultOf(() => c.acts.recovery.recover(c.call(), args))).kind, "usage");
  }
  const before = allOf(c);
  const shown = await recover(c, ["hostc", "hostd"], { yes: false });
  assert.deepEqual([shown.reached, shown.missing, shown.proposal], [
    ["hostc", "hostd"],
    ["hosta", "hostb"],
    null,
  ]);
  assert.deepEqual(shown.ends.at(-1), { branch: "main", seq: 1 });
  const { proposal } = await recover(c, ["hostc", "hostd"]);
  const other = generateKeyPair(systemClock);
  for (const few of [[], [other], [other, other]]) {
    assert.equal((await faultOf(() => submit(c, signed(proposal, ...few)))).kind, "denied");
  }
  assert.equal(allOf(c), before, "nothing has changed until enough have signed");
  await submit(c, signed(proposal, recovery));
  await same([c, d]);
  assert.deepEqual(policyOf(d).keepers, { hosts: [c, d].map((h) => hostId(h.agent.host)), quorum: 2 });
  await checkIn(d, "in the new epoch");
  await checkIn(c, "and again");
  assert.deepEqual(
    entriesOf(c).slice(1).map(({ epoch, term }) => [epoch, term]),
    [[1, 1], [1, 2]],
    "terms start anew",
  );

  await a.start();
  await same([a, c, d]);
  await until("it has what came meanwhile", () => headOf(a) === headOf(c), 45_000);
  await checkIn(a, "by the new keepers");
  for (const host of [a, c, d]) await host.acts.report.verify(host.call(), {});
});

test("an old keeper that comes back with what nobody else had: refused by all, dropped by itself, and it is diverged", async (t) => {
  const { hosts, recovery } = await fleet(t, ["hosta", "hostb", "hostc"]);
  const [a, b, c] = hosts as [TestHost, TestHost, TestHost];
  await checkIn(a);
  await same(hosts, "main");
  for (const host of [b, c]) await host.stop();
  await checkIn(a, "seen by nobody");
  await grantTo(a, 2_012_345_678, "eve", "append", "main");
  await checkIn(a, "nor this");
  await a.acts.locks.lock(a.call(), "and held");
  const [late, later] = [recordsOf(a)[1]!, recordsOf(a, CONTROL).at(-1)!];
  await a.stop();
  for (const host of [b, c]) await host.start();
  await connected([b, c]);
  const { proposal } = await recover(b, ["hostb"], { owner: true });
  await submit(b, signed(proposal, recovery));
  await same([b, c]);
  await checkIn(b, "in the place of what was lost");
  await checkIn(b, "and more");
  for (const host of [b, c]) {
    for (const record of [late, later]) {
      const fault = await faultOf(() => takeIn(host.agent.host, [record]));
      assert.equal(fault.kind, "corrupt", fault.message);
    }
    for (const branch of ["main", CONTROL]) assert.equal(host.agent.host.journal.forkOf(branch), undefined);
  }
  const forged = certified(a, workOf(b, stolen(b), 9, 1));
  assert.equal(
    (await faultOf(() => takeIn(c.agent.host, forged))).kind,
    "corrupt",
    "a vote of the old keeper",
  );

  await a.start();
  await same([a, b, c]);
  await until("a has the chain of all", () => headOf(a) === headOf(b), 45_000);
  assert.equal(a.agent.host.keeper.holder("main")?.held ?? false, false, "its lock has ended with its epoch");
  const { host } = a.agent;
  assert.equal(a.acts.status.standing(host).state, "diverged");
  for (const fn of [() => a.acts.apply.up(a.call(), UP), () => a.acts.locks.lock(a.call(), "why")]) {
    assert.equal((await faultOf(fn)).exit, 224);
  }
  const bad = (await a.acts.doctor.examine(a.call())).findings.find(({ check }) => check === "congruent");
  assert.equal(bad?.ok, false);
  await a.restart();
  assert.equal((await faultOf(() => a.acts.apply.up(a.call(), UP))).exit, 224, "also after a restart");
  assert.equal(a.agent.host.journal.forkOf("main"), undefined);
  const told = a.acts.recovery.rebase(a.call(), { yes: false });
  assert.deepEqual([told.at, told.undone.length, told.done], [1, 2, false]);
  a.acts.recovery.rebase(a.call(), { yes: true });
  await a.acts.apply.up(a.call(), UP);
  assert.equal(a.agent.host.history.applied(), 3);
  await a.acts.report.verify(a.call(), {});
  assert.equal((await faultOf(() => a.acts.recovery.rebase(a.call(), { yes: true }))).kind, "refused");
});

test("a proposal is as good as what it was made of: not after the chains have moved, not twice, not for another epoch", async (t) => {
  const { hosts, recovery } = await fleet(t, ["hosta", "hostb"]);
  const [a, b] = hosts as [TestHost, TestHost];
  await a.stop();
  const first = await recover(b, ["hostb"], { owner: true });
  await a.start();
  await connected([a, b]);
  await checkIn(a, "it was not lost");
  assert.match(
    (await faultOf(() => submit(b, signed(first.proposal, recovery)))).message,
    /main has moved on from entry 0 to 1/,
  );
  await a.stop();
  const second = await recover(b, ["hostb"], { owner: true });
  await submit(b, signed(second.proposal, recovery));
  assert.ok(await faultOf(() => submit(b, signed(second.proposal, recovery))));
  assert.ok(await faultOf(() => submit(b, signed(first.proposal, recovery))));
  assert.equal(policyOf(b).epoch, 1);
  const policy = policyOf(b);
  const { journal } = b.agent.host;
  const [[bytes]] = workOf(b, stolen(b), 0, 1, { branch: CONTROL, ops: [{ op: "reboot" }] }) as [
    [Uint8Array],
  ];
  const place = readEntry(bytes).entry;
  const base = { main: [1, journal.head("main").id], [CONTROL]: [place.seq - 1, place.prev] } as Record<
    string,
    [number, Uint8Array]
  >;
  const epoch = (bases: Record<string, [number, Uint8Array]>): Op => ({
    op: "epoch",
    hosts: [fromHex(hostId(b.agent.host))],
    quorum: 1,
    bases,
    drops: [],
  });
  const made = (bases: Record<string, [number, Uint8Array]>, ...keys: KeyPair[]) =>
    bySignatures(policy, { ...place, epoch: 2, ops: [epoch(bases)] }, ...keys);
  assert.equal(follow(policy, made(base, recovery), place.prev).epoch, 2);
  const { main, ...half } = base as { main: [number, Uint8Array] };
  for (
    const bases of [half, { ...base, web: main }, { ...base, [CONTROL]: [place.seq, place.prev] }, {
      ...base,
      [CONTROL]: [place.seq - 1, place.author],
    }] as typeof base[]
  ) assert.throws(() => follow(policy, made(bases, recovery), place.prev), { kind: "corrupt" });
  assert.throws(() => follow(policy, made(base), place.prev), { kind: "denied" });
  const unsigned = { ...place, epoch: 2, ops: [epoch(base)] };
  assert.throws(() => follow(policy, unsigned, place.prev), {
    message: /needs the signatures of a root key/,
  });
  for (const main of [[0, new Uint8Array(0)], [1, place.author]] as [number, Uint8Array][]) {
    const back = made({ ...base, main }, recovery);
    assert.throws(() => follow(policy, back, place.prev), {
      message: /main goes back behind an earlier one/,
    });
  }
});

test("cut off before, or right after, it is durable: either nothing of a new epoch is there or all of it", async (t) => {
  const { hosts, recovery } = await fleet(t, ["hosta", "hostb"]);
  const [a, b] = hosts as [TestHost, TestHost];
  await checkIn(a, "both have it");
  await same(hosts, "main");
  await b.acts.apply.up(b.call(), UP);
  await a.stop();
  const { host } = b.agent;
  const { seq } = host.journal.head(CONTROL);
  const id = host.journal.head("main").id;
  const ops: Op[] = [{
    op: "epoch",
    hosts: [fromHex(hostId(host))],
    quorum: 1,
    bases: { [CONTROL]: [seq, host.journal.head(CONTROL).id], main: [0, new Uint8Array(0)] },
    drops: [],
  }];
  const word = signed(b.acts.roots.propose(b.call(), policyOf(b), ops).proposal, recovery);
  const before = allOf(b);
  const run = host.db.write.bind(host.db);
  let writes = 0;
  // The n-th statement of the transaction fails: as a full disk, or a power cut, would have it.
  for (let n = 1;; n++) {
    host.db.write = ((fn: Parameters<typeof run>[0]) =>
      run((tx) => {
        writes = 0;
        const counted = Object.create(tx, {
          run: {
            value: (...words: Parameters<typeof tx.run>) => {
              if (++writes === n) throw new Error("cut off");
              return tx.run(...words);
            },
          },
        });
        return fn(counted);
      })) as typeof host.db.write;
    const record = submitted(b, word, ops);
    let isDone = true;
    try {
      takeIn(host, [record], { branch: CONTROL });
    } catch (e) {
      if ((e as Error).message !== "cut off") throw e;
      isDone = false;
    }
    if (isDone) break;
    assert.equal(allOf(b), before, `after ${n} statements`);
    assert.equal(policyOf(b).epoch, 0);
    assert.ok(n < 100);
  }
  host.db.write = run as typeof host.db.write;
  assert.ok(writes >= 5, `${writes}`);
  assert.deepEqual([policyOf(b).epoch, seqOf(b), seqOf(b, CONTROL)], [1, 0, seq + 1]);
  await b.restart();
  assert.deepEqual([policyOf(b).epoch, seqOf(b)], [1, 0]);
  assert.equal(b.acts.status.standing(b.agent.host).state, "diverged");
  assert.ok(bytesEqual(b.agent.host.history.last()!.id, id), "what ran is not forgotten");
});

/** The entry that submitting would make. */
function submitted(b: TestHost, word: string, ops: Op[]): EntryRecord {
  const { journal } = b.agent.host;
  const head = journal.head(CONTROL);
  const { after, signatures } = readProposal(word);
  const by = stolen(b);
  const all: Op[] = [...ops, { op: "signed", after, signatures }];
  const [[entry, origin]] = workOf(b, by, 0, 1, { branch: CONTROL, epoch: head.epoch + 1, ops: all }) as [
    [Uint8Array, Uint8Array],
  ];
  return { entry, origin, cert: encode([]) };
}

test("an etcd that decided is lost for good: root keys put keepers in charge again, from where it ended; it can be an etcd again", async (t) => {
  const names = ["hosta", "hostb", "hostc"];
  const { hosts, recovery } = await fleet(t, names, 3);
  const [a, b, c] = hosts as [TestHost, TestHost, TestHost];
  const cells = new MemoryCells();
  for (const host of hosts) await host.restart({ cells });
  await connected(hosts);
  await a.acts.keepers.change(a.call(), { register: "etcd" });
  await same(hosts);
  await checkIn(b);
  await same(hosts, "main");
  assert.match((await faultOf(() => recover(a, names))).message, /nothing is lost/, "etcd answers");
  cells.restore([]);
  assert.equal((await faultOf(() => c.acts.locks.lock(c.call(), "why"))).kind, "refused");
  const { proposal, quorum } = await recover(a, names);
  assert.equal(quorum, 2);
  await submit(a, signed(proposal, recovery));
  await same(hosts);
  const ids = hosts.map((host) => hostId(host.agent.host));
  for (const host of hosts) assert.deepEqual(policyOf(host).keepers, { hosts: ids, quorum: 2 });
  await c.acts.apply.up(c.call(), UP);
  await checkIn(c, "by the keepers");
  assert.deepEqual(cells.snapshot(), [], "nobody asks it any more");
  await same(hosts, "main");
  await a.acts.keepers.change(a.call(), { register: "etcd" });
  await same(hosts);
  await checkIn(a, "by etcd again");
  await same(hosts, "main");
  assert.deepEqual(entriesOf(c).map(({ epoch }) => epoch), [0, 1, 1]);
  for (const host of hosts) await host.acts.report.verify(host.call(), {});
});
