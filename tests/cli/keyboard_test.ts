// keyboard: what people meet at a terminal and scripts in a pipe: pager, colours, JSON of everything that reads, exit codes, the first
// characters of ids, and how long status takes.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import { test } from "node:test";
import { VERBS } from "../../agent/mod.ts";
import { lacks } from "../programs.ts";
import { atTerminal, type Step } from "../terminal.ts";
import { type Box, ISCONF, makeBox, type Outcome, run, skipIf } from "./tools.ts";

/** A test with homes of the executable. */
function boxTest(name: string, programs: string[], fn: (box: Box) => Promise<void>): void {
  test(name, skipIf(name, lacks({ programs, files: [ISCONF] })), (t) => fn(makeBox(t)));
}

/** Runs isconf on a terminal. */
function onTerminal(
  box: Box,
  words: string[],
  env: Record<string, string> = {},
  steps: Step[] = [],
): Promise<Outcome> {
  const argv = atTerminal(steps, "timeout", "--foreground", "20", ISCONF, ...words).slice(1);
  return run("python3", argv, {
    cwd: box.dir,
    env: { ISCONF_HOME: box.home, TERM: "xterm", ...env },
    timeoutMs: 30_000,
  });
}

boxTest(
  "long answers go through the caller's pager, on a terminal only, and through no shell",
  ["python3"],
  async (box) => {
    const pager = path.join(box.dir, "my pager");
    fs.writeFileSync(
      pager,
      `#!/bin/sh\n[ -t 0 ] && echo terminal >>seen\nprintf '%s|' "$@" >>seen\necho >>seen\ncat >>seen\n`,
      { mode: 0o755 },
    );
    const seen = () => {
      const file = path.join(box.dir, "seen");
      const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
      fs.rmSync(file, { force: true });
      return text;
    };
    const env = { ISCONF_PAGER: `"${pager}" -a "two words" $(touch pwned) ;` };
    const { out: plain } = await box.isconf(["help"], { env, cwd: box.dir });
    assert.equal(seen(), "", "not in a pipe");
    const { out, status } = await onTerminal(box, ["help"], env);
    assert.deepEqual([out, status], ["", 0]);
    assert.equal(seen(), `-a|two words|$(touch|pwned)|;|\n${plain}`);
    assert.ok(!fs.existsSync(path.join(box.dir, "pwned")));
    for (const words of [["--no-pager", "help"], ["--json", "help"], ["version"]]) {
      await onTerminal(box, words, env);
      if (words[0] !== "version") assert.equal(seen(), "", words.join(" "));
    }
    seen();
    const { out: direct } = await onTerminal(box, ["help"], { ISCONF_PAGER: "/no/such/pager" });
    assert.equal(
      direct.replaceAll("\r", ""),
      plain,
      "what cannot be started shows nothing, so it is printed",
    );
    await box.begin("a reason");
    await box.ok(["exec", "true"]);
    await box.ok(["ci"]);
    for (const words of [["log"], ["show", "1"]]) {
      await onTerminal(box, words, env);
      assert.match(seen(), /a reason/, words.join(" "));
    }
    const lent = await onTerminal(box, ["log"], { ...env, SUDO_UID: "0" });
    assert.equal(seen(), "", "with somebody else's rights it is less");
    assert.match(lent.out, /a reason/);
  },
);

