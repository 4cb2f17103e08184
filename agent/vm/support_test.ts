// support: what is said to be supported is what templates say, also in README.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readmeBeside } from "../../tests/contract/readme.ts";
import { BLANKS } from "./blanks.ts";
import { NEEDS } from "./needs.ts";
import { needPlaces, supportOf, TEMPLATE_VERBS, templateFor, templates } from "./support.ts";
import { readTemplate } from "./template.ts";

const { table, column, needFiles } = readmeBeside(import.meta.url);

test("a template more is a verb more, an option in it an option more", () => {
  const one = (verb: string, text: string) =>
    readTemplate(verb, "d", "o", `about x.\ndeadline 1\nstep one\n${text}\n`);
  const all = [one("start", "/bin/a [cdrom? {cdrom:path}]")];
  assert.deepEqual(supportOf(all), [{ driver: "d", os: "o", verbs: ["start"], options: ["--cdrom"] }]);
  assert.deepEqual(supportOf([...all, one("rm", "/bin/b")])[0]!.verbs, ["start", "rm"]);
  assert.equal(templateFor(all, "start", "d", "o"), all[0]);
  assert.throws(() => templateFor(all, "stop", "d", "o"), {
    kind: "refused",
    message: /unsupported/,
    hint: "isconf vm support",
  });
  needPlaces(all, "start", "d", "o", { cdrom: "/x", memory: "1" });
  assert.throws(() => needPlaces(all, "start", "d", "o", { kernel: "/x", append: "y" }), {
    message: "vm start is unsupported: d on o knows nothing of --kernel, --append",
  });
});

test("README.md has the matrix, the files, the types and the needs", () => {
  const rows = supportOf(templates()).map(({ driver, os, verbs, options }) => [
    driver,
    os,
    ...TEMPLATE_VERBS.map((verb) => verbs.includes(verb) ? "yes" : "no"),
    options.join(", "),
  ]);
  assert.deepEqual(table("What is supported"), rows);
  needFiles();
  assert.deepEqual(column("Types of blanks"), Object.keys(BLANKS));
  assert.deepEqual(column("Needs"), Object.keys(NEEDS));
});
