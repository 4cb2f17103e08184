// Rest: what an agent costs that has nothing to do: memory of both halves together, and how often the kernel has to wake
// any of their threads. For a host alone in its domain, and for one of three that are connected.
import type { Host } from "../../tests/hosts.ts";
import { type Figure, megabytes, tell } from "./figure.ts";
import { BenchFleet } from "./fleet.ts";

const pssMaxKib = 150 * 1024;
const wakeUpsPerSMax = 20;
/** Seconds for an agent to come to rest, and in which it is watched. */
const quietS = 15;
const watchS = 20;

export async function rest(): Promise<Figure[]> {
  return [...await of(1, "one host"), ...await of(3, "one of 3 hosts")];
}

/**
 * PSS divides a page by how many processes have it, and all agents here run one copy of the executable: with others alive
 * it would flatter. So the other hosts' agents are killed at once before it is read: what the first one holds for its
 * connections is still there, and whatever is shared is shared by its own two halves alone.
 */
async function of(count: number, name: string): Promise<Figure[]> {
  await using fleet = await BenchFleet.begin(count);
  const { first, hosts } = fleet;
  await sleep(quietS);
  const halves = Object.values(first.agent()) as number[];
  const before = wakeUps(first, halves);
  await sleep(watchS);
  const after = wakeUps(first, halves);
  const perS = sum([...after].map(([thread, n]) => n - (before.get(thread) ?? 0))) / watchS;
  const flattered = pssKib(first, halves);
  await Promise.all(
    hosts.slice(1).map((h) => h.sh('kill -9 "$@"', ...Object.values(h.agent()).map(String))),
  );
  const pss = pssKib(first, halves);
  tell(`${name}: PSS ${megabytes(pss)}, while all agents live ${megabytes(flattered)}, ${perS} wake-ups/s`);
  return [
    {
      name: `idle agent, ${name}, PSS`,
      ours: megabytes(pss),
      peer: "-",
      aim: `< ${megabytes(pssMaxKib)}`,
      ok: pss < pssMaxKib,
    },
    {
      name: `idle agent, ${name}, wake-ups`,
      ours: `${perS.toFixed(1)}/s`,
      peer: "-",
      aim: `< ${wakeUpsPerSMax}/s`,
      ok: perS < wakeUpsPerSMax,
    },
  ];
}

function pssKib(host: Host, halves: number[]): number {
  return sum(halves.map((pid) => numberIn(host.path(`/proc/${pid}/smaps_rollup`), /^Pss:\s+([0-9]+) kB$/m)));
}

/** Voluntary context switches so far, of each living thread by its file: each is one wait that ended. */
function wakeUps(host: Host, halves: number[]): Map<string, number> {
  const threads = halves.flatMap((pid) => {
    const dir = host.path(`/proc/${pid}/task`);
    return [...Deno.readDirSync(dir)].map(({ name }) => `${dir}/${name}/status`);
  });
  return new Map(threads.map((file) => [file, numberIn(file, /^voluntary_ctxt_switches:\s+([0-9]+)$/m)]));
}

function numberIn(file: string, pattern: RegExp): number {
  const found = pattern.exec(Deno.readTextFileSync(file))?.[1];
  if (found === undefined) throw new Error(`${file} does not have ${pattern}`);
  return Number(found);
}

const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
const sleep = (s: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, s * 1000));
