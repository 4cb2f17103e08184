// The second part of the contract of Runner: what a command is given, whoever starts it and whatever they have, and what of it others can
// reach. Not a test file by itself. The first part (runner.ts): arguments, streams, ends.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { type Command, COMMAND_LIMITS, type Ended, type Runner } from "../../agent/mod.ts";
import { inheriting, type Limits, mayRaiseLimits } from "../../mq/mod.ts";

type Options = Parameters<Runner["start"]>[1];
const uid = process.geteuid!();
const me = { name: "me", uid, gid: process.getegid!(), home: "/", shell: "/bin/sh" };
const nobody = { name: "nobody", uid: 65534, gid: 65534, home: "/", shell: "/bin/sh" };
const base: Command = {
  argv: [],
  cwd: "/",
  umask: 0o022,
  env: { PATH: "/usr/bin:/bin" },
  user: me,
  timeoutMs: 0,
};
const sh = (script: string, more: Partial<Command> = {}): Command => ({
  ...base,
  argv: ["/bin/sh", "-c", script],
  ...more,
});
const text = (end: Ended) => Buffer.from(end.output).toString();

/** A limit as /proc/PID/limits shows it. */
const shown = (n: number) => n === Infinity ? "unlimited" : String(n);
const ROWS: Record<keyof Limits, string> = {
  cpu: "Max cpu time",
  fsize: "Max file size",
  data: "Max data size",
  stack: "Max stack size",
  core: "Max core file size",
  rss: "Max resident set",
  nproc: "Max processes",
  nofile: "Max open files",
  memlock: "Max locked memory",
  as: "Max address space",
  locks: "Max file locks",
  sigpending: "Max pending signals",
  msgqueue: "Max msgqueue size",
  nice: "Max nice priority",
  rtprio: "Max realtime priority",
  rttime: "Max realtime timeout",
};

const limitsOf = (text: string) =>
  Object.values(ROWS).map((row) => new RegExp(`^${row} +(\\S+) +(\\S+)`, "m").exec(text)?.slice(1));

