// questions: the two questions that hosts ask each other about objects, as bytes and back. Whoever is asked or answers
// is a stranger: nothing is believed that does not have its form, and contents are not checked here but by their taker.
import { type Cbor, Fault, fromHex, type PeerId, toHex } from "../mq/mod.ts";
import { getIdsMax, haveIdsMax, objectBytesMax } from "./limits.ts";
import type { Id } from "./store.ts";

/** Methods: which of these objects are there, and what are their bytes. Both take a list of ids. */
export const HAVE = "isfs/have", GET = "isfs/get";

/** Who can be asked, and how: an MqNode. */
export interface Asker {
  peers(): PeerId[];
  /** Those of whom something new was heard, the latest first. */
  tellers(): PeerId[];
  ask(peer: PeerId, method: string, value: Cbor, opts?: { timeoutMs?: number }): Promise<Cbor>;
}

/**
 * The ids in a question or an answer, at most `max`.
 * @throws {Fault} usage, when it is no such list
 */
export function readIds(value: Cbor, max: number): Id[] {
  const isHash = (v: Cbor): v is Uint8Array => v instanceof Uint8Array && v.length === 32;
  if (Array.isArray(value) && value.length <= max && value.every(isHash)) return value.map(toHex);
  throw new Fault("objects", "usage", `not a list of at most ${max} ids`, { hint: "isconf version" });
}

/**
 * Those of `ids`, at most `haveIdsMax`, that `peer` says it has and gives away.
 * @throws {Fault} what `ask` throws; corrupt, when the answer has no sense
 */
export async function askHave(node: Asker, peer: PeerId, ids: Id[], timeoutMs: number): Promise<Set<Id>> {
  const answer = await node.ask(peer, HAVE, ids.slice(0, haveIdsMax).map(fromHex), { timeoutMs });
  const isAnswer = Array.isArray(answer) && answer.length <= ids.length;
  if (!isAnswer) throw nonsense(peer);
  const asked = new Set(ids);
  const have = new Set(readIds(answer, haveIdsMax));
  if (!have.isSubsetOf(asked)) throw nonsense(peer);
  return have;
}

/**
 * What `peer` gives for the first of `ids`, in order, undefined where it has none; one at least. Nothing is verified.
 * @throws {Fault} what `ask` throws; corrupt, when the answer has no sense
 */
export async function askGet(
  node: Asker,
  peer: PeerId,
  ids: Id[],
  timeoutMs: number,
): Promise<(Uint8Array | undefined)[]> {
  const answer = await node.ask(peer, GET, ids.slice(0, getIdsMax).map(fromHex), { timeoutMs });
  const isAnswer = Array.isArray(answer) && answer.length > 0 && answer.length <= ids.length;
  if (!isAnswer) throw nonsense(peer);
  return answer.map((bytes) => {
    if (bytes === null) return undefined;
    if (bytes instanceof Uint8Array && bytes.length <= objectBytesMax) return bytes;
    throw nonsense(peer);
  });
}

function nonsense(peer: PeerId): Fault {
  return new Fault("objects", "corrupt", `${peer} answers with what is no answer`, {
    hint: "isconf version",
  });
}
