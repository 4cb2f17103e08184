// doctor: each thing of isconf on a whole host that others could read or change is found, and said what to do about.
import assert from "node:assert/strict";
import { hostTest, makeHost } from "../hosts.ts";

/** What is done to a host, the check that finds it, in which words, and how it is undone. */
const HARM: [harm: string, check: string, words: RegExp, undo: string][] = [
  [
    "chmod 644 /var/lib/isconf/keys/host*",
    "key files",
    /keys\/host\S* can be read or changed/,
    "chmod 600 /var/lib/isconf/keys/*",
  ],
  [
    "chmod 640 /var/lib/isconf/agent.db",
    "databases",
    /agent\.db can be read/,
    "chmod 600 /var/lib/isconf/agent.db",
  ],
  [
    "chmod 666 /etc/isconf/isconf.conf",
    "settings",
    /isconf\.conf can be changed/,
    "chmod 644 /etc/isconf/isconf.conf",
  ],
  [
    "chown alice /etc/isconf/policy.d",
    "settings",
    /policy\.d can be changed/,
    "chown root /etc/isconf/policy.d",
  ],
  [
    "echo nonsense >/etc/isconf/policy.d/z.policy",
    "policy",
    /z\.policy:1: /,
    "rm /etc/isconf/policy.d/z.policy",
  ],
  [
    "chmod 666 /run/isconf/0.sock",
    "sockets",
    /0\.sock is not the socket of user 0 alone/,
    "chmod 600 /run/isconf/0.sock",
  ],
  ["mkdir -p /run/systemd/system", "unit", /systemd knows no isconf/, "rmdir /run/systemd/system"],
  [
    "mkdir -p /run/systemd/system; isconf agent --unit | sed /OOMPolicy/d >/run/systemd/system/isconf.service",
    "unit",
    /isconf\.service is not the unit of this executable/,
    "isconf agent --unit >/run/systemd/system/isconf.service",
  ],
  [
    "chmod 666 /run/systemd/system/isconf.service",
    "unit",
    /isconf\.service can be changed by others/,
    "rm -r /run/systemd/system",
  ],
  ["mount -t tmpfs tmpfs /var/lib/isconf", "disk", /is in memory/, "umount /var/lib/isconf"],
  [
    "mount -t tmpfs -o size=1m tmpfs /var/lib/isconf",
    "disk",
    /only \d+ bytes are free/,
    "umount /var/lib/isconf",
  ],
  [
    "mount -t tmpfs -o nr_inodes=100 tmpfs /var/lib/isconf",
    "disk",
    /room for only \d+ more files/,
    "umount /var/lib/isconf",
  ],
];

hostTest("doctor finds what others could read or change, a broken policy, and a missing unit", async (t) => {
  const host = await makeHost(t, "doctor", { policy: "permit alice\n", users: ["alice"] });
  await host.ok("init", "--branch", "main");
  const findings = async () => {
    const { stdout } = await host.isconf("--json", "doctor");
    return (JSON.parse(stdout) as { findings: { check: string; ok: boolean; text: string; hint: string }[] })
      .findings;
  };
  const first = await findings();
  for (const [harm, check, words, undo] of HARM) {
    assert.equal(first.find((one) => one.check === check)?.ok, true, `${check}: ${JSON.stringify(first)}`);
    await host.sh(harm);
    const found = (await findings()).find((one) => one.check === check);
    assert.equal(found?.ok, false, harm);
    assert.match(found.text, words);
    assert.notEqual(found.hint, "");
    await host.sh(undo);
    assert.equal((await findings()).find((one) => one.check === check)?.ok, true, undo);
  }
});
