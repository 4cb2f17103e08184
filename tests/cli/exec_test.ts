// exec: what reaches a command through the real command line, and what of it comes back: bytes, places, streams, ends.
// Not signals and readers that go away (exec_ends_test.ts) and not replay on other hosts.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { ISCONF, makeBox, run, skipIf } from "./tools.ts";

/** A program that writes its arguments to a file, each ended by a NUL. */
const keepArgs = (file: string) => ["sh", "-c", 'for a; do printf "%s\\0" "$a"; done > "$0"', file];

test("arguments reach the command byte for byte, now and journaled: quotes, newlines, empty, 100 KiB, ten thousand", async (t) => {
  const box = makeBox(t);
  await box.begin("arguments");
  const file = path.join(box.dir, "args");
  const odd = [
    "",
    " ",
    "a b",
    "'\"",
    "line\nbreak",
    "\ttab\r",
    "$(reboot)",
    "`id`",
    "*",
    "\\",
    "-n",
    "--",
    "-h",
  ];
  const lists = [
    [...odd, "--help", "--json", "\x1b[31m", "\u202e", "\u{1f600}ü€", "a\ufeff", "e\u0301"],
    ["x".repeat(100 * 1024)],
    Array.from({ length: 10_000 }, (_, i) => `argument ${i}`),
  ];
  for (const args of lists) {
    await box.ok(["exec", ...keepArgs(file), ...args]);
    assert.deepEqual(fs.readFileSync(file, "utf8").split("\0").slice(0, -1), args);
  }
  await box.ok(["ci"]);
  for (const [i, args] of lists.entries()) {
    const shown = JSON.parse(await box.ok(["--json", "show", String(i + 1)]));
    assert.deepEqual(shown.details[0].argv, [...keepArgs(file), ...args]);
  }
  await box.ok(["verify"]);
});

test("the shown command line, pasted into a shell, is the same command again", async (t) => {
  const box = makeBox(t);
  await box.begin("paste");
  const file = path.join(box.dir, "args");
  const args = [
    "",
    "a b",
    "it's",
    "\\",
    "new\nline",
    "\x1b]52;c;x\x07",
    "$HOME",
    "ü\u202e",
    "\t",
    "*",
    "#",
    "~",
    "!!",
  ];
  await box.ok(["exec", ...keepArgs(file), ...args]);
  const { items } = JSON.parse(await box.ok(["--json", "wip"]));
  fs.rmSync(file);
  await run("/bin/bash", ["-c", String(items[0].text).replace(/^exec /, "")]);
  assert.deepEqual(fs.readFileSync(file, "utf8").split("\0").slice(0, -1), args);
});

test(
  "arguments that are not UTF-8 are refused with 22 and nothing runs, from the command line and from a raw request",
  skipIf("bytes by curl", lacks({ programs: ["curl"] })),
  async (t) => {
    const box = makeBox(t);
    await box.begin("bytes");
    const file = path.join(box.dir, "ran");
    for (const word of ["$'\\xff'", "$'a\\xc3'", "$'\\xed\\xa0\\x80'", "$'\\xc0\\xaf'"]) {
      const script = `exec '${ISCONF}' exec touch '${file}' ${word}`;
      const { status, err } = await run("/bin/bash", ["-c", script], {
        env: { ISCONF_HOME: box.home, LANG: "C" },
      });
      assert.deepEqual([word, status], [word, 22], err);
    }
    const raw = Buffer.concat([
      Buffer.from(`{"cwd":"${box.dir}","command":["touch","${file}","`),
      Buffer.from([0xff]),
      Buffer.from('"]}'),
    ]);
    const { out } = await run("curl", [
      "-s",
      "--unix-socket",
      box.socket,
      "-H",
      "content-type: application/json",
      "--data-binary",
      "@-",
      "http://isconf/v1/exec",
    ], { stdin: raw });
    assert.equal(JSON.parse(out).kind, "usage");
    assert.equal(fs.existsSync(file), false);
    assert.equal(JSON.parse(await box.ok(["--json", "wip"])).items.length, 0);
  },
);

