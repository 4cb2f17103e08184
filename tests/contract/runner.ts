// The contract of Runner: what every implementation promises. Not a test file by itself; each runner's test calls it.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import type { Command, Ended, Runner, Running, Sink } from "../../agent/mod.ts";
import { Fault } from "../../mq/mod.ts";

type Options = Parameters<Runner["start"]>[1];
const uid = process.geteuid!();
const isRoot = uid === 0;
const me = { name: "me", uid, gid: process.getegid!(), home: "/", shell: "/bin/sh" };
const PATH = "/usr/bin:/bin";
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const text = (end: Ended) => Buffer.from(end.output).toString();

function command(argv: string[], more: Partial<Command> = {}): Command {
  return { argv, cwd: "/", umask: 0o022, env: { PATH }, user: me, timeoutMs: 0, ...more };
}
const sh = (script: string, more: Partial<Command> = {}) => command(["/bin/sh", "-c", script], more);

/** Takes all output, as fast as it comes or when told to go on. */
class Taken implements Sink {
  readonly #parts: Record<1 | 2, Uint8Array[]> = { 1: [], 2: [] };
  go: Promise<unknown> | undefined;
  write(fd: 1 | 2, bytes: Uint8Array): boolean {
    this.#parts[fd].push(Buffer.from(bytes));
    return this.go === undefined;
  }
  drained = async () => void await this.go;
  of = (fd: 1 | 2) => Buffer.concat(this.#parts[fd]);
  /** Resolves when the command has said `word` on its standard output. */
  async heard(word: string): Promise<void> {
    while (!this.of(1).includes(word)) await wait(5);
  }
}

/** Whether a process runs; a zombie does not. */
function runs(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false; // it has no entry any more
  }
}

/** Resolves when a process does not run any more; a signal to a group takes a moment to reach all of it. */
async function gone(pid: number): Promise<void> {
  assert.ok(pid > 1);
  for (let i = 0; i < 200 && runs(pid); i++) await wait(10);
  assert.equal(runs(pid), false);
}

const descriptors = () => fs.readdirSync("/proc/self/fd").length;

/** Other tests may run in this process at the same time: what is left behind is told from theirs by its number. */
async function nothingLeft(before: number): Promise<void> {
  const left = () => Math.max(descriptors() - before, zombies().length);
  for (let i = 0; i < 100 && left() > 0; i++) await wait(20);
  assert.ok(left() < 20, `${descriptors() - before} descriptors and ${zombies().length} zombies are left`);
}

/** Our children that have ended and are not reaped. */
function zombies(): string[] {
  return fs.readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, "latin1");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return state === "Z" && Number(parent) === process.pid;
    } catch {
      return false; // it has just gone
    }
  });
}

/** A descriptor without close-on-exec, which neither runtime makes by itself. */
function inheritable(fd: number): number {
  const deno = (globalThis as unknown as { Deno?: { dlopen: (...args: unknown[]) => unknown } }).Deno;
  type Lib = Record<"symbols" | "functions", { dup(fd: number): number }>;
  if (deno) {
    return (deno.dlopen("libc.so.6", { dup: { parameters: ["i32"], result: "i32" } }) as Lib).symbols.dup(fd);
  }
  const ffi = process.getBuiltinModule("node:ffi" as string) as unknown as {
    dlopen(...args: unknown[]): Lib;
  };
  return ffi.dlopen("libc.so.6", { dup: { arguments: ["i32"], return: "i32" } }).functions.dup(fd);
}

