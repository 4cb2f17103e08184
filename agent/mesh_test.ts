// mesh: hosts of one domain in this process, talking over libp2p on loopback: joining, locks and check-ins far from the
// keeper, the journal and the contents going round, and what happens when somebody cannot be asked.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import {
  faultOf,
  grantTo,
  joinDomain,
  makeDomain,
  makeHost,
  MESHED,
  run,
  type TestHost,
  until,
  UP,
} from "../tests/world.ts";
import { type FileNode, openStoreDatabase, readManifest, readNode, SqliteStore } from "../fs/mod.ts";
import { systemClock, toHex } from "../mq/mod.ts";
import { fingerprint } from "./enrol.ts";
import { hostId } from "./host.ts";
import { aheadBytesMin } from "./limits.ts";

const isConnected = (host: TestHost, ...others: TestHost[]) =>
  others.every((o) => host.agent.host.mesh.peers().includes(hostId(o.agent.host)));
const up = (host: TestHost) => host.acts.apply.up(host.call(), UP);
const lock = (host: TestHost, why = "why") => host.acts.locks.lock(host.call(), why);
const ci = (host: TestHost) => host.acts.checkin.ci(host.call());

/** Locks, snaps a new file and checks it in; returns the file's name. */
async function checkIn(host: TestHost, text: string): Promise<string> {
  const file = path.join(host.dir, `file-${text}`);
  fs.writeFileSync(file, text);
  await lock(host);
  await host.acts.work.snap(host.call(), file, false);
  await ci(host);
  return file;
}

test("a host joins with a token after its fingerprint was approved, and is connected", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  const b = await makeHost(t, { conf: MESHED });
  const { token } = await a.acts.enrol.token(a.call(), { approve: false });
  const joining = b.acts.join.join(b.call(), { token, host: "hostb" });
  await until("hostb waits", () => a.acts.enrol.hosts(a.call()).waiting.length === 1);
  const shown = fingerprint(hostId(b.agent.host));
  assert.equal(a.acts.enrol.hosts(a.call()).waiting[0]?.fingerprint, shown);
  await until(
    "the joining host shows the same fingerprint",
    () => b.told.some((e) => e.fingerprint === shown),
  );
  await a.acts.enrol.approve(a.call(), { host: shown, replace: false });
  assert.equal((await joining).branch, "main");
  await until("they are connected", () => isConnected(a, b) && isConnected(b, a));
  assert.deepEqual(a.acts.enrol.hosts(a.call()).hosts.map((h) => h.name), ["hosta", "hostb"]);
});

test("a host joins a domain whose control journal is longer than one answer to a stranger may be", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  const bytes = () =>
    [...a.agent.host.journal.range("@domain", 1, 1000)].reduce((sum, row) => sum + row.entry.length, 0);
  for (let i = 0; bytes() < 100_000; i++) await grantTo(a, 10_000 + i, `user${i}`, "append", "main");
  const b = await makeHost(t, { conf: MESHED });
  await joinDomain(a, b, "hostb");
  await until("they are connected", () => isConnected(a, b) && isConnected(b, a));
});

test("hosts whose clocks are a day late and a day early work together all the same", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  const day = 86_400_000;
  const off = (ms: number) => ({
    conf: MESHED,
    clock: { ...systemClock, wall: () => systemClock.wall() + ms },
  });
  const [b, c] = [await makeHost(t, off(-day)), await makeHost(t, off(day))];
  for (const [host, name] of [[b, "hostb"], [c, "hostc"]] as const) {
    await joinDomain(a, host, name);
    await until("they are connected", () => isConnected(a, host));
    await a.acts.roles.grant(a.call(), { person: `root@${name}`, role: "append", branch: "main" });
    await until(
      "it knows",
      () => host.agent.host.journal.head("@domain").seq === a.agent.host.journal.head("@domain").seq,
    );
    await up(host);
    await checkIn(host, name);
  }
  for (const host of [a, b]) assert.equal((await up(host)).at, 2);
  await lock(a);
  assert.match((await faultOf(() => lock(c))).message, /root@hosta/);
});

