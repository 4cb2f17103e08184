// rules: what lines of policy files say, and what is no line; the last that matches decides, and what none permits is denied.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decisive, parseRules, type Wish } from "./rules.ts";
import { faultOf } from "../tests/world.ts";

const VERBS = ["lock", "ci", "exec", "preview", "up", "snap", "status"];
const parse = (text: string) => parseRules(text, "site.policy", VERBS);
const wish = (more: Partial<Wish> = {}): Wish => ({
  user: "alice",
  groups: ["staff"],
  verb: "lock",
  ...more,
});
const exec = (file: string, args: string[] = [], more: Partial<Wish["command"]> = {}): Wish =>
  wish({ verb: "exec", command: { as: "root", file, args, terminal: false, ...more } });
/** Whether these lines permit it. */
const permits = (text: string, what: Wish) => decisive(parse(text), what)?.permit === true;

test("what nobody permits is denied; the last line that matches decides", () => {
  assert.equal(permits("", wish()), false);
  assert.equal(permits("permit bob\npermit :wheel", wish()), false);
  assert.equal(permits("permit alice", wish()), true);
  assert.equal(permits("permit :staff", wish()), true);
  assert.equal(permits("permit alice\ndeny :staff", wish()), false);
  assert.equal(permits("deny :staff\npermit alice", wish()), true);
  assert.equal(permits("permit alice\ndeny alice do ci", wish()), true);
  assert.equal(permits("permit alice do ci,lock", wish()), true);
  assert.equal(permits("permit alice do ci,lock", wish({ verb: "snap" })), false);
  assert.equal(permits("permit alice on web", wish({ branch: "web" })), true);
  assert.equal(permits("permit alice on web", wish({ branch: "db" })), false);
  assert.equal(permits("permit alice on web", wish()), false);
});

test("a line may ask for a confirmation: a password, or another person", () => {
  const confirmOf = (text: string) => parse(text)[0]!.confirm;
  assert.equal(confirmOf("permit alice"), undefined);
  assert.equal(confirmOf("permit alice confirm password cmd /bin/sh"), "password");
  assert.deepEqual(confirmOf("permit alice confirm bob,:ops"), [{ user: "bob" }, { group: "ops" }]);
  for (
    const wrong of [
      "deny alice confirm password",
      "permit alice confirm",
      "permit alice confirm bob,",
      "permit alice confirm password confirm bob",
    ]
  ) {
    assert.throws(() => parse(wrong), /site.policy:1/, wrong);
  }
});

test("a group is no user of its name, and a user no group", () => {
  assert.equal(permits("permit staff", wish()), false);
  assert.equal(permits("permit :alice", wish()), false);
});

test("commands: exactly the file, exactly the arguments, or those it begins with", () => {
  const apt = "permit alice as root cmd /usr/bin/apt-get args update";
  assert.equal(permits(apt, exec("/usr/bin/apt-get", ["update"])), true);
  for (const args of [[], ["update", "x"], ["Update"], ["upgrade"], ["update", ""], [" update"]]) {
    assert.equal(permits(apt, exec("/usr/bin/apt-get", args)), false, args.join());
  }
  for (const file of ["/usr/bin/apt-get/", "/usr/bin/apt", "/bin/apt-get", "/usr/bin/apt-get2", "apt-get"]) {
    assert.equal(permits(apt, exec(file, ["update"])), false, file);
  }
  assert.equal(permits(apt, wish()), false, "a line about commands permits nothing else");
  assert.equal(permits(apt, exec("/usr/bin/apt-get", ["update"], { as: "bob" })), false);
  const none = "permit alice cmd /bin/true args";
  assert.equal(permits(none, exec("/bin/true")), true);
  assert.equal(permits(none, exec("/bin/true", ["x"])), false);
  const more = "permit alice cmd /bin/echo args -n ...";
  assert.equal(permits(more, exec("/bin/echo", ["-n"])), true);
  assert.equal(permits(more, exec("/bin/echo", ["-n", "a", "b"])), true);
  assert.equal(permits(more, exec("/bin/echo", ["a", "-n"])), false);
  assert.equal(permits("permit alice cmd /bin/echo", exec("/bin/echo", ["anything"])), true);
  assert.equal(permits('permit alice cmd /bin/echo args "..."', exec("/bin/echo", ["..."])), true);
  assert.equal(permits('permit alice cmd /bin/echo args "..."', exec("/bin/echo", ["x", "y"])), false);
});

test("a directory is its own files, and not those below it or beside it", () => {
  const line = "permit alice cmd /opt/tools/";
  assert.equal(permits(line, exec("/opt/tools/a")), true);
  for (const file of ["/opt/tools/sub/a", "/opt/tools", "/opt/tools2/a", "/opt/a"]) {
    assert.equal(permits(line, exec(file)), false, file);
  }
});

test("with a terminal or without", () => {
  assert.equal(permits("permit alice notty cmd /bin/sh", exec("/bin/sh")), true);
  assert.equal(permits("permit alice notty cmd /bin/sh", exec("/bin/sh", [], { terminal: true })), false);
  assert.equal(permits("permit alice tty", exec("/bin/sh", [], { terminal: true })), true);
  assert.equal(permits("permit alice\ndeny alice tty", exec("/bin/sh", [], { terminal: true })), false);
  assert.equal(permits("permit alice\ndeny alice tty", wish()), true);
});

