// mutants: each fits the source as it is now, at exactly one place; one that does not is an error and not a build without it.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { mutantNamed, MUTANTS, mutated } from "../mutants.ts";

const root = new URL("../../", import.meta.url).pathname;
const read = (file: string) => fs.readFileSync(root + file, "utf8");

for (const mutant of MUTANTS) {
  test(`the mutant ${mutant.name} fits the source`, () => {
    for (const { file, replace } of mutant.edits) {
      const source = read(file);
      const text = mutated(mutant, file, source);
      assert.notEqual(text, source);
      assert.ok(text.includes(replace));
    }
  });
}

test("a mutant that does not fit, or fits twice, is an error that names it", () => {
  const of = (find: string) => ({ name: "x", breaks: "", edits: [{ file: "f.ts", find, replace: "" }] });
  assert.throws(() => mutated(of("b"), "f.ts", "aca"), /mutant x .* f\.ts .* not: b/);
  assert.throws(() => mutated(of("a"), "f.ts", "aca"), /2 times: a/);
  assert.equal(mutated(of("c"), "f.ts", "aca"), "aa");
  assert.equal(mutated(of("c"), "other.ts", "aca"), "aca");
  assert.throws(() => mutantNamed("nobody"), /small-quorum, /);
  assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
});
