// gc: drops what no root reaches and nothing else, gives the room back, and leaves everything as it is when it cannot tell.
// What others do meanwhile is in gc_hold_test.ts, crashes are in gc_crash_test.ts.
import assert from "node:assert/strict";
import { linkSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { encode, fromHex } from "../mq/mod.ts";
import { capture } from "./capture.ts";
import { fixedCutter } from "./cutter.ts";
import { gc } from "./gc.ts";
import { packBytes } from "./limits.ts";
import { flipByte, flipObject, idsIn, idsOf, noise, putNoise, roomOf, withStore } from "./store_fixture.ts";
import { type Id, idOf, verifyObject } from "./store.ts";
import { openStoreDatabase } from "./store_db.ts";
import { SqliteStore } from "./store_sqlite.ts";

const roots = (...ids: Id[]) => () => Promise.resolve(ids);

async function allSound(store: SqliteStore): Promise<void> {
  for (const id of idsIn(store)) verifyObject(id, (await store.get([id]))[0]!);
}

test("what no root reaches goes, what one does stays: files, trees with pages and hard links", async () => {
  await withStore(async (store, dir) => {
    const tree = join(dir, "tree");
    mkdirSync(join(tree, "many"), { recursive: true });
    for (let i = 0; i < 2500; i++) {
      writeFileSync(join(tree, "many", `name-${i}-${"x".repeat(40)}`), `${i % 40}`);
    }
    writeFileSync(join(tree, "a"), noise(1, 20_000));
    linkSync(join(tree, "a"), join(tree, "b"));
    const cutter = fixedCutter(4096);
    const first = (await capture(store, tree, { cutter })).id;
    const before = await idsOf(store, first);
    writeFileSync(join(tree, "c"), noise(2, 20_000));
    const second = (await capture(store, tree, { cutter })).id;
    const file = await putNoise(store, noise(3, 50_000));
    const both = await idsOf(store, first, second, file);
    assert.deepEqual(idsIn(store), both);

    const all = await gc(store, roots(first, second, file));
    assert.deepEqual([all.kept, all.dropped], [both.length, 0]);
    const one = await gc(store, roots(first));
    assert.equal(one.dropped, both.length - before.length);
    assert.deepEqual(idsIn(store), before);
    await allSound(store);
    assert.equal((await gc(store, roots())).kept, 0);
    assert.deepEqual(idsIn(store), []);
  });
});

test("a chunk of two files stays as long as one of them does; manifests of several levels are followed", async () => {
  await withStore(async (store) => {
    const shared = noise(1, 16 * 9000); // 9000 parts: two levels
    const a = await putNoise(store, shared, 16);
    const b = await putNoise(store, shared.subarray(0, 16 * 8500), 16);
    const needed = await idsOf(store, b);
    assert.ok((await idsOf(store, a)).length > 9000);
    await gc(store, roots(b));
    assert.deepEqual(idsIn(store), needed);
  });
});

test("an object that is a chunk of one file and the manifest of another is followed as both", async () => {
  await withStore(async (store) => {
    const inner = await putNoise(store, noise(1, 30_000));
    const [manifest] = await store.get([inner]);
    const outer = await putNoise(
      store,
      new Uint8Array([...manifest!, ...noise(2, 10_000)]),
      manifest!.length,
    );
    assert.ok((await idsOf(store, outer)).includes(inner));
    const needed = await idsOf(store, outer, inner);
    await gc(store, roots(outer, inner));
    assert.deepEqual(idsIn(store), needed);
  });
});

test("the disk gets the room back, empty packs go, and the highest number stays where it is", async () => {
  await withStore(async (store, dir) => {
    // Three packs: one is full as soon as it is as long as a full one, holes or not.
    const kept: Id[] = [], lost: Id[] = [];
    for (let pack = 0; pack < 3; pack++) {
      for (let i = 0; i < 16; i++) {
        const id = await putNoise(store, noise(100 * pack + i, 128 * 1024), 64 * 1024);
        (pack === 1 && i % 2 === 0 ? kept : lost).push(id);
      }
      const { n, size } = store.packs.list().at(-1)!;
      assert.ok(size < packBytes);
      const path = join(dir, "packs", `${n}.pack`);
      // What is behind the last object is nothing, as after a crash.
      if (pack < 2) truncateSync(path, packBytes);
    }
    const before = roomOf(dir);
    assert.deepEqual(before.packs, [1, 2, 3]);
    const trial = await gc(store, roots(...kept), { isTrial: true });
    assert.deepEqual(roomOf(dir), before);
    const report = await gc(store, roots(...kept));
    assert.deepEqual(trial, { ...report, freedBytes: 0 });
    const after = roomOf(dir);
    assert.deepEqual(after.packs, [2, 3]);
    assert.equal(before.bytes - after.bytes, report.freedBytes);
    const live = kept.length * 128 * 1024;
    assert.ok(after.bytes < live + kept.length * 4 * 4096, `${after.bytes} bytes for ${live}`);
    await allSound(store);

    const again = await gc(store, roots(...kept));
    assert.deepEqual(again, { ...report, dropped: 0, droppedBytes: 0, freedBytes: 0 });
    await gc(store, roots());
    assert.deepEqual(roomOf(dir), { bytes: 0, packs: [3] });
    await putNoise(store, noise(1, 5000));
    assert.deepEqual(roomOf(dir).packs, [3]);
  });
});

test("a trial changes nothing", async () => {
  await withStore(async (store, dir) => {
    const [a] = [await putNoise(store, noise(1, 100_000)), await putNoise(store, noise(2, 100_000))];
    const dump = () =>
      JSON.stringify([
        store.db.read((r) => ["object", "gc", "shared_root"].map((t) => r.all(`SELECT * FROM ${t}`))),
        readFileSync(join(dir, "packs/1.pack")).toString("base64"),
      ]);
    const before = dump();
    const trial = await gc(store, roots(a), { isTrial: true });
    assert.equal(dump(), before);
    assert.ok(trial.dropped > 20);
    assert.deepEqual({ ...await gc(store, roots(a)), freedBytes: 0 }, trial);
  });
});

test("while somebody holds, a trial says what the real one then does: that it waits", async () => {
  await withStore(async (store) => {
    await putNoise(store, noise(1, 100_000));
    const hold = await store.holds.hold();
    const trial = await gc(store, roots(), { isTrial: true });
    assert.deepEqual(trial, await gc(store, roots()));
    assert.deepEqual([trial.dropped, trial.waiting, trial.waitingFor], [0, 26, 1]);
    hold.release();
    assert.equal((await gc(store, roots())).dropped, 26);
  });
});

test("damaged structure: refused as corrupt, nothing dropped; damaged chunks are no reason", async () => {
  await withStore(async (store) => {
    const file = await putNoise(store, noise(1, 50_000));
    await putNoise(store, noise(2, 50_000));
    const before = idsIn(store);
    flipObject(store, file);
    for (const isTrial of [true, false]) {
      await assert.rejects(gc(store, roots(file), { isTrial }), { name: "Fault", kind: "corrupt" });
    }
    assert.deepEqual(idsIn(store), before);
    flipObject(store, file);
    flipObject(store, (await idsOf(store, file)).find((id) => id !== file)!);
    assert.equal((await gc(store, roots(file))).kept, 14);
  });
});

test("a root that is no tree and no file: refused as corrupt, nothing dropped", async () => {
  await withStore(async (store) => {
    await putNoise(store, noise(1, 50_000));
    const [text] = await store.put([encode({ v: 1, kind: "poem" })]);
    const before = idsIn(store);
    await assert.rejects(gc(store, roots(text!)), { name: "Fault", kind: "corrupt" });
    assert.deepEqual(idsIn(store), before);
  });
});

test("a damaged row of an object that is needed: refused as corrupt, nothing dropped and nothing given back", async () => {
  await withStore(async (store, dir) => {
    const file = await putNoise(store, noise(1, 49_152));
    const chunk = (await idsOf(store, file)).find((id) => id !== file)!;
    store.db.close();
    const path = join(dir, "store.db");
    const row = Uint8Array.of(...fromHex(chunk), 4096 >> 8, 0); // id and size, as they stand beside each other
    const at = readFileSync(path).indexOf(row);
    assert.ok(at > 0);
    flipByte(path, at + 32);
    const again = new SqliteStore(openStoreDatabase(path));
    const [before, room] = [idsIn(again), roomOf(dir)];
    for (const isTrial of [true, false]) {
      await assert.rejects(gc(again, roots(file), { isTrial }), { name: "Fault", kind: "corrupt" });
    }
    assert.deepEqual([idsIn(again), roomOf(dir)], [before, room]);
    again.db.close();
  });
});

test("one flipped bit of an index made gc give back the room of what is needed", async () => {
  await withStore(async (store, dir) => {
    const file = await putNoise(store, noise(1, 200_000));
    await putNoise(store, noise(2, 200_000));
    const needed = await idsOf(store, file);
    store.db.close();
    const path = join(dir, "store.db"), good = readFileSync(path), page = 4096, leafOfIndex = 0x0a;
    let refused = 0;
    for (let start = page; start < good.length; start += page) {
      if (good[start] !== leafOfIndex) continue;
      for (let at = start + page - 1; at > start + 8; at -= 97) {
        if (good[at] === 0) continue;
        flipByte(path, at);
        const flipped = new SqliteStore(openStoreDatabase(path));
        await gc(flipped, roots(file)).catch((e) => {
          assert.equal(e.kind, "corrupt", String(e));
          refused++;
        });
        flipped.close();
        flipped.db.close();
        rmSync(`${path}-wal`, { force: true });
        writeFileSync(path, good);
        const again = new SqliteStore(openStoreDatabase(path));
        for (const id of needed) verifyObject(id, (await again.get([id]))[0]!);
        again.db.close();
      }
    }
    assert.ok(refused > 20, `${refused} refused`);
  });
});

test("what is not here is passed over; what is put below a root while gc runs stays", async () => {
  await withStore(async (store) => {
    const file = await putNoise(store, noise(1, 50_000));
    const needed = await idsOf(store, file);
    const objects = new Map(
      await Promise.all(needed.map(async (id) => [id, (await store.get([id]))[0]!] as const)),
    );
    const chunks = needed.filter((id) => id !== file);
    // Chunks that come after the first look at the root and before the mark: by somebody whose hold is over.
    store.drop(chunks.slice(0, 5));
    let times = 0;
    const report = await gc(store, () => {
      const late = [...objects].filter(([id]) => chunks.includes(id));
      return Promise.resolve(
        times++ > 0 ? [file] : andThen(file, () => late.forEach((o) => arrive(store, ...o))),
      );
    });
    assert.equal(times, 2);
    assert.equal(report.kept, needed.length);
    assert.deepEqual(idsIn(store), needed);
    // The manifest of a root that was not here at all.
    store.drop([file]);
    const other = await gc(store, roots(file), { isTrial: true });
    assert.equal(other.kept, 0);
  });
});

/** A list of one root that calls `then` when that was followed. */
function* andThen(root: Id, then: () => void): Generator<Id> {
  yield root;
  then();
}

/** What `put` leaves behind, without waiting: a record in a pack and a row. */
function arrive(store: SqliteStore, id: Id, bytes: Uint8Array): void {
  assert.equal(idOf(bytes), id);
  store.db.write((tx) =>
    tx.run(
      "INSERT OR IGNORE INTO object (id, size, codec, stored, pack, at) SELECT ?, ?, 0, ?, 9, 48",
      fromHex(id),
      bytes.length,
      bytes.length,
    )
  );
}

test("one at a time: the second is refused", async () => {
  await withStore(async (store) => {
    await putNoise(store, noise(1, 50_000));
    await gc(store, async () => {
      await assert.rejects(gc(store, roots()), { name: "Fault", kind: "refused" });
      return [];
    });
    assert.deepEqual(idsIn(store), []);
  });
});

test("20,000 objects: memory does not grow with their number", async () => {
  await withStore(async (store) => {
    const root = await putNoise(store, noise(1, 40 * 20_000), 40);
    await putNoise(store, noise(2, 40 * 20_000), 40);
    const before = process.memoryUsage().heapUsed;
    const report = await gc(store, roots(root));
    const grown = process.memoryUsage().heapUsed - before;
    assert.ok(report.kept > 20_000 && report.dropped > 20_000);
    assert.ok(grown < 48 * 1024 * 1024, `grew by ${grown} bytes`);
  });
});
