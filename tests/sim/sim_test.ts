// sim: whole fleets from seeds: nothing breaks, the same seed is the same run on Deno and on Node, and each mutant is noticed
// within a stated number of seeds. More seeds: deno task sim, deno task sim:mutants.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { mutantNamed, MUTANTS } from "../mutants.ts";
import { bundleSimulator, loadSimulator } from "./bundle.ts";
import { CORPUS, NOTICED_WITHIN } from "./corpus.ts";
import { search, shrink } from "./search.ts";
import type * as Simulator from "./simulate.ts";

const root = new URL("../../", import.meta.url).pathname;
const node = path.join(root, `node_modules/node-linux-${process.arch}/bin/node`);
/** Seeds that are tried here. */
const count = 60;

/** What a run says when it is made by another process, by Node. */
async function hashesByNode(file: string, seeds: number[]): Promise<string[]> {
  const program = `const { simulate } = await import(${JSON.stringify(`file://${file}`)});
    for (const seed of ${JSON.stringify(seeds)}) console.log((await simulate({ seed })).hash);`;
  const args = ["--input-type=module", "-e", program];
  const { stdout } = await promisify(execFile)(node, args, { timeout: 120_000 });
  return stdout.trim().split("\n");
}

test("whatever fails, nothing breaks", async () => {
  const broken = await search(await loadSimulator(), { from: 1, count });
  assert.equal(broken?.broken, undefined, `seed ${broken?.seed}: deno task sim ${broken?.seed} shows it`);
});

test("what once broke does not", async () => {
  const simulator = await loadSimulator();
  for (const { why, ...options } of CORPUS) {
    const { broken } = await simulator.simulate(options);
    assert.equal(broken, undefined, `${why}: seed ${options.seed}`);
  }
});

for (const isReal of [false, true]) {
  const how = isReal ? "real signatures" : "tags for signatures";
  test(`with ${how} the same seed is the same run, in this process and in one of Node`, async () => {
    const file = await bundleSimulator({ isReal });
    try {
      const { simulate } = await import(`file://${file}`) as typeof Simulator;
      const seeds = isReal ? [1, 2, 3] : [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
      const hashes: string[] = [];
      for (const seed of seeds) hashes.push((await simulate({ seed })).hash);
      assert.deepEqual(await hashesByNode(file, seeds), hashes);
      assert.equal(new Set(hashes).size, seeds.length);
    } finally {
      fs.rmSync(path.dirname(file), { recursive: true });
    }
  });
}

test("each mutant has its number of seeds", () => {
  assert.deepEqual(Object.keys(NOTICED_WITHIN).sort(), MUTANTS.map(({ name }) => name).sort());
});

for (const [name, { hosts, from, seeds, by }] of Object.entries(NOTICED_WITHIN)) {
  test(`the mutant ${name} is noticed within ${seeds} seeds`, async () => {
    const broken = await search(await loadSimulator({ mutant: mutantNamed(name) }), {
      from,
      count: seeds,
      hosts,
    });
    assert.ok(broken?.invariant !== undefined, "it survives");
    assert.ok(by.includes(broken.invariant), `${broken.broken}`);
  });
}

test("of a run that breaks the smallest is found", async () => {
  const mutant = await loadSimulator({ mutant: mutantNamed("early-done") });
  const broken = await search(mutant, { from: 1, count: 20 });
  assert.ok(broken !== undefined);
  const { keep } = await shrink(mutant, { seed: broken.seed }, broken);
  const again = await mutant.simulate({ seed: broken.seed, keep: keep! });
  assert.equal(again.invariant, broken.invariant);
  const sizeOf = ({ tasks, cuts, crashes }: typeof again.plan) => tasks.length + cuts.length + crashes.length;
  assert.ok(sizeOf(again.plan) <= sizeOf(broken.plan) / 2, JSON.stringify(keep));
});