test("an argument that begins with a byte order mark arrives as it is or is refused, and stops nothing later", async (t) => {
  const box = makeBox(t);
  await box.begin("marks");
  const { status, out, err } = await box.isconf(["exec", "printf", "%s", "\ufeffx"]);
  assert.ok(status === 22 || out === "\ufeffx", err);
  const locked = await box.isconf(["lock", "\ufeffmarked"]);
  assert.ok(locked.status === 0 || locked.status === 22, locked.err);
  await box.ok(["exec", "true"]);
  await box.ok(["ci"]);
});

test("arguments beyond the limits are refused with 22 before anything runs", async (t) => {
  const box = makeBox(t);
  await box.begin("limits");
  const file = path.join(box.dir, "ran");
  const tooMany = Array(20_001).fill("x") as string[];
  const tooLong = Array(11).fill("x".repeat(100_000)) as string[];
  for (const args of [tooMany, tooLong]) {
    const { status, err } = await box.isconf(["exec", "touch", file, ...args], { timeoutMs: 10_000 });
    assert.equal(status, 22, err);
  }
  assert.equal(fs.existsSync(file), false);
});

test("what was accepted can be checked in and read again: the longest command with the longest environment", async (t) => {
  const box = makeBox(t);
  await box.begin("as much as goes");
  const env: Record<string, string> = {};
  for (let i = 0; i < 60; i++) env[`BIG_${i}`] = "v".repeat(16_000);
  const names = Object.keys(env).flatMap((name) => ["--env", name]);
  const args = Array(9).fill("x".repeat(100_000)) as string[];
  const typed = await box.isconf(["exec", ...names, "true", ...args], { env, timeoutMs: 10_000 });
  assert.ok(typed.status === 0 || typed.status === 22, `${typed.status}: ${typed.err}`);
  const raw = await box.http("POST", "/v1/exec", {
    command: ["true", ...args],
    callerEnv: env,
    env: Object.keys(env),
  });
  assert.ok(raw.status === 200 || raw.status === 400, raw.text);
  await box.ok(["exec", "true"]);
  await box.ok(["wip"]);
  await box.ok(["ci"]);
  await box.ok(["verify"]);
  await box.ok(["log"]);
});

test("the command runs where the caller is, with the caller's umask", async (t) => {
  const box = makeBox(t);
  await box.begin("place");
  for (const umask of ["000", "022", "077", "777"]) {
    const dir = path.join(box.dir, `at ${umask}`);
    fs.mkdirSync(dir);
    const script = `umask ${umask}; exec '${ISCONF}' exec sh -c 'touch made; umask; pwd'`;
    const { status, out, err } = await run("/bin/bash", ["-c", script], {
      cwd: dir,
      env: { ISCONF_HOME: box.home },
    });
    assert.equal(status, 0, err);
    assert.equal(out, `0${umask}\n${dir}\n`);
    const mode = fs.statSync(path.join(dir, "made")).mode & 0o777;
    assert.equal(mode, 0o666 & ~Number.parseInt(umask, 8));
  }
  const gone = path.join(box.dir, "gone");
  fs.mkdirSync(gone);
  const { status, err } = await run("/bin/bash", [
    "-c",
    `cd '${gone}'; rmdir '${gone}'; exec '${ISCONF}' exec true`,
  ], {
    env: { ISCONF_HOME: box.home },
  });
  assert.equal(status, 2, "a directory that is gone is nowhere");
  assert.match(err, /the directory that you are in does not exist any more/);
});

test("a raw request with a umask, a directory or a time out of range is refused, and the journal stays readable", async (t) => {
  const box = makeBox(t);
  await box.begin("ranges");
  const command = ["true"];
  const odd = [
    { command, umask: 0o1000 },
    { command, umask: 4_294_967_296 },
    { command, cwd: "etc" },
    { command, cwd: "" },
    { command, timeout: 9_007_199_254_740_991 },
  ];
  for (const body of odd) {
    const { status, text } = await box.http("POST", "/v1/exec", body);
    assert.ok(status >= 400 && status < 500, `${JSON.stringify(body)}: ${status} ${text}`);
  }
  await box.ok(["exec", "true"]);
  await box.ok(["ci"]);
  await box.ok(["log"]);
  await box.ok(["verify"]);
});

