// work: lock, snap, exec, reboot, ci and wip on one host, with real files and real commands.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import {
  carry,
  faultOf,
  grantTo,
  makeFirstHost,
  makeSecondHost,
  run,
  type TestHost,
} from "../tests/world.ts";
import { readEntry } from "./entry.ts";

const lock = (
  host: Awaited<ReturnType<typeof makeFirstHost>>,
  message = "why",
  uid?: number,
  name?: string,
) => host.acts.locks.lock(host.call(uid, name), message);

/** What the newest command here has printed. */
function outputOf(host: TestHost): string {
  const { executions } = host.agent.host;
  return new TextDecoder().decode(executions.at(executions.newest(1)[0]!.n)?.output ?? undefined);
}

test("the main job: lock, snap, exec, ci; the journal has both, certified, and this host has them applied", async (t) => {
  const host = await makeFirstHost(t);
  const file = path.join(host.dir, "motd");
  fs.writeFileSync(file, "hello\n");
  await lock(host, "greet");
  await host.acts.work.snap(host.call(), file, false);
  assert.deepEqual(await run(host, ["/bin/true"]), { status: 0, journaled: true });
  assert.equal(host.acts.report.wip(host.call()).items.length, 2);
  assert.deepEqual(await host.acts.checkin.ci(host.call()), { branch: "main", from: 1, to: 2 });
  const { entries } = host.acts.report.log(host.call(), {});
  assert.deepEqual(entries.map((e) => [e.seq, e.here, e.message]), [[1, "applied", "greet"], [
    2,
    "applied",
    "greet",
  ]]);
  assert.equal(host.acts.status.standing(host.agent.host).lock, null);
  assert.equal((await host.acts.report.verify(host.call(), {})).entries, 3);
});

test("snap, exec, reboot and ci without a lock are refused with 221 and change nothing", async (t) => {
  const host = await makeFirstHost(t);
  for (
    const act of [
      () => host.acts.work.snap(host.call(), "/etc/hostname", false),
      () => run(host, ["/bin/true"]),
      () => host.acts.work.reboot(host.call()),
      () => host.acts.checkin.ci(host.call()),
      () => host.acts.locks.unlock(host.call(), false),
    ]
  ) assert.equal((await faultOf(act)).exit, 221);
  assert.equal(host.agent.host.wip.count(), 0);
});

test("a lock without a message is refused with 222", async (t) => {
  const host = await makeFirstHost(t);
  assert.equal((await faultOf(() => lock(host, "  "))).exit, 222);
  assert.equal((await faultOf(() => lock(host, "a\0b"))).exit, 22);
  assert.equal((await faultOf(() => lock(host, "\ud800"))).exit, 22);
});

test("snap of an absent path is told before the lock is looked at", async (t) => {
  const host = await makeFirstHost(t);
  assert.equal((await faultOf(() => host.acts.work.snap(host.call(), "/no/such/path", false))).exit, 2);
});

test("paths with dots, empty parts, relative ones and the root directory cannot be snapped", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  for (
    const bad of ["etc/motd", "/", "/etc/../etc/motd", "/etc//motd", "/etc/./motd", "/etc/", "", "/a\0b"]
  ) {
    assert.equal((await faultOf(() => host.acts.work.snap(host.call(), bad, false))).exit, 22, bad);
  }
});

test("asking for one's own lock again changes the message for later entries and keeps the term", async (t) => {
  const host = await makeFirstHost(t);
  const first = await lock(host, "one");
  await run(host, ["/bin/true"]);
  const second = await lock(host, "two");
  await run(host, ["/bin/true"]);
  assert.equal(second.term, first.term);
  assert.equal(second.took, false);
  await host.acts.checkin.ci(host.call());
  assert.deepEqual(host.acts.report.log(host.call(), {}).entries.map((e) => e.message), ["one", "two"]);
});

