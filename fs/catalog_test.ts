// catalog: what a text resolves to, and to nothing.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Catalog } from "./catalog.ts";
import { openStoreDatabase } from "./store_db.ts";

function withCatalog(fn: (catalog: Catalog) => void): void {
  const dir = mkdtempSync(join(tmpdir(), "isconf-catalog-"));
  const db = openStoreDatabase(join(dir, "store.db"));
  try {
    fn(new Catalog(db));
  } finally {
    db.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

const A = "aaaaaa" + "1".repeat(58);
const B = "aaaaaa" + "2".repeat(58);
const S = "5".repeat(64);
const mine = { uid: 0, pinned: false };

test("a root is found by id, prefix, whole-file hash and label", () => {
  withCatalog((c) => {
    const root = { id: A, kind: "file", size: 3, sha256: S, label: "motd", uid: 7, pinned: false } as const;
    c.add(root, 1000);
    const row = { ...root, atMs: 1000 };
    for (const text of [A, A.slice(0, 6), A.slice(0, 63), S, "motd"]) {
      assert.deepEqual(c.resolve(text), row, text);
    }
    for (const text of [A.slice(0, 5), B, "aaaaaa2", "mot", "", S.slice(0, 8), "AAAAAA"]) {
      assert.equal(c.resolve(text), undefined, text);
    }
    assert.deepEqual(c.list(), [row]);
  });
});

test("of one label the newest wins; an ambiguous prefix is said, a label that looks like a prefix is a label", () => {
  withCatalog((c) => {
    c.add({ id: A, kind: "file", size: 1, ...mine, label: "motd" }, 2000);
    c.add({ id: B, kind: "tree", size: 2, ...mine, label: "motd" }, 1000);
    assert.equal(c.resolve("motd")?.id, B);
    assert.throws(() => c.resolve("aaaaaa"), { kind: "usage", message: /begins 2 ids/ });
    c.add({ id: S, kind: "file", size: 1, ...mine, label: "aaaaaa" }, 1);
    assert.equal(c.resolve("aaaaaa")?.id, S);
    c.add({ id: A, kind: "file", size: 1, ...mine, label: B }, 1);
    assert.equal(c.resolve(B)?.id, B);
    assert.throws(() => c.add({ id: A, kind: "file", size: 1, ...mine, label: "x".repeat(5000) }, 1), {
      kind: "usage",
    });
  });
});

test("the same again writes nothing; one takes off what is his, or everything; what is pinned says so", () => {
  withCatalog((c) => {
    const root = { id: A, kind: "file", size: 3, label: "motd", uid: 7, pinned: false } as const;
    c.add(root, 1000);
    c.add(root, 2000);
    assert.deepEqual(c.list().map(({ atMs }) => atMs), [1000]);
    c.add({ ...root, uid: 8 }, 3000);
    c.add({ ...root, id: B }, 4000);
    c.add(root, 5000);
    assert.deepEqual(c.list().map(({ atMs }) => atMs), [5000, 4000, 3000, 1000]);
    assert.equal(c.pin(A, true), 3);
    assert.deepEqual(c.list().map(({ pinned }) => pinned), [true, false, true, true]);
    assert.equal(c.remove(A, 7), 2);
    assert.deepEqual(c.list().map(({ atMs }) => atMs), [4000, 3000]);
    assert.equal(c.remove(A), 1);
    assert.equal(c.remove(A), 0);
    assert.equal(c.resolve("motd")?.id, B);
  });
});
