// power: a host whose power fails right after it has said that something is done has it, on the origin and after a replay: what is on its
// disk at that moment is looked at as after a power cut, with only what its file system's journal gives back. Files and commands.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { carry, type Host, makePair, type Owner } from "../hosts.ts";
import { must } from "../programs.ts";
import { addDisk, lacksDisks } from "./disks.ts";

const reason = lacksDisks("mkfs.ext4", "e2fsck", "debugfs");
if (reason) console.log(`skipped: what is on the disk when the power fails: ${reason}`);

/** Gives a host a file system of its own at /srv; what is in its files if the power fails now. */
async function withDisk(t: Owner, host: Host): Promise<(...names: string[]) => string[]> {
  const { disk, file } = await addDisk(t, host, 64);
  await host.sh(`mkfs.ext4 -q "$1"; mount "$1" /srv`, disk);
  return (...names) => {
    const cut = `${file}-cut`;
    fs.copyFileSync(file, cut);
    const { status } = spawnSync("e2fsck", ["-fp", cut]); // what mounting it would do
    assert.ok(status === 0 || status === 1, `${status}`);
    return names.map((name) => must("debugfs", "-R", `cat /${name}`, cut));
  };
}

test("what a command wrote, or a person snapped, outlasts a power cut as soon as it is said to be done", {
  skip: reason,
  timeout: 240_000,
}, async (t) => {
  const [a, b] = await makePair(t, { handles: true });
  const [leftOfA, leftOfB] = [await withDisk(t, a), await withDisk(t, b)];
  await a.ok("lock", "why");
  await a.ok("exec", "sh", "-c", "echo made >/srv/made");
  assert.deepEqual(leftOfA("made"), ["made\n"]);
  await a.sh("echo edited >/srv/edited");
  await a.ok("snap", "/srv/edited");
  assert.deepEqual(leftOfA("edited"), ["edited\n"]);
  await a.ok("ci");
  await carry(a, b);
  await b.ok("up");
  assert.deepEqual(leftOfB("made", "edited"), ["made\n", "edited\n"]);
});
