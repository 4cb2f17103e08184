// db against real SQLite files: who may write, what a crash or a newer version leaves, two processes at once.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Db, Migration } from "./db.ts";
import { openDatabase } from "./db.ts";

const V1: Migration = { version: 1, name: "first", sql: "CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB)" };
const V2: Migration = { version: 2, name: "second", sql: "ALTER TABLE t ADD COLUMN w TEXT" };

function withPath(fn: (path: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), "isconf-db-"));
  try {
    fn(join(dir, "a.db"));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function withDb(fn: (db: Db) => void): void {
  withPath((path) => {
    const db = openDatabase(path, { migrations: [V1], synchronous: "FULL" });
    try {
      fn(db);
    } finally {
      db.close();
    }
  });
}

const count = (db: Db) => db.read((r) => r.get<{ c: number }>("SELECT count(*) c FROM t")!.c);

test("bytes go in and come back as Uint8Array", () => {
  withDb((db) => {
    const { lastInsertRowid } = db.write((tx) =>
      tx.run("INSERT INTO t (v) VALUES (?)", new Uint8Array([0, 255]))
    );
    const row = db.read((r) => r.get<{ v: Uint8Array }>("SELECT v FROM t WHERE n = ?", lastInsertRowid));
    assert.deepEqual(row, { v: new Uint8Array([0, 255]) });
    assert.equal(Object.getPrototypeOf(row!.v), Uint8Array.prototype);
    assert.deepEqual(db.read((r) => [...r.iterate("SELECT n FROM t")]), [{ n: 1 }]);
    assert.equal(db.read((r) => r.get("SELECT v FROM t WHERE n = 9")), undefined);
    assert.equal(statSync(db.path).mode & 0o777, 0o600);
  });
});

test("only a transactor writes: a reader refuses every writing statement", () => {
  withDb((db) => {
    for (
      const sql of [
        "INSERT INTO t (v) VALUES (1)",
        "INSERT INTO t (v) VALUES (1) RETURNING n",
        "DROP TABLE t",
      ]
    ) {
      assert.throws(() => db.read((r) => r.all(sql)), /only a transactor writes/);
    }
    assert.equal(count(db), 0);
  });
});

test("onCommit runs after the commit, in order; a throwing write leaves nothing and emits nothing", () => {
  withDb((db) => {
    const seen: string[] = [];
    db.write((tx) => {
      tx.run("INSERT INTO t (v) VALUES (1)");
      tx.onCommit(() => seen.push(`a${count(db)}`));
      tx.onCommit(() => seen.push("b"));
      assert.deepEqual(seen, []);
    });
    assert.deepEqual(seen, ["a1", "b"]);
    assert.throws(() =>
      db.write((tx) => {
        tx.run("INSERT INTO t (v) VALUES (2)");
        tx.onCommit(() => seen.push("never"));
        throw new Error("no");
      }), /^Error: no$/);
    assert.equal(count(db), 1);
    assert.deepEqual(seen, ["a1", "b"]);
  });
});

test("a nested write, an async write and a transaction kept too long are bugs", () => {
  withDb((db) => {
    assert.throws(() => db.write(() => db.write(() => 0)), /a write inside/);
    assert.throws(() => db.read(() => db.write(() => 0)), /a write inside/);
    assert.throws(() => db.write(async (tx) => void await tx.run("INSERT INTO t (v) VALUES (1)")), /async/);
    assert.equal(count(db), 0);
    const kept = db.write((tx) => tx);
    assert.throws(() => kept.run("INSERT INTO t (v) VALUES (1)"), /after its end/);
    assert.equal(db.write((tx) => (tx.run("INSERT INTO t (v) VALUES (1)"), count(db))), 1);
  });
});

test("migrations run once and in order; a database newer than the code is refused and left alone", () => {
  withPath((path) => {
    openDatabase(path, { migrations: [V1], synchronous: "NORMAL" }).close();
    const db = openDatabase(path, { migrations: [V1, V2], synchronous: "NORMAL" });
    db.write((tx) => tx.run("INSERT INTO t (w) VALUES ('x')"));
    db.close();
    openDatabase(path, { migrations: [V1, V2], synchronous: "NORMAL" }).close();
    assert.throws(
      () => openDatabase(path, { migrations: [V1], synchronous: "NORMAL" }),
      { name: "Fault", kind: "refused", message: /version 2, this isconf knows up to 1/ },
    );
  });
});

test("a migration that fails leaves the version before it", () => {
  withPath((path) => {
    const bad = { version: 2, name: "bad", sql: "CREATE TABLE u (n); CREATE TABLE t (n)" };
    assert.throws(
      () => openDatabase(path, { migrations: [V1, bad], synchronous: "NORMAL" }),
      /already exists/,
    );
    const db = openDatabase(path, { migrations: [V1], synchronous: "NORMAL" });
    assert.deepEqual(db.read((r) => r.all("SELECT name FROM sqlite_schema WHERE name = 'u'")), []);
    db.close();
  });
});

test("what is no database is corrupt, a missing directory is the environment", () => {
  withPath((path) => {
    writeFileSync(
      path,
      "this is not a database, it is a text that is long enough to be read as a header page",
    );
    const open = (p: string) => openDatabase(p, { migrations: [V1], synchronous: "FULL" });
    assert.throws(() => open(path), { name: "Fault", kind: "corrupt" });
    assert.throws(() => open(join(path, "..", "none", "a.db")), { name: "Fault", kind: "environment" });
  });
});

test("a full database is an environment fault and the transaction is gone", () => {
  withDb((db) => {
    db.read((r) => r.get("PRAGMA max_page_count = 10"));
    assert.throws(() =>
      db.write((tx) => {
        for (let i = 0; i < 20; i++) tx.run("INSERT INTO t (v) VALUES (?)", new Uint8Array(4096));
      }), { name: "Fault", kind: "environment", message: /SQLITE_FULL/ });
    assert.equal(count(db), 0);
    db.write((tx) => tx.run("INSERT INTO t (v) VALUES (1)"));
    assert.equal(count(db), 1);
  });
});

test("a write has the lock from its start, before its first statement", () => {
  withDb((a) => {
    const b = openDatabase(a.path, { migrations: [V1], synchronous: "FULL" });
    b.read((r) => r.get("PRAGMA busy_timeout = 10"));
    const insert = () => b.write((tx) => tx.run("INSERT INTO t (v) VALUES (1)"));
    a.write(() => assert.throws(insert, { name: "Fault", kind: "environment", message: /SQLITE_BUSY/ }));
    insert();
    b.close();
  });
});

test("two processes write to one database: nothing is lost", async () => {
  const dir = mkdtempSync(join(tmpdir(), "isconf-db-"));
  const path = join(dir, "a.db");
  const script = join(dir, "writer.mjs");
  writeFileSync(
    script,
    `import { openDatabase } from ${JSON.stringify(new URL("./db.ts", import.meta.url).href)};
     const db = openDatabase(${JSON.stringify(path)}, { migrations: [${
      JSON.stringify(V1)
    }], synchronous: "NORMAL" });
     for (let i = 0; i < 200; i++) db.write((tx) =>
       tx.run("INSERT INTO t (n) VALUES (?)", tx.get("SELECT count(*) c FROM t").c + 1));
     db.close();`,
  );
  const config = fileURLToPath(new URL("../deno.json", import.meta.url));
  const args = "Deno" in globalThis ? ["run", "-A", "--no-check", "--config", config, script] : [script];
  const run = () =>
    new Promise((resolve) => spawn(process.execPath, args, { stdio: "inherit" }).once("exit", resolve));
  assert.deepEqual(await Promise.all([run(), run()]), [0, 0]);
  const db = openDatabase(path, { migrations: [V1], synchronous: "NORMAL" });
  assert.equal(count(db), 400);
  db.close();
  rmSync(dir, { recursive: true, force: true });
});
