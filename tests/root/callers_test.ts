// callers: who the agent takes somebody for, whatever they call themselves, however they break off, wherever they live; and whom the
// command line takes for the agent. Not what callers may do (doors_test.ts).
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { encodeFrame } from "../../mq/mod.ts";
import { type Host, hostTest, makeHost, type Owner, until } from "../hosts.ts";
import { soon } from "../soon.ts";

/** A host on which alice may everything and has the lock, and bob may look. */
async function makeLocked(
  t: Owner,
  name: string,
  policy = "permit alice\npermit bob do status\n",
): Promise<[Host, number]> {
  const host = await makeHost(t, name, { policy, users: ["alice", "bob"] });
  await host.sh("groupadd ops; usermod -aG ops alice");
  await host.ok("init", "--branch", "main");
  await host.ok("grant", "alice", "append", "main");
  const uid = await host.uidOf("alice");
  assert.equal((await host.run(["isconf", "lock", "why"], { uid, cwd: "/tmp" })).status, 0);
  return [host, uid];
}

const post = (verb: string, args: unknown, more = "") => {
  const body = JSON.stringify(args);
  return `POST /v1/${verb} HTTP/1.1\r\nhost: isconf\r\n${more}connection: close\r\ncontent-type: application/json\r\ncontent-length: ${
    Buffer.byteLength(body)
  }\r\n\r\n${body}`;
};
const upgrade = (verb: string, args: unknown) =>
  Buffer.concat([
    Buffer.from(
      `POST /v1/${verb} HTTP/1.1\r\nhost: isconf\r\nconnection: upgrade\r\nupgrade: isconf-stream\r\n\r\n`,
    ),
    encodeFrame({ type: 1, channel: 0, body: Buffer.from(JSON.stringify(args)) }),
  ]);
const hex = (bytes: string | Uint8Array) => Buffer.from(bytes as string).toString("hex");

/** Binds to a name of its own ($ARGV[1], in hex), connects to a socket, sends bytes (in hex) and prints what comes back. */
const SAY =
  `use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0); my ($path, $own, $bytes) = ($ARGV[0], map { pack("H*", $_) } @ARGV[1, 2]);
  if (length $own) { bind($s, sockaddr_un($own)) or die "bind: $!" } connect($s, sockaddr_un($path)) or print("connect: $!"), exit;
  syswrite $s, $bytes; my $all = ""; while (sysread $s, my $b, 65536) { $all .= $b } print $all`;

const say = (
  socket: string,
  bytes: string | Uint8Array,
  own = "",
) => ["perl", "-e", SAY, socket, hex(own), hex(bytes)];

interface Recorded {
  state: string;
  uid: number;
  user: string;
  argv: string[];
  from: { uid: number } | null;
}
const recorded = async (host: Host): Promise<Recorded[]> =>
  JSON.parse(await host.sh("isconf --json log --here --last 10000")).executions;

hostTest(
  "a client whose socket, or headers, or arguments are named like root is still who it is",
  async (t) => {
    const [host, uid] = await makeLocked(t, "named", "permit alice do lock\npermit alice cmd /usr/bin/id\n");
    const socket = `/run/isconf/${uid}.sock`;
    const names = [
      "/tmp/x;uid=0;",
      "/tmp/pid=1;uid=0;socket=0.sock;",
      "\0;uid=0;",
      "\0/run/isconf/0.sock",
      "\0uid=0\0",
    ];
    const claims =
      "isconf-uid: 0\r\nx-remote-user: root\r\nx-forwarded-for: 127.0.0.1\r\nauthorization: Basic cm9vdDo=\r\n";
    for (const name of names) {
      const touch = post("exec", { command: ["touch", "/srv/ran"], cwd: "/" }, claims);
      const denied = await host.run(say(socket, touch, name), { uid });
      assert.match(denied.stdout, /^HTTP\/1.1 403 [^]*alice may not exec \/usr\/bin\/touch/, denied.stderr);
      for (
        const claim of [{ uid: 0 }, { user: "root" }, { actor: { uid: 0 } }, { peer: { uid: 0, pid: 1 } }]
      ) {
        const args = { command: ["touch", "/srv/ran"], cwd: "/", ...claim };
        assert.match(
          (await host.run(say(socket, post("exec", args), ""), { uid })).stdout,
          /^HTTP\/1.1 400 /,
        );
      }
      assert.equal(
        (await host.run(say("/run/isconf/0.sock", touch, ""), { uid })).stdout,
        "connect: Permission denied",
      );
      await host.sh("rm -f /tmp/*uid*");
    }
    assert.match(
      (await host.run(say(socket, post("exec", { command: ["id"], cwd: "/" }), names[0]), { uid })).stdout,
      / 200 /,
    );
    const rows = await recorded(host);
    assert.deepEqual([...new Set(rows.map((row) => `${row.uid} ${row.user} ${row.from?.uid}`))], [
      `${uid} alice ${uid}`,
    ]);
    assert.deepEqual([...new Set(rows.map((row) => row.state))], ["refused", "done"]);
    await host.sh("test ! -e /srv/ran");
  },
  "perl",
);