/** Runs the contract on what `make` makes, anew for each promise. */
export function runnerContract(name: string, make: () => Runner): void {
  type Run = (c: Command, options?: Options) => Promise<Ended>;
  type Under = {
    runner: Runner;
    run: Run;
    start: (c: Command, options?: Options) => Promise<Running>;
    dir: string;
  };
  const promise = (title: string, fn: (t: Under) => Promise<void>, needs?: { root: boolean }) => {
    const skip = needs?.root && !isRoot ? "needs root" : false;
    return test(`${name}: ${title}`, { skip }, async () => {
      const runner = make();
      const dir = fs.mkdtempSync(path.join(tmpdir(), "isconf-runner-"));
      const start = (c: Command, options: Options = {}) => runner.start(c, options);
      try {
        await fn({ runner, start, run: async (c, options) => await (await start(c, options)).ended, dir });
      } finally {
        fs.rmSync(dir, { recursive: true, force: true });
      }
    });
  };

  promise("every exit status from 0 to 255 comes back", async ({ run }) => {
    const all = Array.from({ length: 256 }, (_, i) => i);
    const seen: number[] = [];
    for (let i = 0; i < 256; i += 32) {
      const some = await Promise.all(all.slice(i, i + 32).map((n) => run(sh(`exit ${n}`))));
      seen.push(...some.map((end) => end.status));
    }
    assert.deepEqual(seen, all);
  });

  promise("killed by signal n is 128 + n, with or without a core", async ({ run, dir }) => {
    for (const n of [1, 2, 3, 6, 9, 11, 13, 14, 15, 24, 31, 34, 64]) {
      const limit = n === 11 ? "unlimited" : "0";
      assert.equal(
        (await run(sh(`ulimit -c ${limit}; kill -${n} $$; exit 1`, { cwd: dir }))).status,
        128 + n,
      );
    }
  });

  promise("a slow reader loses nothing that was written before the end", async ({ run }) => {
    let bytes = 0;
    const sink = {
      write: (_fd: 1 | 2, part: Uint8Array) => (bytes += part.length, false),
      drained: () => new Promise<void>((resolve) => void setTimeout(resolve, 400)),
    };
    assert.equal((await run(sh("head -c 200000 /dev/zero"), { sink })).status, 0);
    assert.equal(bytes, 200_000);
  });

  promise(
    "a background process that writes for ever does not keep the command from ending",
    async ({ run, dir }) => {
      const began = Date.now();
      const { status } = await run(
        sh(`echo $$ > pid; (while :; do echo x || exit; done) & exit 3`, { cwd: dir }),
      );
      assert.equal(status, 3);
      assert.ok(Date.now() - began < 30_000); // as long as two pipes full, a line at a time, take on a busy machine
    },
  );

  promise("what cannot be started is a fault, nothing runs and nothing stays open", async ({ run, dir }) => {
    const file = (name: string, content: string, mode: number) => {
      fs.writeFileSync(path.join(dir, name), content, { mode });
      return path.join(dir, name);
    };
    const cases: [string[], string][] = [
      [["no-such-command-here"], "noCommand"],
      [[path.join(dir, "nothing")], "noCommand"],
      [[file("no-interpreter", `#!${dir}/nothing\n`, 0o755)], "noCommand"],
      [[file("plain", "#!/bin/sh\n", 0o644)], "cannotExecute"],
      [[dir], "cannotExecute"],
      [[file("no-format", `touch ${dir}/ran\n`, 0o755)], "cannotExecute"],
      [["/bin/true", "x".repeat(131_072)], "environment"],
    ];
    await run(sh("exit 0"));
    const before = descriptors();
    for (const [argv, kind] of cases) {
      const isKind = (e: unknown) => e instanceof Fault && e.kind === kind;
      for (let i = 0; i < 60; i++) {
        await assert.rejects(run(command(argv), { stdin: i % 2 > 0 }), isKind, argv[0]);
      }
    }
    await assert.rejects(run(sh("exit 0", { cwd: path.join(dir, "gone") })), { kind: "notFound" });
    await nothingLeft(before);
    assert.equal(fs.existsSync(path.join(dir, "ran")), false);
  });

  promise("arguments arrive byte for byte, the command's own name too", async ({ run }) => {
    const argv = [
      "sh",
      "-c",
      "cat /proc/$$/cmdline; :",
      "",
      " ",
      "a\nb",
      "é\u{1f600}",
      "'\"$(x)\\",
      "y".repeat(102_400),
      "",
    ];
    const taken = new Taken();
    assert.equal((await run(command(argv), { sink: taken })).status, 0);
    assert.equal(taken.of(1).toString(), argv.map((a) => a + "\0").join(""));
  });

  promise("the environment is exactly what was given", async ({ run }) => {
    const env = { PATH, EMPTY: "", LINES_: "a\nb", WORD: "é=1 2" };
    const end = await run(command(["/bin/cat", "/proc/self/environ"], { env }));
    assert.equal(text(end), Object.entries(env).map(([k, v]) => `${k}=${v}\0`).join(""));
    assert.equal(text(await run(command(["/bin/cat", "/proc/self/environ"], { env: {} }))), "");
  });

  promise("it starts in its directory and with its umask, and ours stay", async ({ run, dir }) => {
    const ours = [process.cwd(), process.umask()];
    assert.equal(
      text(await run(sh("pwd -P; umask", { cwd: dir, umask: 0o027 }))),
      `${fs.realpathSync(dir)}\n0027\n`,
    );
    assert.equal(text(await run(sh("umask", { umask: 0 }))), "0000\n");
    assert.deepEqual([process.cwd(), process.umask()], ours);
  });

  promise("it leads a session and a group of its own, without a terminal", async ({ run }) => {
    const [pid, , , , group, session, terminal] = text(await run(command(["/bin/cat", "/proc/self/stat"])))
      .split(" ");
    assert.deepEqual([group, session, terminal], [pid, pid, "0"]);
  });

  promise(
    "with a terminal, all three descriptors are that terminal, of the size asked for",
    async ({ run }) => {
      const script = "test -t 0 && test -t 1 && test -t 2 && stty size && exec 3</dev/tty && echo own";
      const end = await run(sh(script), { terminal: { rows: 33, columns: 77 } });
      assert.equal(text(end), "33 77\r\nown\r\n");
      assert.equal(end.status, 0);
    },
  );

  promise("it has descriptors 0, 1 and 2 and no other, with 200 open here", async ({ run }) => {
    const open = Array.from({ length: 200 }, () => fs.openSync("/dev/null", "r"));
    const kept = open.slice(0, 5).map(inheritable);
    try {
      const end = await run(command(["/bin/ls", "-l", "/proc/self/fd"]));
      const links = [...text(end).matchAll(/ (\d+) -> (.*)$/gm)].map((
        m,
      ) => [m[1], m[2]!.replace(/\d+/, "N")]);
      const own = ["3", "/proc/N/fd"]; // ls itself reads the directory
      assert.deepEqual(links, [["0", "/dev/null"], ["1", "pipe:[N]"], ["2", "pipe:[N]"], own]);
    } finally {
      for (const fd of open) fs.closeSync(fd);
      const path = kept.map((fd) => `/proc/self/fd/${fd}`);
      assert.ok(path.every((p) => fs.existsSync(p)), "the test had no descriptor to pass on");
    }
  });

  promise("its descriptors wait, as programs expect", async ({ run }) => {
    const end = await run(sh("cat /proc/$$/fdinfo/0 /proc/$$/fdinfo/1 /proc/$$/fdinfo/2; :"), {
      stdin: true,
    });
    const flags = [...text(end).matchAll(/flags:\s+(\d+)/g)].map((m) => parseInt(m[1]!, 8) & 0o4000);
    assert.deepEqual(flags, [0, 0, 0]);
  });

  promise("no signal is ignored or blocked in it", async ({ run }) => {
    const status = text(await run(command(["/bin/cat", "/proc/self/status"])));
    assert.match(status, /^SigBlk:\s+0+$/m);
    assert.match(status, /^SigIgn:\s+0+$/m);
    assert.equal((await run(sh("kill -PIPE $$; exit 1"))).status, 141);
  });

  promise("5 MiB of standard input arrive byte for byte, and then its end", async ({ start }) => {
    const bytes = Buffer.alloc(5 * 1024 * 1024, "0123456789abcdefg\0\xff", "latin1");
    const running = await start(command(["sha256sum"]), { stdin: true });
    for (let i = 0; i < bytes.length; i += 100_000) await running.stdin.write(bytes.subarray(i, i + 100_000));
    running.stdin.end();
    assert.equal(text(await running.ended), `${sha256(bytes)}  -\n`);
  });

  promise(
    "standard input that nobody reads holds nothing up, not even in a child left behind",
    async ({ start }) => {
      for (
        const script of ["exit 3", "exec 0<&-; sleep 0.1; exit 3", "exec 3<&0; (sleep 5 <&3 &) ; exit 3"]
      ) {
        const running = await start(sh(script), { stdin: true });
        const before = performance.now();
        for (let i = 0; i < 20; i++) await running.stdin.write(Buffer.alloc(100_000));
        running.stdin.end();
        assert.equal((await running.ended).status, 3);
        assert.ok(performance.now() - before < 3_000, script);
      }
    },
  );

  promise("without standard input it reads an end", async ({ run }) => {
    assert.equal(text(await run(sh("cat; echo end"))), "end\n");
  });

  promise("50 MB of output arrive byte for byte, errors apart", async ({ run }) => {
    const taken = new Taken();
    const line = "0123456789abcde\n";
    await run(sh(`yes ${line.trim()} | head -c 48000000; yes ERR | head -c 2000000 >&2`), { sink: taken });
    assert.equal(sha256(taken.of(1)), sha256(Buffer.alloc(48_000_000, line)));
    assert.equal(sha256(taken.of(2)), sha256(Buffer.alloc(2_000_000, "ERR\n")));
  });

  promise("a command waits for a sink that does not take its output", async ({ start, dir }) => {
    const taken = new Taken();
    let goOn = () => {};
    taken.go = new Promise<void>((resolve) => goOn = resolve);
    const running = await start(sh("head -c 5000000 /dev/zero; touch done", { cwd: dir }), { sink: taken });
    await wait(300);
    assert.ok(taken.of(1).length <= 256 * 1024, `${taken.of(1).length} bytes at once`);
    assert.equal(fs.existsSync(path.join(dir, "done")), false);
    taken.go = wait(1);
    goOn();
    assert.equal((await running.ended).status, 0);
    assert.equal(taken.of(1).length, 5_000_000);
  });

  promise("out of time: 124, and its whole group is killed", async ({ run }) => {
    const deaf = "(trap '' TERM; echo $(exec sh -c 'echo $PPID'); while :; do sleep 1; done) &";
    for (const script of [`${deaf} wait`, `${deaf} trap '' TERM; while :; do sleep 1; done`]) {
      const end = await run(sh(script, { timeoutMs: 300 }));
      assert.equal(end.status, 124);
      await gone(Number(text(end)));
    }
  });

  promise("a child left behind that keeps the pipe does not delay the end", async ({ run }) => {
    const before = performance.now();
    const end = await run(sh("sleep 30 & echo $!"));
    assert.ok(performance.now() - before < 2_000);
    assert.equal(end.status, 0);
    assert.equal(runs(Number(text(end))), true);
    process.kill(Number(text(end)));
  });

  promise("signals reach the whole group while it runs, and nobody afterwards", async ({ start }) => {
    const sink = new Taken();
    const running = await start(sh("trap 'exit 7' USR1; sleep 30 & echo $!; while :; do wait; done"), {
      sink,
    });
    await sink.heard("\n");
    await wait(100); // the shell's child is still the shell for a moment
    running.signal("SIGUSR1");
    const end = await running.ended;
    assert.equal(end.status, 7);
    await gone(Number(text(end)));
    const kill = process.kill;
    const sent: unknown[] = [];
    process.kill = (...args) => (sent.push(args), true);
    running.signal("SIGTERM");
    process.kill = kill;
    assert.deepEqual(sent, []);
  });

  promise("a command that closes its pipes is waited for all the same", async ({ run }) => {
    assert.equal((await run(sh("exec >&- 2>&- <&-; sleep 0.3; exit 3"))).status, 3);
  });

  promise("500 in a row and 50 at once leave no zombie and no descriptor", async ({ run, dir }) => {
    await run(sh("exit 0"));
    const before = descriptors();
    for (let i = 0; i < 500; i++) assert.equal((await run(command(["/bin/true"]))).status, 0);
    const ends = await Promise.all(
      Array.from({ length: 50 }, (_, i) => run(sh(`echo ${i}; exit ${i}`, { cwd: dir }))),
    );
    assert.deepEqual(ends.map((end) => [end.status, text(end)]), ends.map((_, i) => [i, `${i}\n`]));
    await nothingLeft(before);
  });

  promise(
    "our own kind of child and others of the runtime do not take each other's ends",
    async ({ run }) => {
      for (let i = 0; i < 20; i++) {
        const mine = run(sh("exit 5"));
        const other = new Promise((resolve) => spawn("/bin/sh", ["-c", "exit 4"]).once("exit", resolve));
        assert.equal(execFileSync("/bin/echo", ["x"]).toString(), "x\n");
        assert.deepEqual([(await mine).status, await other], [5, 4]);
      }
    },
  );

  promise("as another user: that user's ids and groups and no way back", async ({ run }) => {
    const user = { name: "nobody", uid: 65534, gid: 65534, home: "/", shell: "/bin/sh" };
    const status = text(await run(command(["/bin/cat", "/proc/self/status"], { user })));
    const groups = execFileSync("id", ["-G", "nobody"]).toString().trim();
    assert.match(status, /^Uid:\s65534\s65534\s65534\s65534$/m);
    assert.match(status, /^Gid:\s65534\s65534\s65534\s65534$/m);
    assert.equal(/^Groups:\s*(.*?)\s*$/m.exec(status)?.[1], groups);
    assert.match(status, /^CapEff:\s0+$/m);
    assert.match(status, /^CapInh:\s0+$/m);
  }, { root: true });
}