boxTest(
  "a manual page is shown by man on a terminal, and is its source in a pipe",
  ["python3", "man"],
  async (box) => {
    const { out } = await onTerminal(box, ["--no-pager", "man", "isconf.conf"]);
    assert.match(out.replaceAll(/\x1b\[[0-9;]*m|.\x08/g, ""), /SETTINGS/);
    assert.doesNotMatch(out, /^\.SH/m);
    assert.match(await box.ok(["man", "isconf.conf"]), /^\.SH "SETTINGS"$/m);
    assert.match((await box.isconf(["man", "isconf.comf"])).err, /isconf-policy/);
  },
);

boxTest("colours are on a terminal, unless NO_COLOR or --color say otherwise", ["python3"], async (box) => {
  await box.begin();
  const isColoured = ({ out }: Outcome) => /\x1b\[3[0-9]m/.test(out);
  const cases: [
    where: "pipe" | "terminal",
    words: string[],
    env: Record<string, string>,
    coloured: boolean,
  ][] = [
    ["pipe", [], {}, false],
    ["pipe", ["--color", "always"], {}, true],
    ["pipe", ["--color=always"], { NO_COLOR: "1" }, true],
    ["pipe", ["--color=auto"], {}, false],
    ["terminal", [], {}, true],
    ["terminal", [], { NO_COLOR: "1" }, false],
    ["terminal", [], { NO_COLOR: "" }, true],
    ["terminal", ["--color=never"], {}, false],
    ["terminal", [], { TERM: "dumb" }, false],
    ["terminal", ["--json"], {}, false],
  ];
  for (const [where, words, env, coloured] of cases) {
    const all = [...words, "status"];
    const outcome = where === "pipe" ? await box.isconf(all, { env }) : await onTerminal(box, all, env);
    assert.equal(isColoured(outcome), coloured, `${where} ${words} ${JSON.stringify(env)}`);
  }
});

/** What a verb that reads has to be told, where that is anything. */
const TOLD: Record<string, string[]> = {
  show: ["1"],
  stat: ["motd"],
  tree: ["tree"],
  copies: ["motd"],
  policy: ["show"],
};

boxTest(
  "every verb that reads answers with one line of JSON that can do nothing to a terminal",
  [],
  async (box) => {
    await box.begin("reason \x1b[2J \u202e");
    await box.ok(["exec", "true"]);
    await box.ok(["ci"]);
    await box.ok(["put", "--label", "motd", "-"], { stdin: "x" });
    fs.mkdirSync(path.join(box.dir, "tree"));
    fs.writeFileSync(path.join(box.dir, "tree", "a\x1bb"), "x");
    await box.ok(["put", path.join(box.dir, "tree")]);
    const reading = VERBS.filter((verb) => verb.kind === "reads").map(({ name }) => name);
    assert.ok(reading.length >= 12, reading.join());
    for (const name of [...reading, "wip", "keeper", "root", "confirm", "version", "help"]) {
      const { out, err } = await box.isconf(["--json", name, ...TOLD[name] ?? []]);
      const lines = out.split("\n");
      assert.equal(lines.length, 2, `${name}: ${out}${err}`);
      const value = JSON.parse(lines[0]!);
      assert.ok(typeof value === "object" && !("fault" in value), `${name}: ${out}`);
      assert.doesNotMatch(out, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]/, name);
    }
  },
);

boxTest("2 is something to do, where it was asked for; what is not found ends 1 then", [], async (box) => {
  await box.begin("work");
  const status = async (...words: string[]) => (await box.isconf(words)).status;
  assert.equal(await status("wip", "--detailed-exitcode"), 0);
  assert.equal(await status("status", "--detailed-exitcode"), 0);
  await box.ok(["exec", "true"]);
  assert.equal(await status("wip", "--detailed-exitcode"), 2);
  assert.equal(await status("wip"), 0);
  assert.equal(await status("wip", "done", "99"), 2);
  assert.equal(await status("wip", "done", "99", "--detailed-exitcode"), 1);
  assert.equal(await status("status", "--detailed-exitcode"), 2);
  await box.ok(["ci"]);
  assert.equal(await status("up", "--what-if", "--detailed-exitcode"), 0);
});

boxTest("what is shown of an id is enough to say which one is meant", [], async (box) => {
  await box.begin();
  const id = (await box.ok(["put", "--label", "one", "-"], { stdin: "content" })).trim();
  const [short = ""] = (await box.ok(["ls"])).split(" ");
  assert.ok(short.length === 16 && id.startsWith(short));
  for (const some of [short, id.slice(0, 6)]) {
    for (const verb of ["stat", "copies", "pin", "unpin"]) await box.ok([verb, some]);
    assert.equal(await box.ok(["cat", some]), "content");
    assert.equal(await box.ok(["get", some, "-"]), "content");
    await box.ok(["name", "some/name", some]);
  }
  await box.ok(["rm", short]);
  assert.equal((await box.isconf(["stat", id.slice(0, 3) + "zz"])).status, 2);
});

boxTest("status of a thousand hosts, as the agent has told it, is on the screen at once", [], async (box) => {
  await box.begin();
  const real = JSON.parse(await box.ok(["--json", "status"])) as { hosts: object[] };
  await box.stop();
  const hosts = Array.from(
    { length: 1000 },
    (_, i) => ({ ...real.hosts[0], name: `web${i}`, state: i % 9 ? "current" : "behind" }),
  );
  const line = `${JSON.stringify({ event: "result", result: { ...real, hosts } })}\n`;
  const server = http.createServer((_req, res) => res.end(line));
  fs.rmSync(box.socket, { force: true });
  await new Promise<void>((resolve) => server.listen(box.socket, resolve));
  try {
    const times: number[] = [];
    for (let n = 0; n < 9; n++) {
      const began = performance.now();
      const out = await box.ok(["status"]);
      times.push(performance.now() - began);
      assert.match(out, /^1000 hosts, \d+ of them here \(isconf status --all\): 112 behind, 888 current$/m);
      assert.ok(out.split("\n").length <= 24);
    }
    times.sort((a, b) => a - b);
    console.log(`status of 1000 hosts: best ${times[0]!.toFixed()} ms, median ${times[4]!.toFixed()} ms`);
    assert.ok(times[0]! < 1000, "far above what it takes here, for machines that do other things, too");
  } finally {
    server.close();
  }
});