test("a host that was off while it was evicted hears why nobody talks to it", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await b.stop();
  await a.acts.roles.evict(a.call(), { host: "hostb", reason: "stolen" });
  await a.acts.roles.grant(a.call(), { person: "root@hosta", role: "owner", branch: "main" });
  const { seq } = a.agent.host.journal.head("@domain");
  await b.restart();
  await until("hostb knows", () => b.acts.status.standing(b.agent.host).state === "evicted");
  assert.equal(b.agent.host.journal.head("@domain").seq, seq - 1, "it is told no more than that");
  assert.match((await faultOf(() => lock(b))).message, /evicted/);
});

test("a token is good for one host, and only with its secret", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  const { token } = await a.acts.enrol.token(a.call(), { approve: true });
  const [b, c] = [await makeHost(t, { conf: MESHED }), await makeHost(t, { conf: MESHED })];
  await b.acts.join.join(b.call(), { token, host: "hostb" });
  assert.match(
    (await faultOf(() => c.acts.join.join(c.call(), { token, host: "hostc" }))).message,
    /used by another/,
  );
  assert.equal(c.agent.host.journal.policy(), undefined);
  const second = await a.acts.enrol.token(a.call(), { approve: true });
  const changed = second.token.slice(0, -60) + (second.token.at(-60) === "A" ? "B" : "A") +
    second.token.slice(-59);
  await faultOf(() => c.acts.join.join(c.call(), { token: changed, host: "hostc" }));
  assert.equal(a.agent.host.journal.needPolicy("test").hosts.size, 2);
});

test("lock, snap and ci on a host that is not the keeper; the others have exactly those bytes after up", async (t) => {
  const [a, b, c] = await makeDomain(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "append", branch: "main" });
  await until(
    "hostb knows",
    () => b.agent.host.journal.head("@domain").seq === a.agent.host.journal.head("@domain").seq,
  );
  const file = path.join(b.dir, "motd");
  fs.writeFileSync(file, "from b\n", { mode: 0o640 });
  await lock(b, "greet");
  assert.equal((await faultOf(() => lock(a))).kind, "locked");
  await b.acts.work.snap(b.call(), file, false);
  await run(b, ["/bin/true"]);
  assert.deepEqual(await ci(b), { branch: "main", from: 1, to: 2 });
  assert.equal(b.agent.host.wip.count(), 0);
  assert.equal(b.agent.host.history.applied(), 2);
  fs.rmSync(file);
  const done = await up(c);
  assert.deepEqual([done.at, done.asked, done.hosts], [2, "keeper", ["hosta"]]);
  assert.equal(fs.readFileSync(file, "utf8"), "from b\n");
  assert.equal(fs.statSync(file).mode & 0o7777, 0o640);
  assert.equal((await up(a)).at, 2);
  await lock(a); // the lock was given back with the check-in
});

test("a large file is put in place while its contents come from another host", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const file = path.join(a.dir, "large");
  const bytes = randomBytes(2 * aheadBytesMin + 5);
  fs.writeFileSync(file, bytes);
  await lock(a);
  await a.acts.work.snap(a.call(), file, false);
  await ci(a);
  fs.rmSync(file);
  assert.equal((await up(b)).at, 1);
  assert.ok(bytes.equals(fs.readFileSync(file)));
});

test("a large file of which one chunk does not come: nothing of it stays; when it comes, it is whole", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const file = path.join(a.dir, "large");
  const bytes = randomBytes(2 * aheadBytesMin + 5);
  fs.writeFileSync(file, bytes);
  await lock(a);
  const op = await a.acts.work.snap(a.call(), file, false);
  assert.ok(op.op === "file");
  await ci(a);
  fs.rmSync(file);
  await until("they are connected", () => isConnected(b, a));
  const db = openStoreDatabase(path.join(a.home.state, "store", "store.db"));
  const { store } = a.agent.host;
  const node = await readNode(store, toHex(op.tree)) as FileNode;
  const [lost] = (await readManifest(store, node.content)).parts[80]!;
  const [chunk] = await store.get([lost]);
  new SqliteStore(db).drop([lost]);
  db.close();
  const fault = await faultOf(() => up(b));
  assert.deepEqual([fault.kind, fault.message.includes(lost)], ["notFound", true]);
  assert.deepEqual([b.agent.host.history.applied(), fs.existsSync(file)], [0, false]);
  assert.deepEqual(
    fs.readdirSync(a.dir).filter((name) => /^\.isconf-/.test(name)),
    [],
    "a part of it is left",
  );
  await store.put([chunk!]);
  await store.share(toHex(op.tree));
  assert.equal((await up(b)).at, 1);
  assert.ok(bytes.equals(fs.readFileSync(file)));
});

