// README: its tables say what the code does, and every identifier in backticks exists.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { type Cbor, decode } from "../mq/mod.ts";
import { fixedCutter } from "./cutter.ts";
import { testIn } from "./fixture.ts";
import * as limits from "./limits.ts";
import { putFile } from "./manifest.ts";
import { MemoryStore } from "./store.ts";
import { openStoreDatabase } from "./store_db.ts";
import type { Node } from "./tree.ts";
import { encodeNode } from "./tree.ts";

const here = new URL("./", import.meta.url);
const readme = readFileSync(new URL("README.md", here), "utf8");
const sources = readdirSync(here).filter((name) => name.endsWith(".ts"));

/** The rows of the table below a heading, cells without backticks. */
function table(heading: string): string[][] {
  const section = readme.split(/^#+ /m).find((s) => s.startsWith(heading))!;
  const rows = section.split("\n").filter((line) => line.startsWith("|")).slice(2);
  return rows.map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim().replaceAll("`", "")));
}

test("the map names every file, once", () => {
  const files = sources.filter((name) => !name.endsWith("_test.ts")).sort();
  assert.deepEqual(table("Map").map(([name]) => name).sort(), files);
});

test("the limits are those of the code", () => {
  for (const [name, value] of table("Limits")) {
    assert.equal((limits as Record<string, number>)[name!], Number(value), `${name}`);
  }
});

test("the fields of a manifest are those in its bytes", async () => {
  const store = new MemoryStore();
  async function* source() {
    yield await Promise.resolve(new Uint8Array(10_000));
  }
  async function* small() {
    yield await Promise.resolve(new Uint8Array(10));
  }
  const keys = new Set<string>();
  for (const from of [source(), small()]) {
    const { id } = await putFile(store, from, fixedCutter(1000));
    Object.keys(decode(store.objects.get(id)!) as Record<string, Cbor>).forEach((key) => keys.add(key));
  }
  assert.deepEqual([...keys].sort(), table("Manifest").map(([name]) => name).sort());
});

test("the fields of nodes are those in their bytes, kind by kind", () => {
  const id = "0".repeat(64);
  const meta = {
    mode: 0,
    uid: 0,
    gid: 0,
    mtime: [0, 0] as [number, number],
    xattrs: [[new Uint8Array(1), new Uint8Array(1)]] as [Uint8Array, Uint8Array][],
  };
  const nodes: Node[] = [
    { kind: "file", ...meta, size: 1, content: id, runs: [], hard: 0 },
    { kind: "link", ...meta, target: new Uint8Array(1) },
    { kind: "dir", ...meta, entries: [], pages: [] },
  ];
  for (const node of nodes) {
    const listed = table("Node").filter(([, , where]) => where === "all" || where === node.kind).map((
      [name],
    ) => name);
    assert.deepEqual(Object.keys(decode(encodeNode(node)) as Record<string, Cbor>).sort(), listed.sort());
  }
});

testIn("the tables of store.db are those of SQLite", (dir) => {
  const db = openStoreDatabase(`${dir}/store.db`);
  const columns = db.read((r) =>
    r.all<{ t: string; c: string; type: string }>(
      `SELECT m.name t, i.name c, i.type FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) i
       WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`,
    )
  );
  db.close();
  const listed = table("store.db").map(([t, c, type]) => `${t}.${c} ${type}`);
  assert.deepEqual(columns.map(({ t, c, type }) => `${t}.${c} ${type}`).sort(), listed.sort());
});

test("every identifier in backticks exists", () => {
  const code = sources.map((name) => readFileSync(new URL(name, here), "utf8")).join("\n");
  const names = [...readme.replaceAll(/```[^]*?```/g, "").matchAll(/`([A-Za-z_]\w*)`/g)].map((m) => m[1]!);
  assert.ok(names.length > 50);
  for (const name of new Set(names)) assert.match(code, new RegExp(`\\b${name}\\b`), name);
});
