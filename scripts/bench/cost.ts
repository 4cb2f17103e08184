// Cost: what a check-in of a small file and a command costs each of 3, 10 and 30 real hosts that follow, on its network
// interface: packets and bytes, sent and received, with everything that wraps them.
import { until } from "../../tests/hosts.ts";
import { type Figure, tell } from "./figure.ts";
import { BenchFleet } from "./fleet.ts";
import { costFigures, growth, mean } from "./growth.ts";

const sizes = [3, 10, 30];
const times = 5;
/** Seconds for agents to come to rest, in which what they say without a check-in is counted, and after each check-in. */
const quietS = 20;
const idleS = 20;
const afterS = 3;
const file = "/srv/checked-in";

interface Traffic {
  packets: number;
  bytes: number;
}

export async function cost(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const costs: Traffic[][] = [];
  for (const size of sizes) {
    const of = await costOf(size);
    costs.push(of);
    for (const what of ["packets", "bytes"] as const) {
      figures.push(...costFigures(`ci, ${size} hosts`, what, of.map((t) => t[what])));
    }
  }
  for (const what of ["packets", "bytes"] as const) {
    figures.push(growth(`ci, ${what}`, sizes, costs.map((of) => of.map((t) => t[what]))));
  }
  return figures;
}

/** What one check-in costs each host, over what it would have sent and received meanwhile without any. */
async function costOf(size: number): Promise<Traffic[]> {
  await using fleet = await BenchFleet.begin(size, "follow = yes\n");
  const { first, hosts } = fleet;
  const read = () => hosts.map(({ pid }) => traffic(pid));
  await sleep(quietS);
  const idle = read();
  await sleep(idleS);
  const perS = read().map((now, i) => scaled(minus(now, idle[i] as Traffic), 1 / idleS));
  const before = read();
  const began = performance.now();
  for (let i = 0; i < times; i++) {
    await first.write(file, `round ${i}\n`.padEnd(1024, "x"));
    await first.ok("lock", "bench");
    await first.ok("snap", file);
    await first.ok("exec", "true");
    await first.ok("ci");
    const text = `round ${i}\n`;
    for (const host of hosts) {
      await until(`${host.name} has applied it`, () => beginsWith(host.path(file), text), 60_000);
    }
    await sleep(afterS);
  }
  const s = (performance.now() - began) / 1000;
  const of = read().map((now, i) =>
    scaled(minus(minus(now, before[i] as Traffic), scaled(perS[i] as Traffic, s)), 1 / times)
  );
  const idleOf = (what: keyof Traffic) => mean(perS.map((t) => t[what])).toFixed(1);
  tell(`${size} hosts, at rest: ${idleOf("packets")} packets/s and ${idleOf("bytes")} bytes/s a host`);
  return of;
}

/** What eth0 in the network of a process has sent and received. */
function traffic(pid: number): Traffic {
  const line = /^ *eth0:(.*)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/net/dev`))?.[1];
  if (line === undefined) throw new Error(`the network of process ${pid} has no eth0`);
  const columns = line.trim().split(/\s+/).map(Number) as number[];
  const at = (i: number) => columns[i] as number;
  return { bytes: at(0) + at(8), packets: at(1) + at(9) };
}

function beginsWith(path: string, text: string): boolean {
  try {
    return Deno.readTextFileSync(path).startsWith(text);
  } catch (e) {
    if (e instanceof Deno.errors.NotFound) return false;
    throw e;
  }
}

const minus = (a: Traffic, b: Traffic) => ({ packets: a.packets - b.packets, bytes: a.bytes - b.bytes });
const scaled = (a: Traffic, by: number) => ({ packets: a.packets * by, bytes: a.bytes * by });
const sleep = (s: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, s * 1000));