test("a second person is refused with 220 and told who, where, why and since when", async (t) => {
  const host = await makeFirstHost(t);
  const { entries: before } = host.acts.report.log(host.call(), { branch: "@domain" });
  await grantAppend(host, 2_012_345_678, "bob");
  await lock(host, "mine \x1b[31m");
  const fault = await faultOf(() => lock(host, "his", 2_012_345_678, "bob"));
  assert.equal(fault.exit, 220);
  assert.match(fault.message, /root@hosta on hosta since .*: mine \\x1b\[31m/);
  assert.equal(before.length, 1);
});

test("someone without a role gets 77 and nothing changes", async (t) => {
  const host = await makeFirstHost(t);
  const fault = await faultOf(() => lock(host, "mine", 2_012_345_678, "mallory"));
  assert.equal(fault.exit, 77);
  assert.equal(host.agent.host.keeper.holder("main"), undefined);
});

test("unlock by someone else is refused; with --steal it needs the owner role and raises the next term", async (t) => {
  const host = await makeFirstHost(t);
  await grantAppend(host, 2_012_345_678, "bob");
  const held = await lock(host, "bob's", 2_012_345_678, "bob");
  assert.equal((await faultOf(() => host.acts.locks.unlock(host.call(), false))).exit, 220);
  await host.acts.locks.unlock(host.call(), true);
  assert.match(host.logged.join("\n"), /stolen by root/);
  assert.equal((await lock(host, "mine")).term, held.term + 1);
  const fault = await faultOf(() => host.acts.locks.unlock(host.call(2_012_345_678, "bob"), true));
  assert.equal(fault.exit, 77);
});

test("arguments with spaces, quotes, newlines, $() and empty ones reach the command byte for byte, now and replayed", async (t) => {
  const a = await makeFirstHost(t);
  const out = path.join(a.dir, "args");
  const nasty = [
    "",
    " ",
    "a b",
    "'\"",
    "line\nbreak",
    "$(reboot)",
    "`id`",
    "*",
    "\\",
    "ü€😀",
    "-n",
    "--",
    "x".repeat(100_000),
  ];
  const program = `require("fs").writeFileSync(${
    JSON.stringify(out)
  }, JSON.stringify(process.argv.slice(1)))`;
  const { nodePath } = await import("../tests/programs.ts");
  await lock(a);
  assert.equal((await run(a, [nodePath(), "-e", program, "--", ...nasty])).status, 0);
  assert.deepEqual(JSON.parse(fs.readFileSync(out, "utf8")), nasty);
  await a.acts.checkin.ci(a.call());
  fs.rmSync(out);
  const b = await makeSecondHost(t, a);
  await b.acts.apply.up(b.call(), { reboot: false, step: false, dryRun: false, offline: false });
  assert.deepEqual(JSON.parse(fs.readFileSync(out, "utf8")), nasty);
});

test("arguments with NUL or lone surrogates, too many and too long ones are refused and nothing runs", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  for (
    const argv of [[], [""], ["/bin/true", "a\0b"], ["/bin/true", "\ud800"], Array(30_000).fill("x"), [
      "/bin/true",
      "x".repeat(2_000_000),
    ]]
  ) assert.equal((await faultOf(() => run(host, argv))).exit, 22);
  assert.equal(host.agent.host.wip.count(), 0);
});

test("a command that fails, is killed, does not exist or cannot be executed is not journaled; its status passes through", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  assert.deepEqual(await run(host, ["/bin/sh", "-c", "exit 3"]), { status: 3, journaled: false });
  assert.deepEqual(await run(host, ["/bin/sh", "-c", "kill -9 $$"]), { status: 137, journaled: false });
  assert.equal((await faultOf(() => run(host, ["no-such-command-anywhere"]))).exit, 127);
  assert.equal((await faultOf(() => run(host, ["/etc/passwd"]))).exit, 126);
  assert.equal((await faultOf(() => run(host, ["/bin/true"], { cwd: "/no/such/dir" }))).exit, 2);
  assert.equal(host.agent.host.wip.count(), 0);
});

