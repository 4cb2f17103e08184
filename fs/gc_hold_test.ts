// gc beside others: whoever holds, asks and makes a root loses nothing, in whatever order things happen; readers get the
// right bytes or none. What gc drops when it is alone is in gc_test.ts.
import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pause, VirtualClock } from "../mq/mod.ts";
import { openDatabase } from "./db.ts";
import { fsck } from "./fsck.ts";
import { gc } from "./gc.ts";
import type { Hold } from "./holds.ts";
import { hooked, idsIn, idsOf, noise, putNoise, withStore } from "./store_fixture.ts";
import { type Id, idOf } from "./store.ts";
import { openStoreDatabase, STORE_MIGRATIONS } from "./store_db.ts";
import { SqliteStore } from "./store_sqlite.ts";

/** Another process on the same store: connection, descriptors and locks of its own. */
function another(dir: string, synchronous: "FULL" | "NORMAL" = "FULL"): SqliteStore {
  return new SqliteStore(openDatabase(join(dir, "store.db"), { migrations: STORE_MIGRATIONS, synchronous }));
}

/** A file that somebody puts, its root last: what he finds with `missing` he does not put. */
class Session {
  readonly root: Id;
  readonly #objects: Map<Id, Uint8Array>;
  readonly #store: SqliteStore;
  readonly #roots: Set<Id>;
  #hold: Hold | undefined;
  #steps: (() => unknown)[];
  #waits = false;