/** Sends each beginning of some bytes (in hex) and closes, half-closes, or is killed; prints how often. */
const BREAK = `use Socket; my ($path, @all) = @ARGV; my $n = 0;
  for my $bytes (map { pack "H*", $_ } @all) { for my $k (0 .. length($bytes) - 1) { for my $how (0 .. 2) { $n++;
    if ($how == 2 and my $child = fork) { waitpid $child, 0; next }
    socket(my $s, AF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un($path)) or die "connect: $!";
    syswrite $s, substr($bytes, 0, $k) if $k; select undef, undef, undef, 0.002;
    kill 9, $$ if $how == 2; shutdown $s, 1 if $how == 1; close $s } } } print $n`;

hostTest(
  "a client that closes, half-closes or is killed at any byte: no command, no record, and nobody else's",
  async (t) => {
    const [host, uid] = await makeLocked(t, "broken");
    const socket = `/run/isconf/${uid}.sock`;
    const touch = { command: ["touch", "/srv/ran"], cwd: "/" };
    const all = [post("exec", touch), upgrade("exec", touch), post("unlock", { steal: true })].map(hex);
    const { stdout, stderr } = await host.run(["perl", "-e", BREAK, socket, ...all], { uid });
    assert.equal(stderr, "", await host.sh("tail -n 40 /var/lib/isconf/agent.log"));
    assert.ok(Number(stdout) > 1_000, stdout);
    await until(
      "nobody is served any more",
      async () =>
        await host.sh("test ! -e /srv/ran; isconf --json status | grep -c '\"doing\":null'") === "1",
    );
    assert.deepEqual(await recorded(host), []);
    assert.match(await host.sh("isconf wip 2>&1; :"), /nothing|no work/);
    assert.match(
      (await host.run(say(socket, post("exec", touch)), { uid })).stdout,
      / 200 /,
      "the whole of it runs",
    );
    await host.sh("test -e /srv/ran");
  },
  "perl",
);

/** A root of its own at /srv/jail, with this host's programs and sockets in it. */
const JAIL =
  `mkdir -p /srv/jail; mount -t tmpfs tmpfs /srv/jail; cd /srv/jail; mkdir usr run proc tmp dev etc; chmod 1777 tmp
  for d in bin sbin lib lib64; do ln -s usr/$d $d; done; mount --rbind /usr usr; mount --rbind /run run; mount --bind /dev dev
  mount -t proc proc proc; cp /etc/passwd /etc/group etc; chmod 755 .`;

