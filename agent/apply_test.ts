// apply: replay on a second host: order, stops, uncertainty, restarts; with real files and commands.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { openStoreDatabase } from "../fs/mod.ts";
import { carry, faultOf, makeFirstHost, makeSecondHost, run, type TestHost } from "../tests/world.ts";
import { aheadBytesMin } from "./limits.ts";

const lock = (host: TestHost) => host.acts.locks.lock(host.call(), "why");
const up = (host: TestHost, more: Partial<Parameters<TestHost["acts"]["apply"]["up"]>[1]> = {}) =>
  host.acts.apply.up(host.call(), { reboot: false, step: false, dryRun: false, offline: false, ...more });

/** A first host whose journal runs these shell scripts, and a second that has it. */
async function journalOf(t: Parameters<typeof makeFirstHost>[0], scripts: ((dir: string) => string)[]) {
  const a = await makeFirstHost(t);
  await lock(a);
  for (const script of scripts) {
    assert.equal((await run(a, ["/bin/sh", "-c", script(a.dir)])).status, 0);
  }
  await a.acts.checkin.ci(a.call());
  return { a, b: await makeSecondHost(t, a) };
}

test("the second host ends with the same bytes, mode and time as the first", async (t) => {
  const a = await makeFirstHost(t);
  const file = path.join(a.dir, "conf");
  fs.writeFileSync(file, "x = 1\n", { mode: 0o640 });
  fs.utimesSync(file, 1_000_000_000.5, 1_000_000_000.5);
  await lock(a);
  await a.acts.work.snap(a.call(), file, false);
  await a.acts.checkin.ci(a.call());
  const b = await makeSecondHost(t, a);
  fs.rmSync(file);
  const r = await up(b);
  assert.deepEqual([r.applied, r.at, r.of, r.asked], [1, 1, 1, "nobody"]);
  const st = fs.statSync(file);
  assert.deepEqual([fs.readFileSync(file, "utf8"), st.mode & 0o7777, st.mtimeMs], [
    "x = 1\n",
    0o640,
    1_000_000_000_500,
  ]);
  assert.equal((await up(b)).applied, 0, "a second run has nothing to do");
});

test("snap --delete removes the path on the other host", async (t) => {
  const a = await makeFirstHost(t);
  const dir = path.join(a.dir, "old");
  await lock(a);
  await a.acts.work.snap(a.call(), dir, true);
  await a.acts.checkin.ci(a.call());
  const b = await makeSecondHost(t, a);
  fs.mkdirSync(path.join(dir, "sub"), { recursive: true });
  await up(b);
  assert.equal(fs.existsSync(dir), false);
});

test("a failing entry stops the replay there: later entries never overtake, and nothing is started twice unasked", async (t) => {
  const { b } = await journalOf(t, [
    (d) => `echo one >> ${d}/log`,
    (d) => `echo two >> ${d}/log; test ! -e ${d}/stop`,
    (d) => `echo three >> ${d}/log`,
  ]);
  const dir = path.dirname(pathIn(b, 1));
  fs.writeFileSync(`${dir}/log`, "");
  fs.writeFileSync(`${dir}/stop`, "");
  const first = await faultOf(() => up(b));
  assert.equal(first.exit, 1);
  assert.match(first.message, /entry 2 failed here with status 1/);
  fs.rmSync(`${dir}/stop`);
  assert.equal((await faultOf(() => up(b))).message, first.message, "asking again runs nothing");
  assert.equal(fs.readFileSync(`${dir}/log`, "utf8"), "one\ntwo\n");
  assert.equal(b.acts.status.standing(b.agent.host).state, "failed");
  assert.equal((await faultOf(() => up(b, { again: 3 }))).exit, 2);
  assert.equal((await faultOf(() => up(b, { done: 2 }))).exit, 2, "a failed entry cannot be declared done");
  assert.equal((await up(b, { again: 2 })).at, 3);
  assert.equal(fs.readFileSync(`${dir}/log`, "utf8"), "one\ntwo\ntwo\nthree\n");
});

/** The path that the script of entry `seq` writes to. */
function pathIn(host: TestHost, seq: number): string {
  const text = host.acts.report.show(host.call(), { seq }).ops[0] as string;
  return /(\/\S+\/log)/.exec(text)?.[1] as string;
}

