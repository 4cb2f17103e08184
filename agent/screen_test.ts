// screen: columns and lines as a terminal counts them, with names that are wide, narrow, combined or hostile.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inert } from "./names.ts";
import { columnsOf, cut, makeTerm } from "./screen.ts";
import type { HostLine } from "./status.ts";
import { statusVerb } from "./verbs/status.ts";

const WIDTHS: [text: string, columns: number][] = [
  ["plain", 5],
  ["日本語", 6],
  ["한글", 4],
  ["\u1112\u1161\u11ab", 2], // the same syllable in pieces
  ["ｱ", 1],
  ["Ａ", 2],
  ["e\u0301o\u0308", 2],
  ["นี้", 1],
  ["👍", 2],
  ["👍🏽", 2],
  ["🇩🇪", 2],
  ["…", 1],
  ["\x1b[31mred\x1b[39m", 3],
];

test("how wide a text is: East Asian, Hangul in pieces, combining marks, emoji, colours", () => {
  for (const [text, columns] of WIDTHS) assert.equal(columnsOf(text), columns, JSON.stringify(text));
});

/** What a verb prints, line by line. */
function printed(
  show: (term: ReturnType<typeof makeTerm>) => void,
  size = { rows: 24, columns: 80 },
  colour = false,
) {
  let text = "";
  const stdout = (chunk: Uint8Array | string) => void (text += String(chunk));
  show(makeTerm({ stdout, stderr: () => {}, colour, quiet: false, verbose: false, size: () => size }));
  return text.split("\n").slice(0, -1);
}

const HOSTILE = [
  "\x1b[2J",
  "a\nb",
  "\u202egnp.exe",
  "\u200b\u200b",
  "\x9b1m",
  "x".repeat(200),
  "\ud800",
  "e\u0301".repeat(9),
];

test("columns begin in the same place in each row, whatever the names before them are", () => {
  const names = [...WIDTHS.map(([text]) => text), ...HOSTILE.map(inert)];
  const lines = printed((term) => term.table(names.map((name) => [name, "|", "last"])));
  assert.equal(lines.length, names.length);
  const widest = Math.max(...names.map(columnsOf));
  for (const [i, line] of lines.entries()) {
    const [before = ""] = line.split("  |  last");
    assert.equal(columnsOf(before), widest, line);
    assert.ok(line.startsWith(names[i]!));
    assert.doesNotMatch(line.replaceAll(/\x1b\[\d+m/g, ""), /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]/);
  }
});

test("a line that is too long is cut between characters, and its colour ends", () => {
  assert.equal(cut("short", 5), "short");
  assert.equal(cut("longer", 5), "long…");
  assert.equal(cut("日本語日本語", 6), "日本…");
  assert.equal(cut("\x1b[31mlonger than that\x1b[39m", 5), "\x1b[31mlong…\x1b[39m");
  for (let n = 1; n < 30; n++) {
    for (const [text] of WIDTHS) assert.ok(columnsOf(cut(text.repeat(9), n)) <= n, `${text} ${n}`);
  }
});

const host = (name: string, more: Partial<HostLine> = {}): HostLine => ({
  name,
  branch: "main",
  at: 7,
  of: 7,
  state: "current",
  why: "",
  sinceMs: 1_700_000_000_000,
  saidMs: 1_700_000_000_000,
  reached: true,
  ...more,
});

const own = (hosts: HostLine[], more: object = {}) =>
  ({
    host: "hosta",
    domain: "ab".repeat(32),
    branch: "main",
    at: 7,
    of: 7,
    state: "current",
    stopped: null,
    diverged: null,
    fork: null,
    ahead: null,
    proofs: [],
    stale: null,
    differing: { entries: 0, last: 0 },
    lock: null,
    wip: 0,
    doing: null,
    network: { addresses: [], why: "", isDhtSuspect: false },
    quorum: { need: 2, reached: 3, of: 3 },
    keepers: ["hosta", "hostb", "hostc"],
    branches: [{ name: "main", entries: 7, from: null }],
    owners: ["root@hosta on *"],
    hosts,
    ...more,
  }) as unknown as Parameters<NonNullable<typeof statusVerb.show>>[0];

const shown = (result: ReturnType<typeof own>, all = false, size?: { rows: number; columns: number }) =>
  printed((term) => statusVerb.show!(result, term, { offline: false, all, detailedExitcode: false }), size);

test("status of a thousand hosts is one screen: how many of each state, the worst ones first; --all is all of them", () => {
  const hosts = Array.from({ length: 1000 }, (_, i) => host(`web${String(i).padStart(4, "0")}`));
  hosts[500] = host("wide日本語", {
    state: "failed",
    why: "entry 6 is failed: \x1b[2J\nno such file".repeat(20),
    at: 6,
  });
  hosts[501] = host("forked1", { state: "forked" });
  hosts[502] = host("behind1", { state: "behind", at: 3 });
  hosts[503] = host("strange", { state: "\x1b[2Jmeltdown" });
  hosts[999] = host("differs1", { why: "differs after 3 entries, the last 7" });
  const branches = Array.from({ length: 50 }, (_, i) => ({ name: `branch${i}`, entries: i, from: null }));
  const owners = Array.from({ length: 50 }, (_, i) => `alice${i}@hosta on *`);
  const lock = { holder: "\u202ealice@hosta", host: "hosta", message: "m".repeat(500), sinceMs: 0, term: 3 };
  for (
    const more of [{}, {
      branches,
      owners,
      lock,
      wip: 3,
      stopped: { seq: 7, why: "failed", status: 1, reason: "x\ny" },
    }]
  ) {
    const lines = shown(own(hosts, more));
    assert.ok(lines.length <= 23, `${lines.length} lines, and one for the prompt`);
    for (const line of lines) {
      assert.ok(columnsOf(line) <= 80, line);
      assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f\u202a-\u202e]/);
    }
    const blank = lines.indexOf("");
    assert.match(
      lines[blank + 1]!,
      /^1000 hosts, \d+ of them here \(isconf status --all\): 1 \\x1b\[2Jmeltdown, 1 for/,
    );
    assert.deepEqual(lines.slice(blank + 2, blank + 5).map((line) => line.split("  ")[0]), [
      "strange",
      "forked1",
      "wide日本語",
    ]);
  }
  const few = shown(own(hosts));
  assert.ok(few.some((line) => line.startsWith("differs1")), "worse than what is just current");
  const all = shown(own(hosts, { branches, owners }), true);
  assert.equal(all.filter((line) => /^(web|wide|forked1|behind1|strange|differs1)/.test(line)).length, 1000);
  assert.equal(all.filter((line) => /^(branches|owner) /.test(line)).length, 100);
});

test("status of a few hosts is all of them; on a large screen it is more", () => {
  const hosts = Array.from({ length: 40 }, (_, i) => host(`web${i}`));
  assert.equal(shown(own(hosts.slice(0, 10))).filter((line) => line.startsWith("web")).length, 10);
  assert.doesNotMatch(shown(own(hosts.slice(0, 10))).join("\n"), /--all/);
  assert.equal(
    shown(own(hosts), false, { rows: 60, columns: 200 }).filter((line) => line.startsWith("web")).length,
    40,
  );
});
