// preview, apart: what a previewed command cannot reach although it is root: keys, the agent, other processes, devices, the kernel,
// the network; and who may preview what. What it may change is in preview_test.ts.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { type Host, hostTest, makeHost, until } from "../hosts.ts";

/** Runs a script of sh in a preview, which must end 0, and returns what it wrote, without the list. */
async function inside(host: Host, script: string, ...options: string[]): Promise<string> {
  const words = ["--json", "preview", ...options, "exec", "sh", "-uc", script];
  const { status, stderr } = await host.run(["isconf", ...words]);
  assert.equal(status, 0, stderr);
  return stderr; // with --json stdout is the list's
}

/** Runs lines each of which must fail in a preview; what of them did not. */
async function possible(host: Host, lines: string[]): Promise<string[]> {
  const each = lines.map((line, i) => `(${line}) >/dev/null 2>&1 && echo ${i}`);
  const said = await inside(host, `${each.join("\n")}\ntrue`);
  return said.split("\n").filter((n) => n !== "").map((n) => lines[Number(n)] ?? n);
}

hostTest("a previewed command reaches neither keys nor agent, wherever they can be seen", async (t) => {
  const host = await makeHost(t, "hidden", { flat: true });
  await host.ok("init");
  // The same directory at two other places, whole and in part.
  await host.sh(`mkdir /srv/all /srv/keys /srv/over
    mount --bind /var/lib /srv/all; mount --bind /var/lib/isconf/keys /srv/keys
    mkdir -p /srv/over/isconf; mount -t tmpfs over /srv/over/isconf; mkdir /srv/over/isconf/seen`);
  assert.match(await host.sh("ls /srv/all/isconf/keys /srv/keys"), /host\.key[^]*host\.key/);
  const said = await inside(
    host,
    "find / -path /proc -prune -o \\( -name host.key -o -name agent.db -o -name '*.sock' \\) -print; ls -d /srv/over/isconf/seen",
  );
  assert.equal(said, "/srv/over/isconf/seen\n");
  for (const dir of ["/var/lib/isconf", "/srv/all/isconf", "/srv/keys"]) {
    assert.equal(await inside(host, `ls -A ${dir}; touch ${dir}/x 2>/dev/null || echo no`), "no\n", dir);
  }
  assert.deepEqual(
    await possible(host, [
      "isconf status",
      "cat /proc/1/root/var/lib/isconf/keys/host.key",
      "ls /proc/1/fd/3",
      "cat /proc/1/environ",
    ]),
    [],
  );
});

hostTest(
  "a previewed command reaches no other process, device, mount or setting of the kernel",
  async (t) => {
    const host = await makeHost(t, "apart", { flat: true });
    await host.ok("start");
    const other = host.spawn(["sleep", "98"]);
    await until("another process runs", () => host.processes().some(({ title }) => title === "sleep\x0098"));
    const mounts = await host.sh("cat /proc/mounts");
    await inside(host, "kill -9 -1; true");
    const seen = await inside(host, "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done");
    assert.doesNotMatch(seen, /sleep 98|isconf: agent/);
    assert.ok(host.processes().some(({ title }) => title === "sleep\x0098"));
    assert.ok(host.agent().root && host.agent().net);
    other.child.kill("SIGKILL");

    const [disk = ""] = fs.readdirSync("/sys/class/block");
    assert.ok(disk !== "", "this machine has no disk to reach");
    const numbers = fs.readFileSync(`/sys/class/block/${disk}/dev`, "utf8").trim().replace(":", " ");
    assert.deepEqual(
      await possible(host, [
        `mknod /srv/disk b ${numbers}; head -c 1 /srv/disk`,
        "mknod /srv/mem c 1 1; head -c 1 /srv/mem",
        "mknod /srv/null c 1 3; : >/srv/null",
        "mknod /dev/made c 1 3",
        "mknod /dev/shm/null c 1 3; : >/dev/shm/null",
        "mknod /run/null c 1 3; : >/run/null",
        "mknod /tmp/null c 1 3; : >/tmp/null",
        "mount -t tmpfs tmpfs /mnt",
        "mount -o remount,dev /",
        "mount -o remount,rw /dev",
        "umount /proc",
        "unshare -m true",
        "unshare -Urm mount -o remount,dev,bind /",
        "nsenter -t 1 -m true",
        "nsenter -t 1 -p true",
        "ls /proc/1/root/",
        'was=$(cat /proc/sys/kernel/core_pattern); echo "$was" >/proc/sys/kernel/core_pattern',
        "echo h >/proc/sysrq-trigger",
        "was=$(cat /proc/sys/vm/swappiness); echo $was >/proc/sys/vm/swappiness",
        "for f in $(find /sys/kernel/mm -name '*millisecs'); do was=$(cat $f); echo $was >$f && exit; done; false",
        'date -s "$(date)"',
        "hostname other",
        "chroot /proc/1/root true",
        "strace -p 1 -o /dev/null & sleep 0.3; kill -0 $!",
      ]),
      [],
    );
    // What must go, so that what does not go means something.
    assert.deepEqual(
      (await possible(host, [
        "mknod /srv/made c 1 3",
        "chown 1:1 /etc/hosts",
        ": >/dev/null",
        "head -c 1 /dev/urandom",
      ])).length,
      4,
    );
    assert.equal(await host.sh("cat /proc/mounts"), mounts);
    assert.equal(await host.sh("hostname"), "apart");
  },
  "strace",
);

