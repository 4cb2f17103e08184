// Carry: a file of 500 MiB from one real host to another, and to three at the same time, from nothing to the file in place:
// `isconf up` against rsync's daemon and against plain HTTP, over the same bridge, onto the same disk, in turn.
import type { Host } from "../../tests/hosts.ts";
import { BenchFleet } from "./fleet.ts";
import { against, type Figure, median, seconds, tell } from "./figure.ts";
import { Meter } from "./meter.ts";
import { run } from "./run.ts";
import { beginRsync, HttpServer, isconfThere, ROUTES } from "./servers.ts";
import type { Took } from "./turns.ts";

const fileMib = 500;
const rounds = 1;
/** The aims: throughput against rsync's with one receiver, and with three. */
const oneMin = 0.7;
const threeMin = 1;
/** What the ancestor took; measured earlier, elsewhere, not in this run. */
const ancestor = { snap: "ancestor 56 s (literature)", up: "ancestor 28 s (literature)" };

type Routes = Record<keyof typeof ROUTES, Took[]>;

export async function carry(): Promise<Figure[]> {
  await using meter = new Meter();
  meter.enter();
  await using fleet = await BenchFleet.begin(4);
  const [from, ...others] = fleet.hosts as [Host, Host, Host, Host];
  const address = fleet.fleet.address(from.name);
  await beginRsync(from);
  await using _http = await HttpServer.begin(from);
  const one: Routes = { isconf: [], rsync: [], "rsync --fsync": [], http: [] };
  const three: Routes = { isconf: [], rsync: [], "rsync --fsync": [], http: [] };
  const snaps: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const [took, to] of [[one, others.slice(0, 1)], [three, others]] as const) {
      const file = `/srv/big-${round}-${to.length}`;
      snaps.push(await checkIn(from, file));
      for (const [name, route] of Object.entries(ROUTES)) {
        await settle();
        const cpuBefore = meter.cpuS();
        const wallS = await together(to, (host) => [...host.enter(), ...route(address, file)]);
        const cpuS = meter.cpuS() - cpuBefore;
        for (const host of to) await check(from, host, file, name);
        took[name as keyof Routes].push({ cpuS, wallS });
        tell(`round ${round + 1}, to ${to.length}: ${name} ${seconds(wallS)}, CPU ${seconds(cpuS)}`);
      }
      await together(others, (host) => [...host.enter(), isconfThere, "-q", "up"]); // those who had no part in it
      await together(fleet.hosts, (host) => [...host.enter(), "rm", "-f", file]);
    }
  }
  return [
    { name: `snap of ${fileMib} MiB`, ours: seconds(median(snaps)), peer: ancestor.snap },
    { name: `up, ${fileMib} MiB to 1 host`, ours: seconds(wallOf(one.isconf)), peer: ancestor.up },
    ...compared(one, 1, oneMin),
    ...compared(three, others.length, threeMin),
  ];
}

/** Throughputs of all receivers together, so that a higher ratio is better, and the CPU of both ends, where a lower is. */
function compared(took: Routes, receivers: number, rsyncMin: number): Figure[] {
  const name = `up, ${fileMib} MiB to ${receivers} host${receivers > 1 ? "s" : ""}`;
  const mibPerS = (route: keyof Routes) => receivers * fileMib / wallOf(took[route]);
  const ours = mibPerS("isconf");
  const lines = (["rsync", "rsync --fsync", "http"] as const).map((route) => {
    const ratio = ours / mibPerS(route);
    const peer = `${route} ${mibPerS(route).toFixed(0)} MiB/s`;
    const figure: Figure = { name, ours: `${ours.toFixed(0)} MiB/s`, peer, ratio };
    return route === "rsync" ? { ...figure, aim: `ratio >= ${rsyncMin}`, ok: ratio >= rsyncMin } : figure;
  });
  const cpu = (route: keyof Routes) => took[route].map(({ cpuS }) => cpuS);
  return [...lines, against(`${name}, CPU`, cpu("isconf"), "rsync", cpu("rsync"))];
}

const wallOf = (took: readonly Took[]): number => median(took.map(({ wallS }) => wallS));

/** Makes a new file of bytes that cannot be compressed on the origin and checks it in; how long the snap took, in seconds. */
async function checkIn(from: Host, file: string): Promise<number> {
  await from.sh('mkdir -p /srv && head -c "$2" /dev/urandom >"$1"', file, String(fileMib * 1024 * 1024));
  await from.ok("lock", "bench");
  await settle();
  const { wallS } = await run([...from.enter(), isconfThere, "snap", file]);
  await from.ok("ci");
  return wallS;
}

/** Runs a command for each host at the same time; the seconds until the last has ended. */
async function together(hosts: readonly Host[], argv: (host: Host) => string[]): Promise<number> {
  const begin = performance.now();
  await Promise.all(hosts.map((host) => run(argv(host))));
  return (performance.now() - begin) / 1000;
}

/** The file must be there and whole; only isconf's stays, so that its journal and the disk agree. */
async function check(from: Host, to: Host, file: string, route: string): Promise<void> {
  const at = route === "isconf" ? file : `${file}.copy`;
  await run(["cmp", from.path(file), to.path(at)]);
  if (route !== "isconf") await run([...to.enter(), "rm", at]);
}

/** What was written before is on the disk before the next is measured. */
async function settle(): Promise<void> {
  await run(["sync"]);
}
