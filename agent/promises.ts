// Promises: keepers' signed words about terms, and what follows from a quorum of them: what may be proposed in a term. After
// L. Lamport, "Paxos Made Simple" (2001): a promise is its phase 1b, a vote (entry.ts) its phase 2b. The proposer is not
// believed: every keeper judges the promises itself, so that whoever proposes, only faulty keepers can break agreement.
import {
  bytesEqual,
  type Cbor,
  concat,
  decode,
  encode,
  Fault,
  type KeyPair,
  open1,
  sha256,
  sign1,
  toHex,
  verify1,
} from "../mq/mod.ts";
import { context, TYPE } from "./entry.ts";
import { keepersMax, proofBytesMax, proofTermsMax } from "./limits.ts";
import { hostKey, isCut, type Policy } from "./trust.ts";

/** A batch of entries that a keeper has voted for: in which term, and which. */
export interface Voted {
  term: number;
  /** {@link batchId} of it. */
  batch: Uint8Array;
}

/** What a keeper promises: no vote for a lower term from now on, and what it has voted for until then. */
export interface PromiseWords {
  epoch: number;
  term: number;
  /** The end of the branch: what is proposed in this term follows it. */
  seq: number;
  id: Uint8Array;
  /** To whom: ids of a person's and a host's key. */
  holder: Uint8Array;
  host: Uint8Array;
  /** What follows that end as far as this keeper has voted for it. */
  voted: Voted | null;
}

/** Why something may be proposed in a term: promises for it, and for each term of which they report votes, why there. */
export interface Proof {
  promises: Uint8Array[];
  past: { term: number; batch: Uint8Array; promises: Uint8Array[] }[];
}

export const NO_PROOF: Proof = { promises: [], past: [] };

/** A digest of the ids of entries that are voted for together. */
export const batchId = (ids: readonly Uint8Array[]): Uint8Array => sha256(concat(...ids));

/** A keeper's signed promise. */
export function sealPromise(
  words: PromiseWords,
  domain: Uint8Array,
  branch: string,
  keeper: KeyPair,
): Uint8Array {
  const payload = encode({ ...words, voted: words.voted === null ? null : { ...words.voted } });
  return sign1(keeper, context(TYPE.promise, domain, branch), payload);
}

/** What a keeper has promised, its signature checked. Throws a corrupt fault. */
export function openPromise(
  bytes: Uint8Array,
  domain: Uint8Array,
  branch: string,
  key: Uint8Array,
): PromiseWords {
  const v = decode(verify1(bytes, context(TYPE.promise, domain, branch), key)) as unknown as PromiseWords;
  const isVoted = v?.voted === null || (isCount(v?.voted?.term) && isId(v.voted.batch));
  const isEnd = isCount(v?.seq) && v.id instanceof Uint8Array && (v.id.length === 32 || v.seq === 0);
  if (!isEnd || !isVoted || ![v.epoch, v.term].every(isCount) || ![v.holder, v.host].every(isId)) {
    throw wrong("a promise is malformed");
  }
  return v;
}

/** A place in a domain's journal for which something is proposed: what it follows, and under which policy. */
export interface Place {
  policy: Policy;
  branch: string;
  epoch: number;
  seq: number;
  id: Uint8Array;
}

/** What promises of a quorum say. */
export interface Judged {
  /** To whom they were given, in hex. */
  holder: string;
  host: string;
  /** The one batch that may be proposed; undefined: any of the holder's. */
  must: Voted | undefined;
}

/**
 * What may be proposed in `term` at a place. A batch that could have been certified in an earlier term is reported by one
 * promise of any quorum; of the reported ones the one with the highest term is it. A keeper that lies could report one that
 * nobody was allowed to propose: so each reported one needs promises of its own term under which it was allowed.
 * @throws {Fault} refused, when this is no quorum, or something reported is not explained; corrupt
 */
export function judge(place: Place, term: number, { promises, past }: Proof): Judged {
  const explained = new Set<string>();
  for (const { term: then, batch, promises } of [...past].sort((a, b) => a.term - b.term)) {
    const words = quorumOf(place, then, promises);
    const must = mustOf(place, then, words, explained);
    if (must === undefined || bytesEqual(must.batch, batch)) explained.add(nameOfVote({ term: then, batch }));
  }
  const words = quorumOf(place, term, promises);
  const [first] = words as [PromiseWords];
  const must = mustOf(place, term, words, explained);
  return { holder: toHex(first.holder), host: toHex(first.host), must };
}

/** Whether a proof is one, for a place and a term. */
export function isEnough(place: Place, term: number, proof: Proof): boolean {
  try {
    judge(place, term, proof);
    return true;
  } catch (e) {
    if (e instanceof Fault) return false;
    throw e;
  }
}