hostTest(
  "a caller in a chroot, in a container, in a user namespace or in no namespace of ours is refused; one that may gain no privileges is as good as any",
  async (t) => {
    const [host, uid] = await makeLocked(t, "foreign");
    const socket = `/run/isconf/${uid}.sock`;
    const touch = { command: ["touch", "/srv/ran"], cwd: "/" };
    await host.sh(JAIL);
    const drop = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--"];
    const jailed = ["chroot", `--userspec=${uid}:${uid}`, "/srv/jail"];
    const foreign: [string, string[], RegExp][] = [
      ["chroot", jailed, /its root directory is another one/],
      [
        "container",
        ["unshare", "-m", "-p", "-f", "-u", "-i", "--root=/srv/jail", ...drop],
        /its root directory is another one/,
      ],
      ["user namespace", [...drop, "unshare", "-U", "--map-current-user", "--"], /user namespace/],
      ["its root", [...drop, "unshare", "-U", "-r", "--"], /user namespace/],
    ];
    for (const [what, words, why] of foreign) {
      for (const bytes of [post("status", {}), post("exec", touch), upgrade("exec", touch)]) {
        const { stdout, stderr } = await host.run([...words, ...say(socket, bytes)]);
        assert.match(stdout, /^HTTP\/1.1 403 /, `${what}: ${stdout}${stderr}`);
        assert.match(stdout, why, what);
        assert.equal(
          JSON.parse(stdout.split("\r\n\r\n")[1]!.replace(/^[0-9a-f]+\r\n/, "").replace(/\r\n0$/, "")).kind,
          "denied",
        );
      }
    }
    for (const words of [["status"], ["exec", "touch", "/srv/ran"]]) {
      const typed = await host.run([...jailed, "isconf", ...words]);
      assert.deepEqual(
        [typed.status, /not let in: its root directory/.test(typed.stderr)],
        [77, true],
        typed.stderr,
      );
    }
    const root = await host.run([
      "unshare",
      "-U",
      "-r",
      "--",
      ...say("/run/isconf/0.sock", post("status", {})),
    ]);
    assert.match(root.stdout, /^HTTP\/1.1 403 [^]*user namespace/);
    await host.sh("test ! -e /srv/ran");
    assert.deepEqual(await recorded(host), []);
    const sandboxed = [...drop.slice(0, -1), "--no-new-privs", "--", "isconf", "exec", "touch", "/srv/ran"];
    assert.equal((await host.run(sandboxed, { cwd: "/tmp" })).status, 0);
    await host.sh("test -e /srv/ran");
    const log = await host.sh("cat /var/lib/isconf/agent.log");
    assert.equal(log.split("was not let in: its root").length, 2, "said once, however often they came");
  },
  "perl",
  "chroot",
);

