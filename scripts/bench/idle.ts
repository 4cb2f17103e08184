// Idle: `up` with nothing to do, after a journal of 1,000 steps against after one of a single step. It must not look
// again at what it has applied.
import { against, type Figure, median, seconds } from "./figure.ts";
import { BenchHost, TempDir } from "./host.ts";
import { importedHome, Target } from "./journal.ts";
import { inTurn, type Took } from "./turns.ts";

const steps = { few: 1, many: 1000 };
const times = 20;
const warmUps = 3;
const cpuMaxS = 0.15;

export async function idle(): Promise<Figure[]> {
  using temp = new TempDir();
  using target = new Target();
  await using few = await appliedHost(temp.path, target, steps.few);
  await using many = await appliedHost(temp.path, target, steps.many);
  const took = await inTurn(
    times,
    { few: () => upOfNothing(few, steps.few), many: () => upOfNothing(many, steps.many) },
    warmUps,
  );
  const name = `up with nothing to do, ${steps.many} steps`;
  const cpuS = median(took.many.cpu);
  return [
    against(`${name}, CPU`, took.many.cpu, `${steps.few} step`, took.few.cpu, 1.2),
    against(`${name}, wall`, took.many.wall, `${steps.few} step`, took.few.wall, 1.2),
    { name: `${name}, CPU`, ours: seconds(cpuS), peer: "-", aim: `< ${cpuMaxS} s`, ok: cpuS < cpuMaxS },
  ];
}

/** A host that has applied its whole journal, its agent started anew since. */
async function appliedHost(dir: string, target: Target, count: number): Promise<BenchHost> {
  const { home } = await importedHome(dir, target, count);
  const host = new BenchHost(home);
  try {
    await host.isconf("start");
    await host.isconf("-q", "up");
    target.check(count);
    target.empty();
    await host.stop();
    await host.isconf("start");
    return host;
  } catch (e) {
    await host[Symbol.asyncDispose]();
    throw e;
  }
}

/** One `up`, which must say that it did nothing at the end of the journal. */
async function upOfNothing(host: BenchHost, count: number): Promise<Took> {
  const ran = await host.both("--json", "up");
  const { applied, at } = JSON.parse(ran.stdout) as { applied: number; at: number };
  if (applied !== 0 || at !== 2 * count) throw new Error(`up did something: ${ran.stdout}`);
  return ran;
}