test("standard input reaches the command byte for byte with -i, 5 MiB, and is journaled; without it there is none", async (t) => {
  const box = makeBox(t);
  await box.begin("input");
  const input = new Uint8Array(5 * 1024 * 1024);
  for (let i = 0; i < input.length; i += 65_536) {
    input.set(crypto.getRandomValues(new Uint8Array(65_536)), i);
  }
  const file = path.join(box.dir, "input");
  const { status, err } = await box.isconf(["exec", "-i", "sh", "-c", 'cat > "$0"', file], { stdin: input });
  assert.equal(status, 0, err);
  assert.ok(fs.readFileSync(file).equals(input));
  assert.equal((await box.isconf(["exec", "cat"], { stdin: "unread" })).out, "");
  const early = await box.isconf(["exec", "-i", "head", "-c", "3"], { stdin: input });
  assert.deepEqual([early.status, early.outBytes.equals(input.subarray(0, 3))], [0, true], early.err);
  assert.equal((await box.isconf(["exec", "-i", "cat"], { stdin: "" })).out, "");
  await box.ok(["ci"]);
  assert.match(JSON.parse(await box.ok(["--json", "show", "1"])).details[0].stdin, /^[0-9a-f]{64}$/);
});

test("50 MB of output come through byte for byte, standard error apart, and what is kept of it is bounded", async (t) => {
  const box = makeBox(t);
  await box.begin("output");
  const script = "seq 1 7000000; seq 1 9999 >&2";
  const { status, outBytes, err } = await box.isconf(["exec", "sh", "-c", script]);
  assert.equal(status, 0);
  const direct = await run("sh", ["-c", script]);
  assert.ok(outBytes.length > 50_000_000);
  const sum = (b: Uint8Array) => createHash("sha256").update(b).digest("hex");
  assert.equal(sum(outBytes), sum(direct.outBytes));
  assert.equal(err, direct.err);
  await box.ok(["ci"]);
  const { output } = JSON.parse(await box.ok(["--json", "show", "1"]));
  assert.ok(output.length < 100_000);
  assert.match(output, /^1\n2\n/);
  assert.match(output, /bytes left out/);
});

test("bytes of output that are no text arrive as they are, on both streams", async (t) => {
  const box = makeBox(t);
  await box.begin("binary");
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const file = path.join(box.dir, "bytes");
  fs.writeFileSync(file, bytes);
  assert.ok((await box.isconf(["exec", "cat", file])).outBytes.equals(bytes));
  const { stdout } = {
    stdout: await run("sh", ["-c", `'${ISCONF}' exec sh -c 'cat "$0" >&2' '${file}' 2>&1`], {
      env: { ISCONF_HOME: box.home },
    }),
  };
  assert.ok(stdout.outBytes.equals(bytes));
});

test("a command gets descriptors 0, 1 and 2 and no others, whatever the one who started the agent had open", async (t) => {
  const box = makeBox(t);
  const script = `exec 30</etc/passwd 251</etc/passwd 9</etc/passwd; exec '${ISCONF}' -q init --host hosta`;
  assert.equal((await run("/bin/bash", ["-c", script], { env: { ISCONF_HOME: box.home } })).status, 0);
  await box.ok(["lock", "descriptors"]);
  const { out } = await run("/bin/bash", [
    "-c",
    `exec 31</etc/passwd; exec '${ISCONF}' exec ls /proc/self/fd`,
  ], {
    env: { ISCONF_HOME: box.home },
  });
  assert.deepEqual(out.trim().split("\n"), ["0", "1", "2", "3"], "3 is the directory that ls reads");
});

test(
  "a command as another user has that user's ids and groups and no way back",
  skipIf("exec --as", lacks({ root: true, programs: ["setpriv"] })),
  async (t) => {
    const box = makeBox(t);
    await box.begin("as");
    const { out, err } = await box.isconf([
      "exec",
      "--as",
      "nobody",
      "sh",
      "-c",
      "id -u; id -G; grep CapEff /proc/self/status; echo $HOME $USER",
    ], { cwd: "/" });
    assert.match(out, /^65534\n65534\nCapEff:\s+0+\n\/nonexistent nobody\n$/, err);
    for (const name of ["65534", "-1", "0x0", "nobody ", "../root", "#0", "4294967295", "nobody\n"]) {
      const { status } = await box.isconf(["exec", "--as", name, "true"]);
      assert.ok(status === 2 || status === 22, `--as ${JSON.stringify(name)}: ${status}`);
    }
  },
);
