// exec: what the kernel gives an executed command: user, groups, descriptors, environment, signals; on the origin and
// where it is replayed. Not when it runs (up_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { carry, checkIn, EXECUTABLE, type Host, hostTest, makePair, until } from "../hosts.ts";

/** Runs a line as the person would: in a directory, with a umask and an environment of theirs. */
async function typed(host: Host, line: string, env: Record<string, string> = {}): Promise<string> {
  const { status, stdout, stderr } = await host.run(["sh", "-c", line], { env });
  assert.equal(status, 0, `${line}\n${stdout}${stderr}`);
  return stdout;
}

hostTest(
  "a command as another user has exactly their groups, and umask and directory of the caller",
  async (t) => {
    const [a, b] = await makePair(t, { users: ["alice"] });
    for (const host of [a, b]) await host.sh("usermod -aG adm,games alice; mkdir -p -m 1777 /srv/here");
    await a.ok("lock", "who");
    const look =
      "id -u; id -g; id -G; umask; pwd; grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs):' /proc/self/status";
    const line =
      `umask 027; cd /srv/here; isconf exec --as alice sh -c "{ ${look}; } >/tmp/alice.$1; touch /tmp/made"`;
    await typed(a, line.replace("$1", "txt"));
    await a.ok("exec", "--as", "nobody", "sh", "-c", "id -u; id -G >/tmp/nobody.txt");
    await a.ok("ci");
    await carry(a, b);
    await b.ok("up");
    for (const host of [a, b]) {
      const [uid, gid, groups, umask, cwd, ...rights] = (await host.sh("cat /tmp/alice.txt")).split("\n");
      assert.equal(
        `${uid} ${gid} ${groups}`,
        await host.sh('echo $(id -u alice) $(id -g alice) "$(id -G alice)"'),
      );
      assert.equal(groups?.split(" ").length, 3);
      assert.deepEqual([umask, cwd], ["0027", "/srv/here"]);
      for (const right of rights.filter((r) => r.startsWith("Cap"))) assert.match(right, /^Cap...:\t0+$/);
      assert.equal(await host.sh("stat -c '%a %U' /tmp/made"), "640 alice");
      assert.equal(await host.sh("cat /tmp/nobody.txt"), await host.sh("id -G nobody"));
    }
  },
);

hostTest(
  "a command has the descriptors 0, 1 and 2, whatever the agent holds or was started with",
  async (t) => {
    const [a, b] = await makePair(t);
    const hold = "use Socket; my @s; for (1..40) { socket(my $s, AF_UNIX, SOCK_STREAM, 0);" +
      " connect($s, sockaddr_un('/run/isconf/0.sock')) or die $!; push @s, $s } $| = 1; print 'held'; sleep 50";
    const surround = async (host: Host) => {
      await host.isconf("stop");
      await host.must(["bash", "-c", "exec 9</etc/passwd 200</etc/shadow; isconf start"]);
      const holder = host.spawn(["perl", "-e", hold]);
      await until("sockets are held", () => holder.said() === "held");
    };
    const look = ["sh", "-c", "ls /proc/$$/fd; grep -E '^Sig(Blk|Ign)' /proc/$$/status | tr '\\t' ' '"];
    await surround(a);
    await checkIn(a, "descriptors", ["exec", ...look], ["exec", "--as", "nobody", ...look]);
    await carry(a, b);
    await surround(b);
    await b.ok("up");
    for (const host of [a, b]) {
      for (const seq of ["1", "2"]) {
        const said = (await host.ok("show", seq)).split("\noutput\n")[1];
        // Signals over 31 belong to the C library, and nobody resets them.
        assert.match(
          said ?? "",
          /^ {2}0\n {2}1\n {2}2\n {2}SigBlk: 0+\n {2}SigIgn: [0-9a-f]{8}[08]0{7}\n$/,
        );
      }
    }
  },
  "perl",
);

hostTest("a command's environment is built, not passed on", async (t) => {
  const [a, b] = await makePair(t);
  await a.ok("lock", "environment");
  const hostile = {
    LD_PRELOAD: "/tmp/x.so",
    BASH_ENV: "/tmp/x",
    SECRET: "x",
    NODE_OPTIONS: "--inspect",
    TZ: "UTC",
  };
  await typed(a, "unset LD_PRELOAD; isconf exec sh -c 'env >/root/env'", {
    ...hostile,
    LD_PRELOAD: "",
    WANTED: "w",
  });
  await typed(a, "isconf exec --env WANTED sh -c 'env >/root/env2'", { WANTED: "w w" });
  await a.ok("ci");
  await carry(a, b);
  await b.ok("up");
  const expected = (name: string, more: string[]) =>
    [
      "HOME=/root",
      "ISCONF_BRANCH=main",
      `ISCONF_HOST=${name}`,
      "LC_ALL=C.UTF-8",
      "LOGNAME=root",
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "SHELL=/bin/bash",
      "USER=root",
      ...more,
    ].sort();
  for (const host of [a, b]) {
    const read = async (file: string) =>
      (await host.sh('cat "$1"', file)).split("\n").filter((v) => !v.startsWith("PWD=")).sort();
    assert.deepEqual(await read("/root/env"), expected(host.name, ["TZ=UTC"]));
    assert.deepEqual(await read("/root/env2"), expected(host.name, ["WANTED=w w"]));
  }
});

hostTest("a command can open its outputs by name, as scripts do", async (t) => {
  const [a, b] = await makePair(t);
  const echo = ["sh", "-c", "echo one >/dev/stdout; echo two >/dev/stderr"];
  await checkIn(a, "by name", ["exec", ...echo], ["exec", "--as", "nobody", ...echo]);
  await carry(a, b);
  await b.ok("up");
  for (const host of [a, b]) {
    for (const seq of ["1", "2"]) {
      const said = (await host.ok("show", seq)).split("\noutput\n")[1] ?? "";
      assert.deepEqual(said.trim().split(/\s+/).sort(), ["one", "two"]);
    }
  }
});

hostTest("the executable has no setuid bit, where it is built and where it is installed", async (t) => {
  const [a] = await makePair(t);
  assert.equal(fs.statSync(EXECUTABLE).mode & 0o7000, 0);
  assert.equal(await a.sh("stat -c %a /usr/local/sbin/isconf"), "755");
  assert.equal(await a.sh("find /var/lib/isconf /etc/isconf /run/isconf -perm /6000"), "");
});
