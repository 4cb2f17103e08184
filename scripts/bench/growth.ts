// Growth: what a check-in costs the hosts of domains of several sizes, as lines of the table: the mean and the worst host,
// and whether the mean grows faster than the logarithm of the size. It measures nothing.
import type { Figure } from "./figure.ts";

/** The mean and the worst of what each host had of something, sent and received. */
export function costFigures(name: string, what: string, costs: readonly number[]): Figure[] {
  return [
    { name: `${name}, ${what} a host, mean`, ours: mean(costs).toFixed(0), peer: "-" },
    { name: `${name}, ${what} a host, worst`, ours: Math.max(...costs).toFixed(0), peer: "-" },
  ];
}

/** How much the mean grew from the smallest to the largest domain, against the logarithm of their sizes. */
export function growth(
  name: string,
  sizes: readonly number[],
  costs: readonly (readonly number[])[],
): Figure {
  const means = costs.map(mean);
  const [from, to] = [sizes[0] as number, sizes.at(-1) as number];
  const ratio = (means.at(-1) as number) / (means[0] as number);
  const logs = Math.log(to) / Math.log(from);
  return {
    name: `${name} a host, growth`,
    ours: `${from} to ${to}: x ${ratio.toFixed(2)}`,
    peer: `log N x ${logs.toFixed(2)}`,
    ratio: ratio / logs,
    aim: "ratio <= 1",
    ok: ratio <= logs,
  };
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
