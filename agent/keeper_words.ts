// Keeper words: what a host and a keeper say to each other, as signed bytes. A request is the host's, a claim inside it the
// person's, a reply the keeper's; each names what it answers, so that none is good a second time.
// Not what a keeper decides (keeper.ts, keeper_service.ts).
import {
  bytesEqual,
  type Cbor,
  decode,
  encode,
  Fault,
  type KeyPair,
  open1,
  sign1,
  verify1,
} from "../mq/mod.ts";
import { context, readEntry, TYPE } from "./entry.ts";
import type { Held } from "./keeper.ts";
import { messageBytesMax, timeMsMax } from "./limits.ts";
import { batchId, decodeProof, type Proof, type Voted } from "./promises.ts";
import { hostKey, type Policy } from "./trust.ts";

/** What a person asks of a keeper; a `change` is a lock under which nothing is checked in. `after` is the term that was promised last as far as they know. */
export interface ClaimWords {
  what: "lock" | "unlock" | "change";
  host: Uint8Array;
  message: string;
  after: number;
  steal: boolean;
  /** The end of the branch as the claimant has applied it. */
  seq: number;
  id: Uint8Array;
}

/** What a host asks of a keeper. */
export type RequestWords =
  | { what: "look" }
  | { what: "claim"; claim: Uint8Array; freed?: Uint8Array }
  | { what: "stage"; batch: Uint8Array; part: number; entries: Uint8Array[][] }
  | { what: "certify"; batch: Uint8Array; parts: number; term: number; proof?: Uint8Array }
  | { what: "keep"; batch: Uint8Array; first: number; certs: Uint8Array[] }
  | { what: "more"; of: Uint8Array; offset: number };

/** What a keeper knows of a branch: its lock, and its end. */
export interface LookReply {
  lock: Held | null;
  /** The words in which the lock was given back, for keepers that have not heard them. */
  freed: Uint8Array | null;
  seq: number;
  id: Uint8Array;
  /** In which term, and from which place on, that keeper has voted for what it does not know to be certified. */
  voted: { term: number; seq: number } | null;
}

interface Envelope {
  keeper: Uint8Array;
  nonce: Uint8Array;
  body: Cbor;
}

export function sealClaim(
  words: ClaimWords,
  domain: Uint8Array,
  branch: string,
  person: KeyPair,
): Uint8Array {
  return sign1(person, context(TYPE.claim, domain, branch), encode({ ...words }));
}

/** A claim whose signature holds under `key`. Throws a corrupt fault. */
export function openClaim(
  bytes: Uint8Array,
  domain: Uint8Array,
  branch: string,
  key: Uint8Array,
): ClaimWords {
  const w = decode(verify1(bytes, context(TYPE.claim, domain, branch), key)) as unknown as ClaimWords;
  const isSound = ["lock", "unlock", "change"].includes(w?.what) && isBytes(w.host) && isCount(w.after) &&
    typeof w.message === "string" && typeof w.steal === "boolean" && isCount(w.seq) &&
    w.id instanceof Uint8Array;
  if (!isSound) throw malformed("a claim");
  return w;
}

/** Which key a claim says it was signed with, in hex. */
export const claimant = (bytes: Uint8Array): string => open1(bytes).kid;

export function sealRequest(
  body: RequestWords,
  to: { domain: Uint8Array; branch: string; keeper: Uint8Array; nonce: Uint8Array },
  host: KeyPair,
): Uint8Array {
  const envelope: Envelope = { keeper: to.keeper, nonce: to.nonce, body: body as unknown as Cbor };
  return sign1(host, context(TYPE.request, to.domain, to.branch), encode({ ...envelope }));
}

/** A request that `from`, a host of the policy, has signed for this keeper. Throws corrupt or denied. */
export function openRequest(
  bytes: Uint8Array,
  policy: Policy,
  branch: string,
  from: string,
  keeper: Uint8Array,
): { nonce: Uint8Array; body: RequestWords } {
  const payload = verify1(bytes, context(TYPE.request, policy.domain, branch), hostKey(policy, from));
  const e = decode(payload) as unknown as Envelope;
  if (!isBytes(e?.keeper) || !bytesEqual(e.keeper, keeper) || !(e.nonce instanceof Uint8Array)) {
    throw malformed("a request to a keeper");
  }
  const body = e.body as unknown as RequestWords;
  const isStage = body?.what === "stage" && isBytes(body.batch) && isCount(body.part) &&
    isRecords(body.entries);
  const isSound = body?.what === "look" || (body?.what === "claim" && body.claim instanceof Uint8Array &&
    (body.freed === undefined || body.freed instanceof Uint8Array)) ||
    isStage ||
    (body?.what === "certify" && isBytes(body.batch) && isCount(body.parts) && isCount(body.term) &&
      (body.proof === undefined || body.proof instanceof Uint8Array)) ||
    (body?.what === "keep" && isBytes(body.batch) && isCount(body.first) && Array.isArray(body.certs) &&
      body.certs.every((cert) => cert instanceof Uint8Array)) ||
    (body?.what === "more" && body.of instanceof Uint8Array && isCount(body.offset));
  if (!isSound) throw malformed("a request to a keeper");
  return { nonce: e.nonce, body };
}