  constructor(store: SqliteStore, roots: Set<Id>, root: Id, objects: Map<Id, Uint8Array>) {
    [this.#store, this.#roots, this.root, this.#objects] = [store, roots, root, objects];
    let absent: Id[] = [];
    const ask = async (ids: Id[]) => {
      absent = await store.missing(ids);
    };
    const put = () => absent.length > 0 ? store.put(absent.map((id) => this.#objects.get(id)!)) : undefined;
    const chunks = [...objects.keys()].filter((id) => id !== root);
    this.#steps = [
      async () => this.#hold = await store.holds.hold(),
      () => ask(chunks),
      put,
      () => ask([root]),
      put,
      () => this.#roots.add(root),
      () => this.#hold!.release(),
    ];
  }

  get isOver(): boolean {
    return this.#steps.length === 0;
  }

  /** The next step, unless the one before has not ended yet. */
  step(): void {
    if (this.#waits || this.isOver) return;
    this.#waits = true;
    void Promise.resolve(this.#steps.shift()!()).finally(() => this.#waits = false);
  }

  async finish(): Promise<void> {
    while (!this.isOver || this.#waits) {
      this.step();
      await pause();
    }
  }
}

const seeds = 250;

test(`two who put while gc runs lose nothing: ${seeds} interleavings at every read and write of gc`, async () => {
  await withStore(async (first, dir) => {
    const db = openDatabase(join(dir, "store.db"), { migrations: STORE_MIGRATIONS, synchronous: "NORMAL" });
    let step = () => {};
    const collector = new SqliteStore(hooked(db, () => step()));
    const others = [another(dir, "NORMAL"), another(dir, "NORMAL")];
    // Two files with chunks in common, all there already and of no root, or gone: as gc left them.
    const bytes = noise(1, 16 * 1024);
    const ids = [await putNoise(first, bytes), await putNoise(first, bytes.subarray(4096))];
    const objects = await Promise.all(ids.map(async (root) => {
      const all = await idsOf(first, root);
      return new Map(await Promise.all(all.map(async (id) => [id, (await first.get([id]))[0]!] as const)));
    }));
    let dropped = 0, waited = 0;
    for (let seed = 0; seed < seeds; seed++) {
      const clock = new VirtualClock(seed);
      const chance = 1 + clock.u32() % 40;
      const roots = new Set<Id>();
      const sessions = ids.map((root, i) => new Session(others[i]!, roots, root, objects[i]!));
      step = () => {
        for (const session of sessions) if (clock.u32() % chance === 0) session.step();
      };
      const some = async () => {
        for (let left = clock.u32() % 3 === 0 ? clock.u32() % 16 : 0; left > 0; left--) {
          sessions[clock.u32() % 2]!.step();
          await pause();
        }
      };
      const asked = async () => {
        await some();
        const list = [...roots];
        await some();
        return list;
      };
      const report = await gc(collector, asked);
      [dropped, waited] = [dropped + report.dropped, waited + report.waiting];
      step = () => {};
      for (const session of sessions) await session.finish();
      const { missing, damaged, database } = await fsck(first, () => ids, { look: "bytes" });
      assert.deepEqual([missing, damaged, database], [[], [], []], `seed ${seed}`);
      // Half of the time the next one finds nothing.
      if (seed % 2 === 0) await gc(first, () => Promise.resolve([]));
    }
    assert.ok(dropped > 50 && waited > 50, `dropped ${dropped}, waited ${waited}`);
    db.close();
    for (const store of [collector, ...others]) store.close();
    for (const store of others) store.db.close();
  });
});

test("what is said to be here and was marked is looked for again, when another drops it meanwhile", async () => {
  await withStore(async (store, dir) => {
    const [id] = await store.put([noise(1, 100)]);
    const hold = await store.holds.hold();
    await gc(store, () => Promise.resolve([]));
    hold.release();
    let writes = 0;
    const db = openStoreDatabase(join(dir, "store.db"));
    const late = new SqliteStore(hooked(db, (what) => {
      if (what === "write" && writes++ === 0) store.drop([id!]);
    }));
    assert.deepEqual(await late.missing([id!]), [id]);
    assert.equal(writes, 1);
    db.close();
  });
});

test("a reader that holds reads on when its root is gone; after him it is dropped", async () => {
  await withStore(async (store) => {
    const root = await putNoise(store, noise(1, 100_000));
    const ids = await idsOf(store, root);
    const hold = await store.holds.hold();
    const report = await gc(store, () => Promise.resolve([]));
    assert.deepEqual([report.dropped, report.waiting, report.waitingFor], [0, ids.length, 1]);
    for (const id of ids) assert.equal(idOf((await store.get([id]))[0]!), id);
    hold.release();
    hold.release();
    assert.equal((await gc(store, () => Promise.resolve([]))).dropped, ids.length);
    await assert.rejects(store.get([root]), { kind: "notFound" });
  });
});

test("who begins after the mark is not waited for", async () => {
  await withStore(async (store) => {
    await putNoise(store, noise(1, 10_000));
    let times = 0, hold: Hold | undefined;
    const report = await gc(store, async () => {
      if (times++ > 0) hold = await store.holds.hold();
      return [];
    });
    assert.deepEqual([report.dropped, report.waitingFor], [4, 0]);
    hold!.release();
  });
});

test("what is shared while gc runs stays whole", async () => {
  await withStore(async (store) => {
    const root = await putNoise(store, noise(1, 50_000));
    const ids = await idsOf(store, root);
    let times = 0;
    await gc(store, async () => {
      if (times++ > 0) await store.share(root);
      return [];
    });
    assert.deepEqual(await store.shared.have(ids), ids);
  });
});

test("one appends while the other drops and frees: nothing that is needed is lost", async () => {
  await withStore(async (store, dir) => {
    const other = another(dir);
    const roots: Id[] = [];
    let isOver = false, appended = 0, gcs = 0;
    const append = async () => {
      for (let i = 0; i < 60; i++) {
        const hold = await other.holds.hold();
        const root = await putNoise(other, noise(i, 9000), 1024);
        if (i % 3 > 0) roots.push(root);
        hold.release();
        appended++;
        // Now and then nobody holds when a gc begins.
        if (i % 5 === 0) { for (const seen = gcs; gcs < seen + 2;) await pause(); }
      }
    };
    const drop = async () => {
      let dropped = 0;
      while (!isOver) {
        dropped += (await gc(store, () => Promise.resolve([...roots]))).dropped;
        if (roots.length > 8) roots.splice(0, 4);
        gcs++;
        for (let i = 0; i < 20; i++) await pause();
      }
      return dropped;
    };
    const [, dropped] = await Promise.all([append().finally(() => isOver = true), drop()]);
    assert.ok(dropped > 50, `dropped ${dropped}`);
    await gc(store, () => Promise.resolve(roots));
    assert.deepEqual(idsIn(store), await idsOf(other, ...roots));
    const { damaged, missing } = await fsck(other, () => roots, { look: "bytes" });
    assert.deepEqual([damaged, missing], [[], []]);
    other.close();
    other.db.close();
  });
});

test("a descriptor from before, a row from before: the right bytes or notFound, never corrupt or others'", async () => {
  await withStore(async (store, dir) => {
    const other = another(dir);
    for (let round = 0; round < 20; round++) {
      const old = noise(1000 + round, 20_000);
      const root = await putNoise(other, old);
      const ids = await idsOf(other, root);
      await other.get(ids); // the pack is open there
      // Between the look for the rows and the look for the bytes another process drops, frees and writes over them.
      let isFirst = true;
      const read = other.packs.read.bind(other.packs);
      other.packs.read = (n, at, length) => {
        if (isFirst) {
          isFirst = false;
          store.drop(ids);
          truncateSync(join(dir, "packs", `${n}.pack`), 0);
          writeFileSync(join(dir, "packs", `${n}.pack`), noise(round, 40_000));
        }
        return read(n, at, length);
      };
      await assert.rejects(other.get(ids), { kind: "notFound" });
      other.packs.read = read;
      const again = await putNoise(other, old);
      assert.equal(again, root);
      for (const id of ids) assert.equal(idOf((await other.get([id]))[0]!), id);
      await gc(store, () => Promise.resolve([]));
      assert.deepEqual(await other.shared.get(ids, 100_000), ids.map(() => undefined));
    }
    other.close();
    other.db.close();
  });
});
