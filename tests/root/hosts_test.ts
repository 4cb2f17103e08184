// hosts: the harness of this folder, tested: a host is apart from this machine, and nothing of it stays.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { hostTest, makeHost, until } from "../hosts.ts";

hostTest("a host has its own root, processes, name and network", async (t) => {
  const host = await makeHost(t, "apart");
  await host.write("/etc/only-here", "x");
  assert.equal(fs.existsSync("/etc/only-here"), false);
  assert.equal((await host.read("/etc/only-here")).toString(), "x");
  assert.equal(await host.sh("hostname; cat /proc/net/tcp /proc/net/unix | grep -c : || true"), "apart\n0");
  assert.deepEqual(host.processes(), []);
  for (const dir of ["/var/lib/isconf", "/run/isconf"]) assert.equal(fs.existsSync(host.path(dir)), false);
  assert.equal((await host.run(["sh", "-c", "exit 7"])).status, 7);
  assert.equal((await host.isconf("status")).status, 111);
});

hostTest("a restart kills everything, empties /run and starts the agent", async (t) => {
  const host = await makeHost(t, "again");
  await host.ok("start");
  const before = host.agent().root;
  const sleep = host.spawn(["sleep", "60"]);
  await until("sleep runs", () => host.processes().some((p) => p.title.startsWith("sleep")));
  await host.write("/run/gone", "x");
  await host.rebootAs("boot-2");
  assert.equal((await sleep.ended).status, "SIGKILL");
  assert.equal(fs.existsSync(host.path("/run/gone")), false);
  assert.notEqual(host.agent().root, before);
  assert.equal((await host.read("/etc/isconf/boot-id")).toString(), "boot-2\n");
});

hostTest("a host without power runs nothing and keeps its disk; a new disk is as it was made", async (t) => {
  const host = await makeHost(t, "again", { users: ["ann"] });
  await host.write("/etc/kept", "x");
  await host.off();
  await assert.rejects(host.run(["true"]), /again is off/);
  await host.on();
  assert.ok(host.agent().root);
  assert.equal((await host.read("/etc/kept")).toString(), "x");
  await host.wipe();
  assert.deepEqual([host.agent().root, fs.existsSync(host.path("/etc/kept"))], [undefined, false]);
  assert.equal(await host.sh("hostname; cat /etc/hostname; id -un ann"), "again\nagain\nann");
});

hostTest("nothing of a host stays when its test is killed", async () => {
  const code = `
    import { makeHost } from ${JSON.stringify(new URL("../hosts.ts", import.meta.url).href)};
    const host = await makeHost({ after() {} }, "doomed");
    await host.ok("start");
    const layer = (await host.sh("sed -n 's/.*upperdir=\\\\([^,]*\\\\)\\\\/upper.*/\\\\1/p' /proc/mounts"));
    console.log(host.pid, layer);
    setInterval(() => {}, 1000);
  `;
  const doomed = spawn(process.execPath, ["eval", code], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = await once(doomed.stdout, "data") as [Uint8Array];
    const [pid, layer] = String(line).trim().split(" ") as [string, string];
    assert.ok(fs.existsSync(`/proc/${pid}`) && fs.existsSync(layer), `no host at ${line}`);
    doomed.kill("SIGKILL");
    await until("the holder is gone", () => !fs.existsSync(`/proc/${pid}`));
    await until("its directory is gone", () => !fs.existsSync(layer));
  } finally {
    doomed.kill("SIGKILL");
  }
});
