// run: what a command can do to others on the host and others to it: terminals, traces, cores, what it leaves behind. Not what it is given
// as such (tests/contract/runner_given.ts) and not what is on record (record_test.ts).
import assert from "node:assert/strict";
import { type Host, hostTest, makeHost, until } from "../hosts.ts";
import { atTerminal, type Step } from "../terminal.ts";

/** A host with a domain and the lock, on which alice may do everything that root's agent does for her. */
async function makeLocked(t: Parameters<typeof makeHost>[0], name: string): Promise<[Host, number]> {
  const host = await makeHost(t, name, { policy: "permit alice\n", users: ["alice"] });
  await host.ok("init", "--branch", "main");
  await host.ok("grant", "alice", "append", "main");
  const uid = await host.uidOf("alice");
  assert.equal((await host.run(["isconf", "lock", "why"], { uid, cwd: "/tmp" })).status, 0);
  return [host, uid];
}

/** Types two words into every terminal that it can reach (TIOCSTI), or has the console's selection pasted (TIOCLINUX). */
const INJECT = `for my $f ("/dev/tty", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", @ARGV) {
  open(my $h, "+<", $f) or print("$f: $!\n"), next;
  for my $c (split //, "id\n") { ioctl($h, 0x5412, $c) or print("$f: $!\n"), last }
  for my $code (2, 3) { my $arg = pack("C", $code) . "\0" x 15; ioctl($h, 0x541c, $arg) } }`;

hostTest(
  "a command types nothing into the caller's terminal, with a terminal of its own or without",
  async (t) => {
    const [host, uid] = await makeLocked(t, "typing");
    await host.write("/tmp/inject", INJECT);
    /** What a line makes appear in the caller's terminal, one of script(1) that is open to everybody, and what it said. */
    const typed = async (line: string) => {
      await host.sh("rm -f /tmp/said /tmp/typed");
      const whole =
        `chmod 666 $(tty); ${line} >/tmp/said 2>&1; for i in 1 2 3; do timeout --foreground 0.4 cat; done >/tmp/typed; :`;
      await host.run(["script", "-qec", whole, "/dev/null"], { uid, cwd: "/tmp" });
      return [await host.sh("cat /tmp/typed"), await host.sh("cat /tmp/said")] as const;
    };
    // Whoever is in the same session can, where the kernel lets anybody: else this test would say nothing.
    const mayType = (await host.sh("cat /proc/sys/dev/tty/legacy_tiocsti 2>/dev/null || echo 1")) === "1";
    assert.equal((await typed("perl /tmp/inject"))[0].includes("id"), mayType);
    for (const flags of ["", "-t"]) {
      const [into, said] = await typed(`isconf exec ${flags} --as nobody perl /tmp/inject $(tty)`);
      assert.equal(into, "", flags);
      assert.match(said, /^\/dev\/pts\/[0-9]+: (Operation not permitted|Input\/output error)/m, said);
      if (flags === "") assert.match(said, /^\/dev\/tty: No such device or address/m);
    }
  },
  "perl",
  "script",
);

hostTest(
  "with a terminal ^C, ^Z and ^D are the command's own, so is its size, and it is hung up when the caller's has gone",
  async (t) => {
    const [host, uid] = await makeLocked(t, "keys");
    const at = (steps: Step[], script: string) =>
      host.run(atTerminal(steps, "isconf", "exec", "-t", "sh", "-c", script), { uid, cwd: "/tmp" });
    const wait = "echo ready; read x; echo end";
    for (const [key, name] of [["\x03", "INT"], ["\x1c", "QUIT"], ["\x1a", "TSTP"]] as const) {
      const steps: Step[] = [["ready", "type", key], ["got", "type", "x\r"]];
      const { status, stdout } = await at(steps, `trap "echo got" ${name}; ${wait}; ${wait}`);
      assert.deepEqual([status, /got[^]*end/.test(stdout)], [0, true], `${name}: ${stdout}`);
    }
    const plain = await at([["ready", "type", "\x03"]], "echo ready; sleep 30");
    assert.equal(plain.status, 130, plain.stdout);
    const ended = await at([["ready", "type", "\x04"]], "echo ready; cat; echo end");
    assert.deepEqual([ended.status, /end/.test(ended.stdout)], [0, true], ended.stdout);
    const sized = await at(
      [["ready", "size", [51, 133]], ["51 133", "type", "\x03"]],
      "echo ready; while :; do stty size; sleep 0.1; done",
    );
    assert.deepEqual([sized.status, /51 133/.test(sized.stdout)], [130, true], sized.stdout.slice(-200));
    await at(
      [["ready", "gone"]],
      "trap 'touch /srv/hung-up; exit' HUP; echo ready; while :; do sleep 0.1; done",
    );
    await until(
      "it has heard of it",
      async () => (await host.run(["test", "-e", "/srv/hung-up"])).status === 0,
    );
  },
  "python3",
);

