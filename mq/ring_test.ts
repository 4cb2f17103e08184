// Ring: bounds and cursors.
import { test } from "node:test";
import assert from "node:assert/strict";
import { Ring } from "./ring.ts";

test("a reader gets each item once, by its cursor", () => {
  const ring = new Ring<string>(3);
  assert.deepEqual(ring.since(0), { items: [], next: 0, missed: 0 });
  assert.equal(ring.push("a"), 0);
  assert.equal(ring.push("b"), 1);
  assert.deepEqual(ring.since(0), { items: ["a", "b"], next: 2, missed: 0 });
  assert.deepEqual(ring.since(2), { items: [], next: 2, missed: 0 });
  ring.push("c");
  assert.deepEqual(ring.since(2), { items: ["c"], next: 3, missed: 0 });
});

test("a full ring forgets the oldest and says how many a late reader missed", () => {
  const ring = new Ring<number>(3);
  for (let i = 0; i < 10; i++) assert.equal(ring.push(i), i);
  assert.equal(ring.oldest, 7);
  assert.deepEqual(ring.since(0), { items: [7, 8, 9], next: 10, missed: 7 });
  assert.deepEqual(ring.since(7), { items: [7, 8, 9], next: 10, missed: 0 });
  assert.deepEqual(ring.since(9), { items: [9], next: 10, missed: 0 });
  assert.throws(() => new Ring(0));
});

test("a cursor from before a restart gets everything held", () => {
  const ring = new Ring<number>(3);
  ring.push(1);
  for (const cursor of [99, -1, 0.5, NaN]) assert.deepEqual(ring.since(cursor).items, [1]);
});