test("nothing of the work leaves the origin before ci", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const file = path.join(a.dir, "secret");
  fs.writeFileSync(file, "not yet".repeat(1000));
  await lock(a);
  const op = await a.acts.work.snap(a.call(), file, false);
  assert.ok(op.op === "file");
  const tree = Buffer.from(op.tree).toString("hex");
  await until("they are connected", () => isConnected(b, a));
  assert.equal((await faultOf(() => b.agent.host.store.fetch([tree]))).kind, "notFound");
  await ci(a);
  await until("it is shared", async () => {
    try {
      await b.agent.host.store.fetch([tree]);
      return true;
    } catch {
      return false;
    }
  });
});

test("a host that is behind gets no lock, and the keeper would not give it one either", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "append", branch: "main" });
  await checkIn(a, "1");
  assert.match((await faultOf(() => lock(b))).message, /has applied 0 of 1 entries/);
  await up(b);
  await lock(b);
});

test("with the keeper gone a lock fails at once and says who is missing; replay goes on from another host", async (t) => {
  const [a, b, c] = await makeDomain(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "append", branch: "main" });
  await checkIn(a, "1");
  await up(c);
  await checkIn(a, "2");
  await up(b);
  await until("b and c are connected", () => isConnected(b, c) && isConnected(c, b));
  await a.stop();
  await until("a is seen to be gone", () => !isConnected(b, a) && !isConnected(c, a));
  const began = performance.now();
  const fault = await faultOf(() => lock(b));
  assert.equal(fault.exit, 223);
  assert.match(fault.message, /missing: hosta/);
  assert.ok(performance.now() - began < 4_000);
  const done = await up(c);
  assert.deepEqual([done.at, done.asked, done.hosts], [2, "peer", ["hostb"]]);
  await b.stop();
  await until("b is gone too", () => c.agent.host.mesh.peers().length === 0);
  assert.equal((await up(c)).asked, "nobody");
});

test("a check-in whose answer is lost is known again when it comes back with the journal", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "append", branch: "main" });
  await lock(b);
  await run(b, ["/bin/true"]);
  const { mesh } = b.agent.host;
  const ask = mesh.ask.bind(mesh);
  mesh.ask = async (host, method, value, waitMs) => {
    const answer = await ask(host, method, value, waitMs);
    const certified = a.agent.host.journal.head("main").seq === 1;
    if (certified) throw new Error("the answer is lost"); // and nothing else comes for now: b shall have to ask again
    return answer;
  };
  await assert.rejects(ci(b));
  mesh.ask = ask;
  assert.deepEqual(await ci(b), { branch: "main", from: 1, to: 1 });
  assert.equal(b.agent.host.wip.count(), 0);
  assert.equal(b.agent.host.history.applied(), 1);
  assert.equal(a.agent.host.journal.head("main").seq, 1);
});

test("an evicted host is cut off from everybody, and what it signs counts no more", async (t) => {
  const [a, b, c] = await makeDomain(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  await until("all are connected", () => isConnected(b, a, c) && isConnected(c, a, b));
  await a.acts.roles.evict(a.call(), { host: "hostb", reason: "stolen" });
  await until("b is alone", () => b.agent.host.mesh.peers().length === 0);
  await until("the others have cut it off", () => !isConnected(c, b) && !isConnected(a, b));
  assert.ok(isConnected(a, c));
  const state = async () => (await b.acts.status.status(b.call())).state;
  await until("it hears why", async () => await state() === "evicted");
  assert.equal((await faultOf(() => lock(b))).exit, 77);
  await joinDomain(a, await makeHost(t, { conf: MESHED }), "hostb");
});

test("status names every host, how far it is, and what stopped it, also when it has gone away since", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await lock(a);
  await run(a, ["/bin/sh", "-c", `test ! -e ${b.dir}/stop`]);
  await ci(a);
  fs.writeFileSync(`${b.dir}/stop`, "");
  assert.equal((await faultOf(() => up(b))).kind, "refused");
  const hostb = async () => (await a.acts.status.status(a.call())).hosts.find((h) => h.name === "hostb");
  await until("a hears of it", async () => (await hostb())?.state === "failed");
  assert.match((await hostb())?.why ?? "", /entry 1 is failed/);
  assert.equal((await hostb())?.reached, true);
  await b.stop();
  await until("a sees it go", () => !isConnected(a, b));
  const gone = await hostb();
  assert.deepEqual([gone?.state, gone?.reached, gone?.at], ["failed", false, 0]);
});

