// template: the language, and every template that there is, with every set of options and values that are meant badly.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { BLANKS } from "./blanks.ts";
import { SHELLS } from "./fixture.ts";
import { NEEDS } from "./needs.ts";
import { straight } from "./straight.ts";
import { templates } from "./support.ts";
import { blanksOf, readTemplate, scriptsOf, type Template, titleOf, type Values } from "./template.ts";

const HEAD = "about Does it.\ndeadline 5\n";
const read = (text: string) => readTemplate("start", "d", "o", HEAD + text);
const textOf = (template: Template, values: Values) =>
  scriptsOf(template, titleOf(template, "web1"), values).map(({ text }) => text).join("");

test("blanks are filled and quoted, conditions decide, what goes on gets its backslash", () => {
  const template = read(
    "find p program a /b | apt-get install a\n[x?] need tap {t:interface} | make {t:interface}\nstep one\n# why\n{p:path} -a {f:path}\n  [x? -x {t:interface}]\n  -o file={f:qemu-path}[x?,y=1]\n[y? /bin/never]\n  [y? -z]\n",
  );
  assert.equal(
    textOf(template, { p: "/bin/a", f: "/it's,x", t: "tap0", x: "yes" }),
    [
      "# isconf vm start web1, by d on o",
      "# Does it. It ends in 5 s or is killed.",
      "# Looked at before, by isconf:",
      "#   program /bin/a",
      "#   tap tap0",
      "",
      "# why",
      "/bin/a -a '/it'\\''s,x' \\",
      "  -x tap0 \\",
      "  -o 'file=/it'\\''s,,x,y=1'",
      "",
    ].join("\n"),
  );
  assert.ok(textOf(template, { p: "/bin/a", f: "/b" }).endsWith("\n/bin/a -a /b \\\n  -o file=/b\n"));
});

