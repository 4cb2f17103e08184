// Roots: what only the root keys of a domain can say together: which operations, what exactly each of them signs, and how many
// have. On its way from hand to hand it is one word of text. Not who makes it or brings it into the journal (root_change.ts).
import { Buffer } from "node:buffer";
import {
  bytesEqual,
  type Cbor,
  decode,
  encode,
  Fault,
  keyId,
  type KeyPair,
  open1,
  sha256,
  sign1,
  toHex,
  verify1,
} from "../mq/mod.ts";
import { checkOp, context, type Entry, type Op, TYPE } from "./entry.ts";
import { opsPerEntryMax, proposalCharsMax, rootKeysMax } from "./limits.ts";
import { CONTROL } from "./names.ts";
import type { Policy } from "./trust.ts";

const PREFIX = "isconf-root1.";

/** What root keys sign: operations, who brings them, and after which of their statements: so none counts twice. */
export interface RootStatement {
  domain: Uint8Array;
  /** Id of the entry with what they said last; the genesis entry's at first. */
  after: Uint8Array;
  author: Uint8Array;
  origin: Uint8Array;
  ops: Op[];
}

/** A statement on its way, with the signatures it has by now. */
export interface RootProposal extends RootStatement {
  signatures: Uint8Array[];
}

/** The digest that each root key signs. Where chains end is not in it: only keepers know that, when it is brought. */
function digestOf({ after, author, origin, ops }: RootStatement): Uint8Array {
  const said = ops.map((op) => op.op === "revoke" ? { ...op, cuts: {} } : op);
  return sha256(encode([after, author, origin, said as unknown as Cbor]));
}

/** A root key's signature of a statement. */
export function sealRoot(statement: RootStatement, key: KeyPair): Uint8Array {
  return sign1(key, context(TYPE.root, statement.domain, CONTROL), digestOf(statement));
}

/** The ids of those of the keys that have signed the statement, each once. Throws corrupt when one has signed something else. */
export function signersOf(
  statement: RootStatement,
  signatures: readonly Uint8Array[],
  keys: readonly Uint8Array[],
): Set<string> {
  const signers = new Set<string>();
  for (const bytes of signatures) {
    const { kid } = open1(bytes);
    const key = keys.find((one) => keyId(one) === kid);
    if (key === undefined) continue;
    const digest = verify1(bytes, context(TYPE.root, statement.domain, CONTROL), key);
    if (!bytesEqual(digest, digestOf(statement))) throw wrong("a root key has signed something else");
    signers.add(kid);
  }
  return signers;
}

/** The root keys that have a say in operations: those of now, and those that there are to be. */
export function keysAsked({ roots }: Pick<Policy, "roots">, ops: readonly Op[]): Uint8Array[] {
  return [...roots, ...ops.flatMap((op) => op.op === "roots" ? op.keys : [])];
}

/** How many signatures are still missing, of the root keys of now and of those to be. */
export function missing(
  { roots, threshold }: Pick<Policy, "roots" | "threshold">,
  ops: readonly Op[],
  signers: ReadonlySet<string>,
): { now: number; next: number } {
  const lack = (keys: readonly Uint8Array[], needed: number) =>
    Math.max(0, needed - new Set(keys.map(keyId).filter((id) => signers.has(id))).size);
  const next = ops.map((op) => op.op === "roots" ? lack(op.keys, op.threshold) : 0);
  return { now: lack(roots, threshold), next: Math.max(0, ...next) };
}

/**
 * Whether the root keys of a policy have signed an entry of the control journal; false: nobody says so.
 * @throws {Fault} denied, when they are too few; corrupt, when it is not this entry that they have signed
 */
export function isRooted(policy: Policy, entry: Entry): boolean {
  const signed = entry.ops.find((op) => op.op === "signed");
  if (signed === undefined) return false;
  const ops = entry.ops.slice(0, -1);
  if (entry.ops.at(-1) !== signed || ops.some((op) => op.op === "signed")) {
    throw wrong("signatures of root keys that do not come last");
  }
  if (!bytesEqual(signed.after, policy.rooted)) {
    throw wrong("signatures of root keys for another place: they have said something else since");
  }
  const { domain, author, origin } = entry;
  const statement = { domain, after: signed.after, author, origin, ops };
  const signers = signersOf(statement, signed.signatures, keysAsked(policy, ops));
  const lack = missing(policy, ops, signers);
  if (lack.now > 0 || lack.next > 0) throw tooFew(policy, lack);
  return true;
}

/** The fault of too few signatures. */
export function tooFew({ threshold }: Pick<Policy, "threshold">, lack: { now: number; next: number }): Fault {
  const which = lack.now > 0 ? `${lack.now} of ${threshold}` : `${lack.next} of the new root keys`;
  return new Fault("root", "denied", `it lacks the signatures of root keys: ${which}`, {
    hint: "isconf root sign FILE, by somebody who has another root key",
  });
}

/** A proposal as one word to be handed on. */
export function writeProposal({ domain, after, author, origin, ops, signatures }: RootProposal): string {
  const parts = [domain, after, author, origin, ops as unknown as Cbor, signatures];
  return PREFIX + Buffer.from(encode(parts)).toString("base64url");
}

/** The proposal that a word says, nothing of it believed. Throws a usage fault. */
export function readProposal(word: string): RootProposal {
  const bad = () =>
    new Fault("root", "usage", "that is no proposal: it begins with isconf-root1. and is one long word", {
      hint: "isconf help root",
    });
  const text = word.trim();
  if (text.length > proposalCharsMax || !/^isconf-root1\.[-_A-Za-z0-9]+$/.test(text)) throw bad();
  let parts: Cbor;
  try {
    parts = decode(Buffer.from(text.slice(PREFIX.length), "base64url"));
  } catch {
    throw bad(); // what the decoder says of it helps nobody
  }
  const [domain, after, author, origin, ops, signatures] = Array.isArray(parts) ? parts : [];
  const isId = (v: unknown): v is Uint8Array => v instanceof Uint8Array && v.length === 32;
  const areBytes = (v: unknown): v is Uint8Array[] =>
    Array.isArray(v) && v.length <= 2 * rootKeysMax && v.every((one) => one instanceof Uint8Array);
  const isSound = isId(domain) && isId(after) && isId(author) && isId(origin) && areBytes(signatures) &&
    Array.isArray(ops) && ops.length > 0 && ops.length < opsPerEntryMax;
  if (!isSound) throw bad();
  for (const op of ops) checkOp(op as unknown as Op);
  return { domain, after, author, origin, ops: ops as unknown as Op[], signatures };
}

/** Two copies of one proposal as one, with the signatures of both. Throws a usage fault when they are of two. */
export function joinProposals(a: RootProposal, b: RootProposal): RootProposal {
  if (!bytesEqual(a.domain, b.domain) || !bytesEqual(digestOf(a), digestOf(b))) {
    throw new Fault("root", "usage", "these are two proposals", { hint: "isconf root submit, one of them" });
  }
  const signatures = new Map([...a.signatures, ...b.signatures].map((bytes) => [toHex(bytes), bytes]));
  return { ...a, signatures: [...signatures.values()] };
}

function wrong(message: string): Fault {
  return new Fault("root", "corrupt", message, { hint: "isconf verify" });
}
