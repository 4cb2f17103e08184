// Demo: `deno task demo`: three hosts made alike by isconf before your eyes, and the proof. It leaves nothing behind;
// with --keep the hosts stay until ^C. Not a test and not an installation.
import { parseArgs } from "node:util";
import { awaken, interruption, openStage, title } from "./demo_stage.ts";
import { tour } from "./demo_tour.ts";

const { values } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
const began = performance.now();
const interrupted = interruption();
const stage = await openStage(["hosta", "hostb", "hostc"]);

try {
  const differing = await Promise.race([tour(stage), interrupted]);
  process.exitCode = differing === 0 ? 0 : differing === "interrupted" ? 130 : 1;
  process.stdout.write(`${((performance.now() - began) / 1000).toFixed(1)} s\n`);
  if (values.keep && differing !== "interrupted") {
    title("the hosts stay until ^C; enter one from another terminal with");
    for (const host of Object.values(stage.hosts)) process.stdout.write(`${host.enter()}\n`);
    await awaken(interrupted);
  }
} catch (e) {
  process.stdout.write(`\ndemo: ${(e as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await stage.close();
}
process.exit();
