// walk: how much it says that comes in all, object by object. That everything comes is in fetch_test.ts.
import assert from "node:assert/strict";
import { systemClock } from "../mq/mod.ts";
import { capture } from "./capture.ts";
import { fixedCutter } from "./cutter.ts";
import { sh, testIn } from "./fixture.ts";
import { objectsOf } from "./objects.ts";
import { type Id, MemoryStore } from "./store.ts";
import { Walk } from "./walk.ts";

/** Brings a root to where an object of it is already, one after the other; what is told after each. `rests`: each is looked at before the next comes. */
async function bring(
  far: MemoryStore,
  id: Id,
  rests: boolean,
): Promise<{ told: (number | undefined)[]; bytes: number }> {
  const near = new MemoryStore();
  const ids = new Set<Id>();
  for await (const each of objectsOf(far, id)) ids.add(each);
  const [some] = [...ids].slice(-3);
  await near.put(await far.get([some!])); // it is here already

  const wanted: { id: Id; size: number | undefined }[] = [];
  const told: (number | undefined)[] = [];
  let found = 1;
  const walk = new Walk([id], {
    store: near,
    clock: systemClock,
    patienceMs: 60_000,
    bytesMax: Infinity,
    checkRoom: () => {},
    want: (_, id, size) => void wanted.push({ id, size }),
    isComing: () => true,
    nobodyHas: () => assert.fail("all of it comes"),
    kept: ({ of }) => {
      told.push(of);
      if (of !== undefined) assert.equal(found, ids.size, `it was said after ${told.length} objects`);
    },
  });
  const end = walk.run();
  for (let come = 0; come < ids.size - 1; come++) {
    if (rests) await rest();
    while (wanted.length === 0) await rest();
    found = 1 + come + wanted.length;
    const next = Math.max(0, wanted.findIndex(({ size }) => size === undefined)); // what names others comes first
    const [{ id }] = wanted.splice(next, 1) as [typeof wanted[0]];
    const [bytes] = await far.get([id]);
    walk.came(id, bytes!);
    walk.kept([{ id, size: bytes!.length, from: "a" }]);
  }
  await end;
  return { told, bytes: walk.done.bytes };
}

const rest = () => new Promise((resolve) => setTimeout(resolve, 2));

testIn(
  "how much comes in all is said as soon as all that is missing is found, and never before",
  async (dir) => {
    sh(
      dir,
      "mkdir -p t/{a,b}/c/d; for i in 1 2 3; do head -c 9000 /dev/urandom | tee t/a/c/d/$i t/$i > t/b/c/$i; done; head -c 5 /dev/zero >t/b/c/d/x",
    );
    const far = new MemoryStore();
    const { id } = await capture(far, `${dir}/t`, { cutter: fixedCutter(4000) });
    await bring(far, id, false);
    const { told, bytes } = await bring(far, id, true);
    assert.equal(told[0], undefined);
    assert.equal(told.at(-1), bytes);
    const known = told.filter((of) => of !== undefined);
    assert.ok(known.length >= 9 && known.every((of) => of === bytes), String(told));
  },
);
