// straight: what is straight, what is not, and that shells read what is as we do.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { inert, quoted } from "../names.ts";
import { SHELLS } from "./fixture.ts";
import { scriptBytesMax } from "./limits.ts";
import { straight } from "./straight.ts";

test("commands with their lines and words", () => {
  const text = "# words\n\n/bin/a -b 'c d'\n/bin/e \\\n  f=g, \\\n  'it'\\''s'\nkill -KILL 7\n";
  assert.deepEqual(straight(text), [
    { line: 3, words: ["/bin/a", "-b", "c d"] },
    { line: 4, words: ["/bin/e", "f=g,", "it's"] },
    { line: 7, words: ["kill", "-KILL", "7"] },
  ]);
});

const CROOKED = [
  "/bin/a; /bin/b",
  "/bin/a & /bin/b",
  "/bin/a && /bin/b",
  "/bin/a || /bin/b",
  "/bin/a | /bin/b",
  "/bin/a > /b",
  "/bin/a < /b",
  "/bin/a 2>&1",
  "/bin/a $(reboot)",
  "/bin/a `reboot`",
  "/bin/a $HOME",
  "/bin/a ${HOME}",
  '/bin/a "$HOME"',
  '/bin/a "b"',
  "/bin/a *",
  "/bin/a b?",
  "/bin/a [ab]",
  "/bin/a {b,c}",
  "/bin/a ~",
  "/bin/a b~c",
  "/bin/a !b",
  "/bin/a 'b",
  "/bin/a $'b'",
  "/bin/a b\\c",
  "/bin/a b # c",
  "/bin/a  b",
  "/bin/a ",
  " /bin/a",
  "/bin/a\tb",
  "/bin/a\r",
  "/bin/a b \\",
  "a b",
  "./a",
  "'/bin/a' b",
  "A=b /bin/a",
  "/bin/a=b",
  "if /bin/a",
  "then",
  "for a in b",
  "while /bin/a",
  "case a in",
  "! /bin/a",
  "{ /bin/a",
  "( /bin/a )",
  "eval /bin/a",
  ". /bin/a",
  "exec /bin/a",
  "trap /bin/a EXIT",
  "alias kill=/bin/a",
  "set +e",
  "exit 0",
  ": ${a:=b}",
  "/bin/a '\u202eb'",
  "# \u202eb",
  "/bin/a \u202eb",
  "/bin/a \x00b",
  "kill() /bin/a",
];

test("loops, conditions, lists, pipes, redirections, expansions, words of the shell: none of it is straight", () => {
  for (const line of CROOKED) {
    assert.throws(() => straight(`/bin/true\n${line}\n`), {
      kind: "refused",
      message: /not straight.*: line 2/,
    }, line);
  }
  assert.throws(() => straight("/bin/a"), /without an end/);
  assert.throws(() => straight(""), /without an end/);
  assert.throws(() => straight("/bin/a \\\n/bin/b\n"), /line 2 .*two spaces/);
  assert.throws(() => straight("/bin/a \\\n# b\n"), /two spaces/);
  assert.throws(() => straight(`# ${"x".repeat(scriptBytesMax)}\n`), /longer than/);
});

test("each shell gets exactly the words that were quoted, and those that are read here", () => {
  const word = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) =>
    inert(text) === text && text.isWellFormed()
  );
  const tricky = fc.constantFrom(
    "$(reboot)",
    "`id`",
    "it's",
    "''",
    "a;b",
    "*",
    "~",
    "\\",
    "a\\",
    "-n",
    "",
    "{a,b}",
    "#",
    "!x",
    "a b",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(word, tricky), { minLength: 1, maxLength: 8 }), (words) => {
      const text = `# it's a comment that ends in \\\n/usr/bin/printf %s= \\\n  ${
        words.map(quoted).join(" \\\n  ")
      }\n`;
      assert.deepEqual(straight(text).map((one) => one.words), [["/usr/bin/printf", "%s=", ...words]]);
      const [shell = "", ...more] = SHELLS[words.join().length % SHELLS.length]!;
      const { stdout, stderr } = spawnSync(shell, [...more, "-eu", "-c", text], {
        encoding: "utf8",
        env: {},
      });
      assert.equal(stdout, words.map((one) => `${one}=`).join(""), `${shell}: ${stderr}`);
    }),
    { numRuns: 150 },
  );
});
