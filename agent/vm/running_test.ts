// running: a pid file by itself says nothing.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { makePlace } from "./fixture.ts";
import { runningPid } from "./running.ts";

test("only the process that was given this pid file is the machine", async (t) => {
  const file = path.join(makePlace(t).cwd, "pid");
  assert.equal(runningPid(file), undefined);
  const child = spawn("/bin/sh", ["-c", "echo; read x", "qemu", "-pidfile", file], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  await once(child.stdout, "data"); // it is the shell now, and no copy of this process any more
  const ended = once(child, "exit");
  fs.writeFileSync(file, `${child.pid}\n`);
  assert.equal(runningPid(file), child.pid);
  for (
    const text of [
      `${process.pid}\n`,
      "1\n",
      "0\n",
      "-1\n",
      "\n",
      "nonsense",
      `${child.pid} ${child.pid}`,
      "9".repeat(70),
    ]
  ) {
    fs.writeFileSync(file, text);
    assert.equal(runningPid(file), undefined, `somebody else's number: ${text}`);
  }
  fs.writeFileSync(file, `${child.pid}\n`);
  child.kill("SIGKILL");
  await ended;
  assert.equal(runningPid(file), undefined);
});