/** The batch that could have been certified before `term`, as far as these promises tell; undefined: none could. */
function mustOf(
  { policy }: Place,
  term: number,
  words: readonly PromiseWords[],
  explained: ReadonlySet<string>,
): Voted | undefined {
  const reported = words.flatMap(({ voted }) => voted === null ? [] : [voted]);
  for (const voted of reported) {
    if (voted.term >= term) throw wrong("a promise speaks of a vote in a later term");
    if (explained.has(nameOfVote(voted))) continue;
    throw refused(`a vote in term ${voted.term} is reported, and not why it could be asked for`);
  }
  const highest = Math.max(...reported.map((voted) => voted.term));
  const last = new Map<string, { voted: Voted; count: number }>();
  for (const voted of reported.filter((v) => v.term === highest)) {
    const name = nameOfVote(voted);
    last.set(name, { voted, count: 1 + (last.get(name)?.count ?? 0) });
  }
  if (last.size <= 1) return [...last.values()][0]?.voted;
  // Whoever held that term has proposed two: both were allowed, so nothing was certified before. Is one of them by now?
  const { hosts, quorum } = policy.keepers;
  const others = hosts.length - words.length + liarsMax(policy);
  const able = [...last.values()].filter(({ count }) => count + others >= quorum);
  if (able.length <= 1) return able[0]?.voted;
  throw new Undecided(highest);
}

/** The fault of promises that do not tell which of two batches counts; those of more keepers do. */
export class Undecided extends Fault {
  constructor(term: number) {
    super(
      "keeper",
      "refused",
      `two batches were proposed in term ${term}, and it takes more keepers to know which counts`,
      { hint: "isconf status" },
    );
  }
}

/** How many keepers may lie before two batches can be certified for one place. */
const liarsMax = ({ keepers: { hosts, quorum } }: Policy): number => 2 * quorum - hosts.length - 1;

const nameOfVote = ({ term, batch }: Voted): string => `${term} ${toHex(batch)}`;

/** Promises of a quorum of keepers, each counted once, all of one term, for one place, to one holder. */
function quorumOf(place: Place, term: number, promises: readonly Uint8Array[]): PromiseWords[] {
  const { policy, branch, epoch, seq, id } = place;
  const said = new Map<string, PromiseWords>();
  for (const bytes of promises.slice(0, 2 * keepersMax)) {
    const { kid } = open1(bytes);
    if (!policy.keepers.hosts.includes(kid) || isCut(policy, kid, branch, seq + 1)) continue;
    const words = openPromise(bytes, policy.domain, branch, hostKey(policy, kid));
    if (words.term !== term || words.epoch !== epoch || words.seq !== seq || !bytesEqual(words.id, id)) {
      continue;
    }
    const [first] = said.values();
    const isSame = first === undefined ||
      (bytesEqual(first.holder, words.holder) && bytesEqual(first.host, words.host));
    if (!isSame) throw wrong(`term ${term} was promised to two`);
    said.set(kid, words);
  }
  if (said.size >= policy.keepers.quorum) return [...said.values()];
  throw refused(`term ${term} has the promises of ${said.size} keepers and needs ${policy.keepers.quorum}`);
}

/** The highest term for which a proof has a promise of this keeper, its signature checked; 0: none. */
export function termPromisedBy(proof: Proof, policy: Policy, branch: string, keeper: string): number {
  const own = proof.promises.slice(0, 2 * keepersMax).filter((bytes) => open1(bytes).kid === keeper);
  const key = hostKey(policy, keeper);
  return Math.max(0, ...own.map((bytes) => openPromise(bytes, policy.domain, branch, key).term));
}

/** Two proofs as one: promises of one term together, and what explains the votes that they report. */
export function joinProofs(
  promises: Uint8Array[],
  ...others: readonly { voted: Voted; proof: Proof }[]
): Proof {
  const past = new Map<string, Proof["past"][number]>();
  for (const { voted, proof } of others) {
    const all = [...proof.past, { ...voted, promises: proof.promises }];
    for (const p of all) past.set(nameOfVote(p), p);
  }
  return { promises, past: [...past.values()] };
}

export function encodeProof({ promises, past }: Proof): Uint8Array {
  return encode([promises, past.map(({ term, batch, promises }) => [term, batch, promises])]);
}

/** A proof that came as bytes. Throws a corrupt fault. */
export function decodeProof(bytes: Cbor): Proof {
  if (!(bytes instanceof Uint8Array) || bytes.length > proofBytesMax) throw wrong("a proof is malformed");
  const [promises, past] = arrayOf(decode(bytes), 2);
  if (!Array.isArray(past) || past.length > proofTermsMax) throw wrong("a proof is malformed");
  return {
    promises: promisesOf(promises),
    past: past.map((one) => {
      const [term, batch, promises] = arrayOf(one, 3);
      if (!isCount(term) || !isId(batch)) throw wrong("a proof is malformed");
      return { term, batch, promises: promisesOf(promises) };
    }),
  };
}

function promisesOf(v: Cbor | undefined): Uint8Array[] {
  if (Array.isArray(v) && v.length <= 2 * keepersMax && v.every((p) => p instanceof Uint8Array)) {
    return v as Uint8Array[];
  }
  throw wrong("a proof is malformed");
}

function arrayOf(v: Cbor, length: number): Cbor[] {
  if (Array.isArray(v) && v.length === length) return v;
  throw wrong("a proof is malformed");
}

const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const isId = (v: unknown): v is Uint8Array => v instanceof Uint8Array && v.length === 32;
const wrong = (why: string) => new Fault("keeper", "corrupt", why, { hint: "isconf status" });
const refused = (why: string) => new Fault("keeper", "refused", why, { hint: "isconf status" });
