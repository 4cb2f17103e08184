// content many: a directory of very many tiny files through put, gc, fsck and get, with the times and the memory that they
// take. Not a benchmark. ISCONF_TEST_FILES says how many; `deno task test:million` a million.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { netPid } from "./contents.ts";
import { type Box, makeBox } from "./tools.ts";

const count = Number(process.env.ISCONF_TEST_FILES ?? 20_000);
const perDir = 1_000;
const timeoutMs = 60_000 + count * 2;

/** Proportional memory of a process, in MiB; 0 when it has ended. */
function pssMiB(pid: number): number {
  try {
    return Number(/^Pss:\s+([0-9]+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))![1]) / 1024;
  } catch {
    return 0;
  }
}

/** Runs isconf; how long it took, and the most memory that the agent and the command line had meanwhile, in MiB. */
async function measured(box: Box, args: string[]): Promise<{ agent: number; cli: number }> {
  const agent = [box.agentPid(), await netPid(box)];
  const most = { agent: 0, cli: 0 };
  const began = performance.now();
  const { child, done } = box.beginIsconf(args, { timeoutMs });
  const look = () => {
    most.agent = Math.max(most.agent, agent.reduce((sum, pid) => sum + pssMiB(pid), 0));
    most.cli = Math.max(most.cli, pssMiB(child.pid as number));
  };
  const looking = setInterval(look, 200);
  look();
  const { status, err } = await done.finally(() => clearInterval(looking));
  assert.equal(status, 0, `${args[0]}: ${err}`);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const memory = `agent ${most.agent.toFixed(0)} MiB, command line ${most.cli.toFixed(0)} MiB at the most`;
  console.log(
    `${count} files: ${args.filter((word) => !word.startsWith("/")).join(" ")}: ${seconds} s, ${memory}`,
  );
  return most;
}

/** A directory in memory, where there is one: each file that is got is synced, which on a disk is all that would be seen. */
function targetDir(t: { after(fn: () => void): void }): string | undefined {
  if (!fs.existsSync("/dev/shm")) return undefined;
  const dir = fs.mkdtempSync("/dev/shm/isconf-many-");
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** What is in the n-th file: 20 to 100 bytes, of no other. */
const contentOf = (n: number) => `${n} `.padEnd(20 + (n * 7919) % 81, "isconf ");

test(`${count} tiny files: put, gc, fsck and get, with memory that does not grow without bounds`, async (t) => {
  const box = makeBox(t);
  await box.start();
  const dir = path.join(box.dir, "many");
  const out = path.join(targetDir(t) ?? box.dir, "out");
  for (let n = 0; n < count; n++) {
    const below = path.join(dir, String(Math.floor(n / perDir)));
    if (n % perDir === 0) fs.mkdirSync(below, { recursive: true });
    fs.writeFileSync(path.join(below, String(n)), contentOf(n));
  }
  const most = [
    await measured(box, ["put", dir]),
    await measured(box, ["gc", "--dry-run"]),
    await measured(box, ["fsck"]),
    await measured(box, ["get", "many", out]),
  ];
  for (let n = 0; n < count; n += Math.max(1, Math.floor(count / 2_000))) {
    const file = path.join(out, String(Math.floor(n / perDir)), String(n));
    assert.equal(fs.readFileSync(file, "utf8"), contentOf(n));
  }
  assert.equal(fs.readdirSync(out).length, Math.ceil(count / perDir));
  for (const { agent, cli } of most) assert.ok(agent < 900 && cli < 600, `${agent} and ${cli} MiB`);
});
