// probe: KVM is taken where it has run something, and nowhere else.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { lacks } from "../../tests/programs.ts";
import { makePlace } from "./fixture.ts";
import { probeMs } from "./limits.ts";
import { accelerator, runs } from "./probe.ts";

const QEMU = "/usr/bin/qemu-system-x86_64";

test("without the device, or with one that does not work or does not come back: tcg", async (t) => {
  const place = makePlace(t);
  const fake = (name: string, text: string) => {
    const file = path.join(place.cwd, name);
    fs.writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return file;
  };
  const device = fake("kvm", "");
  const asked = path.join(place.cwd, "asked");
  assert.equal(await accelerator(place, fake("never", `touch ${asked}`), "/nowhere/kvm"), "tcg");
  assert.ok(!fs.existsSync(asked));
  assert.equal(await accelerator(place, "/nowhere/qemu", device), "tcg");
  assert.equal(await accelerator(place, fake("fails", "exit 1"), device), "tcg");
  assert.equal(await accelerator(place, fake("halts", "exit 0"), device), "tcg");
  assert.equal(await accelerator(place, fake("works", "exit 33"), device), "kvm");
  const never = () => {};
  let late = never;
  const clock = {
    ...place.clock,
    after: (ms: number, fn: () => void) => (assert.equal(ms, probeMs), late = fn, () => {}),
  };
  const hangs = accelerator({ ...place, clock }, fake("hangs", `touch ${asked}\nexec sleep 60`), device);
  while (!fs.existsSync(asked)) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.notEqual(late, never, "there is no deadline");
  late();
  assert.equal(await hangs, "tcg");
});

const skip = lacks({ files: [QEMU] });
if (skip) console.log(`skipped: one instruction of a guest: ${skip}`);
test("one instruction of a guest runs, and tells so", { skip }, async (t) => {
  assert.equal(await runs(makePlace(t), QEMU, "tcg"), true);
});
