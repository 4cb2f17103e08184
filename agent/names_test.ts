// names: what can be a name or a path, what is shown inert, and quoting that survives copy and paste.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { lacks } from "../tests/programs.ts";
import { commandLine, inert, quoted } from "./names.ts";

const NASTY = [
  "",
  " ",
  "a b",
  "'",
  '"',
  "\\",
  "$(reboot)",
  "`id`",
  "line\nbreak",
  "tab\there",
  "\x1b[31mred",
  "\x9b31m",
  "\x00".replace("\x00", "\x01"),
  "\u202etxt.exe",
  "\u2028",
  "\ufeffbom",
  "ü€😀",
  "-n",
  "--",
  "*",
  "!x",
  "~root",
  "#x",
  "a=b",
  "\r",
  "'\\''",
  "\\x41",
];

test("inert text has no control, C1, bidirectional or invisible character left, and plain text is left alone", () => {
  for (const text of NASTY) {
    // deno-fmt-ignore
    assert.doesNotMatch(inert(text), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2028\u2029\ufeff]/u, JSON.stringify(text));
  }
  assert.equal(inert("plain ü€😀 text"), "plain ü€😀 text");
  assert.equal(inert("\ud800x"), "\ufffdx");
});

test("a quoted command line, typed into a shell, gives the same arguments again", {
  skip: lacks({ programs: ["bash"] }),
}, () => {
  const line = commandLine(["printf", "%s\\0", ...NASTY]);
  const out = execFileSync("bash", ["--norc", "-c", line], { env: { LC_ALL: "C.UTF-8" } }).toString("utf8");
  assert.deepEqual(out.split("\0").slice(0, -1), NASTY);
  assert.equal(quoted("/plain/path-1.2"), "/plain/path-1.2");
});
