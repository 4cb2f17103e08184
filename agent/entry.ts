// Entries: the signed statements a journal consists of, and their votes and certificates, as bytes.
// Not where they are kept (journal.ts), not who may make them (trust.ts).
import {
  bytesEqual,
  type Cbor,
  decode,
  encode,
  Fault,
  type KeyPair,
  open1,
  sha256,
  sign1,
  type SignContext,
  toHex,
  verify1,
} from "../mq/mod.ts";
import {
  certBytesMax,
  controlEntryBytesMax,
  dropsMax,
  entryBytesMax,
  forksPerKeyMax,
  keepersMax,
  opsPerEntryMax,
  rootKeysMax,
} from "./limits.ts";
import { CONTROL } from "./names.ts";

/** What this agent can apply: an entry that needs a higher number stops replay before it. */
export const ENTRY_LEVEL = 1;

/** One thing an entry does. `op` says which; unknown ones stop replay. */
export type Op =
  | { op: "file"; path: string; tree: Uint8Array; kind: string; files: number; bytes: number }
  | { op: "delete"; path: string }
  | {
    op: "exec";
    argv: string[];
    cwd: string;
    umask: number;
    env: Record<string, string>;
    user: string;
    timeoutMs: number;
    stdin: Uint8Array | null;
  }
  /** What the command before it changed where it was made: a list in isfs (effects.ts), and how many paths are in it. */
  | { op: "effects"; list: Uint8Array; paths: number }
  | { op: "reboot" }
  | { op: "roots"; keys: Uint8Array[]; threshold: number }
  | { op: "host"; key: Uint8Array; net: Uint8Array; name: string }
  | { op: "person"; key: Uint8Array; name: string }
  | { op: "grant"; key: Uint8Array; role: string; branch: string }
  | { op: "revoke"; key: Uint8Array; cuts: Record<string, number>; reason: string }
  | { op: "rotate"; old: Uint8Array; key: Uint8Array; net: Uint8Array | null; cuts: Record<string, number> }
  | { op: "acknowledge"; key: Uint8Array; proofs: Uint8Array[] }
  | {
    op: "keepers";
    hosts: Uint8Array[];
    quorum: number;
    cuts: Record<string, number>;
    terms: Record<string, number>;
  }
  | {
    op: "register";
    /** What decides from then on: an etcd cluster, or the keepers themselves. */
    kind: string;
    quorum: number;
    cuts: Record<string, number>;
    terms: Record<string, number>;
  }
  | { op: "branch"; name: string; from: null | { branch: string; seq: number; id: Uint8Array } }
  | {
    op: "epoch";
    hosts: Uint8Array[];
    quorum: number;
    /** The last entry of each chain that counts, the control journal's too: its seq and id. */
    bases: Record<string, [seq: number, id: Uint8Array]>;
    drops: Uint8Array[];
  }
  | { op: "signed"; after: Uint8Array; signatures: Uint8Array[] };

/** The signed content of an entry. Binary fields: ids are SHA-256 (32 bytes), keys are ids of public keys. */
export interface Entry {
  level: number;
  /** Domain id; empty only in the genesis entry, whose id it is. */
  domain: Uint8Array;
  branch: string;
  epoch: number;
  seq: number;
  /** Id of the entry before; empty only in the first entry of all. */
  prev: Uint8Array;
  term: number;
  /** Id of the newest control entry the author knew; empty only in the genesis entry. */
  policy: Uint8Array;
  timeMs: number;
  author: Uint8Array;
  origin: Uint8Array;
  message: string;
  ops: Op[];
}

/** An entry as it is sent and stored: three kinds of bytes that are never made anew. */
export interface EntryRecord {
  /** COSE_Sign1 of the entry by its author. */
  entry: Uint8Array;
  /** COSE_Sign1 of the entry's id by the host where it was made. */
  origin: Uint8Array;
  /** CBOR list of keepers' votes (COSE_Sign1 each): the commit certificate. */
  cert: Uint8Array;
}

/** A keeper's durable word that this entry, and no other, has this place. */
export interface Vote {
  epoch: number;
  term: number;
  seq: number;
  id: Uint8Array;
}

export const TYPE = {
  entry: "isconf/entry/1",
  origin: "isconf/origin/1",
  vote: "isconf/vote/1",
  promise: "isconf/promise/1",
  claim: "isconf/claim/1",
  request: "isconf/request/1",
  reply: "isconf/reply/1",
  head: "isconf/head/1",
  report: "isconf/report/1",
  present: "isconf/present/1",
  person: "isconf/person/1",
  join: "isconf/join/1",
  name: "isconf/name/1",
  root: "isconf/root/1",
} as const;

