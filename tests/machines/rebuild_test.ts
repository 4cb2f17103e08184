// rebuild --check: a twin of a host is made anew in an emulated machine and compared with it: the same but for what no entry of the branch
// brought there. Without KVM it takes a few minutes.
import assert from "node:assert/strict";
import { checkIn, Ends, EXECUTABLE, makeHost } from "../hosts.ts";
import { lanTest } from "../netboot/lan.ts";
import { needShape } from "../shapes.ts";
import { debian, MINUTE } from "./debian.ts";

const needs = {
  programs: ["qemu-system-x86_64", "mmdebstrap", "dpkg-deb"],
  files: [EXECUTABLE],
  timeoutMs: 30 * MINUTE,
};

lanTest(
  "a twin is made of an image and the branch, and what no entry brought to the host is told",
  needs,
  async (lan) => {
    const owner = new Ends();
    try {
      const root = await debian("twin");
      const boots = await makeHost(owner, "boots", {
        network: lan.networkOf("boots", "02:00:0a:4e:00:09", "10.78.0.9"),
      });
      const web = await makeHost(owner, "web", {
        lower: root,
        conf: null,
        network: lan.networkOf("web", "02:00:0a:4e:00:0a", "10.78.0.10"),
      });
      const slow = { timeoutMs: 20 * MINUTE };
      await boots.ok("init", "--host", "boots");
      await boots.must(["isconf", "image", "capture", "--root", root, "images/base"], slow);
      await boots.ok("lock", "greet");
      await boots.write("/srv/greeting", "hello\n");
      await boots.ok("snap", "/srv/greeting");
      await boots.ok("exec", "sh", "-c", "echo ran >/srv/ran; chmod 640 /srv/ran");
      await boots.ok("ci");
      const { token } = JSON.parse((await boots.must(["isconf", "--json", "token", "--approve"])).stdout);
      await web.ok("join", "--host", "web", token);
      await web.ok("up");
      await boots.ok("grant", "root@web", "publish", "@domain");
      await web.sh("echo by hand >/srv/greeting; rm /srv/ran; echo own >/srv/own");
      await web.must(["isconf", "image", "capture", "--passwords", "images/main-2"], slow);

      const words = ["--image", "images/base", "--against", "images/main-2", "--except", "/var/lib/systemd"];
      const { status, stdout } = await boots.run(["isconf", "--json", "rebuild", "--check", ...words], slow);
      const result = JSON.parse(stdout);
      needShape("CheckResult", result);
      assert.deepEqual([status, result.branch, result.at, result.isMore], [1, "main", 2, false]);
      // What tests put into a host, and take out of it.
      const ours = /^\/(etc\/isconf|usr\/local)\//;
      assert.deepEqual(result.differences.filter(({ path }: { path: string }) => !ours.test(path)), [
        { path: "/srv/greeting", change: "changed", what: ["content"] },
        { path: "/srv/own", change: "removed", what: [] },
        { path: "/srv/ran", change: "added", what: [] },
      ]);
      assert.deepEqual(JSON.parse((await boots.isconf("--json", "vm", "list")).stdout).machines, []);
      assert.match(await boots.ok("hosts"), /^twin-[0-9a-f]{8} .*evicted/m);
      assert.doesNotMatch(await boots.ok("ls"), /twin-/);
    } finally {
      await owner.end();
    }
  },
);

lanTest(
  "a host is compared with its own twin: files that no entry brought, and nothing else",
  needs,
  async (lan) => {
    const owner = new Ends();
    try {
      const host = await makeHost(owner, "web", {
        lower: await debian("own", "qemu-system-x86"),
        network: lan.networkOf("web", "02:00:0a:4e:00:0a", "10.78.0.10"),
      });
      const slow = { timeoutMs: 20 * MINUTE };
      await host.ok("init", "--host", "web");
      await host.must(["isconf", "image", "capture", "--passwords", "images/base"], slow);
      await checkIn(host, "greet", ["exec", "sh", "-c", "echo ran >/srv/ran"]);
      await host.sh("echo own >/srv/own");
      const shelf = await host.ok("ls");
      // What systemd, and the unit of isconf, do at the first start of a machine: this host has none of its own.
      const first = ["/var/lib/systemd", "/etc/systemd/system", "/etc/isconf/policy.d"];
      const words = ["--image", "images/base", ...first.flatMap((one) => ["--except", one])];
      const { status, stdout, stderr } = await host.run(["isconf", "rebuild", "--check", ...words], slow);
      assert.equal(stdout, "- /srv/own\n", stderr);
      assert.match(stderr, /the twin at entry 1 of main has 1 differences/);
      assert.equal(status, 1);
      assert.equal(await host.ok("ls"), shelf);
      assert.match(await host.ok("hosts"), /^twin-[0-9a-f]{8} .*evicted/m);
    } finally {
      await owner.end();
    }
  },
);
