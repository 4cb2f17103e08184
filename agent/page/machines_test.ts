// machines: notes become machines, the last heard of first, with the name under which each joined.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BootNote } from "./answers.ts";
import { machinesOf, toneOfStep } from "./machines.ts";

const note = (mac: string, step: string, text = "", percent: number | null = null): BootNote => (
  { mac, step, text, percent, timeMs: 1 }
);

test("machines are the last heard of first, each with its steps in order and its name", () => {
  const machines = machinesOf([
    note("a", "offered"),
    note("b", "offered"),
    note("a", "joined", "web1"),
    note("a", "image", "", 40),
  ]);
  assert.deepEqual(
    machines.map(({ mac, name, notes, last }) => [mac, name, notes.length, last.step, last.percent]),
    [
      ["a", "web1", 3, "image", 40],
      ["b", "", 1, "offered", null],
    ],
  );
  assert.deepEqual(machinesOf([]), []);
  assert.deepEqual(["up", "failed", "asks", "image", "?"].map(toneOfStep), [
    "ok",
    "bad",
    "unknown",
    "moving",
    "moving",
  ]);
});
