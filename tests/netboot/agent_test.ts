// The agent as a boot server: switched on and off by a verb, what machines get out of its store and by its profiles, and what it tells of them. With
// the executable on a host of its own, beside a real dnsmasq, and an emulated machine that boots from it.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { until } from "../holder.ts";
import { Ends, EXECUTABLE, type Host, makeHost } from "../hosts.ts";
import { cpio, sayAndTurnOff } from "./initramfs.ts";
import { type Lan, lanTest, told, udhcpc } from "./lan.ts";
import { boot, kernelPath, LINE, MAC } from "./machine.ts";

const ADDRESS = "10.78.0.9";
const LOADER = "/usr/lib/ipxe/undionly.kpxe";
const needs = {
  programs: ["qemu-system-x86_64", "dnsmasq", "curl", "tftp"],
  files: [EXECUTABLE, LOADER, kernelPath()],
  timeoutMs: 300_000,
};

/** Runs with a host that is plugged into the network. */
async function withHost(lan: Lan, fn: (host: Host) => Promise<void>): Promise<void> {
  const owner = new Ends();
  try {
    const host = await makeHost(owner, "bootsrv", {
      network: lan.networkOf("agent", "02:00:0a:4e:00:09", ADDRESS),
    });
    await fn(host);
  } finally {
    await owner.end();
  }
}

/** What machines get: this machine's kernel, and a program that says a line. */
async function fill(host: Host): Promise<void> {
  const console = { name: "dev/console", mode: 0o20600, device: [5, 1] as [number, number] };
  const init = { name: "init", mode: 0o100755, bytes: sayAndTurnOff(LINE) };
  await host.write("/srv/boot/initrd", await cpio([{ name: "dev", mode: 0o40755 }, console, init]));
  await host.write("/srv/boot/vmlinuz", fs.readFileSync(kernelPath()));
  await host.ok("put", "--label", "boot/linux", "/srv/boot");
  await host.write(
    "/etc/isconf/netboot.d/10-one.profile",
    `# the machine of this test\nfor = ${MAC}\nkernel = boot/linux:vmlinuz\ninitrd = boot/linux:initrd\nargs = console=ttyS0,115200 panic=-1 quiet\n`,
  );
}

