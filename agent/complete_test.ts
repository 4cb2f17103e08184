// complete: what is offered at the cursor, and that nothing is that could do something to a shell.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AskAgent, complete } from "./complete.ts";
import { GLOBALS } from "./globals.ts";
import { ROLES } from "./trust.ts";
import { optionName } from "./verb.ts";
import { VERBS } from "./verbs/mod.ts";

const nobody: AskAgent = () => Promise.reject(new Error("no agent"));
const wordsOf = async (line: string, ask: AskAgent = nobody) =>
  (await complete(line.split(" "), VERBS, ask)).words.map(([word]) => word);

test("each verb, each option of it and isconf's own are offered", async () => {
  assert.deepEqual((await wordsOf("")).sort(), VERBS.map((v) => v.name).sort());
  assert.deepEqual(await wordsOf("--"), Object.keys(GLOBALS).map((name) => `--${optionName(name)}`));
  for (const verb of VERBS) {
    const offered = await wordsOf(`${verb.name} -`);
    for (const [name, arg] of Object.entries(verb.args)) {
      const is = !arg.positional && (!arg.hidden || verb.kind === "here");
      assert.equal(offered.includes(`--${optionName(name)}`), is, `${verb.name} ${name}`);
    }
  }
});

test("options that were given, of the command that follows, and after -- are not offered; values are", async () => {
  assert.equal((await wordsOf("up --dry-run --")).includes("--dry-run"), false);
  assert.equal((await wordsOf("up --simulate --")).includes("--dry-run"), false, "by its other name");
  assert.deepEqual(await wordsOf("exec ls --"), []);
  assert.deepEqual(await wordsOf("put -- --"), []);
  assert.ok((await wordsOf("preview exec --")).includes("--timeout"));
  assert.deepEqual(await wordsOf("preview ex"), ["exec"]);
  assert.deepEqual(await wordsOf("--color "), ["auto", "always", "never"]);
  assert.deepEqual(await wordsOf("--color=a"), ["--color=auto", "--color=always"]);
  assert.deepEqual(await wordsOf("wip d"), ["diff", "drop", "done"]);
  assert.deepEqual(await wordsOf("completion "), ["bash", "zsh", "fish"]);
  assert.deepEqual(await wordsOf("grant alice "), [...ROLES]);
  assert.deepEqual(await wordsOf("policy why unl"), ["unlock"]);
  assert.deepEqual(await wordsOf("help err"), ["errors"]);
  assert.deepEqual(await wordsOf("-q -m text --home /x stat"), ["status", "stat"].sort().reverse());
  for (
    const [line, offers] of [
      ["put x", "files"],
      ["get name x", "files"],
      ["exec l", "commands"],
      [
        "exec ls x",
        "files",
      ],
      ["snap /e", "files"],
      ["--config /", "files"],
      ["policy check /", "files"],
      ["root submit x", "files"],
      [
        "oci import x",
        "files",
      ],
      ["oci export x", "words"],
      ["nonsense x", "words"],
    ] as const
  ) {
    assert.equal((await complete(line.split(" "), VERBS, nobody)).offers, offers, line);
  }
});

test("what is typed in a place says what it is, unless it is new or free text", () => {
  const free = VERBS.flatMap((verb) =>
    Object.entries(verb.args).filter(([, { positional, hidden, is, values }]) =>
      positional && !hidden && is === undefined && values === undefined
    ).map(([name]) => `${verb.name} ${name}`)
  );
  const MEANT = [
    "lock message",
    "fork branch",
    "join token",
    "evict reason",
    "revoke reason",
    "resolve id",
    "boot machine",
  ];
  assert.deepEqual(free, MEANT);
});

const HOSTILE = [
  "$(touch pwned)",
  "`id`",
  "a b",
  "a;reboot",
  "a\nreboot",
  "--steal",
  "-rf",
  "~root",
  "=cat",
  "'",
  '"',
  "a\u202eb",
  "\x1b[2J",
  "*",
  "a{b,c}",
  "!!",
  "%1",
  "#x",
  "",
];

test("what the agent knows is offered where it belongs, and nothing that a shell would read as more than a word", async () => {
  const asked: string[] = [];
  const ask: AskAgent = (verb, args) => {
    asked.push(`${verb} ${JSON.stringify(args)}`);
    const rows = (key: string, more: object = {}) =>
      ["web1", ...HOSTILE].map((text) => ({ [key]: text, ...more }));
    return Promise.resolve(
      {
        hosts: { hosts: rows("name", { state: "\x1b[2Jconnected" }), waiting: rows("name") },
        ls: { rows: rows("label", { id: "3f2a99".padEnd(64, "0") }) },
        names: { names: rows("name", { id: "77".padEnd(64, "0") }) },
        status: { branches: rows("name") },
        log: args.here === undefined
          ? {
            entries: [{ seq: 7, author: "alice@web1", message: "a\nb" }, {
              seq: 8,
              author: "$(x)@y",
              message: "",
            }],
          }
          : { executions: [{ n: 12, verb: "exec", argv: ["ls"] }] },
        wip: { items: [{ n: 3, text: "exec ls" }] },
        tokens: { tokens: [{ id: "5b0c", note: "\x1b[2J" }] },
        vm: { machines: rows("name") },
        confirm: [{ id: "5f3a9c1d02b47e68", act: "x" }],
      }[verb],
    );
  };
  const expect: [line: string, words: string[]][] = [
    ["evict ", ["web1"]],
    ["approve w", ["web1"]],
    ["migrate ", ["web1"]],
    ["log --branch ", ["web1"]],
    ["log --branch=w", ["--branch=web1"]],
    ["stat ", ["web1", "3f2a990000000000"]],
    ["stat 3", ["3f2a990000000000"]],
    ["show ", ["8", "7"]],
    ["show --here ", ["12"]],
    ["wip done ", ["3"]],
    ["revoke ", ["alice@web1"]],
    ["confirm ", ["5f3a9c1d02b47e68"]],
    ["token revoke ", ["5b0c"]],
    ["keeper add web2 ", ["web1"]],
    ["vm start ", ["web1"]],
    ["vm create ", []],
  ];
  for (const [line, words] of expect) assert.deepEqual(await wordsOf(line, ask), words, line);
  const { words } = await complete(["show", ""], VERBS, ask);
  assert.deepEqual(words, [["8", ""], ["7", "a\\nb"]]);
  assert.deepEqual((await complete(["evict", ""], VERBS, ask)).words, [["web1", "\\x1b[2Jconnected"]]);
  assert.ok(asked.every((one) => !/stop|"password"/.test(one)));
});

test("without an agent nothing of it is offered, and nothing is thrown", async () => {
  for (const verb of VERBS) assert.ok(Array.isArray(await wordsOf(`${verb.name} `)));
  assert.deepEqual(await wordsOf("evict "), []);
});
