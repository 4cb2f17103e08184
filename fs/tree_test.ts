// tree: nodes that lie are refused, walks and reachability see everything, names and paths are shown safely.
import assert from "node:assert/strict";
import { closeSync, openSync, writeSync } from "node:fs";
import { test } from "node:test";
import { type Cbor, encode, fromHex } from "../mq/mod.ts";
import { capture } from "./capture.ts";
import { compare } from "./compare.ts";
import { fixedCutter } from "./cutter.ts";
import { joinRuns } from "./disk.ts";
import { isRoot, sh, testIn } from "./fixture.ts";
import { nodeBytesMax, treeDepthMax } from "./limits.ts";
import { objectsOf } from "./objects.ts";
import { components, showPath } from "./path.ts";
import { restore } from "./restore.ts";
import { openDir } from "./safepath.ts";
import { idOf, MemoryStore } from "./store.ts";
import type { FileNode } from "./tree.ts";
import { DirWriter, encodeNode, listTree, readNode } from "./tree.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const bytes = (t: string) => new Uint8Array(Buffer.from(t, "latin1"));
const corrupt = { name: "Fault", kind: "corrupt" };

test("nodes that lie are corrupt", async () => {
  const store = new MemoryStore();
  const put = async (value: Cbor) => (await store.put([encode(value)]))[0]!;
  const content = fromHex(idOf(bytes("x")));
  const meta = { v: 1, mode: 0o644, uid: 0, gid: 0, mtime: [0, 0] };
  const file = { ...meta, kind: "file", size: 10, content };
  const link = { ...meta, kind: "link", target: bytes("x") };
  const dir = (...entries: Cbor[]) => ({ ...meta, kind: "dir", entries });
  for (const good of [file, link, dir(), dir([bytes("a"), file], [bytes("b"), link])]) {
    await readNode(store, await put(good));
  }
  const lies: [string, Cbor][] = [
    ["version", { ...file, v: 2 }],
    ["kind", { ...file, kind: "fifo" }],
    ["mode with a file type", { ...file, mode: 0o100644 }],
    ["uid -1", { ...file, uid: 0xffffffff }],
    ["negative gid", { ...file, gid: -1 }],
    ["nanoseconds", { ...file, mtime: [0, 1e9] }],
    ["no seconds", { ...file, mtime: ["0", 0] }],
    ["a field more", { ...file, x: 1 }],
    ["a field of another kind", { ...link, size: 1 }],
    ["content too short", { ...file, content: content.subarray(1) }],
    ["size", { ...file, size: -1 }],
    ["runs past the end", { ...file, runs: [[8, 3]] }],
    ["runs that touch", { ...file, runs: [[0, 2], [2, 3]] }],
    ["runs out of order", { ...file, runs: [[5, 1], [0, 1]] }],
    ["an empty run", { ...file, runs: [[0, 0]] }],
    ["attributes out of order", { ...file, xattrs: [[bytes("b"), content], [bytes("a"), content]] }],
    ["attribute name with zero", { ...file, xattrs: [[bytes("a\0"), content]] }],
    ["empty target", { ...link, target: bytes("") }],
    ["target with zero", { ...link, target: bytes("a\0b") }],
    ["a directory with neither entries nor pages", { ...meta, kind: "dir" }],
    ["a directory with both", { ...dir(), pages: [content] }],
    ["a directory inside", dir([bytes("a"), dir()])],
    ["names twice", dir([bytes("a"), file], [bytes("a"), file])],
    ["names out of order", dir([bytes("b"), file], [bytes("a"), file])],
    ...["", ".", "..", "a/b", "/", "a\0", "x".repeat(256)].map((
      n,
    ): [string, Cbor] => [`name "${n}"`, dir([bytes(n), file])]),
    ["a list", [1, 2]],
    ["nothing", null],
  ];
  for (const [what, value] of lies) await assert.rejects(readNode(store, await put(value)), corrupt, what);
});

