// Verify: a journal of 100,000 entries checked again from its first byte: how fast, and whether the root half's memory
// grows with its length. The journal is made for it each time and kept nowhere.
import { type Figure, median, megabytes, tell } from "./figure.ts";
import { BenchHost, copyHome, nodeOfOurs, TempDir } from "./host.ts";
import { Meter } from "./meter.ts";
import { NODE_VERIFY } from "./peers.ts";
import { peakKib, resetPeak, rssKib } from "./rss.ts";

const entries = { few: 10_000, many: 100_000 };
const runs = 3;
/** Milliseconds between two looks at the peak. */
const lookMs = 50;

/** What one check-in holds; the rest of the journal is as real as its entries. */
const perCheckIn = { files: 120, deletes: 70, commands: 10 };
const stepsPerCheckIn = perCheckIn.files + perCheckIn.deletes + perCheckIn.commands;

interface Verified {
  perS: number;
  beforeKib: number;
  /** The peak when half of the time had gone, and at the end. */
  halfKib: number;
  peakKib: number;
}

export async function verify(): Promise<Figure[]> {
  using temp = new TempDir();
  const homes = await journals(temp.path);
  const few: Verified[] = [];
  const many: Verified[] = [];
  const floor: number[] = [];
  for (let i = 0; i < runs; i++) {
    few.push(await verifyOnce(homes.few, entries.few));
    many.push(await verifyOnce(homes.many, entries.many));
    floor.push(await signatures(entries.few));
  }
  const of = (list: Verified[], f: (v: Verified) => number) => median(list.map(f));
  const speed = (n: number) => `${Math.round(n)}/s`;
  const over = (v: Verified) => v.peakKib - v.beforeKib;
  const perS = of(many, (v) => v.perS);
  const [peakFew, peakMany] = [of(few, (v) => v.peakKib), of(many, (v) => v.peakKib)];
  const peer = `${entries.few}:`;
  const name = `verify ${entries.many} entries`;
  return [
    {
      name,
      ours: speed(perS),
      peer: `${peer} ${speed(of(few, (v) => v.perS))}`,
      ratio: perS / of(few, (v) => v.perS),
    },
    {
      name: `${name}, signatures only`,
      ours: speed(perS),
      peer: `node ${speed(median(floor))}`,
      ratio: perS / median(floor),
    },
    {
      name: `${name}, peak RSS`,
      ours: megabytes(peakMany),
      peer: `${peer} ${megabytes(peakFew)}`,
      ratio: peakMany / peakFew,
      aim: "ratio <= 1.2",
      ok: peakMany / peakFew <= 1.2,
    },
    {
      name: `${name}, peak RSS`,
      ours: megabytes(peakMany),
      peer: `at half time ${megabytes(of(many, (v) => v.halfKib))}`,
      ratio: peakMany / of(many, (v) => v.halfKib),
      aim: "ratio <= 1.05",
      ok: peakMany / of(many, (v) => v.halfKib) <= 1.05,
    },
    {
      name: `${name}, peak RSS over before`,
      ours: megabytes(of(many, over)),
      peer: `${peer} ${megabytes(of(few, over))}`,
      ratio: of(many, over) / of(few, over),
    },
  ];
}

/** Homes with the long journal and with its beginning, agents stopped, made through the API in memory. */
async function journals(dir: string): Promise<{ few: string; many: string }> {
  using temp = new TempDir({ inMemory: true });
  const files = `${temp.path}/files`;
  Deno.mkdirSync(files);
  for (let i = 0; i < perCheckIn.files; i++) Deno.writeTextFileSync(`${files}/file${i}`, `file ${i}\n`);
  const homes = { few: `${dir}/few`, many: `${dir}/many` };
  const home = `${temp.path}/home`;
  const start = performance.now();
  let made = 0;
  for (const [which, count] of [["few", entries.few], ["many", entries.many]] as const) {
    {
      await using host = new BenchHost(home);
      await (made === 0 ? host.isconf("init", "--host", "hosta") : host.isconf("start"));
      using api = host.api();
      for (; made < count; made += stepsPerCheckIn) await checkIn(api, files, made);
    }
    await copyHome(home, homes[which]);
  }
  const db = Deno.statSync(`${homes.many}/var/agent.db`).size;
  tell(
    `${made} entries made in ${((performance.now() - start) / 1000).toFixed(1)} s; ` +
      `the database has ${megabytes(db / 1024)}`,
  );
  return homes;
}

async function checkIn(api: ReturnType<BenchHost["api"]>, files: string, made: number): Promise<void> {
  await api.call("lock", { message: [`change ${made}`] });
  await api.call("snap", { path: Array.from({ length: perCheckIn.files }, (_, i) => `${files}/file${i}`) });
  const gone = Array.from({ length: perCheckIn.deletes }, (_, i) => `/nonexistent/old${made + i}`);
  await api.call("snap", { path: gone, delete: true });
  for (let i = 0; i < perCheckIn.commands; i++) {
    await api.call("exec", { command: ["/bin/true", `${made + i}`] });
  }
  await api.call("ci");
}

/** Verifies once in an agent that has just been started. */
async function verifyOnce(home: string, count: number): Promise<Verified> {
  await using host = new BenchHost(home);
  await host.isconf("start");
  const pid = host.rootHalf();
  const beforeKib = rssKib(pid);
  resetPeak(pid);
  const peaks: number[] = [];
  const look = setInterval(() => peaks.push(peakKib(pid)), lookMs);
  const ran = host.isconf("-q", "--json", "verify", "--branch", "main");
  const { stdout, wallS, cpuS } = await ran.finally(() => clearInterval(look));
  const halfKib = peaks[Math.floor(peaks.length / 2)] ?? beforeKib;
  const verified = { perS: count / wallS, beforeKib, halfKib, peakKib: peakKib(pid) };
  if ((JSON.parse(stdout) as { entries: number }).entries !== count) throw new Error(`verified ${stdout}`);
  tell(
    `${count} entries: ${wallS.toFixed(2)} s, ${cpuS.toFixed(2)} CPU s, ` +
      `RSS ${megabytes(beforeKib)}, peak ${megabytes(verified.peakKib)}, at half time ${megabytes(halfKib)}`,
  );
  return verified;
}

/** As many entries a second as a Node checks when all it does is check their three signatures. */
async function signatures(count: number): Promise<number> {
  await using meter = new Meter();
  return Number((await meter.run([nodeOfOurs, "-e", NODE_VERIFY, String(count)])).stdout);
}
