// script: what runs, in what surroundings, for how long, and what is said when it fails.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { makePlace, SHELLS } from "./fixture.ts";
import { logBytesMax } from "./limits.ts";
import { memoryFile, needDone, runScript } from "./script.ts";

test("a built environment, nothing to read, files for oneself only", async (t) => {
  const place = makePlace(t, { programs: "/usr/bin:/bin" });
  process.env.ISCONF_TEST_LEAK = "1";
  t.after(() => void delete process.env.ISCONF_TEST_LEAK);
  const file = path.join(place.cwd, "made");
  const text = `/usr/bin/env\n/usr/bin/cat\n/usr/bin/touch ${file}\n/usr/bin/readlink /proc/self/cwd\n`;
  const { status, said } = await runScript(place, text, undefined, 10_000);
  assert.equal(status, 0);
  const own = said.filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line)).sort();
  assert.deepEqual(own, ["/", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"]);
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
});

test("each shell: it ends at the first command that fails, which is named by its line", async (t) => {
  const place = makePlace(t);
  const log = path.join(place.cwd, "log");
  for (const [i, words] of SHELLS.entries()) {
    const shell = path.join(place.cwd, `sh${i}`);
    fs.writeFileSync(shell, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`, { mode: 0o755 });
    const text =
      "# why\n/usr/bin/printf '%s\\n' 'it'\\''s' \\\n  '+ a $b'\n/usr/bin/ls /nowhere/at-all\n/usr/bin/echo never\n";
    const ran = await runScript({ ...place, shell }, text, log, 10_000);
    assert.equal(ran.status, 2);
    assert.deepEqual(ran.last, { line: 4, words: ["/usr/bin/ls", "/nowhere/at-all"] }, words.join(" "));
    assert.throws(() => needDone("vm", ran, "cat log"), {
      kind: "refused",
      message:
        /^the script ended with status 2 at line 4, \/usr\/bin\/ls: it's; \+ a \$b; .*ls: cannot access/,
      hint: "cat log",
    });
    assert.match(
      fs.readFileSync(log, "utf8"),
      /^# \d{4}-.*, sha256 [0-9a-f]{64}\n# why\n[^]*\+ \/usr\/bin\/ls \/nowhere\/at-all\n.*cannot access/,
    );
  }
  assert.equal(fs.statSync(log).mode & 0o777, 0o600);
});

test("who takes too long is ended with all that it has started", async (t) => {
  const place = makePlace(t);
  const stubborn = path.join(place.cwd, "stubborn");
  const pids = path.join(place.cwd, "pids");
  fs.writeFileSync(
    stubborn,
    `#!/bin/sh\ntrap '' TERM\necho $$ >> ${pids}\nsleep 60 &\necho $! >> ${pids}\nwait\nsleep 60\n`,
    { mode: 0o755 },
  );
  const began = Date.now();
  const ran = await runScript(place, `${stubborn}\n`, undefined, 300);
  assert.ok(ran.isLate && Date.now() - began < 10_000);
  assert.throws(() => needDone("vm", ran, "x"), { message: /took too long and was ended at line 1/ });
  const isThere = (pid: string) =>
    fs.existsSync(`/proc/${pid}`) && !/ Z /.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"));
  for (let i = 0; i < 100 && fs.readFileSync(pids, "utf8").trim().split("\n").some(isThere); i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual(fs.readFileSync(pids, "utf8").trim().split("\n").filter(isThere), []);
});

test("what is not straight does not run, and leaves nothing in the log", async (t) => {
  const place = makePlace(t);
  const [file, log] = ["made", "log"].map((name) => path.join(place.cwd, name)) as [string, string];
  await assert.rejects(runScript(place, `/usr/bin/touch ${file}; reboot\n`, log, 1_000), {
    kind: "refused",
    message: /not straight/,
  });
  assert.ok(!fs.existsSync(file) && !fs.existsSync(log));
});

test("a log that is a link is not followed; one that is too long begins anew", async (t) => {
  const place = makePlace(t);
  const [log, other] = ["log", "other"].map((name) => path.join(place.cwd, name)) as [string, string];
  fs.symlinkSync(other, log);
  await assert.rejects(runScript(place, "/usr/bin/true\n", log, 1_000));
  assert.ok(!fs.existsSync(other));
  fs.rmSync(log);
  fs.writeFileSync(log, "x".repeat(logBytesMax + 1));
  await runScript(place, "/usr/bin/true\n", log, 5_000);
  assert.ok(fs.statSync(log).size < 1_000);
});

test("a file in memory has no name", () => {
  const fd = memoryFile("test");
  assert.match(fs.readlinkSync(`/proc/self/fd/${fd}`), /^\/memfd:test/);
  fs.closeSync(fd);
});
