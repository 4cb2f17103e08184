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
