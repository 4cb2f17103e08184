// told: events as lines, with a bar below them on a terminal only, and nothing of it left at the end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeTerm } from "./screen.ts";
import { tellerOf } from "./told.ts";

function told(isTerminal: boolean, globals = { json: false, quiet: false }): string {
  let text = "";
  const stderr = (chunk: Uint8Array | string) => void (text += String(chunk));
  const term = makeTerm({ stdout: () => {}, stderr, colour: false, quiet: globals.quiet, verbose: false });
  const teller = tellerOf({ term, globals }, isTerminal);
  for (let seq = 3; seq <= 6; seq++) {
    teller.tell({ event: "entry", text: `${seq}  exec \x1b[2J`, seq, of: 6 });
  }
  teller.end();
  return text;
}

test("how far a replay is stands below its lines on a terminal, and goes", () => {
  const text = told(true);
  const screen = text.split("\n").map((line) => line.split("\r\x1b[K").at(-1)); // what was written over is gone
  assert.deepEqual(screen, [..."3456"].map((seq) => `${seq}  exec \\x1b[2J`).concat(""));
  assert.ok(text.includes("\r\x1b[K############............ entry 5 of 6"), JSON.stringify(text));
  assert.equal(told(false).includes("\r"), false);
  assert.equal(told(true, { json: true, quiet: false }).includes("\r"), false);
  assert.equal(told(true, { json: false, quiet: true }), "");
});