/** Runs the contract on what `make` makes. */
export function runnerGivesContract(name: string, make: () => Runner): void {
  const promise = (
    title: string,
    fn: (t: { run(c: Command, o?: Options): Promise<Ended>; dir: string }) => Promise<void>,
    isRootNeeded = false,
  ) => {
    const skip = isRootNeeded && uid !== 0 ? "needs root" : false;
    return test(`${name}: ${title}`, { skip }, async () => {
      const runner = make();
      const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-given-")));
      const run = async (c: Command, o: Options = {}) => await (await runner.start(c, o)).ended;
      try {
        await fn({ run, dir });
      } finally {
        fs.rmSync(dir, { recursive: true, force: true });
      }
    });
  };

  promise("its limits are the defined ones, whatever ours are, and ours stay", async ({ run }) => {
    const ours = () => limitsOf(fs.readFileSync("/proc/self/limits", "utf8"));
    const before = ours();
    const wanted = (Object.keys(ROWS) as (keyof Limits)[]).map((key, i) => {
      const [soft, hard] = COMMAND_LIMITS[key];
      if (mayRaiseLimits()) return [shown(soft), shown(hard)];
      const most = before[i]?.[1] === "unlimited" ? Infinity : Number(before[i]?.[1]);
      return [shown(Math.min(soft, most)), shown(most)];
    });
    const odd: Limits = {
      ...COMMAND_LIMITS,
      fsize: [1 << 30, Infinity],
      stack: [1 << 26, Infinity],
      nofile: [900, 1000],
    };
    await inheriting(odd, async () => {
      const strange = ours();
      assert.notDeepEqual(strange, before);
      const starting = run(sh("cat /proc/self/limits"));
      assert.deepEqual(ours(), strange);
      assert.deepEqual(limitsOf(text(await starting)), wanted);
    });
    assert.deepEqual(ours(), before);
  });

  promise(
    "niceness 0, no I/O priority, every CPU, oom_score_adj 0, whatever ours are; and ours stay",
    async ({ run }) => {
      // The score is what a command is given right after its start: on a busy machine it may look before.
      const given =
        "for i in 1 2 3 4 5 6 7 8 9; do grep -qx 0 /proc/self/oom_score_adj && break; sleep 0.1; done";
      const look =
        `${given}; nice; ionice; cat /proc/self/oom_score_adj; grep Cpus_allowed_list /proc/self/status; chrt -p $$ | cut -d' ' -f 4-`;
      const usual = text(await run(sh(look)));
      assert.match(
        usual,
        /^0\n(none: prio 0|best-effort: prio 4|none: prio 4)\n0\nCpus_allowed_list:\s\S+\n.*SCHED_OTHER\n.*0\n$/,
      );
      const tid = fs.readlinkSync("/proc/thread-self").split("/").at(-1)!;
      const set = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: "pipe" });
      const oom = fs.readFileSync("/proc/self/oom_score_adj", "utf8");
      const cpus = /Cpus_allowed_list:\s(\S+)/.exec(fs.readFileSync("/proc/thread-self/status", "utf8"))![1]!;
      try {
        set("renice", "-n", "7", "-p", tid);
        set("ionice", "-c", "3", "-p", tid);
        set("taskset", "-pc", "0", tid);
        set("chrt", "-b", "-p", "0", tid);
        fs.writeFileSync("/proc/self/oom_score_adj", "5");
        assert.equal(text(await run(sh(look))), usual);
        assert.equal(os.getPriority(Number(tid)), 7);
        assert.equal(set("ionice", "-p", tid).toString(), "idle\n");
        assert.match(fs.readFileSync("/proc/thread-self/status", "utf8"), /Cpus_allowed_list:\s0\n/);
        assert.equal(fs.readFileSync("/proc/self/oom_score_adj", "utf8"), "5\n");
      } finally {
        set("chrt", "-o", "-p", "0", tid);
        set("renice", "-n", "0", "-p", tid);
        set("ionice", "-c", "0", "-p", tid);
        set("taskset", "-pc", cpus, tid);
        fs.writeFileSync("/proc/self/oom_score_adj", oom);
      }
    },
    true,
  );

  promise(
    "a directory that is gone, no directory, or closed to its user is refused by name, and nothing runs",
    async ({ run, dir }) => {
      fs.mkdirSync(path.join(dir, "closed/inside"), { recursive: true });
      fs.chmodSync(path.join(dir, "closed"), 0o700);
      fs.chmodSync(path.join(dir, "closed/inside"), 0o777);
      fs.chmodSync(dir, 0o755);
      fs.writeFileSync(path.join(dir, "file"), "");
      const mark = path.join(dir, "closed/inside/ran");
      for (const [cwd, why] of [["gone", /does not exist/], ["file", /does not exist/]] as const) {
        await assert.rejects(run(sh("exit 0", { cwd: path.join(dir, cwd) })), why);
      }
      const inside = path.join(dir, "closed/inside");
      await assert.rejects(run(sh(`touch ${mark}`, { cwd: inside, user: nobody })), (e: Error) => {
        assert.match(e.message, /cannot be entered by nobody: \S+\/closed is closed$/);
        return true;
      });
      assert.equal(fs.existsSync(mark), false);
      fs.chownSync(path.join(dir, "closed"), 0, nobody.gid);
      fs.chmodSync(path.join(dir, "closed"), 0o701); // its group may not, though others may
      await assert.rejects(run(sh("exit 0", { cwd: inside, user: nobody })), /cannot be entered/);
      fs.chmodSync(path.join(dir, "closed"), 0o710);
      assert.equal((await run(sh("exit 3", { cwd: inside, user: nobody }))).status, 3);
      fs.chownSync(path.join(dir, "closed"), 0, 0);
      fs.chmodSync(path.join(dir, "closed"), 0o711);
      assert.equal(text(await run(sh("pwd; touch ran", { cwd: inside, user: nobody }))), `${inside}\n`);
      assert.equal(fs.statSync(mark).uid, nobody.uid);
    },
    true,
  );

  promise("who became another user has no way back, by no call", async ({ run }) => {
    const [setresuid, setresgid] = process.arch === "arm64" ? [147, 149] : [117, 119];
    const script = `use POSIX; print join(" ", $<, $>, 0 + $(, 0 + $)), "\\n";
      for my $f (sub { POSIX::setuid(0) }, sub { $> = 0; $> == 0 }, sub { $< = 0; $< == 0 }, sub { POSIX::setgid(0) },
        sub { $) = "0 0"; 0 + $) == 0 }, sub { syscall(${setresuid}, 0, 0, 0) == 0 }, sub { syscall(${setresgid}, 0, 0, 0) == 0 },
        sub { chroot("/") }) { print $f->() ? "back" : "no", "\\n" }`;
    const end = await run({ ...base, argv: ["/usr/bin/perl", "-e", script], user: nobody });
    assert.equal(text(end), `65534 65534 65534 65534\n${"no\n".repeat(8)}`);
    const status = text(await run({ ...base, argv: ["/bin/cat", "/proc/self/status"], user: nobody }));
    for (const set of ["Inh", "Prm", "Eff", "Amb"]) {
      assert.match(status, new RegExp(`^Cap${set}:\\t0+$`, "m"));
    }
  }, true);

  promise("its terminal is its own controlling one, and belongs to its user alone", async ({ run }) => {
    for (const user of uid === 0 ? [me, nobody] : [me]) {
      const look =
        'tty; stat -c "%a %u" $(tty); stty size; ps -o tty=,sid=,pgid=,tpgid= -p $$ | tr -s " "; echo $$';
      const end = await run(sh(look, { user }), { terminal: { rows: 12, columns: 34 } });
      const [tty, mode, size, ps, pid] = text(end).trim().split(/\r?\n/).map((line) => line.trim());
      assert.match(tty!, /^\/dev\/pts\/[0-9]+$/);
      assert.deepEqual([mode, size], [`600 ${user.uid}`, "12 34"]);
      assert.equal(ps, `${tty!.slice(5)} ${pid} ${pid} ${pid}`);
    }
  });
}
