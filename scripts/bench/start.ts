// Start: what it costs to start the executable and to say its version, against a Node that does nothing.
import { against, type Figure, skipped } from "./figure.ts";
import { isconf, nodeOfOurs, TempDir } from "./host.ts";
import { Meter } from "./meter.ts";
import { isThere } from "./run.ts";
import { inTurn } from "./turns.ts";

const times = 20;
const nodeOfSystem = "/usr/bin/node";
const ratioMax = 1.2;

export async function start(): Promise<Figure[]> {
  using home = new TempDir();
  await using meter = new Meter();
  const run = (...argv: string[]) => () => meter.both(argv, { ISCONF_HOME: home.path });
  const has = isThere(nodeOfSystem);
  const took = await inTurn(times, {
    ours: run(isconf, "version"),
    node26: run(nodeOfOurs, "-e", "0"),
    ...(has ? { nodeOfSystem: run(nodeOfSystem, "-e", "0") } : {}),
  });
  const { ours, node26, nodeOfSystem: system } = took;
  const name = "isconf version";
  return [
    against(`${name}, CPU`, ours.cpu, "node 26 -e 0", node26.cpu, ratioMax),
    against(`${name}, wall`, ours.wall, "node 26 -e 0", node26.wall, ratioMax),
    ...(system === undefined ? [skipped(name, `${nodeOfSystem} is not installed`)] : [
      against(`${name}, CPU`, ours.cpu, "system's node -e 0", system.cpu, ratioMax),
      against(`${name}, wall`, ours.wall, "system's node -e 0", system.wall, ratioMax),
    ]),
  ];
}
