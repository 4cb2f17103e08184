// unit: the files that systemd is given: that it takes them, that an agent lives with what they make, and that each of its ways to
// confine a service that the unit leaves out has its reason in docs/security.md.
import assert from "node:assert/strict";
import { readmeTable } from "../contract/readme.ts";
import { hostTest, makeHost } from "../hosts.ts";

const security = new URL("../../docs/security.md", import.meta.url);
const UNIT = "/etc/systemd/system/isconf.service";

hostTest(
  "systemd takes the unit, and each setting that it misses there is left out for a written reason",
  async (t) => {
    const host = await makeHost(t, "unit");
    await host.sh(`mkdir -p /etc/systemd/system; isconf agent --unit >${UNIT}`);
    const { stdout, stderr } = await host.must(["systemd-analyze", "verify", "--man=no", UNIT]);
    assert.doesNotMatch(stdout + stderr, /isconf/);
    await host.sh(`sed -i s/^KillMode=mixed/KillMode=mixd/ ${UNIT}`);
    const broken = await host.run(["systemd-analyze", "verify", "--man=no", UNIT]);
    assert.match(broken.stderr, /isconf\.service:\d+: /, "it looks at what is in the file");
    await host.sh(`isconf agent --unit >${UNIT}`);
    const words = ["systemd-analyze", "security", "--offline=true", "--json=short", "--no-pager", UNIT];
    const rows = JSON.parse((await host.must(words)).stdout) as { name: string; exposure: string | null }[];
    const missed = new Set(
      rows.filter((row) => row.exposure !== null).map((row) => row.name.replace(/=.*/, "")),
    );
    assert.ok(missed.size > 20, [...missed].join());
    const table = readmeTable(security, "What the unit leaves out");
    const reasons = new Map(table.map(([name = "", why = ""]) => [name.replaceAll("`", ""), why]));
    for (const name of missed) {
      assert.ok(
        (reasons.get(name) ?? "").length > 10,
        `${name} is neither set nor left out for a reason`,
      );
    }
    for (const name of reasons.keys()) assert.ok(missed.has(name), `${name} is said to be left out`);
  },
  "systemd-analyze",
);

hostTest(
  "systemd makes the user and the directories, and the agent takes them as they are",
  async (t) => {
    const host = await makeHost(t, "files");
    await host.sh(`rm -rf /etc/isconf /run/isconf
    mkdir -p /etc/sysusers.d /etc/tmpfiles.d
    isconf agent --sysusers >/etc/sysusers.d/isconf.conf
    isconf agent --tmpfiles >/etc/tmpfiles.d/isconf.conf
    systemd-sysusers /etc/sysusers.d/isconf.conf
    systemd-tmpfiles --create /etc/tmpfiles.d/isconf.conf`);
    const dirs =
      "/etc/isconf /etc/isconf/policy.d /var/lib/isconf /var/lib/isconf/keys /var/lib/isconf/store /run/isconf /run/isconf/content";
    const look = () => host.sh(`stat -c '%n %a %U %G' ${dirs}`);
    const made = await look();
    assert.equal(made.split("\n").filter((line) => line.endsWith(" _isconf _isconf")).length, 2, made);
    await host.sh(
      "printf 'boot_id_file = /etc/isconf/boot-id\nreboot_command = /bin/true\n' >/etc/isconf/isconf.conf; echo 1 >/etc/isconf/boot-id",
    );
    const before = await host.sh("getent passwd _isconf");
    assert.match(before, /:\/nonexistent:\/usr\/sbin\/nologin$/);
    await host.ok("init");
    await host.ok("ls");
    assert.equal(await look(), made, "the agent has changed them");
    assert.equal(await host.sh("getent passwd _isconf"), before);
    assert.doesNotMatch(await host.sh("cat /var/lib/isconf/agent.log"), /made the user|runs as root/);
    const { findings } = JSON.parse((await host.isconf("--json", "doctor")).stdout) as {
      findings: { check: string; ok: boolean }[];
    };
    for (
      const check of [
        "state directory",
        "run directory",
        "key files",
        "settings",
        "separate user",
        "net half",
      ]
    ) {
      assert.equal(findings.find((one) => one.check === check)?.ok, true, check);
    }
  },
  "systemd-sysusers",
  "systemd-tmpfiles",
);
