// Follow: how long it takes from `ci` on one host until another, which follows its branch, has applied it. Two real hosts
// with nothing else to do.
import type { Host } from "../../tests/hosts.ts";
import { type Figure, median, seconds, tell } from "./figure.ts";
import { BenchFleet } from "./fleet.ts";

const times = 50;
const warmUps = 3;
const maxS = 0.3;
const giveUpMs = 20_000;
/** What the ancestor took for one verb on four hosts; measured earlier, elsewhere, not in this run. */
const ancestor = "ancestor 3.5 to 9 s (literature)";
const file = "/srv/followed";

export async function follow(): Promise<Figure[]> {
  await using fleet = await BenchFleet.begin(2, "follow = yes\n");
  const [a, b] = fleet.hosts as [Host, Host];
  const begun: number[] = [];
  const told: number[] = [];
  for (let i = 0; i < warmUps + times; i++) {
    const took = await checkIn(a, b, `round ${i}\n`);
    if (i < warmUps) continue;
    begun.push(took.begunS);
    told.push(took.toldS);
  }
  const { stdout } = await b.must(["isconf", "--json", "status"]);
  const { at, of } = JSON.parse(stdout) as { at: number; of: number };
  if (at !== of || at !== warmUps + times) throw new Error(`the follower is at ${at} of ${of}`);
  tell(`from the end of ci: median ${seconds(median(told))}, worst ${seconds(Math.max(...told))}`);
  const line = (name: string, s: number): Figure => ({
    name: `ci until applied elsewhere, ${name}`,
    ours: seconds(s),
    peer: ancestor,
    aim: `< ${maxS} s`,
    ok: s < maxS,
  });
  return [
    line(`median of ${times}`, median(begun)),
    line(`worst of ${times}`, Math.max(...begun)),
    { name: "end of ci until applied elsewhere, median", ours: seconds(median(told)), peer: "-" },
    { name: "end of ci until applied elsewhere, worst", ours: seconds(Math.max(...told)), peer: "-" },
  ];
}

/** Seconds from the beginning and from the end of the command `ci` on a host until a new file is in place on another. */
async function checkIn(a: Host, b: Host, text: string): Promise<{ begunS: number; toldS: number }> {
  await a.write(file, text);
  await a.ok("lock", "bench");
  await a.ok("snap", file);
  await new Promise((resolve) => setTimeout(resolve, 100)); // what the snap still does is not in the figure
  const begin = performance.now();
  const ended = a.ok("ci").then(() => performance.now());
  const there = await untilThere(b.path(file), text);
  return { begunS: (there - begin) / 1000, toldS: (there - await ended) / 1000 };
}

/** When a file has this content, looked at each millisecond. */
async function untilThere(path: string, text: string): Promise<number> {
  for (const end = performance.now() + giveUpMs; performance.now() < end;) {
    try {
      if (Deno.readTextFileSync(path) === text) return performance.now();
    } catch (e) {
      if (!(e instanceof Deno.errors.NotFound)) throw e;
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`nothing was applied in ${giveUpMs} ms`);
}