export function sealReply(
  body: Cbor,
  to: Uint8Array,
  domain: Uint8Array,
  branch: string,
  keeper: KeyPair,
): Uint8Array {
  return sign1(keeper, context(TYPE.reply, domain, branch), encode([to, body]));
}

/** What a keeper has signed as its answer to the request with this nonce. Throws a corrupt fault. */
export function openReply(
  bytes: Cbor,
  nonce: Uint8Array,
  policy: Policy,
  branch: string,
  keeper: string,
): Cbor {
  if (!(bytes instanceof Uint8Array)) throw malformed("a keeper's reply");
  const said = decode(verify1(bytes, context(TYPE.reply, policy.domain, branch), hostKey(policy, keeper)));
  const [to, body] = Array.isArray(said) ? said : [];
  if (!(to instanceof Uint8Array) || !bytesEqual(to, nonce) || body === undefined) {
    throw malformed("a keeper's reply");
  }
  return body;
}

/** What a keeper says of a branch, when it has the right form. Throws a corrupt fault. */
export function readLook(body: Cbor, branch: string): LookReply {
  const { lock, seq, id, freed = null, voted = null } = (body ?? {}) as { [name: string]: Cbor | undefined };
  const isEnd = isCount(seq) && id instanceof Uint8Array && (id.length === 32 || id.length === 0);
  if (!isEnd || (lock !== null && !isHeld(lock, branch))) throw malformed("a keeper's word about a lock");
  if (freed !== null && !(freed instanceof Uint8Array)) throw malformed("a keeper's word about a lock");
  const { term, seq: first } = (voted ?? {}) as { term?: Cbor; seq?: Cbor };
  const pending = isCount(term) && isCount(first) ? { term, seq: first } : null;
  return { lock: lock === null ? null : { ...lock as unknown as Held }, seq, id, freed, voted: pending };
}

/** What a keeper answers to a claim beside: its promise, and what it has voted for and does not know to be certified. */
export interface ClaimReply extends LookReply {
  said: Uint8Array | null;
  accepted: (Voted & { records: Uint8Array[][]; proof: Proof }) | null;
}

/** The same, when it has the right form. Throws a corrupt fault. */
export function readClaimed(body: Cbor, branch: string): ClaimReply {
  const { said = null, accepted = null } = (body ?? {}) as { said?: Cbor; accepted?: Cbor };
  if (said !== null && !(said instanceof Uint8Array)) throw malformed("a keeper's promise");
  return { ...readLook(body, branch), said, accepted: accepted === null ? null : readAccepted(accepted) };
}

function readAccepted(v: Cbor): ClaimReply["accepted"] {
  const { term, records, proof } = (v ?? {}) as { term?: Cbor; records?: Cbor; proof?: Cbor };
  if (!isCount(term) || !isRecords(records) || records.length === 0) {
    throw malformed("what a keeper has voted for");
  }
  const batch = batchId(records.map(([entry]) => readEntry(entry!).id));
  return { term, batch, records, proof: decodeProof(proof ?? null) };
}

/** A keeper's votes for a batch of so many entries. Throws a corrupt fault. */
export function readVotes(body: Cbor, length: number): Uint8Array[] {
  const { votes } = (body ?? {}) as { votes?: Cbor };
  const isSound = Array.isArray(votes) && votes.length === length &&
    votes.every((v) => v instanceof Uint8Array);
  if (!isSound) throw malformed("a keeper's votes");
  return votes as Uint8Array[];
}

function isRecords(v: Cbor | undefined): v is Uint8Array[][] {
  return Array.isArray(v) &&
    v.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((b) => b instanceof Uint8Array));
}

function isHeld(v: Cbor | undefined, branch: string): boolean {
  const h = (v ?? {}) as unknown as Held;
  const texts = [h.holder, h.holderName, h.host, h.hostName, h.message];
  return h.branch === branch && typeof h.held === "boolean" && typeof h.change === "boolean" &&
    isCount(h.term) && isCount(h.sinceMs) &&
    h.sinceMs <= timeMsMax && texts.every((t) => typeof t === "string" && t.length <= messageBytesMax) &&
    Object.keys(h).length === 10;
}

const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const isBytes = (v: unknown): v is Uint8Array => v instanceof Uint8Array && v.length === 32;

function malformed(what: string): Fault {
  return new Fault("keeper", "corrupt", `${what} is malformed`, { hint: "isconf version" });
}
