// completion: what real shells make of the scripts, with a real agent: what is typed, and what stands on the line after the tabulator.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { atTerminal, type Step } from "../terminal.ts";
import { type Box, ISCONF, makeBox, run, skipIf } from "./tools.ts";

/** Typed before the tabulator, and what the line says afterwards. */
const LINES: [typed: string, line: string][] = [
  ["isconf statu", "isconf status"],
  ["isconf up --dry", "isconf up --dry-run"],
  ["isconf --color=alw", "isconf --color=always"],
  ["isconf --color alw", "isconf --color always"],
  ["isconf migrate we", "isconf migrate webbranch"],
  ["isconf log --branch=we", "isconf log --branch=webbranch"],
  ["isconf evict ho", "isconf evict hosta"],
  ["isconf cat mo", "isconf cat motd"],
  ["isconf cat images/b", "isconf cat images/base"],
  ["isconf revoke root@h", "isconf revoke root@hosta"],
  ["isconf put filew", "isconf put filewithname"],
  ["isconf snap ./filew", "isconf snap ./filewithname"],
  ["isconf exec setpri", "isconf exec setpriv"],
  ["isconf help err", "isconf help errors"],
];

/** How a shell is started so that it reads nothing of anybody's, and learns the script. */
const SHELLS: Record<string, { words: string[]; setup: string }> = {
  bash: { words: ["bash", "--norc", "--noprofile", "-i"], setup: "PS1='REA''DY> '; source script" },
  zsh: {
    words: ["zsh", "-f", "-i"],
    setup:
      "bindkey -e; autoload -Uz compinit; compinit -u -D; unsetopt PROMPT_SP; source script; PS1='REA''DY> '",
  },
};

async function makeShellBox(t: Parameters<typeof makeBox>[0]): Promise<Box> {
  const box = makeBox(t);
  await box.begin();
  await box.ok(["fork", "webbranch"]);
  await box.ok(["-q", "lock", "one entry, so that there is an author"]);
  await box.ok(["-q", "exec", "true"]);
  await box.ok(["-q", "ci"]);
  for (const label of ["motd", "$(touch pwned)", "$(touch\tpwned)"]) {
    await box.ok(["put", "--label", label, "-"], { stdin: label });
  }
  await box.ok(["grant", "root", "publish", "images"]).catch(() => ""); // an owner may anyway
  await box.ok(["put", "--name", "images/base", "--label", "base", "-"], { stdin: "base" });
  fs.symlinkSync(ISCONF, path.join(box.dir, "isconf"));
  fs.writeFileSync(path.join(box.dir, "filewithname"), "");
  return box;
}

const env = (box: Box) => ({
  ISCONF_HOME: box.home,
  PATH: `${box.dir}:/usr/sbin:/usr/bin:/sbin:/bin`,
  HOME: box.dir,
  TERM: "dumb",
  PS1: "START> ",
});

for (const [shell, { words, setup }] of Object.entries(SHELLS)) {
  const name = `${shell} completes what is typed, and nothing that others called theirs is run`;
  test(name, skipIf(name, lacks({ programs: [shell, "python3"], files: [ISCONF] })), async (t) => {
    const box = await makeShellBox(t);
    fs.writeFileSync(path.join(box.dir, "script"), await box.ok(["completion", shell]));
    // What stands on the line after the tabulator is put into quotes and printed; nothing on it is run.
    const keys = LINES.map(([typed]) => `${typed}\t\x01echo "\x05"\n`);
    const steps = [
      ["START> ", "type", `${setup}\n`], // what is typed before a shell reads is lost
      ["READY> ", "type", "isconf cat '$(touch\t\t\x15\n"],
      ["READY> ", "type", keys[0]],
      ...LINES.map(([, line], i) => [`\n${line}`, "type", keys[i + 1] ?? "exit\n"]),
    ] as Step[];
    const limited = ["timeout", "--foreground", "-s", "KILL", "100", ...words];
    const o = { cwd: box.dir, env: env(box), timeoutMs: 120_000 };
    const { out } = await run("python3", atTerminal(steps, ...limited).slice(1), o);
    for (const [typed, line] of LINES) assert.ok(out.includes(`\n${line}`), `${typed}: ${out}`);
    assert.ok(!fs.existsSync(path.join(box.dir, "pwned")));
  });
}

const fish = "fish completes what is typed, and nothing that others called theirs is run";
test(fish, skipIf(fish, lacks({ programs: ["fish"], files: [ISCONF] })), async (t) => {
  const box = await makeShellBox(t);
  const script = await box.ok(["completion", "fish"]);
  const o = { cwd: box.dir, env: env(box) };
  for (const [typed, line] of LINES) {
    const { out } = await run("fish", [
      "--no-config",
      "-c",
      `${script}\ncomplete -C ${JSON.stringify(typed).replaceAll("$", "\\$")}`,
    ], o);
    const offered = out.trimEnd().split("\n").map((one) => one.split("\t")[0]);
    const last = line.split(" ").at(-1) as string;
    assert.ok(offered.includes(last), `${typed}: ${out}`);
  }
  assert.ok(!fs.existsSync(path.join(box.dir, "pwned")));
});

const silent = "without an agent, and with words that are none, completion says nothing that is no candidate";
test(silent, skipIf(silent, lacks({ files: [ISCONF] })), async (t) => {
  const box = makeBox(t);
  for (const words of [["evict", ""], ["--home", "/nowhere", "stat", ""], ["--nonsense", "x", ""], []]) {
    const { out, err, status } = await box.isconf(["complete", "--", ...words]);
    assert.deepEqual([err, status], ["", 0], words.join(" "));
    assert.match(out, /^(words\n|)/);
    if (words.length > 0) assert.ok(out.split("\n").length <= 2, out);
  }
  const { err, status } = await box.isconf(["completion", "tcsh"]);
  assert.deepEqual([status, /bash\|zsh\|fish/.test(err)], [22, true]);
});
