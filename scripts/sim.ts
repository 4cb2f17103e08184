// Sim: simulated fleets from seeds, as many as wanted, until something breaks. Not the simulation (tests/sim/).
// Usage: deno task sim [SEED] [--seeds N] [--from N] [--hosts N] [--mutant NAME] [--mutants] [--real] [--trace FILE].
import * as esbuild from "esbuild";
import { parseArgs } from "node:util";
import { mutantNamed, MUTANTS } from "../tests/mutants.ts";
import { type BundleOptions, loadSimulator } from "../tests/sim/bundle.ts";
import { search, shrink } from "../tests/sim/search.ts";
import type { Outcome, PlanOptions } from "../tests/sim/simulate.ts";

const { values, positionals: [one] } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    hosts: { type: "string" },
    mutant: { type: "string" },
    mutants: { type: "boolean", default: false },
    real: { type: "boolean", default: false },
    trace: { type: "string" },
  },
});
const hosts = values.hosts === undefined ? {} : { hosts: Number(values.hosts) };
const range = { from: Number(values.from), count: Number(values.seeds), ...hosts };
const bundle: BundleOptions = {
  isReal: values.real,
  ...(values.mutant === undefined ? {} : { mutant: mutantNamed(values.mutant) }),
};
/** Lines of a trace that are printed; all of it goes into the file that --trace names. */
const linesShown = 60;

Deno.exitCode = values.mutants
  ? await allMutants()
  : one === undefined
  ? await many()
  : await single(Number(one));
await esbuild.stop();

/** Seeds in order until one breaks. */
async function many(): Promise<number> {
  const simulator = await loadSimulator(bundle);
  const real = values.real ? undefined : await loadSimulator({ ...bundle, isReal: true });
  const began = performance.now();
  let [runs, entries, said] = [0, 0, began];
  const figures = () =>
    `${runs} runs, ${entries} entries, ${Math.round(60_000 * runs / (performance.now() - began))} a minute`;
  const broken = await search(simulator, {
    ...range,
    ...(real === undefined ? {} : { real }),
    each: (outcome) => {
      runs++;
      entries += outcome.entries;
      if (performance.now() - said < 10_000) return;
      said = performance.now();
      console.error(`${figures()}, at seed ${outcome.seed}`);
    },
  });
  console.log(figures());
  return broken === undefined ? 0 : await show({ seed: broken.seed, ...hosts }, broken);
}

/** One seed, with its trace. */
async function single(seed: number): Promise<number> {
  const { simulate } = await loadSimulator(bundle);
  return await show({ seed, ...hosts }, await simulate({ seed, ...hosts }));
}

/** Prints a run: the smallest that breaks in the same way, if it broke. */
async function show(options: PlanOptions, outcome: Outcome): Promise<number> {
  const simulator = await loadSimulator(bundle);
  const small = outcome.broken === undefined ? options : await shrink(simulator, options, outcome);
  const last = await simulator.simulate({ ...small, isTraced: true });
  const { plan } = last;
  if (values.trace !== undefined) await Deno.writeTextFile(values.trace, last.trace.join("\n") + "\n");
  console.log(last.trace.slice(-linesShown).join("\n"));
  console.log(
    `seed ${plan.seed}, ${plan.hosts} hosts, ${plan.quorum} of ${plan.keepers} keepers, hash ${outcome.hash}` +
      ` (${last.trace.length} lines above, ${JSON.stringify(small.keep ?? {})} kept)`,
  );
  console.log(outcome.broken === undefined ? "nothing broke" : `BROKEN: ${last.broken ?? outcome.broken}`);
  return outcome.broken === undefined ? 0 : 1;
}

/** For each mutant the first seed that shows it. */
async function allMutants(): Promise<number> {
  let survivors = 0;
  for (const mutant of MUTANTS) {
    const broken = await search(await loadSimulator({ mutant }), range);
    if (broken === undefined) survivors++;
    const how = broken === undefined
      ? `SURVIVES ${range.count} seeds`
      : `seed ${broken.seed}: ${broken.broken}`;
    console.log(`${mutant.name}: ${how}`);
  }
  return survivors === 0 ? 0 : 1;
}
