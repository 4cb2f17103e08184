// man: the pages say everything that the tables say, and two formatters that nobody here wrote take them without complaint.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { KINDS } from "../mq/mod.ts";
import { readmeTable } from "../tests/contract/readme.ts";
import { lacks } from "../tests/programs.ts";
import { SETTINGS } from "./config.ts";
import { GLOBALS } from "./globals.ts";
import { manualPage } from "./man.ts";
import { plain } from "./roff.ts";
import { DECISIONS, PARTS } from "./rules.ts";
import { optionName } from "./verb.ts";
import { VERBS } from "./verbs/mod.ts";

const PAGES = ["isconf", "isconf-policy", "isconf.conf"];
const source = (name: string) => manualPage(name, VERBS, "0.1.0 (test)");

test("each verb with its options, each fault, setting and policy word is in its page", () => {
  const [isconf, policy, conf] = PAGES.map(source) as [string, string, string];
  const sections = new Map(
    isconf.split(/^\.SS /m).slice(1).map((text) => [/^"isconf ([a-z]+)"/.exec(text)?.[1], text]),
  );
  const globals = isconf.slice(isconf.indexOf('.SH "OPTIONS"'), isconf.indexOf('.SH "VERBS"'));
  for (const name of Object.keys(GLOBALS)) {
    assert.ok(globals.includes(plain(`--${optionName(name)}"`).replace("\\(dq", '"')), name);
  }
  for (const verb of VERBS) {
    const text = sections.get(verb.name) ?? "";
    for (const [name, arg] of Object.entries(verb.args)) {
      const typed = arg.positional ? name.toUpperCase() : `--${optionName(name)}`;
      if (!arg.hidden) assert.ok(text.includes(`${plain(typed)}"`), `${verb.name} ${name}`);
      for (const alias of arg.aliases ?? []) assert.ok(text.includes(plain(`--${alias}`)), alias);
    }
    for (const example of verb.examples) assert.ok(text.includes(plain(example)), example);
  }
  for (const [kind, { exit }] of Object.entries(KINDS)) {
    assert.match(isconf, new RegExp(`^\\.B "${exit}"\\n${kind}: `, "m"));
  }
  for (const name of Object.keys(SETTINGS)) assert.match(conf, new RegExp(`^\\.B "${name} = `, "m"));
  for (const word of [...Object.keys(DECISIONS), ...Object.keys(PARTS)]) {
    assert.match(policy, new RegExp(`^\\.B "${word}[ "]`, "m"));
  }
});

test("the settings of README.md are those of the code", () => {
  const readme = new URL("../README.md", import.meta.url);
  const named = readmeTable(readme, "Settings and ports").map(([name]) => (name ?? "").replaceAll("`", ""));
  const settings = Object.keys(SETTINGS).filter((name) => !name.startsWith("register")); // in agent/README.md
  assert.deepEqual(named, settings);
});

test("what is in a text means nothing to roff", () => {
  assert.equal(plain(".so /etc/shadow"), "\\&.so /etc/shadow");
  assert.equal(plain("'\\\"-x"), "\\(aq\\e\\(dq\\-x");
  assert.equal(plain("3f2a…"), "3f2a\\[u2026]");
});

for (
  const [program, ...words] of [["mandoc", "-T", "lint", "-W", "warning"], [
    "man",
    "--warnings=all",
    "--encoding=UTF-8",
    "-l",
    "-",
  ]] as [string, ...string[]][]
) {
  const lack = lacks({ programs: [program] });
  if (lack) console.log(`skipped: ${program} takes each page: ${lack}`);
  test(`${program} takes each page without complaint`, { skip: lack }, () => {
    for (const name of PAGES) {
      const env = { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8", MANWIDTH: "80" };
      const { status, stdout, stderr } = spawnSync(program, words, {
        input: source(name),
        env,
        encoding: "utf8",
      });
      assert.deepEqual([status, stderr], [0, ""], name);
      if (program === "mandoc") assert.equal(stdout, "", name);
      else assert.match(stdout, /SEE ALSO/);
    }
    const { stdout, stderr } = spawnSync(program, words, {
      input: ".TH x\n.TP\n.BX\n\\*[none]",
      encoding: "utf8",
    });
    assert.notEqual(stdout.replace(/^.*\n/, "") + stderr, "", "it complains of what is wrong");
  });
}