test("with this host's network or without", () => {
  const run = { ...exec("/bin/sh"), network: true };
  const preview = (network: boolean) => ({ ...exec("/bin/sh"), verb: "preview", like: "exec", network });
  for (
    const [line, ...permitted] of [
      ["permit alice nonet", false, false, true],
      ["permit alice net", true, true, false],
      ["permit alice\ndeny alice do preview net", true, false, true],
      ["permit alice nonet cmd /bin/sh", false, false, true],
      ["permit alice do preview nonet", false, false, true],
    ] as [string, ...boolean[]][]
  ) {
    assert.deepEqual([run, preview(true), preview(false)].map((one) => permits(line, one)), permitted, line);
  }
  assert.equal(permits("permit alice nonet", wish()), false, "what runs nothing is not spoken of");
  const up = (network: boolean) => ({ ...wish(), verb: "preview", like: "up", network });
  assert.deepEqual([up(true), up(false)].map((one) => permits("permit alice do preview nonet", one)), [
    false,
    true,
  ]);
});

test("what is said of a verb is said of its preview, and a line can say preview alone", () => {
  const preview = (file: string) => ({ ...exec(file), verb: "preview", like: "exec" });
  assert.equal(permits("permit alice do exec cmd /bin/echo", preview("/bin/echo")), true);
  assert.equal(permits("permit alice do exec cmd /bin/echo", preview("/bin/rm")), false);
  assert.equal(permits("permit alice do exec\ndeny alice do preview cmd /bin/rm", preview("/bin/rm")), false);
  assert.equal(permits("permit alice\ndeny alice do exec cmd /bin/rm", preview("/bin/rm")), false);
  assert.equal(permits("permit alice do preview cmd /bin/echo", preview("/bin/echo")), true);
  assert.equal(permits("permit alice do preview cmd /bin/echo", exec("/bin/echo")), false);
  assert.equal(permits("permit alice do up", preview("/bin/echo")), false);
});

test("comments, blanks and quotes", () => {
  const [rule, ...others] = parse(
    '# all of it\n\n \tpermit  alice cmd /bin/echo args "a b" "\\"\\\\" x # why\n',
  );
  assert.equal(others.length, 0);
  assert.deepEqual(rule?.command?.args, { words: ["a b", '"\\', "x"], more: false });
  assert.deepEqual([rule?.where, rule?.text], [
    "site.policy:3",
    'permit alice cmd /bin/echo args "a b" "\\"\\\\" x',
  ]);
});

for (
  const [what, line] of Object.entries({
    "no verdict": "alice",
    "nobody": "permit",
    "a number for a user": "permit 1000",
    "a negative number for a user": "permit -1",
    "a user of digits with a blank": "permit '1000 '",
    "a hexadecimal user": "permit 0x0",
    "a user with a hash": 'permit "#0"',
    "a user with a slash": "permit ../etc",
    "the group of nobody": "permit :",
    "a number for a group": "permit :0",
    "everybody by a star": "permit *",
    "not somebody": "permit !alice",
    "a number to run as": "permit alice as 0",
    "nobody to run as": "permit alice as",
    "an empty name in a list": "permit alice as root,",
    "a verb that is none": "permit alice do sudo",
    "a branch with a slash": "permit alice on a/b",
    "the same twice": "permit alice as root as bob",
    "both of two": "permit alice net nonet",
    "a network of what runs nothing": "permit alice do lock net",
    "a relative command": "permit alice cmd apt-get",
    "a command with dots": "permit alice cmd /bin/../sbin/halt",
    "a command with an empty part": "permit alice cmd /bin//sh",
    "the root directory": "permit alice cmd /",
    "a star in a command": "permit alice cmd /bin/*",
    "a star in an argument": "permit alice cmd /bin/cat args /var/log/*",
    "a set in an argument": "permit alice cmd /bin/cat args /var/log/[ab]",
    "more in the middle": "permit alice cmd /bin/cat args ... x*",
    "words after the command": "permit alice cmd /bin/cat /etc/passwd",
    "commands and another verb": "permit alice do lock cmd /bin/cat",
    "a quote without an end": 'permit alice cmd /bin/cat args "a',
    "a backslash that means nothing": "permit alice cmd /bin/cat args a\\b",
    "a line that goes on": "permit alice \\",
    "an escape character": "permit alice\u001b[2K",
    "a carriage return": "permit alice\rdeny alice",
    "a NUL": "permit alice\0",
    "a look-alike keyword": "pеrmit alice",
    "a long line": `permit alice cmd /bin/echo args ${"x".repeat(5000)}`,
  })
) {
  test(`no rule: ${what}`, async () => {
    const fault = await faultOf(() => parse(`permit bob\n${line}\n`));
    assert.equal(fault.kind, "usage");
    assert.match(fault.message, /^site\.policy:2: /);
    assert.ok(!/[\u0000-\u001f\u007f-\u009f]/.test(fault.message));
  });
}