test("steps are scripts of their own", () => {
  const template = read("step ask waits 60\nkill -TERM {pid:pid}\nstep end\nkill -KILL {pid:pid}\n");
  const scripts = scriptsOf(template, titleOf(template, "a"), { pid: "7" });
  assert.deepEqual(scripts.map(({ step, waitSeconds }) => [step, waitSeconds]), [["ask", 60], [
    "end",
    undefined,
  ]]);
  assert.match(scripts[0]!.text, /^# isconf vm start a, by d on o, 1 of 2: ask\n/);
  assert.match(scripts[0]!.text, /# Then it has 60 s to be gone\.\n\nkill -TERM 7\n$/);
});

test("a template that means something to a shell, or nothing to us, is a bug that is seen when it is read", () => {
  for (
    const line of [
      "/bin/a; b",
      "/bin/a $HOME",
      "/bin/a `b`",
      "/bin/a 'b'",
      "/bin/a > b",
      "/bin/a *",
      "/bin/a b|c",
      "/bin/a {b}",
      "/bin/a [b]",
      "/bin/a \\",
    ]
  ) {
    assert.throws(() => read(`step one\n${line}\n`), /is not plain/, line);
  }
  assert.throws(() => read("nonsense\nstep one\n/bin/a\n"), /a line that is none/);
  assert.throws(
    () => read("need stopped {p:path}\nstep one\n/bin/a\n"),
    /a line that is none/,
    "a need without a hint",
  );
  assert.throws(() => read(""), /no step/);
  assert.throws(() => textOf(read("step one\n/bin/a {x:path}\n"), {}), /nothing was given for the blank x/);
  assert.throws(
    () => textOf(read("step one\n/bin/a {x:nonsense}\n"), { x: "1" }),
    /no blank has the type nonsense/,
  );
  assert.throws(() => textOf(read("step one\n{x:name} a\n"), { x: "reboot" }), /not straight/);
});

/** A value for each type that fits it and would do harm where it is not quoted, or not doubled. */
const HOSTILE: Record<string, string> = {
  name: "web1",
  path: "/tmp/$(reboot) `id`;it's,*?[a]{b,c}~!#&|<>\"\\",
  "bhyve-path": "/tmp/$(reboot) `id`;it's*?[a]~!#&|<>\"\\",
  "qemu-path": "/tmp/$(reboot) `id`;it's,readonly=off*?[a]~!#&|<>\"\\",
  socket: "/tmp/$(reboot) `id`;it's",
  "qemu-socket": "/tmp/$(reboot),server=off",
  mib: "1024",
  gib: "8",
  cpus: "2",
  order: "1",
  pid: "4242",
  mac: "52:54:00:00:00:01",
  interface: "tap0",
  endpoint: "listen=127.0.0.1:4000",
  ports: "2222:22,8080:80",
  "qemu-ports": "2222:22,8080:80",
  suite: "bookworm",
  variant: "minbase",
  packages: "g++,less",
  url: "http://192.0.2.1:80/a~b,c%20=@+",
  uuid: "01234567-89ab-4def-8123-456789abcdef",
  serial: "0123abcd",
  accelerator: "tcg",
  line: "quiet $(reboot) `id`; it's \" \\ \\",
};

/** None, all, each alone, each left out, and each two. */
function* setsOf(names: readonly string[]): Generator<Set<string>> {
  yield new Set();
  yield new Set(names);
  for (const one of names) {
    yield new Set(names.filter((name) => name !== one));
    for (const other of names) yield new Set([one, other]);
  }
}

/** What a template makes of hostile values where only some of its conditions hold. */
function hostileText(template: Template, conditions: readonly string[], holds: ReadonlySet<string>): string {
  const blanks = blanksOf(template);
  const values: Record<string, string> = {};
  for (const [name, type] of blanks) values[name] = HOSTILE[type] ?? "yes";
  // Programs lie on paths of plain characters: what begins a command is refused else.
  for (const { name, what } of template.finds) {
    values[name] = what === "program" ? `/usr/bin/${name}` : HOSTILE["bhyve-path"]!;
  }
  if (blanks.has("isconf")) values.isconf = "/usr/bin/isconf";
  for (const name of conditions) if (!holds.has(name)) delete values[name];
  return textOf(template, values);
}

test("every template, with conditions that hold and do not, and hostile values: straight, and so says each shell", () => {
  assert.deepEqual(Object.keys(HOSTILE).sort(), Object.keys(BLANKS).sort(), "a type has no hostile value");
  assert.ok(SHELLS.length >= 3, `only ${SHELLS.flat()}`);
  for (const template of templates()) {
    const { finds, needs, steps } = template;
    const only = [...finds, ...needs].flatMap(({ only }) => only ?? []);
    const guards = [...steps.flatMap(({ lines }) => lines).join("\n").matchAll(/\[(\w+)\?/g)].map((
      [, name],
    ) => name!);
    const conditions = [...new Set([...only, ...guards])];
    let all = "";
    for (const holds of setsOf(conditions)) {
      const text = hostileText(template, conditions, holds);
      assert.ok(straight(text).length > 0, text);
      all += text;
    }
    for (const [shell = "", ...more] of SHELLS) {
      const { status, stderr } = spawnSync(shell, [...more, "-n"], { input: all, encoding: "utf8", env: {} });
      assert.equal(status, 0, `${shell} on ${template.verb} ${template.driver}: ${stderr}`);
    }
  }
});

test("every template asks only for what can be looked at, has a hint for it, and types its blanks alike in each place", () => {
  for (const { verb, driver, needs, finds, ...rest } of templates()) {
    for (const { what, hint } of [...needs]) {
      assert.ok(what in NEEDS, `${verb} ${driver} needs ${what}`);
      assert.ok(hint.length > 3);
    }
    for (const { places } of finds) assert.ok(places.every((at) => /^[\w./-]+$/.test(at)), `${places}`);
    for (const type of new Set([...blanksOf({ verb, driver, needs, finds, ...rest }).values()])) {
      assert.ok(type === "" || type in BLANKS, `${verb} ${driver}: ${type}`);
    }
  }
});
