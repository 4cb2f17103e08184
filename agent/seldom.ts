// Seldom: something that is told again and again, told on at most so often. What is left out is lost: the next time says it better.
import type { Clock } from "../mq/mod.ts";

/** Calls `fn` the first time, and then not again until `ms` milliseconds have passed since it was called. */
export function seldom<T>(clock: Pick<Clock, "now">, ms: number, fn: (value: T) => void): (value: T) => void {
  let lastMs = -Infinity;
  return (value) => {
    const now = clock.now();
    if (now - lastMs < ms) return;
    lastMs = now;
    fn(value);
  };
}