test("keys are rotated: a person's, a host's and the keeper's own; work goes on under the same names", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await a.acts.roles.grant(a.call(), { person: "root@hostb", role: "owner", branch: "*" });
  await checkIn(a, "1");
  await up(b);
  const before = hostId(b.agent.host);
  await b.acts.roles.rotate(b.call(), "person");
  await b.acts.roles.rotate(b.call(), "host");
  assert.notEqual(hostId(b.agent.host), before);
  await a.acts.roles.rotate(a.call(), "host");
  await until("they are connected", () => isConnected(a, b) && isConnected(b, a));
  await checkIn(b, "2");
  await up(a);
  await b.restart();
  await a.restart();
  assert.equal((await a.acts.report.verify(a.call(), {})).branches.length, 2);
  assert.equal((await b.acts.report.verify(b.call(), {})).branches.length, 2);
});

test("a keeper put back from a backup learns from the others what it had certified before it votes again", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await checkIn(a, "1");
  await a.stop();
  const backup = `${a.dir}-backup`;
  fs.cpSync(a.home.state, backup, { recursive: true });
  t.after(() => fs.rmSync(backup, { recursive: true }));
  await a.start();
  await checkIn(a, "2");
  await up(b);
  await a.stop();
  fs.rmSync(a.home.state, { recursive: true });
  fs.cpSync(backup, a.home.state, { recursive: true });
  await a.start();
  const fault = await faultOf(() => lock(a));
  assert.match(
    fault.message,
    /was put back from a backup, or runs twice: (entry 2 of main was made on|others have heard a later word of) this host/,
  );
  assert.equal(fault.hint, "isconf recover");
  const recovered = await a.acts.recovering.recover(a.call(), { alone: false });
  assert.deepEqual([recovered.asked, recovered.missing, recovered.entries], [["hostb"], [], 1]);
  assert.match((await faultOf(() => lock(a))).message, /has applied 1 of 2 entries/);
  await up(a);
  await checkIn(a, "3");
  await until("b has that too", () => b.agent.host.journal.head("main").seq === 3);
  assert.equal(b.agent.host.journal.forkOf("main"), undefined);
});

test("a host that follows applies what comes by itself, also what comes while it is at it", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  const b = await makeHost(t, { conf: `${MESHED}follow = yes\n` });
  await joinDomain(a, b, "hostb");
  await lock(a);
  for (let i = 0; i < 3; i++) {
    await run(a, ["/bin/sh", "-c", "sleep 0.1"]);
    await ci(a);
    await lock(a);
  }
  await until("b has applied all", () => b.agent.host.history.applied() === 3);
});

test("a branch that was forked off is replayed from entry 1, also when its own entries were heard of first", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await checkIn(a, "1");
  await a.acts.domain.fork(a.call(), "web");
  await checkIn(a, "2");
  const c = await makeHost(t, { conf: MESHED });
  await joinDomain(a, c, "hostc", "web");
  assert.deepEqual([(await up(c)).at, c.agent.host.history.applied()], [2, 2]);
  assert.equal((await up(b)).of, 1);
  await b.acts.domain.migrate(b.call(), "web");
  assert.equal((await up(b)).at, 2);
});

test("entries that are missing in the middle are never passed over", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  await checkIn(a, "1");
  await checkIn(a, "2");
  const { db } = a.agent.host;
  db.write((tx) => {
    tx.run("DELETE FROM history");
    tx.run("DELETE FROM entry WHERE branch = 'main' AND seq = 1");
  });
  assert.match((await faultOf(() => up(a))).message, /entry 1 is not here yet/);
  assert.equal(a.agent.host.history.applied(), 0);
});
