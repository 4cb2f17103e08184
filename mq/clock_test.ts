// clock: both clocks keep the contract; the virtual one is reproducible and moves only when told to.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clockContract } from "../tests/contract/clock.ts";
import { systemClock, toHex, VirtualClock } from "./mod.ts";

clockContract(
  "system clock",
  () => ({ clock: systemClock, pass: (ms) => new Promise((r) => setTimeout(r, ms)) }),
);
clockContract("virtual clock", () => {
  const clock = new VirtualClock(7);
  return { clock, pass: (ms) => clock.advance(ms) };
});

test("the same seed gives the same chance, another seed another", () => {
  const draw = (seed: number) => toHex(new VirtualClock(seed).random(32));
  assert.equal(draw(1), draw(1));
  assert.notEqual(draw(1), draw(2));
});

test("virtual time stands still, and fires timers set by timers within the same advance", async () => {
  const clock = new VirtualClock(1);
  await Promise.resolve();
  assert.equal(clock.now(), 0);
  const at: number[] = [];
  clock.after(5, () => {
    at.push(clock.now());
    clock.after(5, () => at.push(clock.now()));
  });
  await clock.advance(10);
  assert.deepEqual([at, clock.now(), clock.pending], [[5, 10], 10, 0]);
});

test("a step of the wall clock moves no timer and no monotonic time", async () => {
  const clock = new VirtualClock(1);
  let fired = false;
  clock.after(10, () => fired = true);
  const wall = clock.wall();
  clock.stepWall(-86_400_000);
  await clock.advance(5);
  assert.deepEqual([fired, clock.now(), clock.wall() - wall], [false, 5, 5 - 86_400_000]);
});
