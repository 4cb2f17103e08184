// Content: what it costs to put contents into the store and to get them out again, against programs of Debian that do
// such work, on the same data, on the same disk, in turn. Not the network (carry.ts), and not the journal (up.ts).
// TMPDIR says on which disk; 9 GiB of it have to be free.
import { type AllGiven, contentFigures, type Given } from "./content_figures.ts";
import { isconfProgram, whyNot } from "./content_isconf.ts";
import { peersFor } from "./content_peers.ts";
import { CONTENT_SETS, type ContentSet } from "./content_sets.ts";
import type { Program, Spent } from "./content_turn.ts";
import { type Figure, megabytes, seconds, skipped, tell } from "./figure.ts";
import { TempDir } from "./host.ts";
import { OwnDisk } from "./own_disk.ts";
import { checkInterrupt, Patience } from "./patience.ts";
import { run } from "./run.ts";

/** Room for both versions of the image, a store of them and what was got: about 5 GiB at a time. */
const diskBytes = 8 * 1024 ** 3;

/** Measures with the sets of these names, or with all. */
export async function content(...names: ContentSet["title"][]): Promise<Figure[]> {
  const figures: Figure[] = [];
  using _patient = new Patience();
  for (const set of CONTENT_SETS.filter(({ title }) => names.length === 0 || names.includes(title))) {
    using temp = new TempDir();
    await using disk = await OwnDisk.begin(temp.path, diskBytes);
    figures.push(...await measureSet(set, disk.path));
  }
  return figures;
}

/** Measures all programs on one set of data; `temp` is a directory with nothing of ours. */
async function measureSet(set: ContentSet, temp: string): Promise<Figure[]> {
  const data = `${temp}/data`;
  tell(`${set.name}: making it`);
  for (const dir of [data, `${data}/v1`, `${data}/v2`]) Deno.mkdirSync(dir);
  set.make(`${data}/v1`, `${data}/v2`);
  const figures: Figure[] = [];
  const programs: Program[] = [];
  for (const { name, words } of set.ways) {
    const program = isconfProgram(name, ...words);
    const why = await whyNotThis(program, set, `${temp}/trial`);
    if (why === undefined) programs.push(program);
    else figures.push(skipped(`${set.name}, ${name}`, why));
  }
  const peers = peersFor(set.shape);
  for (const peer of peers) {
    if ("missing" in peer) figures.push(skipped(`${set.name}, ${peer.name}`, peer.missing));
    else programs.push(peer);
  }
  const wanted = Deno.env.get("ISCONF_BENCH_PROGRAMS")?.split(",");
  const chosen = programs.filter(({ name }) => wanted === undefined || wanted.includes(name));
  const all = await inRounds(chosen, set, data, `${temp}/turn`);
  const names = peers.map(({ name }) => name);
  for (const way of set.ways) {
    const isThere = all.has(way.name);
    if (!isThere && way !== set.ways[0]) continue; // what the peers took is told once
    figures.push(...contentFigures(set.name, way.name, all, way.peers ?? names, way.aims));
  }
  return figures;
}

/** Why ours cannot put what has the shape of the set, tried with next to nothing. */
async function whyNotThis(program: Program, set: ContentSet, dir: string): Promise<string | undefined> {
  for (const made of [dir, `${dir}/turn`, `${dir}/v1`]) Deno.mkdirSync(made);
  try {
    if (set.shape === "dir") Deno.mkdirSync(`${dir}/v1/content`);
    else Deno.writeTextFileSync(`${dir}/v1/content`, "a trial");
    return await whyNot(program, `${dir}/turn`, dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** Each program has a turn in each round, every other round the other way round. */
async function inRounds(
  programs: readonly Program[],
  set: ContentSet,
  data: string,
  dir: string,
): Promise<AllGiven> {
  const all = new Map<string, Given[]>(programs.map(({ name }) => [name, []]));
  for (let round = 0; round < set.rounds; round++) {
    for (const program of round % 2 === 0 ? programs : [...programs].reverse()) {
      Deno.mkdirSync(dir);
      try {
        const given = await turnOf(program, set, data, dir);
        all.get(program.name)?.push(given);
        tell(`${set.name}, round ${round + 1}: ${program.name}: ${told(given)}`);
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    }
  }
  return all;
}

/** One turn: put, the same again, get, and the second version. What is compared and counted is in no figure. */
async function turnOf(program: Program, set: ContentSet, data: string, dir: string): Promise<Given> {
  const into = `${dir}/got`;
  Deno.mkdirSync(into);
  Deno.mkdirSync(`${dir}/own`);
  await using turn = await program.begin(`${dir}/own`, data);
  const put = async (version: "v1" | "v2", name: string) => {
    await settle(`${data}/${version}`);
    const took = await turn.put(version, name);
    await settle();
    return { took, bytes: program.isStore ? await bytesOf(turn.store) : undefined };
  };
  const first = await put("v1", "first");
  const given: Given = { put: first.took };
  if (turn.get !== undefined) {
    given.get = await turn.get("first", into);
    await check(set, `${data}/v1/content`, `${into}/content`);
  }
  if (first.bytes === undefined) return given;
  given.firstBytes = first.bytes;
  const again = await put("v1", "again");
  given.again = again.took;
  if (again.bytes !== undefined) given.againBytes = again.bytes;
  if (!set.hasSecond) return given;
  const second = await put("v2", "second");
  given.second = second.took;
  if (second.bytes !== undefined) given.secondBytes = second.bytes;
  return given;
}

/** What was written before is on the disk before the next is measured, and what is read next is in memory for everybody. */
async function settle(reads?: string): Promise<void> {
  checkInterrupt();
  await run(["sync"]);
  if (reads !== undefined) await run(["/bin/sh", "-c", 'find "$0" -type f -exec cat {} + >/dev/null', reads]);
}

/** What files and directories take on the disk; a file with several names counts once. */
async function bytesOf(dirs: readonly string[]): Promise<number> {
  const { stdout } = await run(["du", "--summarize", "--total", "--block-size=1", "--", ...dirs]);
  return Number(/^([0-9]+)\ttotal$/m.exec(stdout)?.[1]);
}

async function check(set: ContentSet, from: string, got: string): Promise<void> {
  await run(
    set.shape === "file" ? ["cmp", "--", from, got] : ["diff", "-r", "--no-dereference", "--", from, got],
  );
}

function told({ put, get, firstBytes }: Given): string {
  const of = ({ wallS, cpuS, peakKib }: Spent) =>
    `${seconds(wallS)}, CPU ${seconds(cpuS)}, ${megabytes(peakKib)}`;
  const store = firstBytes === undefined ? "" : `; store ${megabytes(firstBytes / 1024)}`;
  return `put ${of(put)}${get === undefined ? "" : `; get ${of(get)}`}${store}`;
}
