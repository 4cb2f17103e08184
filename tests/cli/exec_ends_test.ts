// exec, its ends: statuses, signals, time limits, callers that are killed and readers that go away.
// Not what reaches the command (exec_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { soon } from "../soon.ts";
import { begin, type Box, ISCONF, makeBox, run, until } from "./tools.ts";

const wipOf = async (box: Box): Promise<{ text: string; state: string }[]> =>
  JSON.parse(await box.ok(["--json", "wip"])).items;

/** Whether a process has ended; that nobody has asked for its status yet is not its affair. */
function hasEnded(pid: string): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.[0] === "Z";
  } catch {
    return true;
  }
}

test("a command's status is isconf's own, and only 0 is journaled", async (t) => {
  const box = makeBox(t);
  await box.begin("statuses");
  for (const status of [0, 1, 2, 3, 22, 77, 104, 111, 124, 125, 126, 127, 137, 220, 255]) {
    assert.equal((await box.isconf(["exec", "sh", "-c", `exit ${status}`])).status, status);
  }
  for (
    const [name, n] of [["HUP", 1], ["INT", 2], ["ABRT", 6], ["KILL", 9], ["SEGV", 11], ["TERM", 15]] as const
  ) {
    assert.equal((await box.isconf(["exec", "sh", "-c", `kill -${name} $$`])).status, 128 + n, name);
  }
  assert.equal((await wipOf(box)).length, 1);
});

test("signals to isconf reach the command and what it started", async (t) => {
  const box = makeBox(t);
  await box.begin("signals");
  for (
    const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129], ["SIGQUIT", 131]] as const
  ) {
    const mark = path.join(box.dir, `${signal}.pid`);
    const { child, done } = box.beginIsconf([
      "exec",
      "sh",
      "-c",
      'sleep 30 & echo $! > "$0.new"; mv "$0.new" "$0"; sleep 30',
      mark,
    ]);
    await until("the command to run", () => fs.existsSync(mark));
    await pause(150); // isconf itself has to have heard that it runs
    process.kill(child.pid as number, signal); // Deno tells the end of what child.kill() was asked to end otherwise
    assert.equal((await done).status, status, signal);
    const pid = fs.readFileSync(mark, "utf8").trim();
    // An interactive ^C and ^\ are ignored by what a shell put into the background; the others end it too.
    if (status === 143 || status === 129) {
      await until(`${signal} to end ${pid}`, () => hasEnded(pid));
    } else if (fs.existsSync(`/proc/${pid}`)) process.kill(Number(pid), "SIGKILL");
  }
  const trapped = path.join(box.dir, "trapped");
  const { child, done } = box.beginIsconf([
    "exec",
    "sh",
    "-c",
    'trap "exit 0" INT; touch "$0"; while :; do sleep 0.05; done',
    trapped,
  ]);
  await until("the trap", () => fs.existsSync(trapped));
  await pause(150);
  process.kill(child.pid as number, "SIGINT");
  assert.equal((await done).status, 0, "what the command makes of a signal is its own affair");
  assert.equal((await wipOf(box)).length, 1);
});

test("isconf killed while its command runs: the command gets HUP and is not journaled", async (t) => {
  const box = makeBox(t);
  await box.begin("killed");
  const file = path.join(box.dir, "got");
  const script = 'trap "echo HUP > $0; exit 1" HUP; touch "$0.on"; while :; do sleep 0.05; done';
  const { child, done } = box.beginIsconf(["exec", "sh", "-c", script, file]);
  await until("the command to run", () => fs.existsSync(`${file}.on`));
  child.kill("SIGKILL");
  await done;
  await until("HUP", () => fs.existsSync(file) && fs.readFileSync(file, "utf8") === "HUP\n");
  await box.ok(["exec", "true"]);
  assert.deepEqual((await wipOf(box)).map((i) => i.text), ["exec true"]);
});

