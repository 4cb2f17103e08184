// shuffle: an order by chance, so that hosts that do the same do not all do it in the same order.
import type { Clock } from "../mq/mod.ts";

/** `items` themselves, at most 16384, in any order with the same likelihood (Fisher and Yates). */
export function shuffled<T>(items: T[], clock: Clock): T[] {
  const chance = new DataView(clock.random(4 * items.length).slice().buffer);
  for (let i = items.length - 1; i > 0; i--) {
    const j = chance.getUint32(4 * i) % (i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

/** A number from 0 to 1, 1 excluded, each as likely as any other. */
export function fraction(clock: Clock): number {
  return new DataView(clock.random(4).slice().buffer).getUint32(0) / 2 ** 32;
}
