// Install: the image of a root of 1 GiB laid out on a host, its contents from one other host and from three, as `isconf install` does it between making
// the disk and making it boot; against rsync's daemon on one host. Not the disk and its boot loader (tests/machines).
import type { Host } from "../../tests/hosts.ts";
import { type Figure, median, seconds, skipped, tell } from "./figure.ts";
import { BenchFleet } from "./fleet.ts";
import { Meter } from "./meter.ts";
import { isThere, run } from "./run.ts";
import { beginRsync, isconfThere } from "./servers.ts";
import type { Took } from "./turns.ts";

const rounds = 3;
const base = `${Deno.env.get("ISCONF_TEST_CACHE") ?? "/var/tmp/isconf-test-cache"}/bare`;
const NAME = "images/root", ROOT = "/srv/root", AT = "/srv/laid-out";

/** $1 a root to begin with, $2 the new one: with files of many sizes, which cannot be compressed, until it has 1 GiB. */
const MAKE = `
cp -a -- "$1" "$2"
mkdir "$2/opt/data"
for n in $(seq 1 64); do head -c 4194304 /dev/urandom >"$2/opt/data/m$n"; done
for n in $(seq 1 2000); do head -c 65536 /dev/urandom >"$2/opt/data/s$n"; done
head -c $((1073741824 - $(du -sb "$2" | cut -f1))) /dev/urandom >"$2/opt/data/rest"`;

export async function install(): Promise<Figure[]> {
  if (!isThere(base)) return [skipped("install of a root of 1 GiB", `no ${base}: scripts/ci_setup.sh`)];
  await using meter = new Meter();
  meter.enter();
  await using fleet = await BenchFleet.begin(5);
  const [from, second, third, to, other] = fleet.hosts as [Host, Host, Host, Host, Host];
  await from.sh(MAKE, base, ROOT);
  await run([...from.enter(), isconfThere, "image", "capture", "--root", ROOT, "--copies", "1", NAME]);
  await beginRsync(from);
  const get = [isconfThere, "-q", "get", `${NAME}:fs`, AT];
  const rsync = [
    "rsync",
    "-aHX",
    "--numeric-ids",
    `rsync://${fleet.fleet.address(from.name)}/all${ROOT}/`,
    `${AT}/`,
  ];
  const took = { one: [] as Took[], three: [] as Took[], rsync: [] as Took[] };
  const measure = async (what: keyof typeof took, host: Host, argv: string[]) => {
    await host.sh('rm -rf -- "$1" && mkdir "$1" && sync', AT);
    const before = meter.cpuS();
    const { wallS } = await run([...host.enter(), ...argv]);
    const cpuS = meter.cpuS() - before;
    await run(["diff", "-r", "--no-dereference", "-x", "dev", from.path(ROOT), host.path(AT)]);
    took[what].push({ cpuS, wallS });
    tell(`${what}: ${seconds(wallS)}, CPU ${seconds(cpuS)}`);
    await host.ok("gc"); // so that the next time all of it comes again
  };
  for (let round = 0; round < rounds; round++) {
    await measure("rsync", other, rsync);
    await measure("one", to, get);
  }
  for (const host of [second, third]) {
    await host.ok("pin", NAME);
    await run([...host.enter(), ...get]);
  }
  for (let round = 0; round < rounds; round++) await measure("three", to, get);
  const middle = (what: keyof typeof took, key: keyof Took) => median(took[what].map((one) => one[key]));
  return (["wallS", "cpuS"] as const).flatMap((key) =>
    (["one", "three"] as const).map((what): Figure => ({
      name: `install of 1 GiB from ${what}, ${key === "wallS" ? "wall" : "CPU of all hosts"}`,
      ours: seconds(middle(what, key)),
      peer: `rsync from one ${seconds(middle("rsync", key))}`,
      ratio: middle(what, key) / middle("rsync", key),
    }))
  );
}
