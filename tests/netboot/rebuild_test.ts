// Rebuild on the wire: a machine whose host is to be rebuilt is given the installer once, and its own disk again when it has said that it is
// installed; with the executable on two hosts. The whole way of an installation is in tests/machines.
import assert from "node:assert/strict";
import { until } from "../holder.ts";
import { Ends, EXECUTABLE, makeHost } from "../hosts.ts";
import { lanTest } from "./lan.ts";

const ADDRESS = "10.78.0.9", MAC = "52:54:00:4e:00:07";
const needs = { programs: ["curl"], files: [EXECUTABLE], timeoutMs: 240_000 };

lanTest(
  "a host that is to be rebuilt is installed once, from the network, and evicted when it is let in again",
  needs,
  async (lan) => {
    const owner = new Ends();
    try {
      const boots = await makeHost(owner, "boots", {
        network: lan.networkOf("boots", "02:00:0a:4e:00:09", ADDRESS),
      });
      const web = await makeHost(owner, "web", {
        network: lan.networkOf("web", "02:00:0a:4e:00:0a", "10.78.0.10"),
      });
      await boots.ok("init", "--host", "boots");
      const join = JSON.parse((await boots.must(["isconf", "--json", "token", "--approve"])).stdout).token;
      await web.ok("join", "--host", "web", join);
      const open = JSON.parse((await boots.must(["isconf", "--json", "token", "--open"])).stdout).token;
      await boots.write("/srv/boot/vmlinuz", "a kernel");
      await boots.ok("put", "--label", "boot/installer", "/srv/boot");
      await boots.write(
        "/etc/isconf/netboot.d/new.profile",
        `for = any\nkernel = boot/installer:vmlinuz\njoin = ${open}\ninstall = images/base\n`,
      );
      await boots.write("/etc/isconf/netboot.d/web.profile", `for = ${MAC}\nboot = disk\n`);
      await boots.ok("netboot", "on", "eth0");
      const url = `http://${ADDRESS}:8480/boot/${MAC}`;
      const script = () => lan.must("client", ["curl", "-fsS", `${url}/bios.ipxe`]);
      await lan.must("client", ["ip", "address", "replace", "10.78.0.3/24", "dev", "eth0"]);
      assert.doesNotMatch(await script(), /isconf\./, "its own disk");

      const unknown = await boots.isconf("rebuild", "web");
      assert.match(unknown.stderr, /it is not known which machine is web[^]*isconf rebuild web --mac MAC/);
      assert.match(
        await boots.ok("rebuild", "web", "--mac", MAC),
        /web, the machine 52:54:00:4e:00:07, is made anew out of images\/base and along main when it boots from the network next/,
      );
      await until(
        "it is given the installer",
        async () => (await script()).includes("isconf.wipe=yes"),
        20_000,
      );
      const words = await script();
      assert.match(words, / isconf\.host=web .*isconf\.image=images\/base isconf\.wipe=yes/);
      assert.ok(
        !words.includes(open),
        "not with the token of the profile, which may be for another branch or too old",
      );
      assert.match(await boots.ok("rebuild"), /^web +52:54:00:4e:00:07 +main +images\/base +until /m);
      await boots.ok("restart");
      assert.match(await boots.ok("boot", "show", MAC), /rebuild-web/, "over a restart");

      // The machine with its emptied disk is another host, of the same name.
      const anew = await makeHost(owner, "anew", {
        network: lan.networkOf("anew", "02:00:0a:4e:00:0b", "10.78.0.11"),
      });
      const token = /isconf\.join=(\S+)/.exec(words)![1]!;
      const joining = anew.spawn(["isconf", "join", "--host", "web", token]);
      let mark = "";
      await until(
        "it asks",
        () => (mark = /([0-9a-f]{4}(?:-[0-9a-f]{4}){3})/.exec(joining.said())?.[1] ?? "") !== "",
        30_000,
      );
      await until("it waits", async () => (await boots.ok("hosts")).includes(mark), 30_000);
      assert.match((await boots.isconf("approve", mark)).stderr, /another host is called web[^]*--replace/);
      await boots.ok("approve", "--replace", mark);
      await joining.ended;
      await lan.must("client", ["curl", "-fsS", "-d", "installed /dev/vda", `${url}/log`]);
      await until("it boots from its disk again", async () => !(await script()).includes("isconf."), 30_000);
      assert.match((await boots.isconf("rebuild")).stderr, /no host is to be rebuilt/);
      assert.match(await boots.ok("hosts"), /web .*evicted/);
      assert.notEqual((await web.isconf("lock", "once more")).status, 0, "the old one is out");
    } finally {
      await owner.end();
    }
  },
);
