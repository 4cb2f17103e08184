// hostile text: messages, paths, arguments, outputs, labels and variables made to command a terminal or a page.
// Whatever isconf prints of them is inert, and --json stays JSON. Not a command's own output while it runs: that is raw.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { isThorough } from "./contents.ts";
import { type Box, ISCONF, makeBox, type Outcome, run, skipIf } from "./tools.ts";

/** Text that must reach no terminal as it is. */
const HOSTILE = [
  "\x1b[2J\x1b[31mred",
  "\x1b]0;title\x07",
  "\x1b]52;c;cm0gLXJmIC8=\x07",
  "\x1bP+q\x1b\\",
  "back\rspace\b\b\b",
  "bell\x07",
  "c1\x9b31m\x9d0;x\x9c",
  "\u202eevil\u202c\u2066x\u2069",
  "\u200bzero\u200d\u2028line\u2029",
  "\u{e0041}tag",
  "new\nline\n\n[31m",
  "tab\tvertical\vform\f",
  "<script>alert(1)</script>",
  `"><img src=x onerror=alert(1)>`,
  "javascript:alert(1)",
  "{{7*7}}${7*7}%s%n",
  "\x7fdelete",
];
const ALL = HOSTILE.join(" | ");
const ONE_LINE = ALL.replace(/[\r\n\u2028\u2029]/g, " ");

const CONTROL =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/u;

/** Asserts that what was printed can do nothing to a terminal. */
function needInert(what: string, { out, err }: Outcome): void {
  for (const text of [out, err]) {
    const found = CONTROL.exec(text);
    assert.ok(
      found === null,
      `${what}: U+${found?.[0].codePointAt(0)?.toString(16)} in ${JSON.stringify(text)}`,
    );
  }
}

/** A home whose journal, work in hand, shelf and variables are full of hostile text. */
async function full(box: Box): Promise<string> {
  const dir = path.join(box.dir, "files");
  fs.mkdirSync(dir);
  fs.writeFileSync(path.join(box.home, "etc/main.cf"), `DEFAULT:\n  EVIL = ${ONE_LINE}\n`);
  await box.begin(ALL);
  const tree = path.join(dir, "tree\x1b[31m\u202e");
  fs.mkdirSync(tree);
  const names = HOSTILE.map((h) => h.replaceAll("/", "_").slice(0, 60));
  for (const name of names) fs.writeFileSync(path.join(tree, name), ALL);
  await box.ok(["snap", tree]);
  for (const name of names.slice(0, 4)) await box.ok(["snap", path.join(tree, name)]);
  await box.ok(["snap", "--delete", path.join(dir, "gone\x1b[31m\u202e")]);
  await box.ok(["exec", "printf", "%s", ALL], { cwd: tree });
  await box.ok([
    "exec",
    "--env",
    "EVIL",
    "sh",
    "-c",
    "printf '%s' \"$0\" >&2; printf '\\377\\376\\233'",
    ...HOSTILE,
  ], {
    env: { EVIL: ALL },
  });
  await box.ok(["put", "--label", ALL, "-"], { stdin: "x" });
  return tree;
}

const READS = [
  ["status"],
  ["log"],
  ["log", "--here"],
  ["wip"],
  ["wip", "diff"],
  ["ls"],
  ["env"],
  ["verify"],
  ["doctor"],
];