/** What a signature of ours is good for, and nothing else. */
export const context = (type: string, domain: Uint8Array, branch: string): SignContext => ({
  type,
  domain,
  branch,
});

/** The id of an entry: SHA-256 of the signed payload, so that it does not depend on any signature. */
export function entryId(payload: Uint8Array): Uint8Array {
  return sha256(payload);
}

/** Signs an entry by its author and its origin host; returns both and the id. */
export function sealEntry(
  entry: Entry,
  author: KeyPair,
  host: KeyPair,
): { id: Uint8Array; entry: Uint8Array; origin: Uint8Array } {
  const payload = encode({ ...entry, ops: entry.ops as unknown as Cbor });
  const bytesMax = bytesMaxOf(entry.branch);
  if (payload.length > bytesMax) {
    const isControl = entry.branch === CONTROL;
    throw new Fault("entry", "usage", `an entry of ${payload.length} bytes is larger than ${bytesMax}`, {
      hint: isControl
        ? "isconf evict or isconf revoke with a shorter reason"
        : "isconf exec with shorter arguments, or snap a script and exec it",
    });
  }
  const id = entryId(payload);
  return {
    id,
    entry: sign1(author, context(TYPE.entry, entry.domain, entry.branch), payload),
    origin: sign1(host, context(TYPE.origin, entry.domain, entry.branch), id),
  };
}

/** How large the signed content of an entry may be: one that could be made could else be one that nobody can be given. */
const bytesMaxOf = (branch: string) => branch === CONTROL ? controlEntryBytesMax : entryBytesMax;

/** A keeper's signed vote. */
export function sealVote(vote: Vote, domain: Uint8Array, branch: string, host: KeyPair): Uint8Array {
  return sign1(host, context(TYPE.vote, domain, branch), encode({ ...vote }));
}

/** Checks a vote's signature and returns what it says. Throws a corrupt fault. */
export function openVote(bytes: Uint8Array, domain: Uint8Array, branch: string, key: Uint8Array): Vote {
  const v = decode(verify1(bytes, context(TYPE.vote, domain, branch), key)) as unknown as Partial<Vote>;
  if (!isCount(v.epoch) || !isCount(v.term) || !isCount(v.seq) || !isId(v.id)) throw malformed("a vote");
  return v as Vote;
}

/** The votes of a certificate, still unverified, each with the id of the key that claims to have made it. */
export function votesOf(cert: Uint8Array): { kid: string; bytes: Uint8Array }[] {
  if (cert.length > certBytesMax) throw malformed("a certificate (too long)");
  const list = decode(cert);
  if (!Array.isArray(list) || list.length > 64 || !list.every((v) => v instanceof Uint8Array)) {
    throw malformed("a certificate");
  }
  return (list as Uint8Array[]).map((bytes) => ({ kid: open1(bytes).kid, bytes }));
}

/** Reads an entry without believing its signatures: its fields, its id, and who claims to have signed it. */
export function readEntry(bytes: Uint8Array): { entry: Entry; id: Uint8Array; kid: string } {
  if (bytes.length > entryBytesMax + 1024) throw malformed("an entry (too long)");
  const { kid, payload } = open1(bytes);
  const value = decode(payload);
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Map) {
    throw malformed("an entry");
  }
  const e = value as unknown as Entry;
  if (payload.length > bytesMaxOf(e.branch)) throw malformed("an entry (too long)");
  const first = e.seq === 1 && e.branch === CONTROL;
  const isNone = (v: unknown) => v instanceof Uint8Array && v.length === 0;
  const idOrNone = (v: unknown) => isId(v) || (first && isNone(v));
  if (
    !isCount(e.level) || !idOrNone(e.domain) || typeof e.branch !== "string" || !isCount(e.epoch) ||
    !isCount(e.seq) || e.seq < 1 || !(isId(e.prev) || (e.seq === 1 && isNone(e.prev))) || !isCount(e.term) ||
    !idOrNone(e.policy) ||
    !isCount(e.timeMs) || !isId(e.author) || !isId(e.origin) || typeof e.message !== "string" ||
    !Array.isArray(e.ops) || e.ops.length < 1 || e.ops.length > opsPerEntryMax ||
    (e.level <= ENTRY_LEVEL && Object.keys(value).length !== 13) || toHex(e.author) !== kid
  ) throw malformed("an entry");
  // What a higher level means is not ours to judge: only its place in the chain is.
  if (e.level <= ENTRY_LEVEL) {
    for (const [i, op] of e.ops.entries()) {
      checkOp(op);
      if (op.op === "effects" && e.ops[i - 1]?.op !== "exec") {
        throw malformed("an entry with effects of nothing");
      }
    }
  }
  return { entry: e, id: entryId(payload), kid };
}

