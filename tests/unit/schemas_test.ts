// schemas: what is said of answers is what the types of the verbs say now.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { schemas } from "../../scripts/schemas.ts";

test("agent/schemas.json is what the types say: deno task schemas", () => {
  const text = readFileSync(new URL("../../agent/schemas.json", import.meta.url), "utf8");
  assert.equal(text, `${JSON.stringify(schemas(), null, 1)}\n`);
});