hostTest(
  "its caller reads and writes nothing of a root command: memory, environment, descriptors, terminal, traces",
  async (t) => {
    const [host, uid] = await makeLocked(t, "traces");
    const ran = host.spawn([
      "isconf",
      "exec",
      "-t",
      "sh",
      "-c",
      "tty; echo $$ >/tmp/pid.new; mv /tmp/pid.new /tmp/pid; sleep 30",
    ], {
      uid,
      cwd: "/tmp",
    });
    await until("the command runs", async () => (await host.run(["test", "-e", "/tmp/pid"])).status === 0);
    const pid = await host.sh("cat /tmp/pid");
    const tty = /\/dev\/pts\/[0-9]+/.exec(ran.said())?.[0] ?? "";
    assert.notEqual(tty, "");
    const look = `for f in mem environ fd/0 fd cwd root exe maps; do
      if ls /proc/$1/$f/ >/dev/null 2>&1 || (: </proc/$1/$f) 2>/dev/null; then echo "reads $f"; fi; done
    if (: <$2) 2>/dev/null; then echo "reads the terminal"; fi; if (: >$2) 2>/dev/null; then echo "writes to the terminal"; fi
    perl -e 'exit(syscall(0 + $ARGV[1], 0x4206, 0 + $ARGV[0], 0, 0) == 0)' $1 $3 || echo traces; kill -0 $1 2>/dev/null && echo signals; :`;
    const ptrace = process.arch === "arm64" ? "117" : "101";
    const { stdout } = await host.run(["sh", "-c", look, "sh", pid, tty, ptrace], { uid });
    assert.equal(stdout, "");
    const asRoot = (await host.run(["sh", "-c", look, "sh", pid, tty, ptrace])).stdout;
    for (
      const word of ["reads mem", "reads environ", "reads fd/0", "reads the terminal", "traces", "signals"]
    ) {
      assert.match(asRoot, new RegExp(word), asRoot);
    }
    assert.match(await host.sh('grep "core file" "/proc/$1/limits"', String(host.agent().root)), / 0 +0 /);
    assert.match(await host.sh('grep "core file" "/proc/$1/limits"', pid), / 0 +0 /);
    const caller = host.processes().find(({ title }) => title.startsWith("isconf\0exec"));
    await host.sh('kill -9 "$1"', String(caller?.pid));
    await until(
      "the command has gone with its caller",
      async () => (await host.run(["test", "-e", `/proc/${pid}`])).status !== 0,
    );
  },
  "perl",
);

hostTest(
  "an agent whose starter ignored signals and had no descriptors, a nice one, runs commands as any other does",
  async (t) => {
    const host = await makeHost(t, "starter");
    await host.must([
      "sh",
      "-c",
      "ulimit -S -f 100000; umask 777; exec nice -n 5 env --ignore-signal=CHLD,PIPE,HUP,INT,QUIT,TERM --block-signal=USR1,CHLD isconf start <&- >&- 2>&-",
    ]);
    await host.ok("init");
    await host.ok("lock", "why");
    for (const status of [0, 1, 7, 255]) {
      assert.equal((await host.isconf("exec", "sh", "-c", `exit ${status}`)).status, status);
    }
    for (const [name, n] of [["PIPE", 13], ["HUP", 1], ["CHLD", 0], ["TERM", 15]] as const) {
      assert.equal(
        (await host.isconf("exec", "sh", "-c", `kill -${name} $$`)).status,
        n === 0 ? 0 : 128 + n,
        name,
      );
    }
    const look =
      "ls /proc/$$/fd | tr '\\n' ' '; nice; umask; ulimit -f; grep -E '^Sig(Blk|Ign)' /proc/$$/status";
    const said = await host.ok("exec", "sh", "-c", look);
    assert.match(said, /^0 1 2 0\n0?022\nunlimited\nSigBlk:\t0+\nSigIgn:\t[0-9a-f]{8}[08]0{7}\n$/);
  },
);

/** Makes a cgroup v2 of this host, marked as handed over, and puts the one who says so, as $$, into it. */
const DELEGATED =
  `mkdir -p /tmp/cg && mount -t cgroup2 none /tmp/cg && umount /sys/fs/cgroup/unified 2>/dev/null
  mkdir -p "/tmp/cg/$1" && setfattr -n trusted.delegate -v 1 "/tmp/cg/$1" && echo $$ >"/tmp/cg/$1/cgroup.procs" && exec isconf start`;

hostTest(
  "out of time: what has left its group and session by a double fork dies too, where a cgroup is delegated",
  async (t) => {
    const host = await makeHost(t, "cgroups");
    const name = `isconf-test-${process.pid}-${host.pid}`;
    try {
      await host.must(["sh", "-c", DELEGATED, "sh", name]);
      await host.ok("init");
      await host.ok("lock", "why");
      const hide = "setsid sh -c 'setsid sleep 300 & echo $! >/tmp/hidden' & sleep 300";
      assert.equal((await host.isconf("exec", "--timeout", "1", "sh", "-c", hide)).status, 124);
      const hidden = await host.sh("cat /tmp/hidden");
      const isAlive = async (pid: string) =>
        /^[^ZX]/.test((await host.run(["sh", "-c", `cut -d' ' -f 3 /proc/${pid}/stat`])).stdout);
      await until("what hid itself is dead", async () => !await isAlive(hidden));
      // What ends in time may leave something behind: a service that it has started.
      await host.ok("exec", "sh", "-c", "setsid sleep 300 >/dev/null 2>&1 & echo $! >/tmp/service");
      const service = await host.sh("cat /tmp/service");
      assert.equal(await isAlive(service), true);
      assert.match(
        await host.sh('cat "/proc/$1/cgroup"', service),
        new RegExp(`^0::.*/${name}/command-[0-9]+-[0-9]+$`, "m"),
      );
      assert.doesNotMatch(await host.sh('cat "/proc/$1/cgroup"', String(host.agent().root)), /command-/);
      await host.sh('kill "$1"', service);
      await until("it has ended", async () => !await isAlive(service));
      await host.ok("exec", "true");
      await host.ok("exec", "true");
      assert.equal(
        await host.sh('ls /tmp/cg/"$1" | grep -c ^command- || true', name),
        "0",
        "empty cgroups are left",
      );
    } finally {
      const end =
        'cd /tmp/cg/"$1" && echo 1 >cgroup.kill; cd /; sleep 0.3; find /tmp/cg/"$1" -depth -type d -exec rmdir {} +';
      await host.run(["sh", "-c", end, "sh", name]);
    }
  },
  "setfattr",
);