test("what isconf shows of hostile text is inert, and its JSON is JSON", async (t) => {
  const box = makeBox(t);
  const tree = await full(box);
  fs.writeFileSync(path.join(tree, HOSTILE[0] as string), "changed");
  for (const words of READS) {
    const got = await box.isconf(words);
    assert.ok(got.status === 0 || words[0] === "doctor", got.err);
    needInert(words.join(" "), got);
    const json = await box.isconf(["--json", ...words]);
    JSON.parse(json.out);
    needInert(`--json ${words.join(" ")}`, json);
  }
  assert.match(await box.ok(["wip"]), /\\x1b\[2J|\\x1b/);
  needInert("ci", await box.isconf(["ci"]));
  const { entries } = JSON.parse(await box.ok(["--json", "log"])) as {
    entries: { seq: number; message: string }[];
  };
  assert.ok(entries.length >= 8);
  for (const { seq, message } of entries) {
    assert.equal(message, ALL, "the message itself is kept as it was given");
    needInert(`show ${seq}`, await box.isconf(["show", String(seq)]));
    const shown = JSON.parse(await box.ok(["--json", "show", String(seq)]));
    const id = (shown.details[0] as { tree?: string }).tree;
    if (id !== undefined) needInert(`ls ${seq}`, await box.isconf(["ls", id]));
  }
  const { executions } = JSON.parse(await box.ok(["--json", "log", "--here"])) as {
    executions: { n: number; argv: string[] }[];
  };
  assert.ok(executions.some(({ argv }) => argv.includes(ALL)), "the argument itself is kept as it was given");
  for (const { n } of executions) {
    for (const format of [[], ["--json"]]) {
      needInert(`show --here ${n}`, await box.isconf([...format, "show", "--here", String(n)]));
    }
  }
  const audit = fs.readFileSync(path.join(box.home, "var/commands.log"), "utf8");
  needInert("commands.log", { out: audit, outBytes: Buffer.from(audit), err: "", status: 0 });
  assert.equal(audit.trimEnd().split("\n").map((line) => JSON.parse(line)).length, 2 * executions.length);
  needInert("log", await box.isconf(["log"]));
  needInert("lock", await box.isconf(["lock", ALL]));
  needInert("status", await box.isconf(["status"]));
  needInert("unlock", await box.isconf(["unlock"]));
});

test("what replay tells of hostile text is inert", async (t) => {
  const a = makeBox(t);
  await full(a);
  await a.ok(["ci"]);
  const bundle = path.join(a.dir, "bundle");
  await a.ok(["bundle", "export", bundle]);
  const { domain } = JSON.parse(await a.ok(["--json", "status"]));
  const b = makeBox(t);
  await b.start();
  await b.ok(["bundle", "import", bundle, "--domain", domain, "--host", "hostb"]);
  needInert("up --dry-run", await b.isconf(["up", "--dry-run"]));
  const up = await b.isconf(["-v", "up"]);
  needInert("up", up);
  assert.equal(up.status, 0, up.err);
  needInert("log", await b.isconf(["log"]));
  assert.equal(JSON.parse(await b.ok(["--json", "status"])).state, "current");
});

test("errors that repeat hostile text are inert, for people and as JSON", async (t) => {
  const box = makeBox(t);
  await box.begin("errors");
  // All of it in one word; each by itself, which takes long, when ISCONF_TEST_EVERY is set.
  for (const h of isThorough ? HOSTILE : [ALL, HOSTILE[0] as string]) {
    const calls = [
      [h],
      ["help", h],
      ["log", "--branch", h],
      ["show", h],
      ["snap", `/no/${h}`],
      ["exec", h],
      ["exec", `/no/${h}`],
      ["exec", "--as", h, "true"],
      ["exec", "--env", h, "true"],
      ["exec", `--${h}`, "true"],
      ["fork", h],
      ["migrate", h],
      ["grant", h, "append"],
      ["grant", "root", h],
      ["wip", h],
      ["up", "--to", h],
      ["cat", h],
      ["get", h, "/no/such/dir/x"],
      ["put", `/no/${h}`],
      ["ls", h],
      ["bundle", h, h],
      ["bundle", "import", `/no/${h}`],
      ["bundle", "export", `/no/${h}/x`],
      ["init", "--host", h],
      ["agent", "--role", h],
      [`--${h}`],
      ["--config", h, "agent", "--role", h],
    ];
    for (const words of calls) {
      const got = await box.isconf(words);
      assert.notEqual(got.status, 0, JSON.stringify(words));
      needInert(JSON.stringify(words), got);
    }
    const json = await box.isconf(["--json", "log", "--branch", h]);
    assert.equal(JSON.parse(json.out).fault.kind, "notFound");
  }
});

test("in a home with a hostile name, with and without an agent, what is said of paths is inert", async (t) => {
  const box = makeBox(t, "h\x1b[31m\u202e");
  needInert("no agent", await box.isconf(["status"]));
  await box.begin("hostile home");
  fs.chmodSync(path.join(box.home, "run"), 0o777);
  for (const words of READS) needInert(words.join(" "), await box.isconf(words));
  await box.stop();
  fs.writeFileSync(
    path.join(box.home, "etc/isconf.conf"),
    `nonsense\x1b[31m = ${ONE_LINE}\n`,
  );
  needInert("start", await box.isconf(["start"]));
  needInert("agent", await box.isconf(["agent"]));
});

test("the agent's own log is inert", async (t) => {
  const box = makeBox(t);
  await full(box);
  await box.isconf(["exec", "sh", "-c", "exit 3", ...HOSTILE]);
  await box.http("GET", `/v1/${encodeURIComponent(ALL)}`);
  await box.http("POST", "/v1/log", { branch: ALL });
  await box.stop();
  assert.ok(box.log() !== "");
  needInert("the log", { out: box.log(), err: "", outBytes: Buffer.alloc(0), status: 0 });
});

test(
  "on a terminal nothing but our own colours commands it, and with NO_COLOR nothing does",
  skipIf("on a terminal", lacks({ programs: ["script"] })),
  async (t) => {
    const box = makeBox(t);
    await full(box);
    const shown = async (words: string[], more: Record<string, string>) => {
      const command = `'${ISCONF}' ${words.join(" ")}`;
      const env = { ISCONF_HOME: box.home, TERM: "xterm-256color", ISCONF_PAGER: "cat", ...more }; // a pager speaks to the terminal for itself
      return (await run("script", ["-qec", command, "/dev/null"], { env })).out.replaceAll("\r\n", "\n");
    };
    const both = [...READS, ["show", "99"], ["nonsense"], ["help"], ["help", "exec"]];
    for (const words of [...both, ["ci"], ["show", "8"], ["log"], ["status"]]) {
      const plain = await shown(words, { NO_COLOR: "1" });
      assert.ok(plain !== "", words.join(" "));
      needInert(`${words.join(" ")} with NO_COLOR`, {
        out: plain,
        err: "",
        outBytes: Buffer.alloc(0),
        status: 0,
      });
      const coloured = await shown(words, {});
      const bare = coloured.replace(/\x1b\[[0-9]{1,2}m/g, "");
      needInert(`${words.join(" ")} in colour`, { out: bare, err: "", outBytes: Buffer.alloc(0), status: 0 });
      if (words[0] === "status") assert.notEqual(coloured, bare, "no colours: is this a terminal?");
    }
  },
);
