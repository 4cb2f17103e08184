// fsck: finds what is wrong with a store, wherever it is, and nothing else. Flips in the database: fsck_database_test.ts.
import assert from "node:assert/strict";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { encode, fromHex } from "../mq/mod.ts";
import { fsck, type FsckReport } from "./fsck.ts";
import { CODEC, recordHeadBytes } from "./record.ts";
import type { Id } from "./store.ts";
import { flipByte, flipObject, idsOf, noise, putNoise, withStore } from "./store_fixture.ts";
import { type Row, rowOf, type SqliteStore } from "./store_sqlite.ts";

test("every flipped object is found, and only those; drop and put mend them", async () => {
  await withStore(async (store) => {
    const objects = Array.from({ length: 300 }, (_, i) => new Uint8Array([i, i >> 8, 7]));
    const ids = await store.put(objects);
    const damaged = async () => (await fsck(store, () => [], { look: "bytes" })).damaged;
    assert.deepEqual(await damaged(), []);
    const bad = [ids[0]!, ids[150]!, ids[299]!];
    bad.forEach((id) => flipObject(store, id));
    assert.deepEqual(await damaged(), bad);
    store.drop(bad);
    assert.deepEqual(await store.missing(ids), bad);
    await store.put(objects);
    assert.deepEqual(await damaged(), []);
  });
});

/** What fsck says of the store, and how it is put right again after `damage`. */
async function found(
  store: SqliteStore,
  roots: Id[],
  damage: () => void,
): Promise<Omit<FsckReport, "bytes">> {
  damage();
  const { bytes: _, ...report } = await fsck(store, () => roots, { look: "bytes" });
  return report;
}

test("flips in headers, bodies and compressed bodies, torn packs, a pack that is gone: named, and nothing else", async () => {
  await withStore(async (store, dir) => {
    const [raw, small, last] = await store.put([noise(1, 1000), new Uint8Array(5000), noise(2, 1000)]) as [
      Id,
      Id,
      Id,
    ];
    const rows = store.db.read((r) => [raw, small, last].map((id) => rowOf(r, id)!)) as [Row, Row, Row];
    assert.deepEqual(rows.map(({ codec }) => codec), [CODEC.raw, CODEC.zstd, CODEC.raw]);
    const pack = join(dir, "packs/1.pack");
    const whole = readFileSync(pack);
    const harmless: number[] = [];
    for (const [id, { at, stored }] of [[raw, rows[0]], [small, rows[1]]] as const) {
      for (let byte = at - recordHeadBytes; byte < at + stored; byte++) {
        flipByte(pack, byte);
        const { damaged } = await fsck(store, () => [], { look: "bytes" });
        // Not every bit of a zstd frame says something about what comes out of it.
        const isHarmless = id === small && byte >= at && damaged.length === 0;
        if (isHarmless) harmless.push((await store.get([id]))[0]!.length);
        else assert.deepEqual(damaged, [id], `byte ${byte - at}`);
        flipByte(pack, byte);
        if (byte >= at + 8) byte += 20;
      }
    }
    assert.ok(harmless.length <= 4, `${harmless.length}`);
    const none = { objects: 3, missing: [], database: [] };
    assert.deepEqual(await found(store, [], () => truncateSync(pack, whole.length - 1)), {
      ...none,
      damaged: [last],
    });
    assert.deepEqual(await found(store, [], () => truncateSync(pack, 10)), {
      ...none,
      damaged: [raw, small, last],
    });
    store.close();
    assert.deepEqual(await found(store, [], () => rmSync(pack)), { ...none, damaged: [raw, small, last] });
    store.close();
    assert.deepEqual(await found(store, [], () => writeFileSync(pack, whole)), { ...none, damaged: [] });
  }, { compress: true });
});

test("a row that says something else than the pack: named, whatever column it is", async () => {
  await withStore(async (store) => {
    const ids = await store.put([noise(1, 1000), new Uint8Array(5000), noise(2, 1000)]);
    for (
      const change of [
        "pack = 2",
        "at = at + 1",
        "at = 1",
        "at = 1 << 50",
        "size = size + 1",
        "stored = stored - 1",
        "stored = 1 << 50",
        "stored = -1",
        "codec = 1 - codec",
        "codec = 7",
      ]
    ) {
      for (const id of ids) {
        store.db.write((tx) => tx.run("CREATE TEMP TABLE old AS SELECT * FROM object"));
        store.db.write((tx) => tx.run(`UPDATE object SET ${change} WHERE id = ?`, fromHex(id)));
        const { damaged, database } = await fsck(store, () => [], { look: "bytes" });
        assert.deepEqual([damaged, database], [[id], []], change);
        // The right bytes, or none.
        await store.get([id]).catch((e) => assert.equal(e.kind, "corrupt", change));
        store.db.write((tx) => {
          tx.run(`UPDATE object SET (pack, at, size, stored, codec) =
            (SELECT pack, at, size, stored, codec FROM temp.old WHERE old.n = object.n)`);
          tx.run("DROP TABLE temp.old");
        });
      }
    }
    assert.deepEqual((await fsck(store, () => [], { look: "bytes" })).damaged, []);
  }, { compress: true });
});

test("what a root needs and is not here is missing, with a root; damaged structure is damaged", async () => {
  await withStore(async (store) => {
    const a = await putNoise(store, noise(1, 50_000)), b = await putNoise(store, noise(1, 40_960));
    const [text] = await store.put([encode("no tree")]);
    const lost = (await idsOf(store, b)).filter((id) => id !== b).slice(0, 3);
    store.drop(lost);
    const none = "0".repeat(64);
    const { missing, damaged } = await fsck(store, () => [a, b, none, text!], { look: "structure" });
    assert.deepEqual(missing.map(({ id }) => id), [none, ...lost]);
    assert.ok(missing.every(({ root }) => root === a || root === b || root === none));
    assert.deepEqual(damaged, [text]);
    flipObject(store, a);
    assert.deepEqual((await fsck(store, () => [a], { look: "structure" })).damaged, [a]);
    assert.deepEqual((await fsck(store, () => [], { look: "structure" })).damaged, []);
  });
});

test("parts 1 to 5 of 5 hash every object exactly once; there is no part 0 and no part 6", async () => {
  await withStore(async (store) => {
    const ids = await store.put(Array.from({ length: 200 }, (_, i) => noise(i, 100 + i)));
    ids.forEach((id) => flipObject(store, id));
    const damaged: Id[] = [];
    let bytes = 0;
    for (let n = 1; n <= 5; n++) {
      const part = await fsck(store, () => [], { look: "bytes", part: { n, of: 5 } });
      assert.ok(part.damaged.length > 10);
      damaged.push(...part.damaged);
      bytes += part.bytes;
    }
    assert.deepEqual(damaged.sort(), [...ids].sort());
    assert.equal(bytes, 200 * 100 + 199 * 100);
    for (const part of [{ n: 0, of: 5 }, { n: 6, of: 5 }, { n: 1, of: 0 }, { n: 0.5, of: 1 }]) {
      await assert.rejects(fsck(store, () => [], { look: "bytes", part }), { kind: "usage" });
    }
  });
});
