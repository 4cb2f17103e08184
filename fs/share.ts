// share: marks everything that a root needs as what peers may have. It decides nothing: who calls it knows that the root
// is part of a committed entry, or that somebody put it on the shelf.
import { pause } from "../mq/mod.ts";
import { shareBatch } from "./limits.ts";
import { objectsOf } from "./objects.ts";
import type { Id, Store } from "./store.ts";

/** Where a store keeps its marks. Each call is durable when it returns. */
export interface Marks {
  /** Whether `root` was remembered, and nothing was dropped since. */
  isWhole(root: Id): boolean;
  /** Marks those of `ids` that are here; whether all are. */
  mark(ids: Id[]): boolean;
  /** How often something was dropped so far. */
  drops(): number;
  /** Says that everything reachable from `root` is here and marked; nothing, when something was dropped since `drops`. */
  remember(root: Id, drops: number): void;
}

/** {@link SharingStore.share} of a store and its marks: in small transactions, others run in between. */
export async function shareAll(store: Pick<Store, "get">, marks: Marks, root: Id): Promise<void> {
  if (marks.isWhole(root)) return;
  const drops = marks.drops();
  let isWhole = true;
  let ids = new Set<Id>();
  const markThem = async () => {
    isWhole = marks.mark([...ids]) && isWhole;
    ids = new Set();
    await pause();
  };
  for await (const id of objectsOf(store, root)) {
    ids.add(id);
    if (ids.size === shareBatch) await markThem();
  }
  await markThem();
  if (isWhole) marks.remember(root, drops);
}
