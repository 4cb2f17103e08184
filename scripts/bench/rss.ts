// Rss: memory of one process as the kernel counts it, in KiB. Not CPU time (meter.ts).

/** What is resident now. */
export const rssKib = (pid: number): number => field(pid, "VmRSS");

/** The most that was resident since the start or since {@link resetPeak}: nothing is missed between two looks. */
export const peakKib = (pid: number): number => field(pid, "VmHWM");

/** Lets the peak begin again at what is resident now (proc(5), clear_refs). */
export function resetPeak(pid: number): void {
  Deno.writeTextFileSync(`/proc/${pid}/clear_refs`, "5");
}

function field(pid: number, name: string): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const kib = new RegExp(`^${name}:\\s+([0-9]+) kB$`, "m").exec(status)?.[1];
  if (kib === undefined) throw new Error(`/proc/${pid}/status has no ${name}`);
  return Number(kib);
}
