// rebuild: from the packs everything comes again, from the old database what checks out, and no moment is a bad one to die.
import assert from "node:assert/strict";
import {
  appendFileSync,
  cpSync,
  existsSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { VirtualClock } from "../mq/mod.ts";
import { Catalog } from "./catalog.ts";
import { fsck } from "./fsck.ts";
import { rebuildDatabase } from "./rebuild.ts";
import type { Id } from "./store.ts";
import { openStoreDatabase } from "./store_db.ts";
import { flipObject, idsIn, noise, putNoise, withStore } from "./store_fixture.ts";
import { SqliteStore } from "./store_sqlite.ts";

/** A store with two files, one of them shared, and 40 roots; and it as it is found again. */
async function fill(
  store: SqliteStore,
): Promise<{ roots: Id[]; look: (store: SqliteStore) => Promise<unknown> }> {
  const roots = [
    await putNoise(store, noise(1, 2_000_000), 1000),
    await putNoise(store, new Uint8Array(300_000), 999),
  ];
  await store.share(roots[0]!);
  const catalog = new Catalog(store.db);
  for (let i = 0; i < 40; i++) {
    catalog.add(
      {
        id: roots[i % 2]!,
        kind: "file",
        size: i,
        sha256: roots[0]!,
        label: `label ${i}`,
        uid: i,
        pinned: i % 2 === 0,
      },
      1000 + i,
    );
  }
  const look = async (now: SqliteStore) => {
    const ids = idsIn(now);
    const { database, damaged, missing } = await fsck(now, () => roots, { look: "bytes" });
    const shared = await now.shared.have(ids);
    return { ids, shared, list: new Catalog(now.db).list(), database, damaged, missing };
  };
  return { roots, look };
}

async function reopened<T>(dir: string, fn: (store: SqliteStore) => Promise<T>): Promise<T> {
  const store = new SqliteStore(openStoreDatabase(join(dir, "store.db")));
  try {
    return await fn(store);
  } finally {
    store.close();
    store.db.close();
  }
}

test("without a readable first page: objects, marks and roots are there again, the old one is kept", async () => {
  await withStore(async (store, dir) => {
    const { look } = await fill(store);
    const before = await look(store) as { ids: Id[]; shared: Id[] };
    assert.ok(before.shared.length > 1500);
    store.close();
    store.db.close();
    const path = join(dir, "store.db");
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 0, 4096);
    writeFileSync(path, bytes);
    assert.throws(() => openStoreDatabase(path), { kind: "corrupt" });
    const report = await rebuildDatabase(dir);
    assert.deepEqual([report.objects, report.shared], [before.ids.length, before.shared.length]);
    assert.deepEqual([report.rootsKept, report.rootsLost, report.damaged, report.duplicates], [40, 0, 0, 0]);
    assert.deepEqual(await reopened(dir, look), before);
    assert.deepEqual(readFileSync(`${path}.damaged`), bytes);
  }, { compress: true });
});

test("the first 100 pages destroyed, or no database at all: every object is there again", async () => {
  await withStore(async (store, dir) => {
    const { look } = await fill(store);
    const { ids } = await look(store) as { ids: Id[] };
    store.close();
    store.db.close();
    const path = join(dir, "store.db");
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 0, Math.min(bytes.length, 100 * 4096));
    writeFileSync(path, bytes);
    await rebuildDatabase(dir);
    assert.deepEqual(await reopened(dir, (now) => Promise.resolve(idsIn(now))), ids);
    truncateSync(path, 0);
    assert.equal((await rebuildDatabase(dir)).objects, ids.length);
  });
});

test("what is only in the log of the old one is carried over; a flipped root is lost and counted", async () => {
  await withStore(async (store, dir) => {
    const { look } = await fill(store);
    const before = await look(store) as { list: unknown[] };
    // The store is not closed: what it wrote last stands in the log.
    const copy = `${dir}-copy`;
    cpSync(dir, copy, { recursive: true });
    const report = await rebuildDatabase(copy);
    assert.deepEqual([report.rootsKept, report.rootsLost], [40, 0]);
    assert.deepEqual(await reopened(copy, look), before);
    const path = join(copy, "store.db");
    const bytes = readFileSync(path);
    for (let at = bytes.indexOf("label 7"); at >= 0; at = bytes.indexOf("label 7", at + 1)) bytes[at] = 0x4c;
    writeFileSync(path, bytes);
    const again = await rebuildDatabase(copy);
    assert.deepEqual([again.rootsKept, again.rootsLost], [39, 1]);
    rmSync(copy, { recursive: true });
  });
});

test("a torn record at the end, rubbish, holes, a damaged record and one that is there twice", async () => {
  await withStore(async (store, dir) => {
    const ids = await store.put([noise(1, 1000), noise(2, 1000), noise(3, 1000)]);
    const pack = join(dir, "packs/1.pack");
    const whole = readFileSync(pack);
    appendFileSync(pack, new Uint8Array(9_000_000));
    appendFileSync(pack, whole.subarray(0, 1048)); // the first again
    appendFileSync(pack, "isfs\u0001 isfs");
    appendFileSync(pack, whole.subarray(1048, 2000)); // torn
    flipObject(store, ids[2]!);
    store.close();
    store.db.close();
    const report = await rebuildDatabase(dir);
    assert.deepEqual([report.objects, report.bytes, report.duplicates, report.damaged], [2, 2000, 1, 3]);
    await reopened(dir, async (now) => {
      assert.deepEqual(idsIn(now), ids.slice(0, 2).sort());
      assert.deepEqual(await now.get(ids.slice(0, 2)), [noise(1, 1000), noise(2, 1000)]);
    });
  });
});

test("killed at any moment, the next one or the next open finds everything: 12 rounds", async () => {
  await withStore(async (store, dir) => {
    const { look } = await fill(store);
    const before = await look(store);
    store.close();
    store.db.close();
    const script = join(dir, "rebuild.mjs");
    const mod = new URL("./rebuild.ts", import.meta.url).href;
    writeFileSync(
      script,
      `import { rebuildDatabase } from ${JSON.stringify(mod)};
       console.log("begun");
       for (;;) await rebuildDatabase(${JSON.stringify(dir)});`,
    );
    const config = fileURLToPath(new URL("../deno.json", import.meta.url));
    const args = "Deno" in globalThis ? ["run", "-A", "--no-check", "--config", config, script] : [script];
    const clock = new VirtualClock(3);
    for (let round = 0; round < 12; round++) {
      const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
      await new Promise((resolve) => child.stdout.once("data", resolve));
      await new Promise((resolve) => setTimeout(resolve, clock.u32() % 400));
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      if (round % 2 === 0) await rebuildDatabase(dir);
      assert.deepEqual(await reopened(dir, look), before, `round ${round}`);
      assert.ok(!existsSync(join(dir, "store.db.rebuilt")));
    }
  });
});
