// chaos: a minute of it. For longer, or with a protocol bug built in: deno task chaos.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { chaos } from "./chaos/chaos.ts";
import { fleetTest } from "./fleet.ts";

fleetTest(
  "while lines, agents, power and clocks break at random, five admins' locks and check-ins are linearizable",
  async (t) => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-chaos-"));
    const seed = Number(process.env.ISCONF_SEED ?? Date.now() % 1_000_000);
    console.log(await chaos(t, { seed, lastsMs: 60_000, checkInsMin: 8, dir, told: console.log }));
    fs.rmSync(dir, { recursive: true }); // stays when it has failed
  },
  { timeoutMs: 600_000 },
);
