// The real runner against the contract, and how it learns of a command's end.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { runnerContract } from "../tests/contract/runner.ts";
import { runnerGivesContract } from "../tests/contract/runner_given.ts";
import { type Clock, systemClock } from "../mq/mod.ts";
import { ProcessRunner } from "./run.ts";
import { userOfAgent } from "./users.ts";

runnerContract("ProcessRunner", () => new ProcessRunner(systemClock));
runnerGivesContract("ProcessRunner", () => new ProcessRunner(systemClock));

const base = { cwd: "/", umask: 0o022, env: {}, user: userOfAgent(), timeoutMs: 0 };
/** Status of commands run at once. */
async function run(clock: Clock, scripts: string[]): Promise<number[]> {
  const runner = new ProcessRunner(clock);
  return await Promise.all(scripts.map(async (script) => {
    const running = await runner.start({ ...base, argv: ["/bin/sh", "-c", script] }, {});
    return (await running.ended).status;
  }));
}

test("one signal may stand for many ends, and all of them are seen", async () => {
  // Without the slow look, which would find them too; the drain's timer, which is shorter, stays.
  const clock: Clock = {
    ...systemClock,
    after: (ms, fn) => ms < 1_000 ? systemClock.after(ms, fn) : () => {},
  };
  const scripts = Array.from({ length: 50 }, (_, i) => `exit ${i}`);
  const ends = run(clock, ["sleep 0.6; exit 77", ...scripts]);
  for (const end = performance.now() + 300; performance.now() < end;); // most end while nobody listens
  let timer;
  const late = new Promise((_, reject) =>
    timer = setTimeout(() => reject(new Error("an end was missed")), 20_000)
  );
  assert.deepEqual(await Promise.race([ends, late]), [77, ...scripts.keys()]);
  clearTimeout(timer);
});

test("an end whose signal was lost is found all the same", async () => {
  await run(systemClock, ["exit 0"]);
  const listeners = process.listeners("SIGCHLD");
  process.removeAllListeners("SIGCHLD");
  try {
    assert.deepEqual(await run(systemClock, ["sleep 0.1; exit 9"]), [9]);
  } finally {
    for (const listener of listeners) process.on("SIGCHLD", listener);
  }
});

test("a command that has closed its pipes keeps us running, and one that has ended does not", {
  skip: "Deno" in globalThis ? "Node only" : false,
}, () => {
  const script = `
    const { ProcessRunner } = await import(${JSON.stringify(new URL("./run.ts", import.meta.url).href)});
    const { systemClock } = await import(${JSON.stringify(new URL("../mq/mod.ts", import.meta.url).href)});
    const argv = ["/bin/sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 3"];
    const running = await new ProcessRunner(systemClock).start({ ...${JSON.stringify(base)}, argv }, {});
    console.log((await running.ended).status);`;
  const { stdout, signal } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.deepEqual([stdout, signal], ["3\n", null]);
});

test("a command's umask is not that of files made by other threads meanwhile", async () => {
  const dir = fs.mkdtempSync(path.join(tmpdir(), "isconf-umask-"));
  const runner = new ProcessRunner(systemClock);
  const usual = 0o666 & ~process.umask();
  const wrong = new Set<string>();
  try {
    for (let i = 0; i < 50; i++) {
      const files = Array.from({ length: 20 }, (_, n) => path.join(dir, `${i}-${n}`));
      const written = files.map((file) => fs.promises.writeFile(file, ""));
      const running = await runner.start({ ...base, argv: ["/bin/true"], umask: 0o777 }, {});
      await Promise.all([running.ended, ...written]);
      for (const file of files) {
        const mode = fs.statSync(file).mode & 0o777;
        if (mode !== usual) wrong.add(mode.toString(8));
      }
    }
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
  assert.deepEqual([...wrong], []);
});

test("a terminal leaves no descriptor, whether its command ran or could not be started", async () => {
  const runner = new ProcessRunner(systemClock);
  const terminal = { rows: 24, columns: 80 };
  const open = () =>
    fs.readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`).includes("/pt");
      } catch {
        return false; // it was only open to list them
      }
    });
  for (const argv of [["/bin/true"], ["/no/such"], ["/bin/true", "x".repeat(131_072)]]) {
    await runner.start({ ...base, argv }, { terminal }).then((r) => r.ended, () => {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(open(), []);
  }
});