test("pages that lie are corrupt; a tree deeper than the limit is refused", async () => {
  const store = new MemoryStore();
  const put = async (value: Cbor) => (await store.put([encode(value)]))[0]!;
  const meta = { v: 1, mode: 0o755, uid: 0, gid: 0, mtime: [0, 0] };
  const link = { ...meta, kind: "link", target: bytes("x") };
  const page = (...names: string[]) =>
    put({ v: 1, kind: "page", entries: names.map((n): Cbor => [bytes(n), link]) });
  const dir = async (...pages: string[]) => await put({ ...meta, kind: "dir", pages: pages.map(fromHex) });
  const walk = async (id: string) => {
    const out = [];
    for await (const { path } of listTree(store, id)) out.push(text(path));
    return out;
  };
  assert.deepEqual(await walk(await dir(await page("a", "b"), await page("c"))), ["", "a", "b", "c"]);
  await assert.rejects(walk(await dir(await page("a", "c"), await page("b"))), corrupt);
  await assert.rejects(walk(await dir(await page("a"), await page("a"))), corrupt);
  await assert.rejects(walk(await dir(await page())), corrupt);
  await assert.rejects(walk(await dir(await put(link))), corrupt);
  let id = await put({ ...meta, kind: "dir", entries: [] });
  for (let i = 0; i < treeDepthMax + 1; i++) {
    id = await put({ ...meta, kind: "dir", entries: [[bytes("d"), fromHex(id)]] });
  }
  await assert.rejects(walk(id), { kind: "refused", message: /512 deep/ });
});

test("a node that lies about its content is not restored", async () => {
  const store = new MemoryStore();
  const [content] = await store.put([
    encode({ v: 1, size: 2, level: 0, sha256: fromHex(idOf(bytes("ab"))), data: bytes("ab") }),
  ]);
  const own = {
    mode: 0o600,
    uid: process.geteuid!(),
    gid: process.getegid!(),
    mtime: [0, 0] as [number, number],
  };
  const lies: Partial<FileNode>[] = [{ size: 0 }, { size: 1 }, { size: 3 }, { size: 9, runs: [[0, 1]] }, {
    size: 9,
    runs: [[0, 3]],
  }, { size: 9, runs: [] }];
  for (const lie of lies) {
    const node: FileNode = { kind: "file", ...own, size: 2, content: content!, ...lie };
    const [id] = await store.put([encodeNode(node)]);
    await assert.rejects(
      restore(store, id!, `/tmp/isconf-never-${process.pid}`),
      corrupt,
      JSON.stringify(lie),
    );
  }
});

