// record: what is on record of commands on whole hosts, with real users, terminals, and something in journald's place. Not what is
// kept of each (agent/executions_test.ts).
import assert from "node:assert/strict";
import { type Host, hostTest, makeHost, until } from "../hosts.ts";

/** Takes journald's place: appends the length and the bytes of each datagram to a file. */
const JOURNALD = `use Socket; mkdir "/run/systemd"; mkdir "/run/systemd/journal";
  socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, sockaddr_un("/run/systemd/journal/socket")) or die "$!";
  open(my $f, ">>", "/tmp/datagrams"); $f->autoflush(1); $| = 1; print "listens";
  while (defined recv($s, my $b, 1 << 20, 0)) { print $f pack("N", length $b) . $b }`;

/** The fields of each message so far, in the form in which their lengths are said. */
async function messages(host: Host): Promise<Record<string, string>[]> {
  const bytes = await host.read("/tmp/datagrams");
  const all: Record<string, string>[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + bytes.readUInt32BE(at);
    const fields: Record<string, string> = {};
    for (at += 4; at < end;) {
      const name = bytes.toString("latin1", at, bytes.indexOf("\n", at));
      const from = at + name.length + 1;
      const length = Number(bytes.readBigUInt64LE(from));
      fields[name] = bytes.toString("utf8", from + 8, from + 8 + length);
      at = from + 8 + length + 1;
    }
    all.push(fields);
  }
  return all;
}

const POLICY =
  "permit alice do lock,log,show,status\npermit alice as root do exec cmd /usr/bin/id\npermit bob do status\n";

