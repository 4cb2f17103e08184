// confine: what is left to a process that has given up the rest. The filter is tried in a program of its own, since there is no way back.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { nodePath } from "../tests/programs.ts";
import { CALLS, type Step, stepsOf } from "./confine.ts";

const [ALLOW, KILL, EPERM, ENOSYS, EAFNOSUPPORT] = [0x7fff_0000, 0x8000_0000, 0x5_0001, 0x5_0026, 0x5_0061];
const AUDIT = { x64: 0xc000_003e, arm64: 0xc000_00b7 } as const;
const FAMILIES = [1, 2, 10, 16];
const PID = 4711;

/** What the kernel would make of a call, by the steps alone. */
function verdict(steps: Step[], call: { arch: number; number: number; first: number }): number {
  let word = 0;
  for (let at = 0;; at++) {
    const [code, jt, jf, k] = steps[at] as Step;
    if (code === 0x20) word = k === 0 ? call.number : k === 4 ? call.arch : k === 16 ? call.first : NaN;
    else if (code === 0x06) return k;
    else if (code === 0x15) at += word === k ? jt : jf;
    else if (code === 0x35) at += word >= k ? jt : jf;
    else if (code === 0x45) at += (word & k) !== 0 ? jt : jf;
    else throw new Error(`no such step: ${code}`);
  }
}

test("of the calls in the table none is left, but for threads, signals to oneself and sockets of some kinds", () => {
  for (const [column, arch] of (["x64", "arm64"] as const).entries()) {
    const steps = stepsOf(arch, FAMILIES, PID);
    assert.ok(steps.length < 4096);
    const say = (name: keyof typeof CALLS, first = 0) =>
      verdict(steps, { arch: AUDIT[arch], number: CALLS[name][column as 0 | 1] ?? NaN, first });
    for (
      const [name, numbers] of Object.entries(CALLS) as [
        keyof typeof CALLS,
        readonly (number | undefined)[],
      ][]
    ) {
      if (numbers[column] === undefined || ["clone", "clone3", "socket", "tgkill"].includes(name)) continue;
      for (const first of [0, 1, PID, 0xffff_ffff]) assert.equal(say(name, first), EPERM, `${arch} ${name}`);
    }
    assert.equal(say("clone3"), ENOSYS);
    assert.equal(say("clone", 0x003d_0f00), ALLOW, "a thread as the C library makes it");
    for (const flags of [17, 0x4000 | 17, 0x1000_0000 | 17, 0x0100]) assert.equal(say("clone", flags), EPERM);
    assert.deepEqual([say("tgkill", PID), say("tgkill", 1), say("tgkill", 0)], [ALLOW, EPERM, EPERM]);
    for (let family = 0; family < 64; family++) {
      assert.equal(say("socket", family), FAMILIES.includes(family) ? ALLOW : EAFNOSUPPORT, `${family}`);
    }
    const read = arch === "x64" ? 0 : 63;
    assert.equal(verdict(steps, { arch: AUDIT[arch], number: read, first: 0 }), ALLOW);
    assert.equal(
      verdict(steps, { arch: AUDIT.arm64 ^ AUDIT.x64 ^ AUDIT[arch], number: read, first: 0 }),
      KILL,
    );
    assert.equal(verdict(steps, { arch: 0x4000_0003, number: read, first: 0 }), KILL, "32 bits");
    if (arch === "x64") {
      assert.equal(verdict(steps, { arch: AUDIT.x64, number: 0x4000_0000, first: 0 }), EPERM, "x32");
    }
  }
});

const HEADERS = [
  ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0],
  ["/usr/include/asm-generic/unistd.h", 1],
] as const;

test("the numbers of the calls are those of the kernel's headers", {
  skip: fs.existsSync(HEADERS[0][0]) ? false : "needs libc6-dev",
}, () => {
  for (const [file, column] of HEADERS) {
    const text = fs.readFileSync(file, "utf8");
    for (const [name, numbers] of Object.entries(CALLS)) {
      const number = new RegExp(`^#define __NR(?:3264)?_${name}\\s+(\\d+)$`, "m").exec(text)?.[1];
      if (number !== undefined) assert.equal(Number(number), numbers[column], `${name} in ${file}`);
      else assert.ok(numbers[column] === undefined || numbers[column] >= 442, `${name} is not in ${file}`);
    }
  }
});

/** Tries things, and says for each what came of it. */
const PROGRAM = `
  import { spawnSync } from "node:child_process";
  import * as fs from "node:fs";
  import * as net from "node:net";
  import { Worker } from "node:worker_threads";
  import { call } from "${new URL("./libc.ts", import.meta.url)}";
  import { confineCalls, dropCapabilities, forbidRings, makeUntraceable } from "${new URL(
  "./confine.ts",
  import.meta.url,
)}";
  const tried = {};
  const attempt = async (what, fn) => {
    try { tried[what] = await fn() ?? "done"; } catch (e) { tried[what] = e.code ?? String(e); }
  };
  const all = async (when) => {
    await attempt(when + "program", () => { const { error } = spawnSync("/bin/true"); if (error) throw error; });
    await attempt(when + "packet socket", () => { call("close", call("socket", 17, 2, 0)); });
    await attempt(when + "unshare", () => { call("unshare", 0x200); });
    await attempt(when + "signal", () => { process.kill(process.ppid, 0); });
    await attempt(when + "listen", () => new Promise((ok, no) => net.createServer().on("error", no).listen(0, "127.0.0.1", function () { this.close(() => ok()); })));
    await attempt(when + "file", async () => { await fs.promises.readFile("/proc/self/stat"); });
    await attempt(when + "thread", () => new Promise((ok, no) => new Worker("0", { eval: true }).on("error", no).on("exit", () => ok())));
  };
  if (process.env.TRIED === undefined) {
    await all("before: ");
    dropCapabilities();
    forbidRings();
    process.execve(process.execPath, [process.execPath, ...process.argv.slice(1)], { TRIED: JSON.stringify(tried) });
  }
  Object.assign(tried, JSON.parse(process.env.TRIED));
  makeUntraceable();
  confineCalls([1, 2, 10, 16]);
  await all("after: ");
  const threads = fs.readdirSync("/proc/self/task").map((id) => fs.readFileSync("/proc/self/task/" + id + "/status", "latin1"));
  tried.confined = threads.every((text) => /^Seccomp:\\t2$/m.test(text) && /^NoNewPrivs:\\t1$/m.test(text) && /^CapEff:\\t0+$/m.test(text));
  console.log(JSON.stringify(tried));
`;

test("a program that has given that up starts nothing, signals nobody, opens no other sockets, and goes on otherwise", (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-confine-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  fs.writeFileSync(`${dir}/program.mjs`, PROGRAM);
  const options = { encoding: "utf8", env: {}, timeout: 30_000 } as const;
  const { stdout, stderr, status } = spawnSync(nodePath(), [`${dir}/program.mjs`], options);
  assert.equal(status, 0, stderr);
  const tried = JSON.parse(stdout) as Record<string, string | boolean>;
  assert.equal(tried.confined, true);
  for (const what of ["program", "unshare", "signal", "listen", "file", "thread"]) {
    assert.equal(tried[`before: ${what}`], "done", what);
  }
  for (const what of ["listen", "file", "thread"]) assert.equal(tried[`after: ${what}`], "done", what);
  for (const what of ["program", "unshare", "signal"]) assert.equal(tried[`after: ${what}`], "EPERM", what);
  assert.equal(tried["after: packet socket"], "EAFNOSUPPORT");
});
