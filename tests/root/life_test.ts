// life: start, stop and restart of the agent of a host, as commands and as processes. Not its crash (up_test.ts).
import assert from "node:assert/strict";
import { hostTest, makeHost, status, until } from "../hosts.ts";

hostTest("starting twice is harmless, also at the same moment", async (t) => {
  const host = await makeHost(t, "life");
  const ended = await Promise.all([1, 2, 3].map(() => host.isconf("start")));
  assert.deepEqual(ended.map((e) => e.status), [0, 0, 0], ended.map((e) => e.stderr).join(""));
  const agents = () => host.processes().filter((p) => /^isconf: agent|exe\0agent\0--ready/.test(p.title));
  await until("one agent is left", () => agents().length === 1);
  const { root } = host.agent();
  assert.match(await host.ok("start"), /running already/);
  assert.equal(host.agent().root, root);
  await host.ok("restart");
  await until("the old agent is gone", () => agents().every((p) => p.pid !== root));
  await host.ok("doctor").catch(() => {}); // whatever it finds, it is answered
  assert.equal((await host.isconf("stop")).status, 0);
  await until("every process is gone", () => host.processes().length === 0);
  for (const verb of ["status", "stop", "up"]) assert.equal((await host.isconf(verb)).status, 111, verb);
});

hostTest("stop waits for the command that runs, and its work is not lost", async (t) => {
  const host = await makeHost(t, "life");
  await host.ok("init");
  await host.ok("lock", "slow work");
  await host.sh("touch /run/slow");
  const exec = host.spawn([
    "isconf",
    "exec",
    "sh",
    "-c",
    "while test -e /run/slow; do sleep 0.05; done; echo over",
  ]);
  await until("it runs", async () => (await status(host)).doing?.startsWith("exec") === true);
  const stop = host.spawn(["isconf", "stop"]);
  let stopped = false;
  void stop.ended.then(() => stopped = true);
  await host.sh("sleep 0.5");
  assert.equal(stopped, false, "stop did not wait");
  assert.ok(host.agent().root, "the agent went away under its command");
  await host.sh("rm /run/slow");
  assert.deepEqual([(await exec.ended).status, exec.said()], [0, "over\n"]);
  assert.equal((await stop.ended).status, 0, stop.said());
  await until("every process is gone", () => host.processes().length === 0);
  await host.ok("start");
  assert.equal((await status(host)).wip, 1);
  await host.ok("ci");
});
