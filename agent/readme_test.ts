// README.md: its tables say what the code does, and every file and name in it exists.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { KINDS } from "../mq/mod.ts";
import { readmeBeside } from "../tests/contract/readme.ts";
import { BUNDLE } from "./bundle.ts";
import { CONTENT_REQUESTS } from "./content.ts";
import { ENTRY_LEVEL, SHAPES, TYPE } from "./entry.ts";
import { PREVIEW_REQUESTS } from "./preview_words.ts";
import { HOST_METHODS, NET_REQUESTS, ROOT_REQUESTS } from "./seam.ts";
import { STREAM } from "./streamtypes.ts";

const here = new URL("./", import.meta.url);
const { at: readme, table, column, needFiles } = readmeBeside(import.meta.url);

test("the map has each file once, in order, and no other", needFiles);

test("the fields of an entry and of each operation are those the code checks", () => {
  const source = readFileSync(new URL("entry.ts", here), "utf8");
  const body = /export interface Entry \{([^}]*)\}/.exec(source)?.[1] ?? "";
  assert.deepEqual(column("Entry"), [...body.matchAll(/^ {2}(\w+):/gm)].map((m) => m[1]));
  assert.equal(ENTRY_LEVEL, 1);
  const ops = table("Operations").map(([op, fields]) => [op, fields!.split(" ").filter(Boolean)]);
  assert.deepEqual(ops, Object.entries(SHAPES).map(([op, shape]) => [op, Object.keys(shape)]));
  assert.deepEqual(column("Signatures"), Object.values(TYPE));
});

test("frame types, requests and kinds are those of the code", () => {
  const rows = (heading: string) => table(heading).map(([type, name]) => [name, Number(type)]);
  assert.deepEqual(rows("Stream"), Object.entries(STREAM));
  assert.deepEqual(rows("Bundle"), Object.entries(BUNDLE));
  assert.deepEqual(column("Seam"), [...NET_REQUESTS]);
  assert.deepEqual(column("Contents"), [...CONTENT_REQUESTS]);
  assert.deepEqual(column("What net asks"), [...ROOT_REQUESTS]);
  assert.deepEqual(column("Between hosts"), [...HOST_METHODS]);
  assert.deepEqual(column("What a preview is asked"), [...PREVIEW_REQUESTS]);
  const kinds = table("Errors").map(([kind, exit, http]) => [kind, Number(exit), Number(http)]);
  assert.deepEqual(kinds, Object.entries(KINDS).map(([kind, row]) => [kind, row.exit, row.http]));
});

test("every name in backticks exists in the code, the routes or the tables", () => {
  const code = readdirSync(here, { recursive: true }).map(String).filter((f) => /\.tsx?$/.test(f)).map((f) =>
    `${f}\n${readFileSync(new URL(f, here), "utf8")}`
  ).join("\n");
  const names = [...readFileSync(readme, "utf8").matchAll(/`([^`\n]+)`/g)].map((m) => m[1] as string);
  for (const name of names) {
    const words = name.split(/[^A-Za-z0-9_@.-]+/).filter((w) =>
      w !== "" && !/^(VERB|NAME|UID|Accept)$/.test(w)
    );
    for (const word of words) {
      const known = code.includes(word) || readdirSync(here).includes(word) ||
        code.includes(word.replace(/^\//, ""));
      assert.ok(
        known || /^(host|user-UID)\.key$|^(POST|PUT|GET|sock|run)$/.test(word) || word.endsWith(".sock"),
        `${name} is not in the code`,
      );
    }
  }
});
