// soon: that something takes no longer than so long, on a machine that may have much else to do. Not a test.

/** How often it is looked at. */
const triesMax = 3;

/**
 * Does `fn` until it has taken less than `ms`, a few times at the most: what is to hold it up is there each time, what else this
 * machine has to do is not. `fn` may tell the milliseconds that count, if not all do. How often it was done.
 * @throws {Error} when it has taken longer each time
 */
export async function soon(what: string, ms: number, fn: (n: number) => unknown): Promise<number> {
  const took: number[] = [];
  while (took.length < triesMax) {
    const began = performance.now();
    const told = await fn(took.length);
    const tookMs = typeof told === "number" ? told : performance.now() - began;
    took.push(tookMs);
    if (tookMs < ms) return took.length;
  }
  throw new Error(`${what} took ${took.map(Math.round).join(", ")} ms, which is to be less than ${ms}`);
}