hostTest(
  "what a user has run, and was refused, is told to journald, and kept for them and for root",
  async (t) => {
    const host = await makeHost(t, "record", { policy: POLICY, users: ["alice", "bob"] });
    const journald = host.spawn(["perl", "-MIO::Handle", "-e", JOURNALD]);
    await until("something listens in journald's place", () => journald.said() === "listens");
    await host.ok("init", "--branch", "main");
    await host.ok("grant", "alice", "append", "main");
    const [alice, bob] = [await host.uidOf("alice"), await host.uidOf("bob")];
    const cwd = "/tmp/a\n\u001b[2J\u009b";
    await host.sh('mkdir "$1"', cwd);
    const as = (uid: number, ...words: string[]) => host.run(["isconf", ...words], { uid, cwd });
    assert.equal((await as(alice, "lock", "why")).status, 0);
    const { status, stderr } = await as(alice, "exec", "id", "-u", "\u001b]0;x\u0007");
    assert.deepEqual([status, stderr.includes("id: ")], [1, true]);
    // A terminal of the user's own, which script(1) makes: nobody says so, the agent sees it.
    const typed = await host.run(["script", "-qec", "isconf exec id -u", "/dev/null"], { uid: alice, cwd });
    assert.match(typed.stdout, /^0\r?\n$/);
    assert.equal((await as(alice, "exec", "rm", "-rf", "/srv")).status, 77);
    assert.equal((await as(bob, "exec", "id")).status, 77);

    const told = await messages(host);
    assert.deepEqual(told.map((one) => `${one.ISCONF_EVENT} ${one.ISCONF_USER} ${one.ISCONF_ARGV}`), [
      "begun alice id -u $'\\x1b]0;x\\x07'",
      "ended alice id -u $'\\x1b]0;x\\x07'",
      "begun alice id -u",
      "ended alice id -u",
      "refused alice /usr/bin/rm -rf /srv",
      "refused bob /usr/bin/id",
    ]);
    for (const one of told) for (const text of Object.values(one)) assert.doesNotMatch(text, /\p{Cc}/u);
    const [, failed, begun, , refused] = told as [object, ...Record<string, string>[]];
    assert.equal(failed?.ISCONF_STATUS, "1");
    assert.equal(begun?.ISCONF_RULE, "site.policy:2: permit alice as root do exec cmd /usr/bin/id");
    assert.match(begun?.ISCONF_CALLER_TTY ?? "", /^pts\/[0-9]+$/);
    assert.match(begun?.ISCONF_CALLER_CWD ?? "", /^\/tmp\/a\\n\\x1b\[2J/);
    assert.deepEqual([begun?.ISCONF_AS, begun?.ISCONF_PERSON, begun?.ISCONF_FILE], [
      "root",
      "alice@record",
      "/usr/bin/id",
    ]);
    assert.equal(failed?.ISCONF_CALLER_TTY, undefined);
    assert.deepEqual([refused?.PRIORITY, refused?.ISCONF_WHY], ["4", "no line of the policy permits it"]);
    assert.equal(
      await host.sh("ls /var/lib/isconf/ | grep -c commands || true"),
      "0",
      "there is a file beside journald",
    );

    const list = async (uid: number) => (await as(uid, "log", "--here")).stdout;
    assert.match(
      await list(alice),
      /^1 .* alice as root {2}failed 1 {2}exec {2}id -u \$'\\x1b\]0;x\\x07'\n2 .*\n3 .*refused/,
    );
    assert.doesNotMatch(await list(alice), /bob|\u001b/);
    assert.equal((await as(alice, "show", "--here", "4")).status, 2);
    const shown = await host.ok("show", "--here", "4");
    assert.match(
      shown,
      /^command +4, by exec\nuser +bob, uid [0-9]+\nfrom +pid [0-9]+, in \/tmp\/a\\n\\x1b\[2J/,
    );
    assert.match(
      await host.ok("show", "--here", "2"),
      /\npolicy +site\.policy:2: .*\n(.*\n)+output\n {2}0\n$/,
    );
  },
  "perl",
  "script",
);

hostTest("a command cannot touch its record; what root does to it, log --verify says", async (t) => {
  const host = await makeHost(t, "verified", { policy: "permit alice\n", users: ["alice"] });
  await host.ok("init", "--branch", "main");
  await host.ok("grant", "alice", "append", "main");
  const alice = await host.uidOf("alice");
  const as = (...words: string[]) => host.run(["isconf", ...words], { uid: alice, cwd: "/tmp" });
  assert.equal((await as("lock", "why")).status, 0);
  const touch =
    "cd /var/lib/isconf; for f in agent.db agent.db-wal agent.db-shm commands.log; do rm -f $f; mv $f x; true >$f; echo x >>$f; cat $f; done; ls";
  const tried = await as("exec", "--as", "nobody", "sh", "-c", `{ ${touch}; } 2>/dev/null; :`);
  assert.deepEqual([tried.status, tried.stdout], [0, ""]);
  await as("exec", "sh", "-c", "echo 'password: hunter2'", "--token=hunter2");
  assert.match(await host.ok("log", "--verify"), /^2 commands and refusals are as they were recorded\n$/);
  assert.equal((await as("log", "--verify")).stdout, "2 commands and refusals are as they were recorded\n");
  const told =
    (await host.sh("tail -n 1 /var/lib/isconf/commands.log")).match(/"ISCONF_CHAIN":"([0-9a-f]{64})"/)?.[1] ??
      "";
  await host.ok("log", "--verify", "--chain", told);
  assert.equal(
    await host.sh("cat /var/lib/isconf/commands.log; isconf show --here 2; isconf --json log --here").then((
      all,
    ) => all.includes("hunter2")),
    false,
  );
  const edit = async (sql: string) => {
    await host.ok("stop");
    await host.must(["sqlite3", "/var/lib/isconf/agent.db", sql]);
    await host.ok("start");
    return await host.isconf("log", "--verify");
  };
  const changed = await edit("UPDATE execution SET output = X'41' WHERE n = 2");
  assert.deepEqual([changed.status, changed.stderr.split("\n")[0]], [
    226,
    "isconf log: the record of commands was not only written by isconf: command 2 was changed",
  ]);
  const gone = await edit("DELETE FROM execution WHERE n = 2");
  assert.match(gone.stderr, /command 2 was taken away/);
  assert.equal(
    (await edit("DELETE FROM execution; DELETE FROM execution_link; DELETE FROM sqlite_sequence")).status,
    0,
  );
  const rewritten = await host.isconf("log", "--verify", "--chain", told);
  assert.match(rewritten.stderr, /nothing that was recorded has the value/);
}, "sqlite3");

hostTest(
  "without a journald there is a file of root's; a disk that is full lets nothing run",
  async (t) => {
    const host = await makeHost(t, "file");
    await host.sh("mkdir -p /var/lib/isconf && mount -t tmpfs -o size=24m,mode=711 tmpfs /var/lib/isconf");
    await host.ok("init");
    await host.ok("lock", "why");
    await host.ok("exec", "true");
    assert.equal(await host.sh("stat -c '%a %U' /var/lib/isconf/commands.log"), "600 root");
    const lines = (await host.read("/var/lib/isconf/commands.log")).toString().trimEnd().split("\n");
    assert.deepEqual(lines.map((line) => JSON.parse(line).ISCONF_EVENT), ["begun", "ended"]);
    await host.sh("cat /dev/zero >/var/lib/isconf/filler 2>/dev/null || true");
    const full = await host.isconf("exec", "touch", "/tmp/ran-full");
    assert.notEqual(full.status, 0);
    await host.sh("rm /var/lib/isconf/filler; test ! -e /tmp/ran-full");
    await host.ok("exec", "touch", "/tmp/ran-again");
    assert.match(await host.ok("log", "--here"), /touch \/tmp\/ran-again\n$/);
  },
);