hostTest(
  "a previewed command has no network unless it is asked for",
  async (t) => {
    const host = await makeHost(t, "cut-off", { flat: true });
    await host.sh("ip link set lo up");
    await host.ok("start");
    const serve =
      "$s = IO::Socket::INET->new(LocalAddr => '127.0.0.1:7', Listen => 5, ReuseAddr => 1) or die; $| = 1; print 'up';" +
      " while ($c = $s->accept) { print $c 'hello'; close $c }";
    const server = host.spawn(["perl", "-MIO::Socket::INET", "-e", serve]);
    await until("somebody listens", () => server.said() === "up");
    const call =
      "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => \"127.0.0.1:7\", Timeout => 2) or exit 3; print <$s>'";
    assert.equal(await inside(host, `${call}; echo $?`), "3\n");
    assert.equal(await inside(host, `${call}; echo`, "--network"), "hello\n");
    server.child.kill("SIGKILL");
  },
  "perl",
  "ip",
);

hostTest("who may not exec may not preview, and learns nothing by it", async (t) => {
  const policy = [
    "permit alice do exec cmd /usr/bin/touch args /srv/hers",
    "permit alice do exec cmd /usr/local/sbin/edit",
    "deny alice do preview cmd /usr/bin/id",
    "permit bob do status",
    "permit carol do preview cmd /usr/bin/touch args /srv/hers",
    "permit dora do exec as dora",
  ].join("\n");
  const users = ["alice", "bob", "carol", "dora"];
  const host = await makeHost(t, "judged", { flat: true, users, policy: `${policy}\n` });
  await host.write(
    "/usr/local/sbin/edit",
    "#!/bin/sh\necho line >>/etc/shadow; echo line >>/etc/hosts; mkdir -m 700 /srv/x; echo x >/srv/x/y\n",
    0o755,
  );
  await host.sh(
    "mkdir -m 700 /srv/closed; echo old >/srv/closed/open; echo 'echo new >>/srv/closed/open' >>/usr/local/sbin/edit",
  );
  await host.ok("start");
  const as = async (user: string, ...words: string[]) =>
    await host.run(["isconf", ...words], { uid: await host.uidOf(user) });
  const touch = ["exec", "/usr/bin/touch", "/srv/hers"];
  for (const user of ["alice", "carol"]) {
    const { status, stdout } = await as(user, "preview", ...touch);
    assert.deepEqual([status, /^\+ \/srv\/hers {2}file/.test(stdout)], [0, true], user);
  }
  const denied: [string, string[]][] = [
    ["bob", ["preview", ...touch]],
    ["alice", ["preview", "exec", "/usr/bin/touch", "/srv/other"]],
    ["alice", ["preview", "exec", "/usr/bin/id"]],
    ["alice", ["preview", "exec", "--as", "bob", "/usr/bin/touch", "/srv/other"]],
    ["dora", ["preview", "exec", "/usr/bin/touch", "/srv/hers"]],
    ["carol", ["exec", "/usr/bin/touch", "/srv/hers"]],
  ];
  for (const [user, words] of denied) {
    const { status, stdout, stderr } = await as(user, ...words);
    assert.deepEqual([status, stdout], [77, ""], `${user} ${words.join(" ")}`);
    assert.match(stderr, new RegExp(`^isconf ${words[0]}: ${user} may not`));
  }
  assert.equal((await as("dora", "preview", "exec", "--as", "dora", "id", "-un")).stdout, "dora\n");
  assert.equal(
    (await as("alice", "policy", "why", "preview", "exec", "/usr/bin/touch", "/srv/hers")).status,
    0,
  );
  assert.equal(
    (await as("bob", "policy", "why", "preview", "exec", "/usr/bin/touch", "/srv/hers")).status,
    77,
  );

  const edited = JSON.parse((await as("alice", "--json", "preview", "exec", "/usr/local/sbin/edit")).stdout);
  const of = (path: string) => edited.changes.find((c: { path: string }) => c.path === path);
  for (const path of ["/etc/shadow", "/srv/closed/open"]) {
    assert.deepEqual([of(path)?.diff, of(path)?.noDiff], [undefined, "not everybody may read it"], path);
  }
  assert.match(of("/etc/hosts")?.diff, /\+line/);
  const rootSees = JSON.parse((await host.isconf("--json", "preview", "exec", "edit")).stdout);
  assert.match(rootSees.changes.find((c: { path: string }) => c.path === "/etc/shadow").diff, /\+line/);
});