test("a command out of time is killed with its whole group and counts as failed", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  const mark = path.join(host.dir, "late");
  const script = `(sleep 5; touch ${mark}) & sleep 30`;
  const began = Date.now();
  assert.equal((await run(host, ["/bin/sh", "-c", script], { timeoutMs: 200 })).status, 124);
  assert.ok(Date.now() - began < 5_000);
  await new Promise((resolve) => setTimeout(resolve, began + 6_000 - Date.now()));
  assert.equal(fs.existsSync(mark), false);
});

test("a background child that keeps the pipe does not keep exec waiting", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  const began = Date.now();
  assert.equal((await run(host, ["/bin/sh", "-c", "sleep 20 & echo started"])).status, 0);
  assert.ok(Date.now() - began < 2_000);
  assert.equal(outputOf(host), "started\n");
});

test("a gigabyte of output is bounded: its beginning and its end are kept, with a mark", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  await run(host, ["/bin/sh", "-c", "echo begin; head -c 50000000 /dev/zero; echo end"]);
  const output = outputOf(host);
  assert.ok(output.length < 100_000);
  assert.match(output, /^begin\n/);
  assert.match(output, /bytes left out/);
  assert.match(output, /end\n$/);
});

test("an empty check-in is refused, and unlock with work in hand as well", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  assert.equal((await faultOf(() => host.acts.checkin.ci(host.call()))).exit, 1);
  await run(host, ["/bin/true"]);
  assert.equal((await faultOf(() => host.acts.locks.unlock(host.call(), false))).exit, 1);
});

test("an agent that died while a command ran leaves it uncertain: ci ends with 227 and names both ways out", async (t) => {
  const host = await makeFirstHost(t);
  const held = await lock(host);
  const { wip, db, journal } = host.agent.host;
  const head = journal.head("main");
  const op = {
    op: "exec",
    argv: ["/bin/true"],
    cwd: "/",
    umask: 0,
    env: {},
    user: "",
    timeoutMs: 0,
    stdin: null,
  } as const;
  db.write((tx) =>
    wip.add(tx, {
      branch: "main",
      term: held.term,
      baseSeq: head.seq,
      baseId: head.id,
      author: held.holder,
      uid: 0,
      message: "m",
      op: { ...op, argv: ["/bin/true"], env: {} },
      state: "intent",
      boot: "boot-1",
      startedMs: 1,
    })
  );
  await host.restart();
  const fault = await faultOf(() => host.acts.checkin.ci(host.call()));
  assert.equal(fault.exit, 227);
  assert.match(fault.hint, /wip done 1.*wip again 1/);
  await host.acts.work.settleWip(host.call(), 1, "done");
  assert.deepEqual(await host.acts.checkin.ci(host.call()), { branch: "main", from: 1, to: 1 });
});

test("lock and work survive a restart of the agent", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host, "before");
  await run(host, ["/bin/true"]);
  await host.restart();
  assert.equal((await host.acts.checkin.ci(host.call())).to, 1);
});

test("reboot is a barrier: ci is refused until the host has restarted, then goes on", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  await run(host, ["/bin/true"]);
  await host.acts.work.reboot(host.call());
  assert.equal((await faultOf(() => host.acts.checkin.ci(host.call()))).exit, 1);
  await host.restart();
  assert.equal(
    (await faultOf(() => host.acts.checkin.ci(host.call()))).exit,
    1,
    "an agent's restart is no restart of the host",
  );
  await host.restart({ bootId: "boot-2" });
  assert.equal((await host.acts.checkin.ci(host.call())).to, 2);
});