hostTest(
  "a directory of sockets that somebody else made, or could, is none; old sockets are made anew",
  async (t) => {
    const host = await makeHost(t, "directory", { policy: "permit alice\n", users: ["alice", "mallory"] });
    const bad = [
      "install -d -o mallory -m 755 /run/isconf",
      "install -d -m 777 /run/isconf",
      "install -d -m 1777 /run/isconf",
      "install -d -o mallory -m 711 /run/theirs; ln -s theirs /run/isconf",
      "ln -s nowhere /run/isconf",
      ": >/run/isconf",
      "mkfifo /run/isconf",
    ];
    for (const make of bad) {
      await host.sh(make);
      const { status, stderr } = await host.isconf("start");
      assert.deepEqual(
        [status, /\/run\/isconf (must be a directory of ours|is not root's or yours alone)/.test(stderr)],
        [77, true],
        `${make}: ${stderr}`,
      );
      assert.equal(host.agent().root, undefined);
      await host.sh("rm -rf /run/isconf /run/theirs");
    }
    const uid = await host.uidOf("alice");
    await host.sh(
      `install -d -m 711 /run/isconf; perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "/run/isconf/${uid}.sock", Listen => 1)'
    ln -s /etc/shadow /run/isconf/0.sock; : >/run/isconf/4711.sock`,
    );
    await host.ok("init");
    assert.equal(
      await host.sh("cd /run/isconf; stat -c '%n %F %u %a' *.sock"),
      `0.sock socket 0 600\n${uid}.sock socket ${uid} 600`,
    );
    assert.equal((await host.run(["isconf", "status"], { uid })).status, 0);
    assert.match(await host.sh("stat -c '%F %U %a' /etc/shadow"), /^regular file root 640$/);
  },
  "perl",
);

/** Listens in mallory's place for an agent and keeps what it is told. */
const SQUAT =
  `use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0); my @to = map { "/tmp/evil/run/$_.sock" } @ARGV;
  bind($s, sockaddr_un($to[0])) or die; symlink $to[0], $_ for @to[1 .. $#to]; chmod 0777, $to[0]; listen $s, 5; $| = 1; print "listens";
  while (accept(my $c, $s)) { open my $f, ">>", "/tmp/told"; print $f "somebody\\n"; sysread $c, my $b, 65536; print $f $b; close $f }`;

hostTest(
  "an agent's place that somebody else has taken is told nothing, no password and no secret",
  async (t) => {
    const [host, uid] = await makeLocked(t, "squat", "permit alice\n");
    await host.sh("useradd -m mallory; install -d -o mallory -m 755 /tmp/evil /tmp/evil/run /tmp/evil/var");
    const squat = host.spawn(["perl", "-e", SQUAT, String(uid), "0"], { uid: await host.uidOf("mallory") });
    await until("somebody squats", () => squat.said() === "listens");
    const tries: [number | undefined, string[]][] = [
      [uid, ["status"]],
      [uid, ["exec", "true"]],
      [uid, ["put", "--secret", "/etc/hostname"]],
      [undefined, ["status"]],
      [undefined, ["confirm", "x"]],
    ];
    for (const [who, words] of tries) {
      const { status, stderr } = await host.run(["isconf", "--home", "/tmp/evil", ...words], {
        ...(who === undefined ? {} : { uid: who }),
        stdin: "the password\n",
      });
      assert.notEqual(status, 0);
      assert.match(stderr, /\/tmp\/evil\/run is not root's or yours alone/, `${words}: ${stderr}`);
    }
    assert.equal((await host.run(["test", "-e", "/tmp/told"])).status, 1, "mallory was told something");
    squat.child.kill("SIGKILL");
  },
  "perl",
);

hostTest("who is taken out of a group while a command of theirs waits does not get it done", async (t) => {
  const [host, uid] = await makeLocked(t, "waits", "permit :ops\n");
  const as = (...words: string[]) => host.spawn(["isconf", ...words], { uid, cwd: "/tmp" });
  const first = as("exec", "sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.05; done");
  await until("the first runs", async () => (await host.ok("status")).includes("exec sh"));
  const second = as("exec", "touch", "/srv/ran");
  await until("the second waits", () => second.said().includes("waiting"));
  await host.sh("gpasswd -d alice ops; : >/tmp/go");
  await first.ended;
  const { status, stderr } = await second.ended;
  assert.equal(status, 77, stderr);
  assert.match(stderr, /alice may not exec/);
  await host.sh("test ! -e /srv/ran");
});

/** Opens ten thousand connections, says a byte a second on each that stays, and says so. */
const FLOOD =
  `use Socket; use IO::Handle; my @s; for (1 .. 10000) { socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die "$_: $!";
  $s->blocking(0); connect($s, sockaddr_un($ARGV[0])); push @s, $s } $| = 1; print "open"; $SIG{PIPE} = "IGNORE";
  for my $i (1 .. 60) { syswrite $_, substr("POST /v1/status HTTP/1.1\\r\\nhost: isconf\\r\\n", $i - 1, 1) for @s; sleep 1 }`;

hostTest(
  "ten thousand connections of one user, a byte a second on each: another is served within a second",
  async (t) => {
    const [host, uid] = await makeLocked(t, "flood");
    const bob = await host.uidOf("bob");
    const flood = host.spawn([
      "sh",
      "-c",
      'ulimit -n 11000; exec setpriv "--reuid=$1" "--regid=$1" --clear-groups perl -e "$2" "$3"',
      "sh",
      String(uid),
      FLOOD,
      `/run/isconf/${uid}.sock`,
    ]);
    await until("they are open", () => flood.said() === "open");
    const held = Number(await host.sh('ls "/proc/$1/fd" | wc -l', String(host.agent().root)));
    assert.ok(
      held < 256 + 128,
      `the agent holds ${held} descriptors: no more than 256 connections are one user's`,
    );
    for (let i = 0; i < 8; i++) {
      await soon("status of another user", 1_000, async () => {
        assert.equal((await host.run(["isconf", "status"], { uid: bob, cwd: "/tmp" })).status, 0);
      });
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    flood.child.kill("SIGKILL");
    const perl = host.processes().find(({ title }) => title.startsWith("perl"));
    if (perl !== undefined) await host.sh('kill -9 "$1" || :', String(perl.pid));
    await until(
      "alice is served again",
      async () => (await host.run(["isconf", "status"], { uid, cwd: "/tmp" })).status === 0,
    );
  },
  "perl",
);
