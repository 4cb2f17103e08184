// doors: who gets to the agent, and what they may do there. Not the rights of the agent itself (privilege_test.ts).
import assert from "node:assert/strict";
import { type Host, hostTest, makeHost } from "../hosts.ts";

/** Connects to a socket as a user, and says what the kernel said. */
const CONNECT = `use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0);
  print connect($s, sockaddr_un($ARGV[0])) ? "connected" : "$!"`;

async function connectAs(host: Host, uid: number, socket: string): Promise<string> {
  return (await host.run(["perl", "-e", CONNECT, socket], { uid })).stdout;
}

hostTest("a user without permission has no door, and cannot use another's", async (t) => {
  const host = await makeHost(t, "doors", { policy: "permit alice\n", users: ["alice", "bob"] });
  await host.ok("init");
  const [alice, bob] = [Number(await host.sh("id -u alice")), Number(await host.sh("id -u bob"))];
  assert.equal(await host.sh('stat -c "%a %U" /run/isconf'), "711 root");
  assert.equal(await host.sh('stat -c "%a %u" "$1"', `/run/isconf/${alice}.sock`), `600 ${alice}`);
  assert.equal(await host.sh('stat -c "%a %u" /run/isconf/0.sock'), "600 0");

  const refused = await host.run(["isconf", "status"], { uid: bob });
  assert.equal(refused.status, 77, refused.stderr);
  assert.match(refused.stderr, /permit/);
  for (const socket of [`/run/isconf/${alice}.sock`, "/run/isconf/0.sock"]) {
    assert.equal(await connectAs(host, bob, socket), "Permission denied");
  }
  assert.equal(await connectAs(host, alice, `/run/isconf/${alice}.sock`), "connected");
  assert.equal(await connectAs(host, alice, "/run/isconf/0.sock"), "Permission denied");
  assert.notEqual((await host.run(["ls", "/run/isconf"], { uid: bob })).status, 0, "the directory is listed");
}, "perl");

hostTest("a permitted user sees, and changes only with the role", async (t) => {
  const host = await makeHost(t, "roles", { policy: "permit alice\n", users: ["alice"] });
  await host.ok("init", "--branch", "main");
  const uid = Number(await host.sh("id -u alice"));
  const as = (...words: string[]) => host.run(["isconf", ...words], { uid, cwd: "/tmp" });
  assert.equal((await as("status")).status, 0);
  const denied = await as("lock", "may I");
  assert.equal(denied.status, 77);
  assert.match(denied.stderr, /alice@roles has no append role on main/);
  assert.equal((await as("grant", "alice", "append", "main")).status, 77, "alice grants herself a role");

  await host.ok("grant", "alice", "append", "main");
  assert.equal((await as("lock", "now I may")).status, 0);
  assert.equal((await as("exec", "touch", "/etc/by-alice")).status, 0);
  assert.equal(await host.sh("stat -c %U /etc/by-alice"), "root");
  assert.equal((await host.isconf("lock", "root too")).status, 220, "two hold the lock");
  assert.equal((await as("ci")).status, 0);
  const log = JSON.parse((await host.must(["isconf", "--json", "log"])).stdout) as {
    entries: { author: string }[];
  };
  assert.deepEqual(log.entries.map((e) => e.author), ["alice@roles"]);
});

hostTest("who may only get can only get, and who may only put can only put", async (t) => {
  const host = await makeHost(t, "contents", {
    policy: "permit alice do get,cat\npermit bob do put\ndeny bob do get,cat\n",
    users: ["alice", "bob"],
  });
  await host.ok("start");
  const as = async (name: string, ...words: string[]) =>
    await host.run(["isconf", ...words], { uid: await host.uidOf(name), cwd: "/tmp" });
  const { status, stdout, stderr } = await as("bob", "put", "/etc/hostname");
  assert.equal(status, 0, stderr);
  const id = stdout.trim();
  assert.equal((await as("alice", "cat", id)).stdout, await host.sh("cat /etc/hostname") + "\n");
  assert.equal((await as("bob", "get", id, "/tmp/out")).status, 77);
  assert.equal((await as("alice", "put", "/etc/hostname")).status, 77);
});

hostTest("doors come and go with the policy, and with the groups that it names", async (t) => {
  const host = await makeHost(t, "groups", { policy: "permit :ops\n", users: ["alice"] });
  await host.sh("groupadd ops");
  await host.ok("init");
  const uid = await host.uidOf("alice");
  const socket = `/run/isconf/${uid}.sock`;
  const becomes = (words: string) =>
    host.sh(`for i in $(seq 300); do ${words} && exit 0; sleep 0.1; done; exit 1`);
  const isRefused = async () => (await host.run(["isconf", "status"], { uid })).status === 77;
  assert.ok(await isRefused());
  await host.sh("usermod -aG ops alice");
  await becomes(`test -S ${socket}`);
  assert.equal((await host.run(["isconf", "status"], { uid })).status, 0);
  // A connection that is open when somebody loses the way in ends.
  const open = host.run(["perl", "-e", `${CONNECT}; sysread($s, my $b, 1)`, socket], { uid });
  await host.sh("gpasswd -d alice ops");
  await becomes(`test ! -e ${socket}`);
  assert.equal((await open).status, 0);
  assert.ok(await isRefused());
  await host.write("/etc/isconf/policy.d/more.policy", "permit alice do status\n");
  await becomes(`test -S ${socket}`);
  const denied = await host.run(["isconf", "lock", "work"], { uid });
  assert.equal(denied.status, 77);
  assert.match(denied.stderr, /alice may not lock on this host: no line of the policy permits it/);
}, "perl");