test("a holder whose lock was stolen is told so; nobody having committed, the same work goes in after locking again", async (t) => {
  const host = await makeFirstHost(t);
  await grantAppend(host, 2_012_345_678, "bob");
  await lock(host, "bob's", 2_012_345_678, "bob");
  const bob = host.call(2_012_345_678, "bob");
  const execution = await host.acts.work.exec(bob, {
    argv: ["/bin/true"],
    cwd: "/",
    umask: 0o22,
    callerEnv: {},
    envNames: [],
    as: "",
    timeoutMs: 0,
    stdin: false,
    effects: true,
  });
  await execution.recorded;
  await host.acts.locks.unlock(host.call(), true);
  const fault = await faultOf(() => host.acts.checkin.ci(bob));
  assert.equal(fault.exit, 221);
  assert.equal((await faultOf(() => lock(host, "root's"))).exit, 1, "bob's work is in root's way");
  await host.acts.locks.lock(bob, "again");
  assert.equal((await host.acts.checkin.ci(bob)).to, 1);
});

test("dropping work that ran makes the host diverged: lock and up end with 224 from then on", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  await run(host, ["/bin/true"]);
  assert.equal((await faultOf(() => host.acts.work.dropWip(host.call(), false))).exit, 1);
  assert.deepEqual(await host.acts.work.dropWip(host.call(), true), { dropped: 1, diverged: true });
  assert.equal((await faultOf(() => lock(host))).exit, 224);
  const up = () =>
    host.acts.apply.up(host.call(), { reboot: false, step: false, dryRun: false, offline: false });
  assert.equal((await faultOf(up)).exit, 224);
});

test("dropping work that ran nothing leaves the host as it was", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  await host.acts.work.snap(host.call(), "/etc/hostname", false);
  assert.deepEqual(await host.acts.work.dropWip(host.call(), false), { dropped: 1, diverged: false });
  assert.equal((await lock(host)).held, true);
});

test("environment: loader and shell variables never reach a command, also when the raw request carries them", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  const callerEnv = {
    LD_PRELOAD: "/tmp/x.so",
    BASH_ENV: "/tmp/x",
    PATH: "/tmp",
    NODE_OPTIONS: "--require /tmp/x",
    IFS: "x",
    LANG: "C.UTF-8",
    LC_ALL: "../../x",
    TZ: "/etc/shadow",
    "BASH_FUNC_x%%": "() { id; }",
    SHELLOPTS: "xtrace",
    HOME: "/tmp",
    SECRET: "s",
  };
  const execution = await host.acts.work.exec(host.call(), {
    argv: ["/usr/bin/env"],
    cwd: "/",
    umask: 0o22,
    callerEnv,
    envNames: [],
    as: "",
    timeoutMs: 0,
    stdin: false,
    effects: true,
  });
  await execution.recorded;
  const output = outputOf(host);
  const names = output.trim().split("\n").map((l) => l.split("=")[0]).sort();
  assert.deepEqual(names, [
    "HOME",
    "ISCONF_BRANCH",
    "ISCONF_HOST",
    "LANG",
    "LOGNAME",
    "PATH",
    "SHELL",
    "USER",
  ]);
  assert.doesNotMatch(output, /\/tmp/);
});

test("an entry names its author, its origin, the policy it was made under, and extends the chain", async (t) => {
  const host = await makeFirstHost(t);
  await lock(host);
  await run(host, ["/bin/true"]);
  await host.acts.checkin.ci(host.call());
  const { journal } = host.agent.host;
  const { entry } = readEntry(journal.at("main", 1)?.entry as Uint8Array);
  assert.deepEqual(entry.policy, journal.needPolicy("test").head);
  assert.equal(entry.prev.length, 0);
  await carryTwice(t, host);
});

async function carryTwice(
  t: Parameters<typeof makeFirstHost>[0],
  host: Awaited<ReturnType<typeof makeFirstHost>>,
) {
  const b = await makeSecondHost(t, host);
  const before = b.agent.host.journal.head("main").seq;
  await carry(host, b);
  assert.equal(b.agent.host.journal.head("main").seq, before, "the same bundle again changes nothing");
}

/** Gives a local user's key the append role, by an entry in the control journal. */
async function grantAppend(host: Awaited<ReturnType<typeof makeFirstHost>>, uid: number, name: string) {
  await grantTo(host, uid, name, "append", "main");
}
