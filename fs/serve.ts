// serve: answers what peers ask about objects, out of what is shared. It asks nothing, and decides nothing about who
// may ask: only admitted peers get that far.
import { type Cbor, fromHex, type PeerId } from "../mq/mod.ts";
import { getIdsMax, haveIdsMax, objectBytesMax } from "./limits.ts";
import { GET, HAVE, readIds } from "./questions.ts";
import type { SharedObjects } from "./store.ts";

/** Who can be told how to answer: an MqNode. */
export interface Answerer {
  answer(method: string, fn: (from: PeerId, value: Cbor) => Promise<Cbor>): void;
}

/**
 * Registers the answers to `isfs/have` (those of at most `haveIdsMax` ids that are here) and `isfs/get` (bytes or null,
 * in order, of the first of at most `getIdsMax` ids: as many as are `objectBytesMax` together, one at least; who wants
 * the rest asks again). A malformed question is a usage fault for who asked.
 */
export function serveObjects(node: Answerer, shared: SharedObjects): void {
  node.answer(HAVE, async (_, value) => (await shared.have(readIds(value, haveIdsMax))).map(fromHex));
  node.answer(GET, async (_, value) => {
    const objects = await shared.get(readIds(value, getIdsMax), objectBytesMax);
    return objects.map((bytes) => bytes ?? null);
  });
}
