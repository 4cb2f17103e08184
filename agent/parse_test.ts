// parse, verb, help: words to arguments by the verb's own table; what comes as JSON is checked by the same table.
import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOf } from "../tests/world.ts";
import { helpErrors, helpList, helpVerb } from "./help.ts";
import { needExactWords, parseGlobals, parseVerb } from "./parse.ts";
import { suggest } from "./suggest.ts";
import { checkArgs, optionName, toldArgs, type Verb } from "./verb.ts";
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

test("a misspelt option gets a suggestion, one of isconf's own its place; nothing of it is obeyed", async () => {
  const said = async (name: string, ...words: string[]) =>
    await faultOf(() => parseVerb(verb(name), words)).then(({ message, hint }) => `${message} / ${hint}`);
  assert.equal(
    await said("up", "--dry-rnu"),
    "Unknown option '--dry-rnu'; did you mean --dry-run? / isconf help up",
  );
  assert.equal(
    await said("log", "--brnch", "x"),
    "Unknown option '--brnch'; did you mean --branch? / isconf help log",
  );
  assert.equal(await said("log", "--nonsense"), "Unknown option '--nonsense' / isconf help log");
  assert.equal(await said("status", "--json"), "--json stands before the verb / isconf --json status");
  assert.match(await said("log", "--\x1b[2J"), /\\x1b/);
  assert.match((await faultOf(() => parseGlobals(["--jsno", "status"]))).message, /did you mean --json\?$/);
  assert.match(
    (await faultOf(() => parseGlobals(["--color", "blue", "status"]))).message,
    /auto, always, never/,
  );
});

test("--dry-run by each of its names, in each verb that has it", () => {
  const verbs = VERBS.filter((v) => "dryRun" in v.args);
  assert.deepEqual(verbs.map((v) => v.name), ["up", "gc"]);
  for (const v of verbs) {
    for (
      const word of ["-n", "--dry-run", "--simulate", "--just-print", "--what-if", "--no-act", "--recon"]
    ) {
      assert.equal(parseVerb(v, [word])?.dryRun, true, `${v.name} ${word}`);
    }
    assert.equal(parseVerb(v, [])?.dryRun, false);
  }
});

test("what is the command line's alone is not told to the agent, which would not take it", async () => {
  for (const v of VERBS) {
    const own = Object.entries(v.args).filter(([, arg]) => arg.own).map(([name]) => name);
    for (const name of own) {
      assert.equal((await faultOf(() => checkArgs(v, { [name]: true }))).kind, "usage", `${v.name} ${name}`);
      assert.ok(!(name in toldArgs(v, { [name]: true })));
    }
  }
  const typed = parseVerb(verb("status"), ["--all", "--detailed-exitcode"])!;
  assert.deepEqual(typed, { offline: false, all: true, detailedExitcode: true });
  assert.deepEqual(toldArgs(verb("status"), typed), { offline: false });
});

test("2 says that there is something to do, where it was asked for, and nothing else does", () => {
  const exit = (name: string, result: unknown, ...words: string[]) =>
    verb(name).exit?.(result, parseVerb(verb(name), words)!) ?? 0;
  const detailed = "--detailed-exitcode";
  const status = { stale: null, state: "current", wip: 0, differing: { entries: 0 } };
  const cases: [name: string, result: unknown, words: string[], plain: number, detailed: number][] = [
    ["up", { at: 1, of: 3, applied: 0 }, ["--dry-run"], 0, 2],
    ["up", { at: 3, of: 3, applied: 0 }, ["--dry-run"], 0, 0],
    ["up", { at: 3, of: 3, applied: 2 }, [], 0, 2],
    ["up", { at: 3, of: 3, applied: 0 }, [], 0, 0],
    ["wip", { items: [{}] }, [], 0, 2],
    ["wip", { items: [] }, [], 0, 0],
    ["wip", { items: [{}], differs: [] }, ["diff"], 0, 0],
    ["wip", { items: [{}], differs: [{}] }, ["diff"], 0, 2],
    ["verify", { files: { drifted: [{}] } }, ["--files"], 1, 2],
    ["verify", { files: { drifted: [] } }, ["--files"], 0, 0],
    ["status", status, [], 0, 0],
    ["status", { ...status, state: "behind" }, [], 0, 2],
    ["status", { ...status, wip: 1 }, [], 0, 2],
    ["status", { ...status, differing: { entries: 1 } }, [], 0, 2],
    ["status", { ...status, stale: {} }, [], 223, 223],
  ];
  for (const [name, result, words, without, withIt] of cases) {
    const what = `${name} ${words} ${JSON.stringify(result)}`;
    assert.equal(exit(name, result, ...words), without, what);
    assert.equal(exit(name, result, ...words, detailed), withIt, what);
  }
});
