// Turns: several commands run one after the other again and again, so that what else the machine does hits all alike.
// It knows nothing of what they do.
import { median, seconds, tell } from "./figure.ts";

/** CPU and wall seconds of one run. */
export interface Took {
  cpuS: number;
  wallS: number;
}

/** Every run of one command. */
export interface Series {
  cpu: number[];
  wall: number[];
}

/** Runs each in turn, `times` times. The first `warmUps` rounds more are thrown away. */
export async function inTurn<Runs extends Record<string, () => Promise<Took>>>(
  times: number,
  runs: Runs,
  warmUps = 1,
): Promise<{ [K in keyof Runs]: Series }> {
  const rows = Object.entries(runs).map(([name, run]) => ({
    name,
    run,
    series: { cpu: [], wall: [] } as Series,
  }));
  for (let i = 0; i < warmUps + times; i++) {
    for (const { run, series } of rows) {
      const { cpuS, wallS } = await run();
      if (i < warmUps) continue;
      series.cpu.push(cpuS);
      series.wall.push(wallS);
    }
  }
  for (const { name, series } of rows) {
    tell(`${name}: CPU ${spread(series.cpu)}, wall ${spread(series.wall)}`);
  }
  return Object.fromEntries(rows.map(({ name, series }) => [name, series])) as { [K in keyof Runs]: Series };
}

const spread = (values: number[]): string =>
  `${seconds(median(values))} (${seconds(Math.min(...values))} to ${seconds(Math.max(...values))})`;
