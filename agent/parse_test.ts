// parse, verb, help: words to arguments by the verb's own table; what comes as JSON is checked by the same table.
import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOf } from "../tests/world.ts";
import { helpErrors, helpList, helpVerb } from "./help.ts";
import { needExactWords, parseGlobals, parseVerb } from "./parse.ts";
import { suggest } from "./suggest.ts";
import { checkArgs, optionName, type Verb } from "./verb.ts";
import { VERBS } from "./verbs/mod.ts";

const verb = (name: string) => VERBS.find((v) => v.name === name) as Verb;

test("options before the verb are isconf's, everything after it is the verb's own", () => {
  const { globals, verb: name, rest } = parseGlobals([
    "-q",
    "--json",
    "-m",
    "why",
    "exec",
    "-i",
    "ls",
    "-l",
    "--json",
  ]);
  assert.deepEqual([globals.quiet, globals.json, globals.message, name, rest], [true, true, "why", "exec", [
    "-i",
    "ls",
    "-l",
    "--json",
  ]]);
});

test("exec needs no --: the first word that is no option begins the command", () => {
  const parsed = (words: string[]) => {
    const a = parseVerb(verb("exec"), words) as {
      command: string[];
      as?: string;
      env: string[];
      stdin: boolean;
      timeout?: number;
    };
    return [a.command, a.as, a.env, a.stdin, a.timeout];
  };
  assert.deepEqual(parsed(["ls", "-l"]), [["ls", "-l"], undefined, [], false, undefined]);
  assert.deepEqual(
    parsed(["--as", "www", "-i", "--env", "A", "--env", "B", "--timeout", "9", "x", "--as", "y"]),
    [["x", "--as", "y"], "www", ["A", "B"], true, 9],
  );
  assert.deepEqual(parsed(["--", "-strange", "--", "x"]), [
    ["-strange", "--", "x"],
    undefined,
    [],
    false,
    undefined,
  ]);
  assert.deepEqual(parsed(["sh", "-c", "", "--help"]), [
    ["sh", "-c", "", "--help"],
    undefined,
    [],
    false,
    undefined,
  ]);
});

test("wrong words are refused by name", async () => {
  const cases: [string, string[]][] = [
    ["exec", []],
    ["exec", ["--nonsense", "ls"]],
    ["up", ["--to", "x"]],
    ["up", ["--to", "-1"]],
    ["up", ["7"]],
    ["show", []],
    ["show", ["seven"]],
    ["fork", []],
    ["fork", ["aa", "bb"]],
    ["snap", []],
    ["ci", ["now"]],
    ["up", ["--to"]],
  ];
  for (const [name, words] of cases) {
    assert.equal((await faultOf(() => parseVerb(verb(name), words))).exit, 22, `${name} ${words}`);
  }
  assert.equal((await faultOf(() => parseGlobals(["--nonsense", "status"]))).exit, 22);
});

test("help is asked for with --help or -h before a command begins", () => {
  for (const name of ["up", "exec", "lock"]) assert.equal(parseVerb(verb(name), ["--help"]), undefined);
  assert.equal(parseVerb(verb("up"), ["-h"]), undefined);
});

test("JSON arguments: unknown, missing, of a wrong kind, with tricks in their names: all refused", async () => {
  const wrong: [string, unknown][] = [
    ["lock", null],
    ["lock", []],
    ["lock", "x"],
    ["lock", { message: "text" }],
    ["lock", { message: [1] }],
    ["lock", { more: 1 }],
    ["lock", JSON.parse('{"__proto__": {"message": ["x"]}}')],
    ["lock", { constructor: 1 }],
    ["show", {}],
    ["show", { seq: "7" }],
    ["show", { seq: -1 }],
    ["show", { seq: 1.5 }],
    ["show", { seq: 2 ** 53 }],
    ["exec", { command: [] }],
    ["exec", { command: ["a\0b"] }],
    ["exec", { command: ["\ud800"] }],
    ["exec", { command: ["x"], callerEnv: { A: 1 } }],
    ["up", { reboot: "yes" }],
    ["exec", { command: ["x"], callerEnv: [] }],
  ];
  for (const [name, value] of wrong) {
    assert.equal(
      (await faultOf(() => checkArgs(verb(name), value))).exit,
      22,
      `${name} ${JSON.stringify(value)}`,
    );
  }
  assert.deepEqual(checkArgs(verb("up"), {}), {
    reboot: false,
    step: false,
    dryRun: false,
    rehearse: false,
    offline: false,
  });
});

test("words that the kernel gave as other bytes than Node shows are refused", async () => {
  needExactWords(["a", "ü"], Buffer.from("isconf\0a\0ü\0"));
  const fault = await faultOf(() => needExactWords(["\ufffd"], Buffer.from([0x69, 0, 0xff, 0])));
  assert.equal(fault.exit, 22);
});

test("each verb is in the list once, with a summary, an example that parses, and help that names its options", () => {
  assert.equal(new Set(VERBS.map((v) => v.name)).size, VERBS.length);
  for (const v of VERBS) {
    assert.ok(v.summary.length > 0 && v.examples.length > 0, v.name);
    const help = helpVerb(v);
    for (const [name, arg] of Object.entries(v.args)) {
      if (!arg.hidden) {
        assert.ok(help.toLowerCase().includes(optionName(name)), `${v.name}: ${name}`);
      }
    }
    assert.ok(helpList(VERBS).includes(v.summary));
  }
  assert.match(helpErrors(), /221 {2}428 {2}notLocked/);
});

test("a misspelt verb gets a suggestion, nonsense gets none", () => {
  const names = VERBS.map((v) => v.name);
  assert.deepEqual([suggest("stauts", names), suggest("lok", names), suggest("qqqqqqqq", names)], [
    "status",
    "lock",
    undefined,
  ]);
});
