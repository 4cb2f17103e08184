// executions: what is on record of every command that ran here, or was refused, and that nothing runs without it.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { systemClock } from "../mq/mod.ts";
import { carry, faultOf, makeFirstHost, makeSecondHost, run, type TestHost, UP } from "../tests/world.ts";
import { runVerb } from "./api_verbs.ts";
import { auditFile } from "./audit.ts";
import { executionsPerUidMax, executionsPruneEach, refusalsMax, refusalsPerUidMax } from "./limits.ts";
import { ProcessRunner } from "./run.ts";
import { VERBS } from "./verbs/mod.ts";

const rowsOf = (host: TestHost) => host.agent.host.executions.newest(100);
const textOf = (bytes: Uint8Array | null | undefined) => new TextDecoder().decode(bytes ?? undefined);
const sh = (script: string) => ["/bin/sh", "-c", script];
const verb = (name: string) => VERBS.find((one) => one.name === name)!;
const lock = (host: TestHost) => host.acts.locks.lock(host.call(), "why");

test("who, from where, in whose name, what, as whom, by which line, when, with which end and output", async (t) => {
  const host = await makeFirstHost(t, { policy: "permit root do exec tty\npermit root # all of it\n" });
  await lock(host);
  const call = host.call();
  const actor = { ...call.actor, peer: { pid: process.pid, uid: call.actor.uid } };
  const args = { command: sh("echo said; exit 3"), cwd: host.dir, callerEnv: {}, env: [] };
  await runVerb({ ...call, actor }, verb("exec"), args);
  const [row, ...none] = rowsOf(host);
  assert.equal(none.length, 0);
  const { startedMs, endedMs, source, n, ...rest } = row!;
  assert.deepEqual(rest, {
    state: "failed",
    verb: "exec",
    entry: null,
    seq: null,
    uid: actor.uid,
    user: "root",
    person: "root@hosta",
    as: "root",
    file: "/bin/sh",
    argv: sh("echo said; exit 3"),
    cwd: host.dir,
    rule: "site.policy:2: permit root",
    status: 3,
    why: null,
    output: null,
  });
  assert.deepEqual(source, { ...actor.peer, tty: source?.tty, cwd: process.cwd() });
  assert.ok(startedMs <= endedMs! && endedMs! - startedMs < 60_000);
  assert.equal(textOf(host.agent.host.executions.at(n)?.output), "said\n");
});

test("it is on record when the command starts, and if it cannot be recorded the command does not run", async (t) => {
  const seen: string[] = [];
  const runner = new ProcessRunner(systemClock);
  const start = runner.start.bind(runner);
  runner.start = (command, options) => {
    seen.push(...rowsOf(host).map(({ state, argv }) => `${state} ${argv[0]}`));
    return start(command, options);
  };
  const host: TestHost = await makeFirstHost(t, { runner });
  await lock(host);
  await run(host, ["/bin/true"]);
  assert.deepEqual(seen, ["intent /bin/true"]);
  const { db } = host.agent.host;
  const write = db.write.bind(db);
  db.write = (fn) =>
    write((tx) => {
      const result = fn(tx);
      throw Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL", result });
    });
  const mark = path.join(host.dir, "ran");
  await faultOf(() => run(host, ["/bin/touch", mark]));
  db.write = write;
  assert.equal(fs.existsSync(mark), false);
  assert.equal(rowsOf(host).length, 1);
  assert.equal(host.agent.host.wip.count(), 1);
});

test("a command that could not be started is on record with the reason, and its end is known", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  const file = path.join(host.dir, "no-format");
  fs.writeFileSync(file, "no program\n", { mode: 0o755 });
  await faultOf(() => run(host, [file]));
  const [row] = rowsOf(host);
  assert.deepEqual([row?.state, row?.status], ["failed", null]);
  assert.match(row?.why ?? "", /cannot be executed/);
  assert.ok(row?.endedMs);
});

test("what is replayed is on record on each host, each time, with whose entry it is; show has the last output", async (t) => {
  const a = await makeFirstHost(t);
  const b = await makeSecondHost(t, a);
  await lock(a);
  const flag = path.join(b.dir, "flag");
  await run(
    a,
    sh(`test ! -e ${a.dir}/none || exit 9; echo one; test "$ISCONF_HOST" = hosta || test -e ${flag}`),
  );
  await a.acts.checkin.ci(a.call());
  assert.deepEqual(rowsOf(a).map(({ verb, seq, state }) => [verb, seq, state]), [["exec", 1, "done"]]);
  assert.equal(a.acts.report.show(a.call(), { seq: 1 }).output, "one\n");
  await carry(a, b);
  await faultOf(() => b.acts.apply.up(b.call(1000, "carol"), UP));
  fs.writeFileSync(flag, "");
  await b.acts.apply.up(b.call(), { ...UP, again: 1 });
  assert.deepEqual(
    rowsOf(b).map(({ verb, seq, state, status, user, person }) => [verb, seq, state, status, user, person]),
    [["up", 1, "failed", 1, "carol", "root@hosta"], ["up", 1, "done", 0, "root", "root@hosta"]],
  );
  assert.equal(b.acts.report.show(b.call(), { seq: 1 }).output, "one\n");
});

