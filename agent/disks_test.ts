// disks: what commands have written is on the disks before it is said to be done; with real files and commands, and disks that look
// at what is said when they are synced. That nothing of it is lost when the power is: tests/root/power_test.ts.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { Fault } from "../mq/mod.ts";
import { makeFirstHost, makeSecondHost, run, type TestHost, UP } from "../tests/world.ts";
import { type Disks, KernelDisks } from "./disks.ts";
import type { Changed, EffectsWatch } from "./effects_watch.ts";

/** Disks that tell at each sync what is said to be done until then, and that may be broken. */
class LookedAt implements Disks {
  host: TestHost | undefined;
  isBroken = false;
  seen: string[] = [];

  sync(): Promise<void> {
    const { wip, history } = this.host!.agent.host;
    this.seen.push([...wip.items().map(({ state }) => state), history.last()?.state ?? "nothing"].join(" "));
    return this.isBroken
      ? Promise.reject(new Fault("sync", "environment", "EIO", { hint: "dmesg" }))
      : Promise.resolve();
  }
}

/** What the next command is seen to change. */
class Told implements EffectsWatch {
  next: Changed | undefined;
  begin = () => ({ end: () => this.next, drop: () => {} });
}

async function lookedAt(t: Parameters<typeof makeFirstHost>[0], first?: TestHost) {
  const disks = new LookedAt();
  const effects = new Told();
  const host = first === undefined
    ? await makeFirstHost(t, { disks, effects })
    : await makeSecondHost(t, first, { disks, effects });
  disks.host = host;
  const seen = () => disks.seen.splice(0);
  return { host, disks, effects, seen };
}

const sh = (host: TestHost, script: string) => run(host, ["/bin/sh", "-euc", script]);

test("what a command or a person has written is synced before the journal may say it, here and after a replay", async (t) => {
  const a = await lookedAt(t);
  await a.host.acts.locks.lock(a.host.call(), "why");
  await sh(a.host, `echo x >${a.host.dir}/file`);
  assert.deepEqual(a.seen(), ["intent nothing"]);
  await a.host.acts.work.snap(a.host.call(), `${a.host.dir}/file`, false);
  assert.deepEqual(a.seen(), ["done nothing"]);
  await a.host.acts.checkin.ci(a.host.call());
  const b = await lookedAt(t, a.host);
  await b.host.acts.apply.up(b.host.call(), UP);
  assert.deepEqual([b.seen(), b.host.agent.host.history.applied()], [["intent"], 2]);
});

test("nothing is waited for where a command has failed, or is known to have changed nothing", async (t) => {
  const { host, effects, seen } = await lookedAt(t);
  await host.acts.locks.lock(host.call(), "why");
  await sh(host, "exit 1");
  effects.next = { paths: [], unseen: [] };
  await sh(host, "true");
  assert.deepEqual(seen(), []);
  effects.next = { paths: [], unseen: ["/mnt"] };
  await sh(host, "true");
  assert.deepEqual(seen(), ["done intent nothing"]);
});

test("what the disk has not taken is not done: it is uncertain, on the origin and elsewhere", async (t) => {
  const a = await lookedAt(t);
  await a.host.acts.locks.lock(a.host.call(), "why");
  await sh(a.host, "true");
  a.disks.isBroken = true;
  await assert.rejects(sh(a.host, "true"), { kind: "environment" });
  assert.deepEqual(a.host.agent.host.wip.items().map(({ state }) => state), ["done", "intent"]);
  await a.host.acts.work.settleWip(a.host.call(), 2, "again");
  await a.host.acts.checkin.ci(a.host.call());
  const b = await lookedAt(t, a.host);
  b.disks.isBroken = true;
  await assert.rejects(b.host.acts.apply.up(b.host.call(), UP), { kind: "environment" });
  await assert.rejects(b.host.acts.apply.up(b.host.call(), UP), { kind: "uncertain" });
  assert.equal(b.host.agent.host.history.applied(), 0);
});

test("the program that syncs gets the file systems themselves, and what it says is told; little is synced without it", async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-disks-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const program = path.join(dir, "sync");
  const script = (text: string) => fs.writeFileSync(program, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  script(`for arg; do readlink "$arg" || echo "$arg"; done >${dir}/got`);
  await new KernelDisks(program, -1).sync();
  const [option, ...mounts] = fs.readFileSync(`${dir}/got`, "utf8").trim().split("\n");
  assert.equal(option, "-f");
  assert.ok(mounts.includes("/"), `${mounts}`);
  script("echo 'error syncing: \x1b[31mInput/output error' >&2; exit 1");
  await assert.rejects(new KernelDisks(program, -1).sync(), (e) => {
    assert.ok(e instanceof Fault);
    assert.deepEqual([e.kind, e.message.includes("\x1b")], ["environment", false]);
    assert.match(e.message, /^what a command wrote may not be on the disk: .*Input\/output error$/);
    return true;
  });
  const before = fs.readdirSync("/proc/self/fd").length;
  await new KernelDisks(path.join(dir, "none"), -1).sync(); // by itself
  await new KernelDisks().sync();
  await new KernelDisks(program, Infinity).sync();
  assert.equal(fs.readdirSync("/proc/self/fd").length, before);
});