test("a directory of a million names keeps every object small", async () => {
  const store = new MemoryStore();
  const writer = new DirWriter(store);
  const meta = { mode: 0o600, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
  const node: FileNode = { kind: "file", ...meta, size: 0, content: idOf(bytes("")) };
  for (let i = 0; i < 1_000_000; i++) await writer.add(bytes(String(i).padStart(7, "0")), node);
  const dir = await writer.finish(meta);
  assert.ok(encodeNode(dir).length < nodeBytesMax / 4);
  let largest = 0;
  for (const object of store.objects.values()) largest = Math.max(largest, object.length);
  assert.ok(largest < 256 * 1024, `${largest}`);
});

testIn(
  "listTree and objectsOf see all of a tree; what objectsOf names is enough to restore it",
  async (dir) => {
    sh(
      dir,
      "mkdir -p t/a/b t/c; printf small > t/a/s; head -c 30000 /dev/urandom > t/a/b/big; ln -s x t/c/l; printf s > $'t/c/\\xff'",
    );
    const store = new MemoryStore();
    const { id } = await capture(store, `${dir}/t`, { cutter: fixedCutter(10_000) });
    const paths = [];
    for await (const { path, node } of listTree(store, id)) paths.push(`${node.kind}:${text(path)}`);
    assert.deepEqual(paths, [
      "dir:",
      "dir:a",
      "dir:a/b",
      "file:a/b/big",
      "file:a/s",
      "dir:c",
      "link:c/l",
      "file:c/\xff",
    ]);
    await store.put([bytes("not part of it")]);
    const other = new MemoryStore();
    const ids = [];
    for await (const object of objectsOf(store, id)) ids.push(object);
    assert.equal(ids[0], id);
    await other.put(await store.get(ids));
    assert.equal(other.objects.size, store.objects.size - 1);
    await restore(other, id, `${dir}/t2`);
    assert.equal(sh(dir, "diff -r --no-dereference t t2 && echo same"), "same\n");
    const file = await readNode(
      store,
      (await capture(store, `${dir}/t/a/b/big`, { cutter: fixedCutter(10_000) })).id,
    ) as FileNode;
    const parts = [];
    for await (const object of objectsOf(store, file.content)) parts.push(object);
    assert.equal(parts.length, 4);
  },
);

testIn("compare names each difference, and none when there is none", async (dir) => {
  sh(
    dir,
    "mkdir -p t/sub; printf 1 > t/a; printf 2 > t/b; ln t/b t/c; ln -s x t/l; printf 3 > t/sub/d; printf 4 > t/e; printf 5 > t/f",
  );
  const store = new MemoryStore();
  const { id } = await capture(store, `${dir}/t`);
  const drift = async () => {
    const out = [];
    for await (const { path, what } of compare(store, id, `${dir}/t`)) {
      out.push(`${text(path).slice(dir.length + 1)} ${what}`);
    }
    return out;
  };
  assert.deepEqual(await drift(), []);
  sh(
    dir,
    "touch t/extra; touch -r t/a r; printf 9 > t/a; touch -r r t/a; chmod 711 t/sub; rm t/c; cp -p t/b t/c; ln -sf y t/l; rm t/sub/d",
  );
  sh(dir, "touch -d '2001-01-01' t/e; rm t/f; mkdir t/f");
  assert.deepEqual(await drift(), [
    "t/a content",
    "t/c hard link",
    "t/e mtime",
    "t/f kind",
    "t/l mtime",
    "t/l content",
    "t/sub mode",
    "t/sub/d missing",
  ]);
  if (isRoot) {
    sh(dir, "chown 1 t/b");
    assert.ok((await drift()).includes("t/b owner"));
  }
  sh(dir, "rm -r t");
  assert.deepEqual(await drift(), ["t missing"]);
  const below = [];
  for await (const d of compare(store, id, `${dir}/t/no/where`)) below.push(d.what);
  assert.deepEqual(below, ["missing"]);
});

testIn("a directory is never opened through a link", (dir) => {
  sh(dir, "mkdir d; ln -s d l");
  assert.throws(() => openDir(-100, `${dir}/l`), { code: "ENOTDIR" });
});

testIn("a file with more runs than a node holds keeps its largest holes", async (dir) => {
  assert.deepEqual(joinRuns([[0, 4], [8, 4], [100, 1]], 4), [[0, 12], [100, 1]]);
  const file = openSync(`${dir}/f`, "w");
  for (let i = 0; i < 20_000; i++) writeSync(file, bytes("x"), 0, 1, i * 8192);
  closeSync(file);
  const store = new MemoryStore();
  const { id } = await capture(store, `${dir}/f`);
  const node = await readNode(store, id) as FileNode;
  assert.ok(node.runs !== undefined && node.runs.length <= 16_384);
  await restore(store, id, `${dir}/g`);
  assert.equal(sh(dir, "cmp f g && echo same"), "same\n");
});

test("paths are shown on one line, and told apart", () => {
  assert.equal(showPath("/etc/größe x"), "/etc/größe x");
  assert.equal(showPath("a\nb\x1b[0m\u202e\\"), "a\\u{a}b\\u{1b}[0m\\u{202e}\\\\");
  assert.equal(showPath(bytes("\xff\n\\a")), "\\xff\\x0a\\\\a");
  assert.deepEqual(components(bytes("//a/./b//..//")).map(text), ["a", "b", ".."]);
});