lanTest(
  "a machine boots what its profile says out of the store, and boot log tells how far it has come",
  needs,
  async (lan) => {
    await lan.site();
    await withHost(lan, async (host) => {
      await host.ok("start");
      await fill(host);
      const on = await host.ok("netboot", "on", "eth0");
      assert.match(on, /eth0 +beside the network's DHCP server +HTTP on port 8480/);
      assert.match(on, /1 profiles/);
      const { net } = host.agent();
      const status = await host.sh(`grep -E '^(Uid|CapEff|CapPrm|NoNewPrivs|Seccomp):' /proc/${net}/status`);
      assert.match(
        status,
        /CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2/,
      );
      const root = await host.sh(
        `ls -l /proc/${host.agent().root}/fd | grep -c socket: || true; ss -lunp | grep -c 'isconf: agent' || true`,
      );
      assert.match(root, /\n0$/, "the root half listens to nothing");
      await boot(lan, "bios");
      const log = await host.ok("boot", "log");
      for (const step of ["offered", "script", "kernel", "initrd"]) {
        assert.match(log, new RegExp(`${MAC} +${step}`), log);
      }
      assert.match(log, new RegExp(`${MAC} +kernel +100%`));
      const { notes } = JSON.parse((await host.isconf("--json", "boot", "log")).stdout);
      assert.ok(notes.length >= 4);
      assert.match(await host.ok("boot", "show", MAC), /10-one[^]*boot\/linux:vmlinuz/);
      const other = await host.isconf("boot", "show", "52:54:00:00:00:99");
      assert.match(other.stderr, /no profile is for 52:54:00:00:00:99: it is offered nothing/);

      await host.kill9Agent();
      await host.ok("start");
      await until(
        "it listens again",
        async () => (await host.sh("ss -lun | grep -c ':69 ' || true")) === "1",
      );
      assert.match(await host.ok("netboot"), /eth0 +beside/);
      assert.match(await host.ok("netboot", "off", "eth0"), /no machine is booted from here/);
      assert.equal(await host.sh("ss -lun | grep -cE ':(67|69|4011) ' || true"), "0");
    });
  },
);

lanTest("what is wrong is said, and nothing is switched on then", needs, async (lan) => {
  await withHost(lan, async (host) => {
    await host.ok("start");
    const refused: [words: string[], why: RegExp][] = [
      [["on", "nope0"], /nope0 is no interface of this host with an IPv4 address/],
      [["on", "a/b"], /is no interface/],
      [["on"], /needs an interface/],
      [["off", "eth0"], /no machine is booted on eth0/],
      [["on", "eth0", "--dhcp", "10.78.0.100"], /is no range/],
      [["on", "eth0", "--dhcp", "10.79.0.100-10.79.0.110"], /is not in the network of 10.78.0.9/],
      [["on", "eth0", "--dhcp", "10.78.0.110-10.78.0.100"], /1 to 4096 addresses/],
      [["on", "eth0", "--router", "10.78.0.1"], /go with --dhcp/],
      [["on", "eth0", "--port", "80"], /a port from 1024/],
      [
        ["on", "eth0", "--dhcp", "10.78.0.100-10.78.0.110", "--router", "10.9.0.1"],
        /10\.9\.0\.1 is not in the network/,
      ],
      [
        ["on", "eth0", "--dhcp", "10.78.0.100-10.78.0.110", "--dns", "$(reboot)"],
        /\$\(reboot\) is no address/,
      ],
      [["on", "eth0", "--dhcp", "10.78.0.100-10.78.0.110", "--lease", "5"], /a lease lasts 60 to/],
    ];
    for (const [words, why] of refused) {
      const { status, stderr } = await host.isconf("netboot", ...words);
      assert.notEqual(status, 0, words.join(" "));
      assert.match(stderr, why, words.join(" "));
    }
    await host.write("/etc/isconf/netboot.d/x.profile", "kernel = a\n");
    assert.match((await host.isconf("netboot", "on", "eth0")).stderr, /x: it says for which machines/);
    await host.sh("rm /etc/isconf/netboot.d/x.profile");
    const taken = host.spawn([
      "python3",
      "-c",
      "import socket,time\ns=socket.socket(2,2);s.bind(('10.78.0.9',69));print('bound',flush=True);time.sleep(60)",
    ]);
    await until("the port is taken", () => taken.said().includes("bound"));
    const busy = await host.isconf("netboot", "on", "eth0");
    assert.match(busy.stderr, /no machine can be booted on eth0: its ports could not be had/);
    assert.match(await host.ok("netboot"), /no machine is booted from here/);
    const holder = host.processes().find(({ title }) => title.startsWith("python3"));
    await host.sh(`kill ${holder?.pid}`);
    await taken.ended;
    const site = await lan.site();
    const other = await host.isconf("netboot", "on", "eth0", "--dhcp", "10.78.0.100-10.78.0.110");
    assert.match(other.stderr, /10\.78\.0\.2/, `${other.stdout}${other.stderr}`);
    await site.stop();
    assert.match(
      await host.ok("netboot", "on", "eth0", "--dhcp", "10.78.0.100-10.78.0.110"),
      /gives 10.78.0.100 to 10.78.0.110/,
    );
    await lan.must("client", udhcpc(lan, "-q"));
    const [, first] = /^ip=(10\.78\.0\.1[01][0-9])$/m.exec(told(lan)) ?? [];
    assert.ok(first, told(lan));
    await host.kill9Agent();
    await host.ok("start");
    const begun = async () =>
      JSON.parse((await host.isconf("--json", "netboot")).stdout).places[0].why === "";
    await until("it has looked for other servers again", begun);
    fs.rmSync(`${lan.dir}/told`);
    await lan.must(
      "client",
      udhcpc(lan, "-q", "-r", first === "10.78.0.110" ? "10.78.0.109" : "10.78.0.110"),
    );
    assert.match(told(lan), new RegExp(`^ip=${first}$`, "m"), "the lease has outlived the agent");

    await host.ok("stop");
    await host.sh("echo '[{' > /var/lib/isconf/netboot.json");
    await host.ok("start");
    const broken = await host.isconf("netboot");
    assert.equal(broken.status, 226, broken.stderr);
    assert.match(broken.stderr, /netboot\.json does not say where machines are booted[^]*rm /);
    await host.sh("rm /var/lib/isconf/netboot.json");
    assert.match(await host.ok("netboot", "on", "eth0"), /eth0 +beside/);
  });
});
