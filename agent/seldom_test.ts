// seldom: what is told too soon after the last time is left out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seldom } from "./seldom.ts";

test("what is told comes at once, and then at most once in a while, with the newest value", () => {
  let now = 0;
  const told: [number, string][] = [];
  const tell = seldom({ now: () => now }, 200, (value: string) => told.push([now, value]));
  for (; now < 1000; now += 30) tell(`at ${now}`);
  assert.deepEqual(told, [[0, "at 0"], [210, "at 210"], [420, "at 420"], [630, "at 630"], [840, "at 840"]]);
});
