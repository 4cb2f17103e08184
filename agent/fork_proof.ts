// Fork proofs: two statements of which one is a lie: two entries that one author has signed for one place, two votes that one
// keeper has given for one place, or two certified entries of one place. Each host checks the bytes itself, whoever sends
// them. Not where proofs are kept (forks.ts), not how they travel (fork_spread.ts).
import { bytesEqual, decode, encode, Fault, open1, sha256, verify1 } from "../mq/mod.ts";
import { context, type EntryRecord, openVote, readEntry, TYPE } from "./entry.ts";
import type { Journal } from "./journal.ts";
import { inert } from "./names.ts";
import { authorKey, hostKey, nameOf, type Policy } from "./trust.ts";

/** author: one key, two entries. keeper: one key, two votes. certified: two certificates: agreement was broken. */
export const FORK_KINDS = ["author", "keeper", "certified"] as const;
export type ForkKind = typeof FORK_KINDS[number];

/** What a proof proves. */
export interface ForkPlace {
  kind: ForkKind;
  /** Id of the key that has signed both, in hex; "" where there need not be one. */
  key: string;
  branch: string;
  epoch: number;
  /** The term of both statements; 0 where they may be of different ones. */
  term: number;
  seq: number;
}

/** A proof: a place, and the two statements about it. */
export interface ForkProof extends ForkPlace {
  first: Uint8Array;
  second: Uint8Array;
}

/**
 * The name of a proof: a digest of what it proves and not of how, so that hosts that were told different pairs of lies about
 * one place mean the same.
 */
export function forkId({ kind, key, branch, epoch, term, seq }: ForkPlace): Uint8Array {
  return sha256(encode([kind, key, branch, epoch, term, seq]));
}

/** A certified entry as one half of a proof. */
export const certifiedHalf = ({ entry, origin, cert }: EntryRecord): Uint8Array =>
  encode([entry, origin, cert]);

/**
 * What two statements prove, every signature checked.
 * @throws {Fault} corrupt, when they prove nothing; denied or refused, when this host does not know (yet) whose they are
 */
export function checkForkProof(
  journal: Journal,
  kind: ForkKind,
  branch: string,
  first: Uint8Array,
  second: Uint8Array,
): ForkProof {
  const policy = journal.needPolicy("proof");
  const [a, b] = [first, second].map((bytes) => SAID[kind](journal, policy, branch, bytes)) as [Said, Said];
  const isSamePlace = a.key === b.key && a.epoch === b.epoch && a.term === b.term && a.seq === b.seq;
  if (!isSamePlace || bytesEqual(a.id, b.id)) throw notProof("they do not contradict each other");
  const { key, epoch, term, seq } = a;
  return { kind, key, branch, epoch, term, seq, first, second };
}

type Said = Pick<ForkPlace, "key" | "epoch" | "term" | "seq"> & { id: Uint8Array };

/** What one statement of each kind says, and that its key has said it. */
const SAID: Record<ForkKind, (j: Journal, p: Policy, branch: string, bytes: Uint8Array) => Said> = {
  author(_, policy, branch, bytes) {
    const { entry: { epoch, term, seq, branch: named }, id, kid } = readEntry(bytes);
    verify1(bytes, context(TYPE.entry, policy.domain, branch), authorKey(policy, kid));
    if (named !== branch) throw notProof("it names another branch");
    // Term 0 is none: a keeper that is alone certifies what comes first, and who lost its answer may ask again.
    if (term === 0) throw notProof("nobody was promised anything");
    return { key: kid, epoch, term, seq, id };
  },
  keeper(_, policy, branch, bytes) {
    const { kid } = open1(bytes);
    const { epoch, term, seq, id } = openVote(bytes, policy.domain, branch, hostKey(policy, kid));
    return { key: kid, epoch, term, seq, id };
  },
  certified(journal, _, branch, bytes) {
    const { entry: { epoch, seq, branch: named }, id } = journal.checkFork(readHalf(bytes));
    if (named !== branch) throw notProof("it is of another branch");
    return { key: "", epoch, term: 0, seq, id };
  },
};

/** The certified entry that is one half of a proof. Throws corrupt. */
export function readHalf(bytes: Uint8Array): EntryRecord {
  const parts = decode(bytes);
  if (!Array.isArray(parts) || parts.length !== 3 || !parts.every((p) => p instanceof Uint8Array)) {
    throw notProof("a certified entry has three parts");
  }
  const [entry, origin, cert] = parts as [Uint8Array, Uint8Array, Uint8Array];
  return { entry, origin, cert };
}

/** A proof in words, safe to show. */
export function forkText(policy: Policy | undefined, { kind, key, branch, term, seq }: ForkPlace): string {
  const where = `${seq} of ${inert(branch)}`;
  if (kind === "certified") return `two different entries ${where} were certified`;
  const who = inert(nameOf(policy, key));
  return kind === "author"
    ? `${who} signed two different entries ${where} in term ${term}`
    : `${who} voted for two different entries ${where} in term ${term}`;
}

function notProof(why: string): Fault {
  return new Fault("proof", "corrupt", `two statements that prove nothing: ${why}`, {
    hint: "isconf verify, then ask another host",
  });
}