test("a crash between start and end leaves the entry uncertain: up ends with 227 until a person has decided", async (t) => {
  for (const decision of ["done", "again"] as const) {
    const { b } = await journalOf(t, [(d) => `echo one >> ${d}/log`, (d) => `echo two >> ${d}/log`]);
    const file = pathIn(b, 1);
    fs.writeFileSync(file, "");
    await up(b, { to: 1 });
    const { db, history, journal } = b.agent.host;
    const id = journal.at("main", 2)?.id as Uint8Array;
    db.write((tx) => history.intent(tx, { seq: 2, id, boot: "boot-1", startedMs: 1 }));
    await b.restart();
    const fault = await faultOf(() => up(b));
    assert.equal(fault.exit, 227);
    assert.match(fault.hint, /up --done 2 or isconf up --again 2/);
    await up(b, { [decision]: 2 });
    assert.equal(fs.readFileSync(file, "utf8"), decision === "done" ? "one\n" : "one\ntwo\n");
    assert.equal(b.agent.host.history.applied(), 2);
  }
});

test("a restart in the journal stops up without -r; with it, it is ordered once and up goes on by itself", async (t) => {
  const a = await makeFirstHost(t);
  await lock(a);
  await run(a, ["/bin/sh", "-c", `echo before >> ${a.dir}/log`]);
  await a.acts.work.reboot(a.call());
  await a.restart({ bootId: "boot-2" });
  await run(a, ["/bin/sh", "-c", `echo after >> ${a.dir}/log`]);
  await a.acts.checkin.ci(a.call());
  const b = await makeSecondHost(t, a, { conf: `reboot_command = /usr/bin/tee -a ${a.dir}/restarts\n` });
  fs.writeFileSync(`${a.dir}/log`, "");
  assert.equal((await faultOf(() => up(b))).exit, 1);
  assert.equal(fs.readFileSync(`${a.dir}/log`, "utf8"), "before\n");
  assert.equal((await up(b, { reboot: true })).restarting, true);
  assert.equal(fs.existsSync(`${a.dir}/restarts`), true);
  await b.restart();
  assert.equal(b.agent.host.history.applied(), 1, "the agent alone restarted: the host did not");
  await b.restart({ bootId: "boot-2", conf: "reboot_command = /bin/false\n" });
  await b.agent.host.turn.take("test", () => Promise.resolve());
  assert.equal(fs.readFileSync(`${a.dir}/log`, "utf8"), "before\nafter\n");
  assert.equal(b.agent.host.history.applied(), 3);
});

test("--to, --step and --dry-run apply no more than they say", async (t) => {
  const { b } = await journalOf(t, [1, 2, 3, 4].map((n) => (d: string) => `echo ${n} >> ${d}/log`));
  const file = pathIn(b, 1);
  fs.writeFileSync(file, "");
  b.told.length = 0;
  await up(b, { dryRun: true });
  assert.equal(b.told.filter((e) => e.event === "would").length, 4);
  assert.equal(fs.readFileSync(file, "utf8"), "");
  await up(b, { to: 2 });
  assert.equal(fs.readFileSync(file, "utf8"), "1\n2\n");
  await up(b, { step: true });
  assert.equal(fs.readFileSync(file, "utf8"), "1\n2\n3\n");
});

test("content that nobody has ends up in bounded time, naming the object; nothing of the entry is there", async (t) => {
  const a = await makeFirstHost(t);
  const file = path.join(a.dir, "big");
  fs.writeFileSync(file, "y".repeat(100_000));
  await lock(a);
  const op = await a.acts.work.snap(a.call(), file, false);
  await a.acts.checkin.ci(a.call());
  const b = await makeSecondHost(t, a);
  const lost = op.op === "file" ? Array.from(op.tree, (x) => x.toString(16).padStart(2, "0")).join("") : "";
  const db = openStoreDatabase(path.join(b.home.state, "store", "store.db"));
  db.write((tx) => void tx.run("DELETE FROM object"));
  db.close();
  fs.rmSync(file);
  const fault = await faultOf(() => up(b));
  assert.equal(fault.exit, 2);
  assert.match(fault.message, new RegExp(lost));
  assert.equal(fs.existsSync(file), false);
  assert.equal(b.agent.host.history.applied(), 0);
});

