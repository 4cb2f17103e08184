// Effects: a real package installed by isconf with and without a record of what it changed, tried out in a preview, and by apt-get alone.
// On a host of its own, whose file system can be listened to.
import { type Host, lacksHosts, makeHost } from "../../tests/hosts.ts";
import { against, type Figure, skipped } from "./figure.ts";
import { TempDir } from "./host.ts";
import { Meter } from "./meter.ts";
import { isThere, run } from "./run.ts";
import { inTurn, type Took } from "./turns.ts";

const rounds = 5;
/** Packages of many files that a machine like this one lacks; the first that it does is taken. */
const PACKAGES = ["vim", "nginx", "emacs-nox"];
const isconf = "/usr/local/sbin/isconf";
const archives = "/var/cache/apt/archives";

export async function effects(): Promise<Figure[]> {
  const name = "apt-get install";
  const lack = lacksHosts("apt-get");
  if (lack) return [skipped(name, lack)];
  const pkg = PACKAGES.find((one) => !isThere(`/var/lib/dpkg/info/${one}.list`));
  if (pkg === undefined) return [skipped(name, `${PACKAGES.join(", ")} are installed here`)];
  const ends: (() => Promise<void>)[] = [];
  await using meter = new Meter();
  try {
    const host = await makeHost({ after: (fn) => void ends.push(fn) }, "installs", { handles: true });
    await download(host, pkg);
    await meter.run([...host.enter(), isconf, "start"]);
    await host.ok("init");
    await host.ok("lock", "bench");
    const install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", pkg];
    const turn = (...words: string[]) => async (): Promise<Took> => {
      await host.sh(
        'apt-get purge -q -y "$1" >/dev/null && apt-get autoremove -q -y --purge >/dev/null; sync',
        pkg,
      );
      return await meter.measure([
        ...host.enter(),
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        ...words,
        ...install,
      ]);
    };
    const took = await inTurn(rounds, {
      recorded: turn(isconf, "exec", "--env", "DEBIAN_FRONTEND"),
      unrecorded: turn(isconf, "exec", "--no-effects", "--env", "DEBIAN_FRONTEND"),
      preview: turn(isconf, "preview", "exec", "--env", "DEBIAN_FRONTEND"),
      alone: turn(),
    });
    await host.ok("ci");
    const { details } = JSON.parse(await host.sh("isconf --json show 1"));
    const paths = (details as { op: string; paths?: number }[]).find(({ op }) => op === "effects")?.paths;
    if (!paths) throw new Error("no effects were recorded");
    return (["cpu", "wall"] as const).flatMap((kind): Figure[] => {
      const what = kind === "cpu" ? "CPU" : "wall";
      const on = took.recorded[kind];
      return [
        against(
          `${name} ${pkg}, effects on (${paths} paths), ${what}`,
          on,
          "effects off",
          took.unrecorded[kind],
        ),
        against(`${name} ${pkg}, effects on, ${what}`, on, "apt-get", took.alone[kind]),
        against(`preview of ${name} ${pkg}, ${what}`, took.preview[kind], "apt-get", took.alone[kind]),
      ];
    });
  } finally {
    for (const end of ends) await end();
  }
}

/** Puts a package and what it needs where apt-get of the host looks first: the host has no network. */
async function download(host: Host, pkg: string): Promise<void> {
  using temp = new TempDir();
  Deno.mkdirSync(`${temp.path}/partial`);
  const words = [
    "-q",
    "-y",
    "--no-install-recommends",
    "--download-only",
    "-o",
    `Dir::Cache::archives=${temp.path}`,
  ];
  await run(["apt-get", "install", ...words, "-o", "APT::Sandbox::User=root", pkg]);
  for (const { name } of Deno.readDirSync(temp.path)) {
    if (name.endsWith(".deb")) {
      await host.write(`${archives}/${name}`, Deno.readFileSync(`${temp.path}/${name}`));
    }
  }
}
