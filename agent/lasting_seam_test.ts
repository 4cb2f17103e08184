// lasting_seam: a net half that dies is followed by another, later each time, and never after the end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../mq/mod.ts";
import { LastingSeam, type NetLife } from "./lasting_seam.ts";

/** Net halves that answer with their number, and die when told to. */
function makeLives(clock: VirtualClock) {
  const told: (boolean | string)[] = [];
  const ends: ((how: string) => void)[] = [];
  const start = (): NetLife => {
    const n = ends.length + 1;
    const ended = new Promise<string>((resolve) => ends.push(resolve));
    return { ask: () => Promise.resolve(n), ended, close: () => Promise.resolve(ends[n - 1]?.("closed")) };
  };
  const changed = (isThere: boolean) => void told.push(isThere);
  const seam = new LastingSeam({ clock, start, changed, log: (line) => void told.push(line) });
  const die = async () => {
    ends.at(-1)?.("SIGKILL");
    await Promise.resolve();
    await Promise.resolve();
  };
  return { seam, told, die, started: () => ends.length };
}

test("a net half that dies is followed by another, and each pause is longer until one has lasted", async () => {
  const clock = new VirtualClock(1);
  const { seam, told, die, started } = makeLives(clock);
  assert.equal(await seam.ask("identity", null), 1);
  await die();
  assert.deepEqual(told, ["the net half has ended: SIGKILL; another is started in 250 ms", false]);
  await clock.advance(249);
  assert.equal(started(), 1);
  await clock.advance(1);
  assert.equal(told.at(-1), true);
  assert.equal(await seam.ask("identity", null), 2);
  await die();
  assert.match(String(told.at(-2)), /in 500 ms/);
  await clock.advance(500);
  for (let i = 0; i < 10; i++) {
    await die();
    await clock.advance(60_000);
  }
  assert.equal(started(), 13);
  await clock.advance(60_000);
  await die();
  assert.match(String(told.at(-2)), /in 250 ms/);
});

test("another one is had at once when somebody wants it, who goes on when it has been told; it costs no pause", async () => {
  const clock = new VirtualClock(1);
  const { seam, told, started } = makeLives(clock);
  let isThere = false;
  const restarted = seam.restart().then(() => isThere = true);
  await clock.advance(0);
  assert.deepEqual(told, ["the net half has ended: it was to; another is started in 0 ms", false, true]);
  await restarted;
  assert.deepEqual([isThere, started(), await seam.ask("identity", null)], [true, 2, 2]);
  await Promise.all([seam.restart(), seam.restart(), clock.advance(0), clock.advance(1)]);
  assert.match(String(told.findLast((line) => typeof line === "string")), /in 0 ms/);
});

test("after the end no net half is started", async () => {
  const clock = new VirtualClock(1);
  const { seam, die, started } = makeLives(clock);
  await die();
  await seam.close();
  await clock.advance(600_000);
  assert.equal(started(), 1);
  const other = makeLives(clock);
  await other.seam.close();
  await clock.advance(600_000);
  assert.deepEqual([other.started(), other.told], [1, []]);
});
