// README.md: its tables say what the code does: every file, every option, every limit that it names.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { readmeBeside } from "../../tests/contract/readme.ts";
import { BOOT_STEPS } from "./boot_log.ts";
import { OPTION } from "./dhcp.ts";
import * as limits from "./limits.ts";

const here = new URL("./", import.meta.url);
const { at: readme, table, column, needFiles } = readmeBeside(import.meta.url);

test("the map has each file once, in order, and no other", needFiles);

test("options, steps and limits are those of the code", () => {
  for (const [number, name = ""] of table("What answers say")) {
    assert.equal((OPTION as Record<string, number>)[name], Number(number), name);
  }
  assert.deepEqual(column("Steps"), [...BOOT_STEPS]);
  for (const [name = "", value = ""] of table("Limits")) {
    assert.equal((limits as Record<string, number>)[name], Number(value.replaceAll(" ", "")), name);
  }
});

test("every name in backticks exists in the code", () => {
  const code = readdirSync(here).filter((f) => /\.tsx?$/.test(f)).map((f) =>
    `${f}\n${readFileSync(new URL(f, here), "utf8")}`
  ).join("\n");
  for (const [, name] of readFileSync(readme, "utf8").matchAll(/`([^`\n]+)`/g)) {
    if (/^\{\{type\*? name\}\}$|^tests\/netboot$/.test(name!)) continue;
    assert.ok(code.includes(name!) || readdirSync(here).includes(name!), `${name} is not in the code`);
  }
});
