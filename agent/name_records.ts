// Name records: what a person says that a name means, signed: made, read, and checked before anybody keeps it.
// Not which of several counts (name_values.ts) and not where they are kept (name_table.ts).
import {
  type Cbor,
  compareBytes,
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
import { nameCopiesMax, nameRecordBytesMax, nameValuesMax, timeMsMax } from "./limits.ts";
import { isContentName } from "./names.ts";
import { authorKey, mayName, nameOf, type Policy } from "./trust.ts";

/** What is signed. Binary fields: ids are SHA-256 (32 bytes). */
export interface NameWords {
  /** The version of this form: 1. */
  v: number;
  name: string;
  /** From 1: one more than the highest that the author has seen of this name. */
  seq: number;
  /** The root in isfs; empty: the name is withdrawn, and what describes a content is empty or 0 with it. */
  id: Uint8Array;
  /** file or tree. */
  kind: string;
  /** Bytes of content. */
  size: number;
  /** How many hosts of the domain shall keep it. */
  copies: number;
  /** Ids of the records of this name that this one replaces, in ascending order: the newest of each author. */
  after: Uint8Array[];
  /** The seq of the control journal that the author knew. */
  policy: number;
  /** The author's wall clock; for people only. */
  timeMs: number;
  /** The host where it was said, as the author has it; for people only. */
  host: Uint8Array;
  author: Uint8Array;
}

/** A record as it is sent and stored, and what it says. */
export interface NameRecord {
  /** SHA-256 of the signed payload, in hex, so that it does not depend on any signature. */
  id: string;
  /** The id of the author's key, in hex. */
  author: string;
  words: NameWords;
  /** COSE_Sign1 of the words by their author. */
  bytes: Uint8Array;
}

/** Signs what a person says of a name. */
export function sealName(words: NameWords, domain: Uint8Array, author: KeyPair): NameRecord {
  const payload = encode({ ...words });
  return readName(sign1(author, context(TYPE.name, domain, ""), payload));
}

/** Reads a record without believing its signature. Throws a corrupt fault unless it has exactly the form of one. */
export function readName(bytes: Cbor): NameRecord {
  if (!(bytes instanceof Uint8Array)) throw malformed("no bytes");
  if (bytes.length > nameRecordBytesMax) throw malformed("too long");
  const { kid, payload } = open1(bytes);
  const value = decode(payload);
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array) {
    throw malformed("no map");
  }
  const words = value as unknown as NameWords;
  const fields = Object.entries(SHAPE);
  if (Object.keys(value).length !== fields.length) throw malformed("other fields");
  for (const [field, holds] of fields) {
    if (!Object.hasOwn(value, field) || !holds(words[field as keyof NameWords])) throw malformed(field);
  }
  const isWithdrawn = words.id.length === 0;
  if (isWithdrawn !== (words.kind === "") || isWithdrawn !== (words.copies === 0)) throw malformed("kind");
  if (isWithdrawn && words.size !== 0) throw malformed("size");
  if (toHex(words.author) !== kid) throw malformed("author");
  return { id: toHex(sha256(payload)), author: kid, words, bytes };
}

/**
 * Checks everything about a record that was read: that its author may say so now, and the signature.
 * @throws {Fault} refused, when it was made under a policy that this host does not hold yet; denied; corrupt
 */
export function checkNameRecord(record: NameRecord, policy: Policy): void {
  const { words, author, bytes } = record;
  if (words.policy > policy.seq) {
    throw new Fault("names", "refused", `${words.name} was named under a policy that is not here yet`, {
      hint: "isconf up",
    });
  }
  if (!mayName(policy, author, words.name)) {
    throw new Fault("names", "denied", `${nameOf(policy, author)} may not name ${words.name}`, {
      hint: "isconf grant USER publish BRANCH, by an owner",
    });
  }
  verify1(bytes, context(TYPE.name, policy.domain, ""), authorKey(policy, author));
}

const isCount = (v: unknown): v is number => typeof v === "number" && Number.isSafeInteger(v) && v >= 0;
const isId = (v: unknown): v is Uint8Array => v instanceof Uint8Array && v.length === 32;

/** The fields of a record and what each must be. */
const SHAPE: Record<keyof NameWords, (v: unknown) => boolean> = {
  v: (v) => v === 1,
  name: (v) => typeof v === "string" && isContentName(v),
  seq: (v) => isCount(v) && v >= 1,
  id: (v) => isId(v) || (v instanceof Uint8Array && v.length === 0),
  kind: (v) => v === "file" || v === "tree" || v === "",
  size: isCount,
  copies: (v) => isCount(v) && v <= nameCopiesMax,
  after: (v) =>
    Array.isArray(v) && v.length <= nameValuesMax && v.every(isId) &&
    v.every((id, i) => i === 0 || compareBytes(v[i - 1] as Uint8Array, id) < 0),
  policy: isCount,
  timeMs: (v) => isCount(v) && v <= timeMsMax,
  host: isId,
  author: isId,
};

function malformed(what: string): Fault {
  return new Fault("names", "corrupt", `a record of a name is malformed: ${what}`, { hint: "isconf status" });
}
