// Figure: what a measurement says, and the table of all of them. It measures nothing.

/** One line of the table. */
export interface Figure {
  name: string;
  ours: string;
  peer: string;
  /** Ours divided by the peer's. */
  ratio?: number;
  /** The aim in words, and whether it was met; neither when there is none. */
  aim?: string;
  ok?: boolean;
}

/** The middle of the values; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  const at = (i: number): number => {
    const v = sorted[i];
    if (v === undefined) throw new Error("the median of nothing");
    return v;
  };
  return sorted.length % 2 === 1 ? at(Math.floor(half)) : (at(half - 1) + at(half)) / 2;
}

export const seconds = (s: number): string => s < 1 ? `${(s * 1000).toFixed(1)} ms` : `${s.toFixed(2)} s`;
export const megabytes = (kib: number): string => `${(kib / 1024).toFixed(1)} MiB`;

/** A line that compares two medians. `ratioMax` is the aim. */
export function against(
  name: string,
  ours: readonly number[],
  peerName: string,
  peer: readonly number[],
  ratioMax?: number,
): Figure {
  const [a, b] = [median(ours), median(peer)];
  const figure: Figure = { name, ours: seconds(a), peer: `${peerName} ${seconds(b)}`, ratio: a / b };
  if (ratioMax === undefined) return figure;
  return { ...figure, aim: `ratio <= ${ratioMax}`, ok: a / b <= ratioMax };
}

/** A line that says why something could not be compared. */
export const skipped = (name: string, why: string): Figure => ({ name, ours: "-", peer: `skipped: ${why}` });

/** The table as text. */
export function table(figures: readonly Figure[]): string {
  const rows = [
    ["figure", "ours", "peer", "ratio", "aim", "verdict"],
    ...figures.map((f) => [
      f.name,
      f.ours,
      f.peer,
      f.ratio?.toFixed(2) ?? "-",
      f.aim ?? "-",
      f.ok === undefined ? "-" : f.ok ? "OK" : "MISS",
    ]),
  ];
  const widths = (rows[0] as string[]).map((_, i) => Math.max(...rows.map((r) => (r[i] as string).length)));
  return rows.map((r) => r.map((cell, i) => cell.padEnd(widths[i] as number)).join("  ").trimEnd()).join(
    "\n",
  );
}

/** One run's values, told while they come. */
export function tell(text: string): void {
  console.error(`  ${text}`);
}
