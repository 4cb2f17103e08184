// gc and clocks: what is dropped depends on no clock, so that one that jumps by years loses nothing. What goes and what
// stays is in gc_test.ts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Catalog } from "./catalog.ts";
import { gc } from "./gc.ts";
import { readRoot } from "./objects.ts";
import { idsOf, noise, putNoise, withStore } from "./store_fixture.ts";
import { verifyObject } from "./store.ts";

const tenYearsMs = 10 * 365 * 86_400_000;

test("a clock that jumps by ten years forth and back between puts and gc: what is on the shelf stays, the rest goes", async () => {
  await withStore(async (store) => {
    const catalog = new Catalog(store.db);
    const roots = () => Promise.resolve(catalog.list().map(({ id }) => id));
    const kept: string[] = [];
    let wallMs = 1_800_000_000_000;
    for (const [i, jumpMs] of [0, tenYearsMs, -2 * tenYearsMs, 2 * tenYearsMs, -tenYearsMs].entries()) {
      wallMs += jumpMs;
      const id = await putNoise(store, noise(2 * i, 20_000));
      const root = await readRoot(store, id);
      catalog.add({ ...root, label: `${i}`, uid: 0, pinned: false }, wallMs);
      kept.push(id);
      const gone = await putNoise(store, noise(2 * i + 1, 20_000));
      const dropped = (await idsOf(store, gone)).length;
      assert.equal((await gc(store, roots)).dropped, dropped, `at ${new Date(wallMs).toISOString()}`);
      for (const id of await idsOf(store, ...kept)) verifyObject(id, (await store.get([id]))[0]!);
    }
  });
});

test("gc, holds and what they are made of ask no clock and look at no time of a file", () => {
  for (const file of ["gc", "holds", "reach", "packs", "share", "store_sqlite"]) {
    const text = readFileSync(new URL(`./${file}.ts`, import.meta.url), "utf8");
    const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
    assert.doesNotMatch(code, /\b(clock|wall|mtime\w*|ctime\w*|atMs|at_ms)\b/i, `${file}.ts`);
  }
});
