// Pss: the most memory that all processes of a meter had together. Not the memory of one process (rss.ts).
import type { Meter } from "./meter.ts";

/**
 * Why PSS, and why by looking again and again: a page that several processes share counts once in the sum, and their
 * peaks, which the kernel keeps, are of different moments. The peak of a cgroup has the page cache in it. A look costs
 * this process some milliseconds, which no meter counts; what comes and goes between two looks is missed. What is mapped
 * of the executable itself is in the sum.
 */
const everyMs = 100;

/** What a piece of work returns, and the peak in KiB meanwhile. Throws when memory could not be read. */
export async function withPeak<T>(meter: Meter, work: () => Promise<T>): Promise<{ of: T; peakKib: number }> {
  let peakKib = 0;
  let fault: unknown;
  const look = () => {
    try {
      peakKib = Math.max(peakKib, pssKib(meter));
    } catch (e) {
      fault = e; // thrown from a timer it would end this process, and nothing would be removed
    }
  };
  look();
  const timer = setInterval(look, everyMs);
  try {
    const of = await work();
    look();
    if (fault !== undefined) throw fault;
    return { of, peakKib };
  } finally {
    clearInterval(timer);
  }
}

function pssKib(meter: Meter): number {
  let kib = 0;
  for (const pid of meter.pids()) {
    try {
      const rollup = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
      kib += Number(/^Pss:\s+([0-9]+) kB$/m.exec(rollup)?.[1] ?? 0);
    } catch (e) {
      if (!hasEnded(e)) throw e;
    }
  }
  return kib;
}

/** A process that ended just now has no file (ENOENT), or one that cannot be read (ESRCH). */
const hasEnded = (e: unknown): boolean =>
  e instanceof Deno.errors.NotFound || e instanceof Error && e.message.includes("(os error 3)");
