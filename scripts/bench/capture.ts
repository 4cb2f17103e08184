// Capture: a Debian root captured as an image, and its second version, against tar, which keeps all of it again, and casync, which keeps chunks and
// compresses them. Not contents in general (content.ts).
import { type Figure, median, seconds, skipped, tell } from "./figure.ts";
import { BenchHost, TempDir } from "./host.ts";
import { Meter } from "./meter.ts";
import { isThere, run } from "./run.ts";

const rounds = 3;
const root = `${Deno.env.get("ISCONF_TEST_CACHE") ?? "/var/tmp/isconf-test-cache"}/bare`;

/** What one capture took, and how much larger it made what is kept. */
interface Took {
  cpuS: number;
  wallS: number;
  keptKiB: number;
}

/** One program: captures `tree` under a name; the same round's second capture goes on from the first. */
interface Program {
  name: string;
  /** Begins a round in a new directory. */
  begin(dir: string): Promise<{ capture(tree: string, name: string): Promise<Took>; end(): Promise<void> }>;
}

export async function capture(): Promise<Figure[]> {
  const lacks = [root, "/usr/bin/tar", "/usr/bin/casync"].filter((file) => !isThere(file));
  if (lacks.length > 0) {
    return [skipped("capture of a root", `${lacks.join()}: scripts/ci_setup.sh; apt-get install casync`)];
  }
  using temp = new TempDir();
  const [first, second] = [`${temp.path}/v1`, `${temp.path}/v2`];
  await run(["cp", "-a", "--", root, first]);
  await run(["cp", "-a", "--", root, second]);
  // The second version: a package's worth of new files, some that changed, some that went.
  await run(["/bin/sh", "-euc", CHANGE, "sh", second]);
  const took = new Map<string, { v1: Took[]; v2: Took[] }>();
  for (let round = 0; round <= rounds; round++) {
    for (const program of PROGRAMS) {
      const dir = `${temp.path}/${program.name}-${round}`;
      Deno.mkdirSync(dir);
      const turn = await program.begin(dir);
      const [v1, v2] = [await turn.capture(first, "v1"), await turn.capture(second, "v2")];
      await turn.end();
      Deno.removeSync(dir, { recursive: true });
      if (round === 0) continue; // the first is for nothing
      const all = took.get(program.name) ?? { v1: [], v2: [] };
      took.set(program.name, { v1: [...all.v1, v1], v2: [...all.v2, v2] });
    }
  }
  const middle = (name: string, version: "v1" | "v2", key: keyof Took) =>
    median(took.get(name)![version].map((one) => one[key]));
  return (["v1", "v2"] as const).flatMap((version) =>
    ["tar", "casync"].flatMap((peer) =>
      (["wallS", "cpuS", "keptKiB"] as const).map((key): Figure => {
        const [a, b] = [middle("isconf", version, key), middle(peer, version, key)];
        const show = (n: number) => key === "keptKiB" ? `${(n / 1024).toFixed(1)} MiB` : seconds(n);
        const what = { wallS: "wall", cpuS: "CPU", keptKiB: "kept" }[key];
        return {
          name: `capture ${version}, ${what}`,
          ours: show(a),
          peer: `${peer} ${show(b)}`,
          ratio: a / b,
        };
      })
    )
  );
}

const CHANGE = `
cp -a "$1/usr/share/perl5" "$1/usr/share/perl5-new" 2>/dev/null || cp -a "$1/usr/lib/apt" "$1/usr/lib/apt-new"
echo changed >> "$1/etc/debian_version"; echo new > "$1/etc/new"; rm -r "$1/usr/share/doc"
find "$1/usr/share/zoneinfo/Europe" -type f | while read -r f; do touch -d '2026-01-01' "$f"; done`;

const sizeKiB = async (dir: string): Promise<number> =>
  Number((await run(["du", "-sk", "--", dir])).stdout.split("\t")[0]);

const PROGRAMS: Program[] = [
  {
    name: "isconf",
    async begin(dir) {
      const host = new BenchHost(`${dir}/home`);
      await host.isconf("start");
      const kept = () => sizeKiB(`${dir}/home/var/store`);
      return {
        async capture(tree, name) {
          const before = await kept();
          const { cpuS, wallS } = await host.isconf("image", "capture", "--root", tree, `images/${name}`);
          tell(`isconf ${name}: ${seconds(wallS)}`);
          return { cpuS, wallS, keptKiB: await kept() - before };
        },
        end: () => host[Symbol.asyncDispose](),
      };
    },
  },
  peer("tar", (dir, tree, name) => ["tar", "-C", tree, "--xattrs", "-cf", `${dir}/${name}.tar`, "."]),
  peer(
    "casync",
    (dir, tree, name) => ["casync", "make", `--store=${dir}/store.castr`, `${dir}/${name}.caidx`, tree],
  ),
];

function peer(name: string, words: (dir: string, tree: string, name: string) => string[]): Program {
  return {
    name,
    begin(dir) {
      const meter = new Meter();
      return Promise.resolve({
        async capture(tree, version) {
          const before = await sizeKiB(dir);
          const { cpuS, wallS } = await meter.measure(words(dir, tree, version));
          tell(`${name} ${version}: ${seconds(wallS)}`);
          return { cpuS, wallS, keptKiB: await sizeKiB(dir) - before };
        },
        end: () => meter[Symbol.asyncDispose](),
      });
    },
  };
}
