// Keeper ask: one question of this host to one keeper, on this host or over the mesh, and its answer: signed, to this question,
// and whole. Not whom to ask, nor what the answers of several come to (keepers.ts).
import { type Cbor, type Clock, Fault, fromHex, keyId, type KeyPair } from "../mq/mod.ts";
import { whole } from "./answers.ts";
import type { KeeperDoor } from "./keeper_service.ts";
import { openReply, type RequestWords, sealRequest } from "./keeper_words.ts";
import type { Mesh } from "./mesh.ts";
import { inert } from "./names.ts";
import { nameOf, type Policy } from "./trust.ts";

/** With what a question is asked. */
export interface Asks {
  /** The answers of the keeper that lives on this host. */
  door: KeeperDoor;
  mesh: Mesh;
  clock: Clock;
  key(): KeyPair;
}

/** To whom a question goes, for which verb, and how long each part of the answer may take. */
export interface To {
  op: string;
  policy: Policy;
  branch: string;
  keeper: string;
  waitMs: number;
}

/**
 * What a keeper answers.
 * @throws {Fault} what it says against it; noQuorum, when it does not answer; corrupt, when that is no answer of its
 */
export async function askKeeper(o: Asks, to: To, body: RequestWords): Promise<Cbor> {
  const of = o.clock.random(16);
  const more = (offset: number) => askOnce(o, to, { what: "more", of, offset }, o.clock.random(16));
  return await whole(await askOnce(o, to, body, of), more);
}

async function askOnce(
  o: Asks,
  { op, policy, branch, keeper, waitMs }: To,
  body: RequestWords,
  nonce: Uint8Array,
): Promise<Cbor> {
  const key = o.key();
  const to = { domain: policy.domain, branch, keeper: fromHex(keeper), nonce };
  const question = [branch, sealRequest(body, to, key)];
  let answer: Cbor;
  try {
    answer = keeper === keyId(key.publicKey)
      ? await o.door(keeper, question)
      : await o.mesh.ask(keeper, "keeper", question, waitMs);
  } catch (e) {
    const fault = Fault.from(op, e);
    if (fault.kind !== "gone") throw new Fault(op, fault.kind, fault.message, { hint: fault.hint });
    const text = `the keeper ${inert(nameOf(policy, keeper))} does not answer: ${fault.message}`;
    throw new Fault(op, "noQuorum", text, { hint: `isconf status, then isconf ${op} again` });
  }
  return openReply(answer, nonce, policy, branch, keeper);
}
