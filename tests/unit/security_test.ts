// docs/security.md: every test that its tables name exists, by file and title.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("each row of the security tables names a test that exists", () => {
  const rows = readFileSync(`${root}docs/security.md`, "utf8").split("\n").filter((l) =>
    /^\| .* \| .*\.ts: /.test(l)
  );
  assert.ok(rows.length > 90, "where have the tables gone?");
  for (const row of rows) {
    const [, file, title] = /\| ([\w/.]+\.ts): (.*) \|$/.exec(row) ?? [];
    assert.ok(file && title, `not understood: ${row}`);
    const source = readFileSync(root + file, "utf8");
    assert.ok(source.includes(title), `${file} has no test called "${title}"`);
  }
});

test("each row of the sudo-like path's tables has a test, or says why there is none", () => {
  const text = readFileSync(`${root}docs/security.md`, "utf8");
  const [part] = text.split("\n## The sudo-like path, case by case\n")[1]!.split("\n## ");
  const tables = part!.split("\n### ").slice(1);
  const titles = [
    "Whoever runs commands",
    "Environment and loader",
    "Arguments and parsing",
    "Policy",
    "Identity on the socket",
    "Process and terminal",
    "What root reads and writes for people",
    "Log, output, record",
    "The API, as far as it is about the socket",
    "Who has confirmed (the credential cache)",
    "Supply and build",
  ];
  assert.deepEqual(tables.map((table) => table.split("\n")[0]), titles);
  for (const table of tables) {
    const rows = table.split("\n").filter((line) => line.startsWith("| ")).slice(1);
    assert.ok(rows.length >= 5, table);
    for (const row of rows) assert.match(row, /^\| .+ \| ([\w/.]+\.ts: .+|none: .{20,}) \|$/);
  }
});