test("isconf killed while it waits for its turn: its command never runs", async (t) => {
  const box = makeBox(t);
  await box.begin("waiting");
  const file = path.join(box.dir, "ran");
  const first = box.beginIsconf(["exec", "sleep", "1"]);
  await until("the first to run", async () => JSON.parse(await box.ok(["--json", "status"])).doing !== null);
  const script = 'trap "" HUP INT; touch "$0"';
  const killed = ["SIGKILL", "SIGINT"] as const;
  for (const signal of killed) {
    const { child, done } = box.beginIsconf(["exec", "sh", "-c", script, `${file}.${signal}`]);
    await pause(200);
    child.kill(signal);
    if (signal === "SIGKILL") await done;
  }
  assert.equal((await first.done).status, 0);
  await box.ok(["exec", "true"]);
  for (const signal of killed) {
    assert.equal(fs.existsSync(`${file}.${signal}`), false, `${signal} came in time`);
  }
  assert.deepEqual((await wipOf(box)).map((i) => i.text), ["exec sleep 1", "exec true"]);
});

test("a reader of the output that stops reading stops its command and nobody else", async (t) => {
  const box = makeBox(t);
  await box.begin("slow reader");
  const fifo = path.join(box.dir, "fifo");
  await run("mkfifo", [fifo]);
  const script = `exec 3<>'${fifo}'; exec '${ISCONF}' exec sh -c 'yes | head -c 20000000' >&3`;
  const slow = begin("/bin/bash", ["-c", script], { env: { ISCONF_HOME: box.home } });
  await until(
    "the command to run",
    async () => JSON.parse(await box.ok(["--json", "status"])).doing !== null,
  );
  const before = box.rssMiB();
  for (let i = 0; i < 10; i++) {
    await soon("status beside a stranger's reader", 1_000, () => box.ok(["status"]));
    await pause(50);
  }
  assert.ok(box.rssMiB() - before < 64, "the agent keeps the unread output");
  slow.child.kill("SIGKILL");
  await slow.done;
});

test("a reader of the output that has gone ends isconf and its command", async (t) => {
  const box = makeBox(t);
  await box.begin("gone reader");
  const script = `'${ISCONF}' exec yes | head -c 1; echo "\${PIPESTATUS[0]}"`;
  const { out } = await run("/bin/bash", ["-c", script], {
    env: { ISCONF_HOME: box.home },
    timeoutMs: 20_000,
  });
  assert.match(out, /^y(141|129|141)\n$/);
  await box.ok(["exec", "true"]);
  assert.deepEqual((await wipOf(box)).map((i) => i.text), ["exec true"], "yes was not journaled");
});

test("a command out of time is killed with what it started: 124; time limits of a month are no limits of a moment", async (t) => {
  const box = makeBox(t);
  await box.begin("time");
  const began = performance.now();
  const file = path.join(box.dir, "late");
  const script = '(trap "" TERM; sleep 8; touch "$0") & trap "" TERM; sleep 8; touch "$0"';
  assert.equal((await box.isconf(["exec", "--timeout", "1", "sh", "-c", script, file])).status, 124);
  assert.ok(performance.now() - began < 6_000);
  for (const seconds of ["2147484", "3000000", "4294968", "99999999"]) {
    const { status } = await box.isconf(["exec", "--timeout", seconds, "sleep", "0.1"]);
    assert.ok(status === 0 || status === 22, `--timeout ${seconds} ended ${status}`);
  }
  await pause(Math.max(0, began + 10_000 - performance.now()));
  assert.equal(fs.existsSync(file), false);
});

test("a background process that keeps the output open does not keep isconf waiting", async (t) => {
  const box = makeBox(t);
  await box.begin("background");
  await soon("exec beside a background process", 3_000, async () => {
    const { status, out } = await box.isconf(["exec", "sh", "-c", "sleep 20 & echo started"]);
    assert.deepEqual([status, out], [0, "started\n"]);
  });
});

test("stopping the agent ends it, also with a caller in the queue and one that never says a word", async (t) => {
  const box = makeBox(t);
  await box.begin("stop");
  const first = box.beginIsconf(["exec", "sleep", "1"]);
  await until("the first to run", async () => JSON.parse(await box.ok(["--json", "status"])).doing !== null);
  const stop = box.beginIsconf(["stop"], { timeoutMs: 15_000 });
  await pause(200);
  const queued = box.beginIsconf(["exec", "touch", path.join(box.dir, "ran")], { timeoutMs: 15_000 });
  assert.equal((await first.done).status, 0, "what was running ends by itself");
  const { status, err } = await stop.done;
  assert.equal(status, 0, err);
  await until("the agent to end", () => box.agent?.exitCode !== null, 8_000);
  assert.notEqual((await queued.done).status, 0);
  assert.equal(fs.existsSync(path.join(box.dir, "ran")), false);
});
