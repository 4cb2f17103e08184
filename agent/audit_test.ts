// audit: what others on this host are told of commands, and that nothing in it can be more than text.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { systemClock } from "../mq/mod.ts";
import { auditFile, auditOf, journaldBytes } from "./audit.ts";
import type { Execution } from "./executions.ts";
import { auditArgvBytesMax, auditFileBytesMax, auditFilesKept } from "./limits.ts";
import { homeOf } from "./paths.ts";

const HOSTILE = "a\nMESSAGE=b\r\u001b]52;c;eA==\u0007\u009b2J\u202e\u2028\u0000<b>";
const ROW: Execution = {
  n: 7,
  state: "done",
  verb: "exec",
  entry: null,
  seq: 3,
  uid: 1000,
  user: "alice",
  source: { pid: 12, uid: 1000, tty: "pts/3", cwd: `/home/${HOSTILE}` },
  person: "alice@hosta",
  as: "root",
  file: "/bin/echo",
  argv: ["/bin/echo", HOSTILE],
  cwd: `/srv/${HOSTILE}`,
  rule: "site.policy:1: permit alice",
  startedMs: 1,
  endedMs: 2,
  status: 0,
  why: null,
  output: null,
};

function makeHome(t: { after(fn: () => void): void }) {
  const dir = fs.mkdtempSync(path.join(tmpdir(), "isconf-audit-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const home = homeOf(dir);
  fs.mkdirSync(home.state, { recursive: true });
  const logged: string[] = [];
  return { home, logged, tell: auditOf(home, systemClock, (line) => void logged.push(line)) };
}

const linesOf = (file: string) =>
  fs.readFileSync(file, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));

test("each event is one line of JSON that can do nothing to a terminal, in a file of mode 0600", (t) => {
  const { home, tell } = makeHome(t);
  for (const event of ["begun", "ended", "refused"] as const) tell(event, ROW, "c0ffee");
  const file = auditFile(home);
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.doesNotMatch(fs.readFileSync(file, "utf8"), /[^\P{Cc}\n]|[\u202e\u2028]/u);
  const lines = linesOf(file);
  assert.deepEqual(lines.map((one) => one.ISCONF_EVENT), ["begun", "ended", "refused"]);
  for (const one of lines) {
    for (const text of Object.values(one)) assert.doesNotMatch(String(text), /\p{Cc}/u);
  }
  assert.equal(lines[1].ISCONF_CALLER_TTY, "pts/3");
  assert.equal(lines[1].ISCONF_CHAIN, "c0ffee");
  assert.match(lines[1].MESSAGE, /^alice \(ended\) exec as root: \/bin\/echo \$'a.*; status 0$/);
  assert.match(lines[2].MESSAGE, /^alice may not exec/);
});

test("what is told to journald is fields whose lengths are said, whatever is in them", () => {
  const fields = { MESSAGE: "a\nISCONF_UID=0\n", ISCONF_N: "7" };
  const bytes = Buffer.from(journaldBytes(fields));
  const seen: Record<string, string> = {};
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf("\n", at);
    const length = Number(bytes.readBigUInt64LE(end + 1));
    seen[bytes.toString("latin1", at, end)] = bytes.toString("utf8", end + 9, end + 9 + length);
    at = end + 9 + length + 1;
  }
  assert.deepEqual(seen, fields);
});

test("a long command is cut; a file that is full becomes an older one, and only so many are kept", (t) => {
  const { home, tell } = makeHome(t);
  const row = { ...ROW, argv: ["/bin/echo", "x".repeat(60_000)] };
  tell("begun", row, "");
  const size = fs.statSync(auditFile(home)).size;
  assert.ok(size < 3 * auditArgvBytesMax, `${size}`);
  const file = auditFile(home);
  for (let i = 0; i < auditFilesKept + 3; i++) {
    fs.truncateSync(file, auditFileBytesMax - 10);
    tell("begun", { ...row, n: i }, "");
  }
  const names = fs.readdirSync(home.state).sort();
  const older = Array.from({ length: auditFilesKept }, (_, i) => `commands.log.${i + 1}`);
  assert.deepEqual(names, ["commands.log", ...older]);
  assert.equal(linesOf(file)[0].ISCONF_N, String(auditFilesKept + 2));
});

test("a link in the place of the file is not followed; that it is not written is said once, and stops nothing", (t) => {
  const { home, tell, logged } = makeHome(t);
  const target = path.join(home.state, "target");
  fs.symlinkSync(target, auditFile(home));
  for (let i = 0; i < 3; i++) tell("begun", ROW, "");
  assert.equal(fs.existsSync(target), false);
  assert.equal(logged.length, 1);
  assert.match(logged[0]!, /^the audit file is not written: /);
});
