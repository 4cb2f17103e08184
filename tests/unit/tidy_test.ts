// tidy: a test of the code itself: which way imports go, who owns a dependency, how files look, what they may touch.
// Not a linter of style: that is deno fmt and deno lint.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const LINES_MAX = 400;
const root = fileURLToPath(new URL("../../", import.meta.url));

/** Folders that each folder may import from, besides itself. Any folder is entered by its mod.ts only. */
const BELOW: Record<string, string[]> = { mq: [], fs: ["mq"], agent: ["fs", "mq"] };

/** Doors beside mod.ts: what they open is so big, or for so few, that who only imports mod.ts must not load it. */
const HEAVY_DOORS = ["mq/libp2p.ts", "mq/secret.ts", "fs/dht.ts", "agent/netboot/mod.ts"];

/** Knows the executable it is packed into; no part of the library, so that mod.ts does not export it. */
const EXECUTABLE_ONLY = "agent/sea.ts";

/** Big dependencies and the only files that may import them. */
const OWNERS: [dependency: RegExp, files: RegExp][] = [
  [/^better-sqlite3$/, /^fs\/db\.ts$/],
  [/^diff$/, /^agent\/preview_diff\.ts$/],
  [/^preact(\/|$)/, /^agent\/page\//],
  [/^cbor-x$/, /^mq\/cbor\.ts$/],
  [/^@noble\/ed25519$/, /^mq\/(sign\w*|ed25519)\.ts$/],
  [/^(hono|@hono\/.*)(\/|$)/, /^agent\/api\w*(\.ts$|\/)/],
  [/^(libp2p|@libp2p\/.*|@multiformats\/.*)$/, /^(mq\/transport_libp2p|fs\/finder_dht)\w*\.ts$/],
  [/^(multiformats|datastore-core|interface-datastore)$/, /^fs\/finder_dht\w*\.ts$/],
  [/^\.\/(libp2p|transport_libp2p\w*)\.ts$/, /^mq\/(libp2p|transport_libp2p\w*)\.ts$/],
  [/^\.\/(dht|finder_dht\w*)\.ts$/, /^fs\/(dht|finder_dht\w*)\.ts$/],
  [/^(age-encryption|@scure\/base)$/, /^mq\/sealed\w*\.ts$/],
  [/^\.\/(secret|sealed\w*)\.ts$/, /^mq\/(secret|sealed\w*)\.ts$/],
  [/^node:timers/, /^mq\/clock\.ts$/],
  [/^node:ffi$/, /^(mq\/libc|agent\/sea)\.ts$/],
];

/** What only some files of mq, fs and agent may touch. */
const FORBIDDEN: [what: RegExp, except: RegExp, instead: string][] = [
  [
    /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bset(?:Timeout|Interval)\b/,
    /^(mq|agent\/page)\/clock\.ts$/,
    "take a Clock (mq/clock.ts), in the page agent/page/clock.ts",
  ],
  [/\bDeno\./, /^mq\/libc\.ts$/, "use a node: module, or mq/libc.ts for system calls"],
  [/\bperformance\.now\b/, /^mq\/clock\.ts$/, "take a Clock (mq/clock.ts)"],
];

interface Source {
  path: string;
  text: string;
  /** The text without comments and strings, so that a word in them counts for nothing. */
  code: string;
  isTest: boolean;
}

const sources = ["mod.ts", "mq", "fs", "agent", "scripts", "tests"].flatMap(filesBelow).map(read);
const product = sources.filter((s) => /^(mq|fs|agent)\//.test(s.path) && !s.isTest);

test("imports go down, and through mod.ts only", () => {
  for (const { path, text } of sources) {
    const from = path.split("/")[0] as string;
    for (const target of importsOf(text).filter((name) => name.startsWith("."))) {
      const to = join(dirname(path), target), folder = to.split("/")[0] as string;
      if (folder === from || !(folder in BELOW)) continue;
      const allowed = !(from in BELOW) || BELOW[from]?.includes(folder);
      assert.ok(
        allowed,
        `${path} imports ${to}: arrows go down only (agent → fs → mq). Move what it needs below, or pass it in.`,
      );
      const isDoor = [`${folder}/mod.ts`, ...HEAVY_DOORS, EXECUTABLE_ONLY].includes(to);
      assert.ok(isDoor, `${path} imports ${to}: import ${folder}/mod.ts and export it from there.`);
    }
  }
});

test("each big dependency is imported by its owner only", () => {
  for (const { path, text, isTest } of sources) {
    if (isTest || !/^(mq|fs|agent)\//.test(path)) continue;
    const names = [
      ...importsOf(text),
      ...[...text.matchAll(/getBuiltinModule\("([^"]+)"\)/g)].map((m) => m[1] as string),
    ];
    for (const name of names) {
      for (const [dependency, files] of OWNERS) {
        const owned = !dependency.test(name) || files.test(path);
        assert.ok(
          owned,
          `${path} imports ${name}, which belongs to ${files.source}: use what that file exports.`,
        );
      }
    }
  }
});

test("the command line and the root half have nothing in them that talks to strangers", () => {
  const texts = new Map(sources.map(({ path, text }) => [path, text]));
  const reached = new Set<string>();
  const walk = (path: string) => {
    if (reached.has(path)) return;
    reached.add(path);
    for (
      const name of importsOf(
        (texts.get(path) ?? "").replace(/import type [^;]*;|typeof import\([^)]*\)/g, ""),
      )
    ) {
      if (name.startsWith(".")) walk(join(dirname(path), name));
    }
  };
  walk("agent/main.ts");
  walk("agent/agent_main.ts");
  assert.ok(reached.has("agent/daemon.ts") && !reached.has("agent/net.ts"), "the walk has lost its way");
  for (const path of reached) {
    assert.ok(!/libp2p|dht/.test(path), `${path} is loaded by the command line or the root half`);
  }
});

test("mq, fs and agent take time, chance and the system from their doors", () => {
  for (const { path, code } of product) {
    for (const [what, except, instead] of FORBIDDEN) {
      const found = code.match(what)?.[0];
      assert.ok(!found || except.test(path), `${path} uses ${found}: ${instead}.`);
    }
  }
});

test("each file opens by saying what it is", () => {
  for (const { path, text } of sources) {
    const first = text.replace(/^#!.*\n/, "");
    assert.ok(
      /^(\/\/ |\/\*)/.test(first),
      `${path} has no opening comment: say in a line what it is and what it is not.`,
    );
  }
});

test(`no file is longer than ${LINES_MAX} lines`, () => {
  for (const { path, text } of sources) {
    const lines = text.split("\n").length - 1;
    assert.ok(
      lines <= LINES_MAX,
      `${path} has ${lines} lines, more than ${LINES_MAX}: find the second thing it does and move it out.`,
    );
  }
});

test("nothing is left for later and no test is left out", () => {
  for (const { path, text, code } of sources) {
    const later = text.match(new RegExp("\\b(TO" + "DO|FIX" + "ME|XX" + "X)\\b"))?.[0];
    assert.ok(!later, `${path} says ${later}: do it, or write it where plans are kept.`);
    assert.ok(
      !/\b(test|it|describe)\.only\(|\bonly: true/.test(code),
      `${path} runs one test only: take ".only" out.`,
    );
    assert.ok(
      !/\bskip: true\b|\b(test|it|describe)\.skip\(/.test(code),
      `${path} skips a test: give "skip" a reason in words.`,
    );
  }
});

/**
 * Paths, from the root, of the TypeScript files of a folder, those with markup in them too (or the file itself); none when it does not
 * exist yet.
 */
function filesBelow(path: string): string[] {
  if (!existsSync(root + path)) return [];
  if (/\.tsx?$/.test(path)) return [path];
  return readdirSync(root + path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || /\.tsx?$/.test(entry.name))
    .flatMap((entry) => filesBelow(`${path}/${entry.name}`));
}

function read(path: string): Source {
  const text = readFileSync(root + path, "utf8");
  const isTest = path.endsWith("_test.ts") || path.startsWith("tests/") || path.includes("/contract/");
  return { path, text, code: withoutCommentsAndStrings(text), isTest };
}

/** What a file imports or re-exports, by name, also `import("…")` and `import type`. */
function importsOf(text: string): string[] {
  const statement =
    /^(?:import|export)\b[^"';]*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;
  return [...text.matchAll(statement)].map((match) => (match[1] ?? match[2] ?? match[3]) as string);
}

/** The code with comments, string and regular-expression literals blanked; code within `${}` is kept. */
function withoutCommentsAndStrings(text: string): string {
  return text
    .replace(
      /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/\*[^]*?\*\/|(?<![:"'`\\])\/\/[^\n]*/g,
      (found) => found.startsWith("/") ? "" : '""',
    )
    .replace(
      /(?<=[=(,:[!&|?{};\n]\s*)\/(?![*/])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*/g,
      "/x/",
    );
}
