// arm64: the executable built for arm64 runs, under emulation. Not a measurement of anything.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ARM64_ROOT, ISCONF, ISCONF_ARM64, run, STAND_IN_ARM64, testWith } from "./tools.ts";

const needs = ["qemu-aarch64", ARM64_ROOT, STAND_IN_ARM64];
const emulated = (...args: string[]) =>
  run("qemu-aarch64", ["-L", ARM64_ROOT, STAND_IN_ARM64, ...args], { timeout: 300_000 });

testWith(needs, "arm64: version", () => {
  const { out, err, status } = emulated("version");
  assert.equal(err, "");
  assert.match(out, /^isconf .*, linux-arm64\)\n$/);
  assert.equal(status, 0);
});

testWith(needs, "arm64: SQLite loads from memory", () => {
  assert.match(emulated("agent", "sqlite").out, /^SQLite 3\./);
});

testWith(needs, "arm64: workers, Atomics and WebAssembly", () => {
  assert.equal(emulated("agent", "stress").out, "800000 800000 84000\n");
});

// Under emulation a program cannot start itself anew, so that the agent here is the x64 one.
testWith(
  ["qemu-aarch64", ARM64_ROOT, ISCONF, ISCONF_ARM64],
  "arm64: the shipped command line does the main job",
  () => {
    const home = mkdtempSync(join(tmpdir(), "isconf-"));
    const env = { ISCONF_HOME: home, PATH: "/usr/bin:/bin" };
    const arm = (...words: string[]) =>
      run("qemu-aarch64", ["-L", ARM64_ROOT, ISCONF_ARM64, ...words], { env });
    try {
      assert.equal(arm("status").status, 111);
      assert.equal(run(ISCONF, ["init", "--host", "hosta"], { env }).status, 0);
      assert.equal(arm("lock", "from arm64").status, 0);
      assert.deepEqual(arm("exec", "echo", "two  words", "").out, "two  words \n");
      assert.equal(arm("exec", "sh", "-c", "exit 9").status, 9);
      assert.match(arm("ci").err, /checked in: entry 1 of main/);
      assert.match(arm("log").out, /from arm64/);
    } finally {
      run(ISCONF, ["stop"], { env });
      rmSync(home, { recursive: true, force: true });
    }
  },
);
