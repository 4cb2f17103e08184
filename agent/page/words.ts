// Words: moments, ages, sizes and ids as people read them. Plain text in the browser's own time zone; not how it is marked up.

const YEAR_MAX = 8_640_000_000_000_000;

/** A moment to the second, in the time zone of the browser: 2026-11-30 04:05:06. */
export function moment(ms: number): string {
  if (!(Math.abs(ms) <= YEAR_MAX)) return "at no time"; // an entry may say what it likes
  const d = new Date(ms);
  return `${day(ms)} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** The day of a moment: 2026-11-30. */
export function day(ms: number): string {
  if (!(Math.abs(ms) <= YEAR_MAX)) return "at no time";
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

/** The time of day of a moment: 04:05:06. */
export function clockTime(ms: number): string {
  return moment(ms).slice(-8);
}

const two = (n: number) => String(n).padStart(2, "0");

/** For machines, as <time> wants it; undefined where there is no such moment. */
export function machineTime(ms: number): string | undefined {
  return Math.abs(ms) <= YEAR_MAX ? new Date(ms).toISOString() : undefined;
}

const UNITS: [name: string, ms: number][] = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]];

/** How long ago that was: 3 hours ago. */
export function ago(ms: number, nowMs: number): string {
  const age = nowMs - ms;
  if (!Number.isFinite(age)) return "at no time";
  if (age < -60_000) return "in the future, by this browser's clock";
  for (const [name, unit] of UNITS) {
    const n = Math.floor(age / unit);
    if (n >= 1) return `${many(n, name)} ago`;
  }
  return "just now";
}

/** 1 host, 2 hosts, 1,000 hosts; `plural` where an s does not do. */
export function many(n: number, what: string, plural = `${what}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? what : plural}`;
}

/** The beginning of an id, enough to tell it from others. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}
