// Up: a journal of 1,000 steps, each a file of 1 KiB and a command, against the same work by Node and by a shell.
import { against, type Figure, tell } from "./figure.ts";
import { nodeOfOurs, TempDir } from "./host.ts";
import { fileBytes, importedHome, runUp, Target } from "./journal.ts";
import { Meter } from "./meter.ts";
import { NODE_STEPS, SHELL_STEPS } from "./peers.ts";

const steps = 1000;
const runs = 5;

export async function up(): Promise<Figure[]> {
  using temp = new TempDir();
  using target = new Target();
  const imported = await importedHome(temp.path, target, steps);
  const cpu = { ours: [] as number[], node: [] as number[], shell: [] as number[] };
  const wall = { ours: [] as number[], node: [] as number[], shell: [] as number[] };
  const note = (who: keyof typeof cpu, r: { cpuS: number; wallS: number }) => {
    tell(`${who}: ${r.cpuS.toFixed(3)} CPU s, ${r.wallS.toFixed(3)} s`);
    cpu[who].push(r.cpuS);
    wall[who].push(r.wallS);
  };
  const peer = async (argv: string[]) => {
    target.empty();
    await using meter = new Meter();
    const ran = await meter.measure([...argv, target.dir, String(steps), String(fileBytes)]);
    target.check(steps);
    return ran;
  };
  for (let i = 0; i < runs; i++) {
    await runUp(imported, `${temp.path}/b`, target, (_, r) => note("ours", r));
    note("node", await peer([nodeOfOurs, "-e", NODE_STEPS]));
    note("shell", await peer(["/bin/sh", "-c", SHELL_STEPS]));
  }
  return [
    against(`up, ${steps} steps, CPU`, cpu.ours, "node", cpu.node, 1.5),
    against(`up, ${steps} steps, CPU`, cpu.ours, "sh", cpu.shell),
    against(`up, ${steps} steps, wall`, wall.ours, "node", wall.node),
    against(`up, ${steps} steps, wall`, wall.ours, "sh", wall.shell),
    { name: `import of ${2 * steps} entries, CPU`, ours: `${imported.importCpuS.toFixed(2)} s`, peer: "-" },
  ];
}
