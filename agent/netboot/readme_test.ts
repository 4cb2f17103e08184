// README.md: its tables say what the code does: every file, every option, every limit that it names.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { readmeTable } from "../../tests/contract/readme.ts";
import { BOOT_STEPS } from "./boot_log.ts";
import { OPTION } from "./dhcp.ts";
import * as limits from "./limits.ts";

const here = new URL("./", import.meta.url);
const readme = new URL("README.md", here);
const plain = (cell: string | undefined) => (cell ?? "").replaceAll("`", "");
const column = (heading: string, i = 0) => readmeTable(readme, heading).map((row) => plain(row[i]));

test("the map has each file once, in order, and no other", () => {
  const files = readdirSync(here).filter((f) => f.endsWith(".ts") && !f.endsWith("_test.ts")).sort();
  assert.deepEqual(column("The files"), files);
});

test("options, steps and limits are those of the code", () => {
  const options = readmeTable(readme, "What answers say").map((
    [number, name],
  ) => [plain(name), Number(number)]);
  for (const [name, number] of options) {
    assert.equal((OPTION as Record<string, number>)[name!], number, String(name));
  }
  assert.deepEqual(column("Steps"), [...BOOT_STEPS]);
  for (const [name, value] of readmeTable(readme, "Limits")) {
    assert.equal(
      (limits as Record<string, number>)[plain(name)],
      Number(plain(value).replaceAll(" ", "")),
      plain(name),
    );
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