test("work that is dropped, or whose end a crash has hidden, stays on record as it was", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  await run(host, sh("echo dropped"));
  await host.acts.work.dropWip(host.call(), true);
  const { executions, db } = host.agent.host;
  const asked = { ...executions.newest(1)[0]!, argv: ["/bin/crashed"] };
  const n = db.write((tx) => executions.begin(tx, asked));
  assert.equal(host.acts.here.at(host.call(), n).state, "running");
  await host.restart();
  const states = host.acts.here.list(host.call(), {}).map(({ state, argv }) => [state, argv.at(-1)]);
  assert.deepEqual(states, [["done", "echo dropped"], ["uncertain", "/bin/crashed"]]);
});

test("a refusal is on record with the line; a flood of them is counted, bounded, and takes no room from others", async (t) => {
  const host = await makeFirstHost(t, { policy: "permit root\ndeny eve cmd /bin/rm\n" });
  await lock(host);
  await run(host, ["/bin/true"]);
  const eve = { ...host.call(4321, "eve") };
  const rm = ["/bin/rm", "-rf", "x".repeat(100_000), "y"];
  const before = fs.statSync(host.agent.host.db.path).size;
  for (let i = 0; i < 3_000; i++) {
    const args = { command: rm, callerEnv: {}, env: [] };
    assert.equal((await faultOf(() => runVerb(eve, verb("exec"), args))).kind, "denied");
  }
  const refused = rowsOf(host).filter(({ state }) => state === "refused");
  assert.equal(refused.length, refusalsMax);
  const { verb: what, uid, user, rule, argv, why } = refused[0]!;
  assert.deepEqual([what, uid, user, rule], ["exec", 4321, "eve", "site.policy:2: deny eve cmd /bin/rm"]);
  assert.deepEqual([argv.slice(0, 2), argv[2]!.length < 4096, why], [
    ["/bin/rm", "-rf"],
    true,
    "by site.policy:2",
  ]);
  assert.match(argv.at(-1)!, /^\[… 100000 bytes in this argument, 1 arguments after it …\]$/);
  assert.ok(fs.statSync(host.agent.host.db.path).size - before < 1024 * 1024);
  assert.ok(fs.statSync(auditFile(host.home)).size < 1024 * 1024);
  assert.deepEqual(rowsOf(host).filter(({ state }) => state === "done").length, 1);
});

test("refusals that were only counted are told with the next one, and old ones go", async (t) => {
  let ms = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + ms };
  const host = await makeFirstHost(t, { policy: "permit root\n", clock });
  const eve = host.call(4321, "eve");
  const refuse = () => faultOf(() => runVerb(eve, verb("ci"), {}));
  for (let i = 0; i < refusalsMax + 5; i++) await refuse();
  ms += 61_000;
  await refuse();
  assert.match(
    rowsOf(host).at(-1)!.why!,
    /^no line of the policy permits it \(5 more before it are not recorded\)$/,
  );
  for (let i = 0; i < 2 * refusalsPerUidMax; i++) {
    ms += 61_000;
    await refuse();
  }
  const kept = host.agent.host.executions.newest(10_000, 4321).length;
  assert.ok(kept >= refusalsPerUidMax && kept <= refusalsPerUidMax + executionsPruneEach, `${kept}`);
});

test("the oldest commands of one user go, but not what an entry did, nor those of others", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  await run(host, sh("echo kept"));
  await host.acts.checkin.ci(host.call());
  const { executions, db } = host.agent.host;
  const asked = { ...executions.newest(1)[0]!, argv: ["/bin/true"] };
  db.write((tx) => void executions.begin(tx, { ...asked, uid: 4321, user: "carol" }));
  const again = [1, 2].map(() =>
    db.write((tx) => executions.begin(tx, asked, { seq: 2, id: new Uint8Array(32) }))
  );
  db.write((tx) => {
    for (let i = 0; i < executionsPerUidMax + 500; i++) executions.begin(tx, asked);
  });
  const own = executions.newest(10_000, asked.uid);
  const most = executionsPerUidMax + executionsPruneEach;
  assert.ok(own.length > executionsPerUidMax && own.length <= most + 1, `${own.length}`);
  assert.deepEqual(own.flatMap(({ n, seq }) => seq === null ? [] : [n]), [own[0]!.n, again[1]]);
  assert.equal(own[0]?.seq, 1);
  assert.equal(host.acts.report.show(host.call(), { seq: 1 }).output, "kept\n");
  assert.equal(executions.newest(10, 4321).length, 1);
});

test("each sees their own commands, root everybody's", async (t) => {
  const host = await makeFirstHost(t);
  const { executions, db } = host.agent.host;
  const base = {
    verb: "exec",
    source: null,
    person: "",
    as: "root",
    file: "",
    argv: ["/bin/true"],
    cwd: "/",
    rule: "",
  };
  const [ofAlice, ofBob] = [1001, 1002].map((uid) =>
    db.write((tx) => executions.begin(tx, { ...base, uid, user: `user${uid}` }))
  ) as [number, number];
  const alice = host.call(1001, "alice");
  assert.deepEqual(host.acts.here.list(alice, {}).map(({ n }) => n), [ofAlice]);
  assert.equal(host.acts.here.at(alice, ofAlice).n, ofAlice);
  for (const n of [ofBob, 99]) {
    const { kind, message } = await faultOf(() => host.acts.here.at(alice, n));
    assert.deepEqual([kind, message], ["notFound", `no command ${n} of yours is on record here`]);
  }
  assert.equal(host.acts.here.list(host.call(), {}).length, 2);
});
