// landing: what comes while the store is slow is stored too, and nothing waits for ever.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../mq/mod.ts";
import { Landing } from "./landing.ts";
import { fetchFlushMs } from "./limits.ts";
import type { Piece } from "./source.ts";
import type { Id } from "./store.ts";

const landed = (id: string, size: number) => ({
  piece: { id, size } as Piece,
  bytes: new Uint8Array(size),
  from: "peer",
});

test("the last objects of a fetch are stored, though they came and waited while others were being stored", async () => {
  const clock = new VirtualClock(1);
  const begun: Id[][] = [];
  const ends: (() => void)[] = [];
  const store = {
    putShared: (objects: Map<Id, Uint8Array>) => {
      begun.push([...objects.keys()]);
      return new Promise<Id[]>((resolve) => ends.push(() => resolve([])));
    },
  };
  const kept: Id[] = [];
  const landing = new Landing(
    store,
    clock,
    (result) => kept.push(...result.kept.map(({ piece }) => piece.id)),
  );
  landing.add(landed("first", 1));
  await clock.advance(2 * fetchFlushMs);
  landing.add(landed("last", 1));
  await clock.advance(2 * fetchFlushMs);
  assert.deepEqual(begun, [["first"]]);
  ends[0]?.();
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  await clock.advance(2 * fetchFlushMs);
  assert.deepEqual(begun, [["first"], ["last"]]);
  ends[1]?.();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(kept, ["first", "last"]);
});
