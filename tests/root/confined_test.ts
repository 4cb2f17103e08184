// confined: what the net half of a running agent has given up, and what its root half and commands have not. And a net half that
// breaks the rules of the pipe between them, on a whole host. What each is to the kernel otherwise: privilege_test.ts.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { type Host, hostTest, makeHost, until } from "../hosts.ts";

function field(text: string, name: string): string {
  return new RegExp(`^${name}:?\\s+(.*?)\\s*$`, "m").exec(text)?.[1] ?? "?";
}

const threads = (host: Host, pid: number) => {
  const dir = host.path(`/proc/${pid}/task`);
  return fs.readdirSync(dir).map((one) => fs.readFileSync(`${dir}/${one}/status`, "latin1"));
};

hostTest(
  "every thread of the net half has given up what it does not need, its work goes on, and commands lack nothing",
  async (t) => {
    const host = await makeHost(t, "confined");
    await host.ok("init");
    await host.write("/srv/file", "content");
    await host.ok("put", "/srv/file"); // the content thread begins after the rest was given up
    await host.ok("get", "file", "/srv/copy");
    await host.ok("gc");
    await host.ok("fsck");
    const { root, net } = host.agent();
    assert.ok(root && net);
    const all = threads(host, net);
    assert.ok(all.length > 5, "where are its threads?");
    for (const status of all) {
      assert.deepEqual([field(status, "NoNewPrivs"), field(status, "Seccomp")], ["1", "2"]);
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) assert.match(field(status, set), /^0+$/);
    }
    const limits = fs.readFileSync(host.path(`/proc/${net}/limits`), "utf8");
    for (
      const [name, most] of [["Max open files", 16_384], ["Max core file size", 0], [
        "Max locked memory",
        0,
      ]] as const
    ) {
      const [soft, hard] = field(limits, name).split(/\s+/).map(Number);
      assert.ok((soft as number) <= most && (hard as number) <= most, `${name}: ${soft}, ${hard}`);
    }
    // Not even its own user may look into it.
    const uid = Number(await host.sh("id -u _isconf"));
    for (const file of ["environ", "exe", "fd", "mem"]) {
      const script = 'cat "$1" 2>/dev/null || ls "$1/" 2>/dev/null || readlink "$1"';
      const seen = await host.run(["sh", "-c", script, "sh", `/proc/${net}/${file}`], { uid });
      assert.notEqual(seen.status, 0, `${file}: ${seen.stdout}`);
    }
    const doctor = JSON.parse((await host.isconf("--json", "doctor")).stdout) as {
      findings: { check: string; ok: boolean }[];
    };
    assert.equal(doctor.findings.find(({ check }) => check === "net half")?.ok, true);

    // A command is as free as on root's own terminal: it inherits nothing of this.
    await host.ok("lock", "look");
    const said = await host.ok("exec", "cat", "/proc/self/status");
    for (
      const [name, wanted] of [["NoNewPrivs", "0"], [
        "Seccomp",
        field(fs.readFileSync("/proc/self/status", "latin1"), "Seccomp"),
      ]]
    ) {
      assert.equal(field(said, name as string), wanted, `${name}`);
    }
    assert.equal(field(said, "CapBnd"), field(fs.readFileSync("/proc/self/status", "latin1"), "CapBnd"));
    const [soft, hard] = field(await host.ok("exec", "cat", "/proc/self/limits"), "Max open files").split(
      /\s+/,
    ).map(Number);
    assert.ok((soft as number) >= 1024 && (hard as number) >= (soft as number));
  },
);

/** Takes the net half's end of the pipe, as one who has taken it over has it, and writes into it. $1 pid; $2 bytes in hex; $3 times. */
const WRITE = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pidfd = libc.syscall(434, int(sys.argv[1]), 0)
fd = libc.syscall(438, pidfd, 3, 0)
assert fd >= 0, os.strerror(ctypes.get_errno())
block = bytes.fromhex(sys.argv[2]) * 1000
for i in range(int(sys.argv[3])):
    done = 0
    while done < len(block):
        try:
            done += os.write(fd, block[done:])
        except BlockingIOError:
            import time; time.sleep(0.001)
        except OSError:
            sys.exit(0)
`;

hostTest(
  "a net half that writes garbage is killed and another comes; one that floods takes bounded memory; nothing changes",
  async (t) => {
    const host = await makeHost(t, "taken");
    await host.ok("init");
    await host.ok("lock", "before");
    await host.ok("exec", "true");
    await host.ok("ci");
    const journal = () => host.ok("--json", "log");
    const before = await journal();
    const { root, net } = host.agent();
    assert.ok(root && net);
    const write = (pid: number, hex: string, times: number) =>
      host.must(["python3", "-c", WRITE, String(pid), hex, String(times)]);
    const rss = () =>
      Number(/^VmRSS:\s+(\d+) kB/m.exec(fs.readFileSync(host.path(`/proc/${root}/status`), "latin1"))?.[1]) /
      1024;

    // [1, "peer", []] and [1, "roots", "kept"], 50,000 of each, of which nobody takes the answers but the honest half, that knows of none.
    const was = rss();
    for (
      const hex of [
        "0101000000000008" + "8301647065657280",
        "010100000000000d" + "830165726f6f7473646b657074",
      ]
    ) {
      await write(net, hex, 50);
      assert.match(await host.ok("status"), /taken/);
    }
    assert.equal(host.agent().net, net, "noise of the right form is no reason to end");
    assert.ok(rss() - was < 300, `the root half has grown by ${rss() - was} MiB`);
    assert.equal(await journal(), before);

    await host.sh('kill -STOP "$1"', String(net)); // the honest rest of it would end by itself
    await write(net, "0909090909090909", 1);
    await until("it is gone", () => host.agent().net !== net, 20_000);
    await until(
      "another is there",
      async () => host.agent().net !== undefined && (await host.isconf("ls")).status === 0,
      20_000,
    );
    assert.match(
      await host.sh("cat /var/lib/isconf/agent.log"),
      /the net half was cut off: .*frame of version 9.*its process is killed/,
    );
    assert.equal(host.agent().root, root);
    assert.equal(await journal(), before);
    await host.ok("verify");
  },
  "python3",
);
