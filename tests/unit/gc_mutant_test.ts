// gc mutant: garbage collection that does not wait for who is at it is noticed by its own test (fs/gc_hold_test.ts), run as it
// is over the changed source, with real SQLite.
import * as esbuild from "esbuild";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { GC_MUTANT, mutate } from "../mutants.ts";

const root = new URL("../../", import.meta.url).pathname;
const node = path.join(root, `node_modules/node-linux-${process.arch}/bin/node`);
const title = "two who put while gc runs lose nothing";

/** What Node says of that test, with the mutant or without; the script lies in node_modules for its addon to be found. */
async function run(isMutant: boolean): Promise<{ status: number | null; stdout: string }> {
  const dir = fs.mkdtempSync(path.join(root, "node_modules", ".gc-"));
  try {
    const mutation = mutate(isMutant ? GC_MUTANT : { ...GC_MUTANT, edits: [] });
    await esbuild.build({
      entryPoints: [`${root}fs/gc_hold_test.ts`],
      bundle: true,
      outfile: path.join(dir, "test.mjs"),
      platform: "node",
      format: "esm",
      packages: "external",
      plugins: [mutation.plugin],
      define: { __VERSION__: '"test"', __BUILD__: '"test"' },
      logLevel: "silent",
    });
    assert.deepEqual(mutation.missed(), []);
    const args = ["--test", `--test-name-pattern=${title}`, path.join(dir, "test.mjs")];
    const env = { ...process.env };
    delete env["NODE_TEST_CONTEXT"]; // a runner of its own, also below another
    return spawnSync(node, args, { encoding: "utf8", timeout: 120_000, env });
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

test("gc that does not wait for who is at it is noticed", async () => {
  const honest = await run(false);
  assert.equal(honest.status, 0, honest.stdout);
  assert.match(honest.stdout, /pass 1/);
  const mutant = await run(true);
  assert.notEqual(mutant.status, 0, "the mutant survives");
  assert.match(mutant.stdout, /seed \d+/);
});