/** Checks the author's and the origin's signature over an entry that was read. Throws a corrupt fault. */
export function checkSeals(
  record: EntryRecord,
  read: { entry: Entry; id: Uint8Array },
  authorKey: Uint8Array,
  hostKey: Uint8Array,
): void {
  const { domain, branch } = read.entry;
  verify1(record.entry, context(TYPE.entry, domain, branch), authorKey);
  const id = verify1(record.origin, context(TYPE.origin, domain, branch), hostKey);
  if (!bytesEqual(id, read.id)) throw malformed("an origin's signature (of another entry)");
}

const isCount = (v: unknown): v is number => typeof v === "number" && Number.isSafeInteger(v) && v >= 0;
const isId = (v: unknown): v is Uint8Array => v instanceof Uint8Array && v.length === 32;
const isText = (v: unknown): v is string => typeof v === "string" && !v.includes("\0");

/** The fields of each operation and what each must be. */
export const SHAPES: Record<Op["op"], Record<string, (v: unknown) => boolean>> = {
  file: { path: isText, tree: isId, kind: isText, files: isCount, bytes: isCount },
  delete: { path: isText },
  exec: {
    argv: (v) => Array.isArray(v) && v.length > 0 && v.every(isText),
    cwd: isText,
    umask: (v) => isCount(v) && v <= 0o777,
    env: (v) => isPlainMap(v) && Object.values(v as object).every(isText),
    user: isText,
    timeoutMs: isCount,
    stdin: (v) => v === null || isId(v),
  },
  effects: { list: isId, paths: isCount },
  reboot: {},
  roots: {
    keys: (v) => Array.isArray(v) && v.length > 0 && v.length <= rootKeysMax && v.every(isId),
    threshold: isCount,
  },
  host: { key: isId, net: isId, name: isText },
  person: { key: isId, name: isText },
  grant: { key: isId, role: isText, branch: isText },
  revoke: { key: isId, cuts: isCuts, reason: isText },
  rotate: { old: isId, key: isId, net: (v) => v === null || isId(v), cuts: isCuts },
  acknowledge: {
    key: isId,
    proofs: (v) => Array.isArray(v) && v.length > 0 && v.length <= forksPerKeyMax && v.every(isId),
  },
  keepers: {
    hosts: (v) => Array.isArray(v) && v.length > 0 && v.length <= keepersMax && v.every(isId),
    quorum: isCount,
    cuts: isCuts,
    terms: isCuts,
  },
  register: { kind: isText, quorum: isCount, cuts: isCuts, terms: isCuts },
  branch: {
    name: isText,
    from: (v) =>
      v === null ||
      (isPlainMap(v) && isText((v as { branch?: unknown }).branch) && isCount((v as { seq?: unknown }).seq) &&
        isId((v as { id?: unknown }).id) && Object.keys(v as object).length === 3),
  },
  epoch: {
    hosts: (v) => Array.isArray(v) && v.length > 0 && v.length <= keepersMax && v.every(isId),
    quorum: isCount,
    bases: (v) => isPlainMap(v) && Object.values(v as object).every(isBase),
    drops: (v) => Array.isArray(v) && v.length <= dropsMax && v.every(isId),
  },
  signed: {
    after: isId,
    signatures: (v) =>
      Array.isArray(v) && v.length <= rootKeysMax && v.every((one) => one instanceof Uint8Array),
  },
};

function isBase(v: unknown): boolean {
  const [seq, id] = Array.isArray(v) && v.length === 2 ? v : [];
  return isCount(seq) && (seq === 0 ? id instanceof Uint8Array && id.length === 0 : isId(id));
}

function isCuts(v: unknown): boolean {
  return isPlainMap(v) && Object.values(v as object).every(isCount);
}

function isPlainMap(v: unknown): boolean {
  return v !== null && typeof v === "object" && !Array.isArray(v) && !(v instanceof Map) &&
    !(v instanceof Uint8Array);
}

/** Throws a corrupt fault unless `op` is one this level knows, with exactly its fields. */
export function checkOp(op: Op): void {
  const shape = isPlainMap(op) && Object.hasOwn(SHAPES, op.op) ? SHAPES[op.op] : undefined;
  if (shape === undefined || Object.keys(op).length !== Object.keys(shape).length + 1) {
    throw malformed("an operation");
  }
  for (const [field, holds] of Object.entries(shape)) {
    if (!holds((op as unknown as Record<string, unknown>)[field])) {
      throw malformed(`the ${field} of an operation`);
    }
  }
}

function malformed(what: string): Fault {
  return new Fault("entry", "corrupt", `${what} is malformed`, { hint: "isconf verify" });
}
