// own: a host that remembers less than others have of it signs nothing until a person has let it ask them: put back from a
// backup, wiped and let in again under its old key, or with a clone of its disk on the network. Real hosts on loopback.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import {
  faultOf,
  joinDomain,
  makeDomain,
  makeFirstHost,
  run,
  type TestHost,
  until,
  UP,
} from "../tests/world.ts";
import { addOther, askKeeper, certified, checkIn, claimOf, stolen, workOf } from "./fixture.ts";
import { hostId } from "./host.ts";
import { takeIn } from "./intake.ts";
import { CONTROL } from "./names.ts";

type Ctx = Parameters<typeof makeDomain>[0];
const seqOf = (h: TestHost, branch = "main") => h.agent.host.journal.head(branch).seq;
const up = (h: TestHost) => h.acts.apply.up(h.call(), UP);
const lock = (h: TestHost) => h.acts.locks.lock(h.call(), "why");
const recover = (h: TestHost, alone = false) => h.acts.recovering.recover(h.call(), { alone });
const connected = (hosts: TestHost[]) =>
  until("all are connected", () => hosts.every((h) => h.agent.host.mesh.peers().length === hosts.length - 1));

/** A copy of what a host keeps on disk. */
async function backUp(t: Ctx, host: TestHost): Promise<string> {
  await host.stop();
  const copy = `${host.dir}-backup`;
  fs.cpSync(host.home.state, copy, { recursive: true });
  t.after(() => Promise.resolve(fs.rmSync(copy, { recursive: true, force: true })));
  await host.start();
  return copy;
}

async function putBack(host: TestHost, copy: string): Promise<void> {
  await host.stop();
  fs.rmSync(host.home.state, { recursive: true });
  fs.cpSync(copy, host.home.state, { recursive: true });
  await host.start();
}

async function checkInAt(host: TestHost): Promise<void> {
  await up(host);
  await checkIn(host, 1);
}

test("a host put back from a backup that has checked in since signs nothing until it has recovered", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "owner", branch: "*" });
  await until("b knows", () => seqOf(b, CONTROL) === seqOf(a, CONTROL));
  await checkInAt(b);
  const copy = await backUp(t, b);
  await connected([a, b]);
  await checkInAt(b);
  await putBack(b, copy);
  await connected([a, b]);
  await until("it has heard", () => b.agent.host.own.ahead() !== undefined);
  for (
    const act of [
      () => lock(b),
      () => b.acts.roles.grant(b.call(), { person: "root", role: "publish", branch: "main" }),
      () => b.acts.acknowledging.acknowledge(b.call(), { name: "hosta" }),
    ]
  ) assert.equal((await faultOf(act)).hint, "isconf recover");
  const recovered = await recover(b);
  assert.match(recovered.was ?? "", /made on this host|report of this host/);
  assert.deepEqual([recovered.asked, recovered.entries], [["hosta"], 1]);
  await checkInAt(b);
  await until("a has it", () => seqOf(a) === 3);
  assert.equal((await recover(b)).was, null);
  assert.deepEqual(a.agent.host.journal.forks.all(), []);
});

