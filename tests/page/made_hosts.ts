// Made hosts: a thousand of them, the same each time: most are well, some lag behind, a few have stopped. Plain data; not the answers
// they are in (made.ts).

export const NOW = Date.now();
export const MINUTE = 60_000;

/** A number that looks like chance and is the same each time. */
export function chance(seed: number): number {
  let x = (seed + 1) * 0x9e3779b1 >>> 0;
  x = Math.imul(x ^ x >>> 16, 0x85ebca6b) >>> 0;
  x = Math.imul(x ^ x >>> 13, 0xc2b2ae35) >>> 0;
  return ((x ^ x >>> 16) >>> 0) / 2 ** 32;
}

export const hex = (seed: number, length: number) =>
  Array.from({ length }, (_, i) => Math.floor(chance(seed * 97 + i) * 16).toString(16)).join("");

export const BRANCHES = [["web", 0.55, 412], ["db", 0.75, 238], ["edge", 0.95, 96], [
  "build",
  1,
  57,
]] as const;

/** One of the thousand: most are well, some lag behind, a few have stopped, a few were not heard of. */
export function madeHost(i: number, said: (text: string) => string) {
  const [branch, , of] = BRANCHES.find(([, upTo]) => chance(i + 5) < upTo) ?? BRANCHES[0];
  const luck = chance(i);
  const state = i === 0
    ? "behind"
    : luck < 0.9
    ? "current"
    : luck < 0.955
    ? "behind"
    : luck < 0.975
    ? "failed"
    : luck < 0.981
    ? "diverged"
    : luck < 0.985
    ? "uncertain"
    : luck < 0.99
    ? "restarting"
    : "unknown";
  const isKnown = state !== "unknown";
  const lag = state === "current" ? 0 : 1 + Math.floor(chance(i + 11) * 20);
  const whys: Record<string, string> = {
    failed: `entry ${of - lag + 1} is failed: status 100`,
    diverged: "ran something that can no longer be checked in",
    uncertain: `entry ${of - lag + 1} is uncertain: the agent ended while it ran`,
  };
  const why = whys[state] ?? "";
  const name = said(`${i === 0 ? "web" : branch}-${String(i).padStart(4, "0")}`);
  if (!isKnown) {
    return { name, branch: "", at: 0, of: 0, state, why: "", sinceMs: 0, saidMs: 0, reached: false };
  }
  const reached = i === 0 || chance(i + 3) < 0.93;
  return {
    name,
    branch: i === 0 ? "web" : branch,
    at: (i === 0 ? 412 : of) - (i === 0 ? 1 : lag),
    of: i === 0 ? 412 : of,
    state,
    why: why === "" ? "" : said(why),
    sinceMs: NOW - Math.floor(chance(i + 21) * 90 * 24 * 60) * MINUTE,
    saidMs: reached ? NOW : NOW - Math.floor(chance(i + 31) * 600) * MINUTE,
    reached,
  };
}
