// arm64: the executable built for arm64 runs, under emulation. Not a measurement of anything.
import assert from "node:assert/strict";
import { ARM64_ROOT, run, STAND_IN_ARM64, testWith } from "./tools.ts";

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