test("a large file of which one chunk is nowhere: nothing of it stays, and the entry before it is in place", async (t) => {
  const a = await makeFirstHost(t);
  const first = path.join(a.dir, "first"), large = path.join(a.dir, "large");
  fs.writeFileSync(first, "first");
  fs.writeFileSync(large, randomBytes(aheadBytesMin + 5));
  await lock(a);
  await a.acts.work.snap(a.call(), first, false);
  await a.acts.work.snap(a.call(), large, false);
  await a.acts.checkin.ci(a.call());
  const b = await makeSecondHost(t, a);
  const db = openStoreDatabase(path.join(b.home.state, "store", "store.db"));
  db.write((tx) =>
    void tx.run("DELETE FROM object WHERE n = (SELECT max(n) FROM object WHERE size >= 16384)")
  );
  db.close();
  fs.rmSync(first);
  fs.rmSync(large);
  const fault = await faultOf(() => up(b));
  assert.equal(fault.kind, "notFound");
  assert.match(fault.message, /^object [0-9a-f]{64} is not here$/);
  assert.equal(fs.readFileSync(first, "utf8"), "first");
  assert.deepEqual(fs.readdirSync(a.dir).filter((name) => name !== "first" && name.includes("large")), []);
  assert.deepEqual(fs.readdirSync(a.dir).filter((name) => name.startsWith(".isconf")), []);
  assert.equal(b.agent.host.history.applied(), 1);
});

test("a command that cannot be started on this host is told and may simply be tried again", async (t) => {
  const a = await makeFirstHost(t);
  const tool = path.join(a.dir, "tool");
  fs.writeFileSync(tool, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  await lock(a);
  await run(a, [tool]);
  await a.acts.checkin.ci(a.call());
  const b = await makeSecondHost(t, a);
  fs.renameSync(tool, `${tool}.away`);
  assert.match((await faultOf(() => up(b))).message, /cannot be started here.*command not found/);
  fs.renameSync(`${tool}.away`, tool);
  assert.equal((await up(b)).at, 1);
});

test("a host that is behind is refused the lock, with up as the hint; one without the keeper gets 223", async (t) => {
  const { a, b } = await journalOf(t, [() => "true"]);
  assert.equal((await faultOf(() => lock(b))).exit, 223);
  a.agent.host.db.write((tx) => void tx.run("DELETE FROM history"));
  const fault = await faultOf(() => lock(a));
  assert.deepEqual([fault.exit, fault.hint], [1, "isconf up"]);
});

test("up with work in hand is refused", async (t) => {
  const a = await makeFirstHost(t);
  await lock(a);
  await run(a, ["/bin/true"]);
  assert.equal((await faultOf(() => up(a))).exit, 1);
});

test("two runs of up at once: the second waits and then has nothing to do", async (t) => {
  const { b } = await journalOf(t, [(d) => `echo 1 >> ${d}/log; sleep 0.2`]);
  fs.writeFileSync(pathIn(b, 1), "");
  const { turn } = b.agent.host;
  const told: string[] = [];
  const results = await Promise.all([
    turn.take("up", () => up(b)),
    turn.take("up", () => up(b), (what) => told.push(what)),
  ]);
  assert.deepEqual(results.map((r) => r.applied), [1, 0]);
  assert.deepEqual(told, ["up"]);
  assert.equal(fs.readFileSync(pathIn(b, 1), "utf8"), "1\n");
});

test("standard input given to exec -i reaches the command on every host", async (t) => {
  const a = await makeFirstHost(t);
  const file = path.join(a.dir, "fed");
  await lock(a);
  const execution = await a.acts.work.exec(a.call(), {
    argv: ["/usr/bin/tee", file],
    cwd: "/",
    umask: 0o22,
    callerEnv: {},
    envNames: [],
    as: "",
    timeoutMs: 0,
    stdin: true,
    effects: true,
  });
  await execution.feed(new TextEncoder().encode("fed to it\n"));
  execution.feedEnd();
  await execution.recorded;
  await a.acts.checkin.ci(a.call());
  const b = await makeSecondHost(t, a);
  fs.rmSync(file);
  await up(b);
  assert.equal(fs.readFileSync(file, "utf8"), "fed to it\n");
});

test("new entries carried later are applied from where the host is", async (t) => {
  const { a, b } = await journalOf(t, [(d) => `echo 1 >> ${d}/log`]);
  await up(b);
  await lock(a);
  await run(a, ["/bin/true"]);
  await a.acts.checkin.ci(a.call());
  await carry(a, b);
  const r = await up(b);
  assert.deepEqual([r.applied, r.at], [1, 2]);
});
