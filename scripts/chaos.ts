// chaos: lets everything break for as long as you like on a fleet of real hosts, and judges what became of it. As root.
// Usage: deno task chaos [--minutes N] [--seed N] [--hosts N] [--keepers N] [--mutant NAME] [--dir DIR]. With a mutant, a protocol
// bug that is built into the executable (tests/mutants.ts), it has to fail. Judges: Debian's z3; Porcupine when ISCONF_PORCUPINE
// says where its source is.
import * as os from "node:os";
import { parseArgs } from "node:util";

const root = new URL("../", import.meta.url).pathname;
const { values } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    hosts: { type: "string", default: "5" },
    keepers: { type: "string", default: "3" },
    mutant: { type: "string" },
    dir: { type: "string" },
  },
});
const seed = Number(values.seed);
const dir = values.dir ?? `${os.tmpdir()}/isconf-chaos-${seed}`;

if (values.mutant !== undefined) {
  const args = ["run", "-A", `${root}scripts/build.ts`, "--mutant", values.mutant];
  const { success } = await new Deno.Command(Deno.execPath(), { args }).spawn().status;
  if (!success) Deno.exit(2);
  Deno.env.set("ISCONF_EXECUTABLE", `${root}dist/isconf-${values.mutant}`);
}
// Which executable hosts get is read when these are loaded.
const { chaos } = await import("../tests/fleet/chaos/chaos.ts");
const { lacksFleet } = await import("../tests/fleet/fleet.ts");
const lack = lacksFleet();
if (lack) throw new Error(`there can be no fleet here: ${lack}`);

const ends: (() => Promise<void>)[] = [];
const begin = performance.now();
let failed: unknown;
try {
  const lastsMs = Number(values.minutes) * 60_000;
  const options = { seed, lastsMs, dir, hosts: Number(values.hosts), keepers: Number(values.keepers) };
  console.log(await chaos({ after: (end) => void ends.push(end) }, { ...options, told: console.log }));
} catch (e) {
  failed = e;
  console.log(e instanceof Error ? e.message : e);
}
for (const end of ends) await end();
const took = `${((performance.now() - begin) / 1000).toFixed(0)} s`;
console.log(failed === undefined ? `nothing broke in ${took}` : `it broke, in ${took}`);
Deno.exit(failed === undefined ? 0 : 1);
