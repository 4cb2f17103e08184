// exec, its words: which of them are isconf's and which the command's, where the command is found, and what of the caller's
// environment it gets. Not its arguments byte for byte (exec_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { ENV, ISCONF, makeBox, run } from "./tools.ts";

/** A program that writes its arguments to a file, each ended by a NUL. */
const keepArgs = (file: string) => ["sh", "-c", 'for a; do printf "%s\\0" "$a"; done > "$0"', file];

test("the environment is the built one: loader, shell and interpreter variables of the caller are not in it", async (t) => {
  const box = makeBox(t);
  await box.begin("environment");
  const hostile = {
    LD_PRELOAD: "",
    LD_AUDIT: "",
    GCONV_PATH: "/tmp/evil",
    PS4: "$(touch /tmp/evil)",
    SHELLOPTS: "evil",
    RUBYOPT: "-revil",
    JAVA_TOOL_OPTIONS: "-evil",
    GIT_SSH_COMMAND: "evil",
    APT_CONFIG: "/tmp/evil",
    LOGNAME: "evil",
    SHELL: "/tmp/evil",
    MAIL: "/tmp/evil",
    SSH_AUTH_SOCK: "/tmp/evil",
    SSH_CONNECTION: "evil",
    LANGUAGE: "/tmp/evil",
    LC_MESSAGES: "%s/evil",
    OPENSSL_CONF: "/tmp/evil",
    LD_LIBRARY_PATH: "/tmp/evil",
    GLIBC_TUNABLES: "glibc.malloc.check=1",
    BASH_ENV: "/tmp/evil",
    ENV: "/tmp/evil",
    IFS: "e",
    NODE_OPTIONS: "--require=/tmp/evil",
    PERL5OPT: "-Mevil",
    PYTHONPATH: "/tmp/evil",
    "BASH_FUNC_ls%%": "() { echo evil; }",
    HOME: "/tmp/evil",
    USER: "evil",
    SUDO_USER: "evil",
    ISCONF_HOST: "evil",
    TZ: "/tmp/evil",
    LC_ALL: "../evil",
    TERMINFO: "/tmp/evil",
    SECRET: "evil",
    http_proxy: "evil",
    PATH: `/tmp/evil:${ENV.PATH}`,
  };
  const { out, status } = await box.isconf(["exec", "env"], { env: hostile });
  assert.equal(status, 0);
  assert.doesNotMatch(out, /evil/);
  const names = out.trim().split("\n").map((l) => l.split("=")[0]).sort();
  const built = ["HOME", "ISCONF_BRANCH", "ISCONF_HOST", "LANG", "LOGNAME", "PATH", "SHELL", "USER"];
  assert.deepEqual(names, built);
  // The command line leaves them out by itself: the agent has to as well.
  const callerEnv = {
    ...hostile,
    LD_PRELOAD: "/tmp/evil.so",
    LD_AUDIT: "/tmp/evil.so",
    X: "evil".repeat(256 * 1024),
    "A=B": "evil",
  };
  const raw = await box.http("POST", "/v1/exec", { command: ["env"], callerEnv });
  assert.equal(raw.status, 200, raw.text);
  await box.ok(["ci"]);
  const { details, output } = JSON.parse(await box.ok(["--json", "show", "2"]));
  assert.doesNotMatch(JSON.stringify(details[0].env) + output, /evil/);
  assert.doesNotMatch(output, /^(LD_|GLIBC|SECRET|PATH=\/tmp)/m);
});

test("a command without a slash is looked for in the agent's own path; what was found is what runs and is on record", async (t) => {
  const box = makeBox(t);
  await box.begin("path");
  const mark = path.join(box.dir, "ran");
  for (const name of ["id", "no-such-command"]) {
    fs.writeFileSync(path.join(box.dir, name), `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
  }
  for (const PATH of [box.dir, `.:${ENV.PATH}`, `:${ENV.PATH}`, `${ENV.PATH}:`, "", "bin:."]) {
    const o = { env: { PATH }, cwd: box.dir };
    assert.equal((await box.isconf(["exec", "id", "-u"], o)).status, 0, PATH);
    assert.equal((await box.isconf(["exec", "no-such-command"], o)).status, 127, PATH);
    assert.equal((await box.isconf(["exec", ""], o)).status, 22);
  }
  assert.equal(fs.existsSync(mark), false);
  const { executions } = JSON.parse(await box.ok(["--json", "log", "--here"]));
  assert.deepEqual([...new Set(executions.map((e: { file: string }) => e.file))], ["/usr/bin/id"]);
  // With a slash it is a place, from where the caller is, and is on record as a whole path.
  await box.ok(["exec", "./id"], { cwd: box.dir });
  assert.equal(fs.existsSync(mark), true);
  const last = JSON.parse(await box.ok(["--json", "log", "--here"])).executions.at(-1);
  assert.equal(last.file, path.join(box.dir, "id"));
});

test("options after the command, -- twice and other names of isconf are the command's, or nothing", async (t) => {
  const box = makeBox(t);
  await box.begin("options");
  const file = path.join(box.dir, "args");
  for (const before of [["exec"], ["exec", "--"], ["exec", "--as", "root", "--"], ["exec", "--as=root"]]) {
    const rest = [
      "--as",
      "nobody",
      "-t",
      "-i",
      "--timeout",
      "1",
      "--",
      "-u",
      "root",
      "--home",
      "/tmp",
      "--json",
    ];
    await box.ok([...before, ...keepArgs(file), ...rest]);
    assert.deepEqual(fs.readFileSync(file, "utf8").split("\0").slice(0, -1), rest, before.join(" "));
  }
  for (
    const words of [["exec", "--", "-u", "root"], ["exec", "--", "--", "id"], ["exec", "-u", "root", "id"], [
      "exec",
      "-",
    ]]
  ) {
    const { status, out } = await box.isconf(words);
    assert.ok([22, 127].includes(status as number) && out === "", `${words}: ${status} ${out}`);
  }
  // What it is called by decides nothing (sudoedit, visudo, busybox are their names).
  for (const name of ["sudoedit", "isconf-exec", "sh", "-isconf", "agent"]) {
    const link = path.join(box.dir, name);
    fs.symlinkSync(ISCONF, link);
    const { status, out } = await run(link, ["version"], { env: { ISCONF_HOME: box.home } });
    assert.deepEqual([status, /^isconf /.test(out)], [0, true], name);
    assert.equal((await run(link, ["/etc/passwd"], { env: { ISCONF_HOME: box.home } })).status, 22, name);
  }
});

test("--env passes what it names and refuses what loaders, shells and interpreters obey", async (t) => {
  const box = makeBox(t);
  await box.begin("named");
  const env = {
    MY_TOKEN: "a b\nc",
    EMPTY: "",
    LD_PRELOAD: "x",
    Path: "x",
    HOME: "x",
    bash_env: "x",
    FN: "() { x; }",
  };
  const named = await box.isconf([
    "exec",
    "--env",
    "MY_TOKEN",
    "--env=EMPTY",
    "sh",
    "-c",
    'echo "$MY_TOKEN$EMPTY."',
  ], {
    env,
  });
  assert.equal(named.out, "a b\nc.\n", named.err);
  for (
    const name of [
      "LD_PRELOAD",
      "LD_ANYTHING",
      "PATH",
      "Path",
      "HOME",
      "bash_env",
      "FN",
      "UNSET",
      "",
      "A=B",
      "X Y",
    ]
  ) {
    const { status, out } = await box.isconf(["exec", "--env", name, "echo", "ran"], { env });
    assert.deepEqual([name, status, out], [name, 22, ""]);
  }
});