test("one of several keepers that was put back, or wiped, votes for nothing until the others took it out and in again", async (t) => {
  const hosts = await makeDomain(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  const [a, , c] = hosts;
  await connected(hosts);
  await a.acts.keepers.change(a.call(), { add: ["hostb", "hostc"], remove: [] });
  const copy = await backUp(t, c);
  await connected(hosts);
  await until("c knows", () => c.agent.host.replica.hasHeardEnough());
  await checkInAt(a);
  await until("c has it", () => seqOf(c) === 1);
  await putBack(c, copy);
  await connected(hosts);
  const heard = () => c.agent.host.own.ahead();
  await until("c has heard", () => heard() !== undefined || seqOf(c) === 1);
  if (heard() === undefined) c.agent.host.own.found("the test says so"); // its vote was not one of the two
  const ask = await faultOf(() =>
    c.agent.host.keepers.ends("t", c.agent.host.journal.needPolicy("t"), "main").then((ends) => {
      assert.equal(ends.has(hostId(c.agent.host)), false);
      return recover(c);
    })
  );
  assert.match(
    ask.hint,
    /isconf keeper remove hostc on another keeper, isconf recover here, isconf keeper add hostc/,
  );
  await checkInAt(a); // two of three are enough
  await a.acts.keepers.change(a.call(), { add: [], remove: ["hostc"] });
  await until("c knows that", () => seqOf(c, CONTROL) === seqOf(a, CONTROL));
  await recover(c);
  await a.acts.keepers.change(a.call(), { add: ["hostc"], remove: [] });
  await checkInAt(a);
  await until("c has it", () => seqOf(c) === 3);
});

test("a keeper wiped and joined again under its old key finds its own votes, and gives none", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await connected([a, b]);
  await a.acts.keepers.change(a.call(), { add: ["hostb"], remove: [] });
  await until("b knows", () => seqOf(b, CONTROL) === seqOf(a, CONTROL));
  const before = hostId(b.agent.host);
  await b.stop();
  for (const file of fs.readdirSync(b.home.state)) {
    if (file.startsWith("agent.db")) fs.rmSync(`${b.home.state}/${file}`);
  }
  await b.start();
  await joinDomain(a, b, "hostb");
  assert.equal(hostId(b.agent.host), before);
  await until("it has found out", () => b.agent.host.own.ahead() !== undefined);
  assert.match(b.agent.host.own.ahead() ?? "", /has voted for entry|later report|later word/);
  assert.match((await faultOf(() => recover(b))).hint, /isconf keeper remove hostb on another keeper/);
  const fault = await faultOf(() => lock(a)); // of two keepers both have to agree
  assert.match(`${fault.kind} ${fault.message}`, /put back from a backup|keepers reachable/);
});

test("the only keeper, put back: alone it goes on, as it cannot know; once it has heard it recovers, with others or by decision", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["append", "main"]]);
  await checkIn(a, 1);
  await a.restart();
  await checkIn(a, 1); // nobody is there to ask, nothing speaks against it
  takeIn(a.agent.host, certified(a, workOf(a, b, 9)));
  assert.match(a.agent.host.own.ahead() ?? "", /this host has voted for entry 3 of main/);
  const fault = await faultOf(() => recover(a));
  assert.deepEqual([fault.kind, fault.message.includes("missing: hostb")], ["noQuorum", true]);
  assert.deepEqual((await recover(a, true)).missing, ["hostb"]);
  await up(a);
  await checkIn(a, 1);
});

test("a promise that a keeper is shown and does not remember stops it", async (t) => {
  const a = await makeFirstHost(t);
  const b = await addOther(a, "hostb", [["append", "main"]]);
  a.agent.host.replica.settled = () => Promise.resolve();
  await askKeeper(a, b, claimOf(a, b));
  const { sealPromise, encodeProof } = await import("./promises.ts");
  const { domain } = a.agent.host.journal.needPolicy("t");
  const { epoch, seq, id } = a.agent.host.journal.head("main");
  const ids = { holder: new Uint8Array(32), host: new Uint8Array(32) };
  const promise = (term: number) =>
    encodeProof({
      promises: [sealPromise({ epoch, seq, id, term, voted: null, ...ids }, domain, "main", stolen(a).host)],
      past: [],
    });
  const batch = new Uint8Array(32).fill(7);
  const stage = () => askKeeper(a, b, { what: "stage", batch, part: 0, entries: workOf(a, b, 1) });
  const certify = (term: number) =>
    askKeeper(a, b, { what: "certify", batch, parts: 1, term: 1, proof: promise(term) });
  await stage();
  assert.match((await faultOf(() => certify(4))).message, /this host has promised term 4 of main/);
  assert.equal((await faultOf(stage)).hint, "isconf recover");
});

test("work given up under a lock is not signed in another form under the same lock", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "append", branch: "main" });
  await until("b knows", () => seqOf(b, CONTROL) === seqOf(a, CONTROL));
  const { term } = await lock(b);
  await run(b, ["/bin/true"]);
  const { mesh } = b.agent.host;
  const ask = mesh.ask.bind(mesh);
  mesh.ask = () => Promise.reject(new Error("lost"));
  await b.acts.checkin.ci(b.call()).then(() => assert.fail(), () => {});
  mesh.ask = ask;
  b.agent.host.db.write((tx) => b.agent.host.pending.clear(tx)); // as giving it up does, had giving back the lock failed
  b.agent.host.db.write((tx) => b.agent.host.own.sign(tx, "entry", "main", { epoch: 0, seq: 1, term }));
  await b.acts.checkin.ci(b.call());
  assert.equal(seqOf(b), 1);
  assert.ok((b.agent.host.own.last("entry", "main")?.term ?? 0) > term);
});
