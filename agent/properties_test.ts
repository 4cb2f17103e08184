// Properties of agent: what holds for any entry, promise, claim, record and token, tried on many made by chance.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Cbor,
  compareBytes,
  decode,
  encode,
  encodeFrame,
  Fault,
  generateKeyPair,
  keyId,
  readFrames,
  sha256,
  sign1,
  systemClock,
  toHex,
  VirtualClock,
} from "../mq/mod.ts";
import { ById } from "./byid.ts";
import { BUNDLE } from "./bundle.ts";
import {
  checkSeals,
  context,
  type Entry,
  ENTRY_LEVEL,
  type EntryRecord,
  openVote,
  readEntry,
  sealEntry,
  sealVote,
  TYPE,
} from "./entry.ts";
import { readRecord, writeRecord } from "./intake.ts";
import {
  openClaim,
  openReply,
  openRequest,
  type RequestWords,
  sealClaim,
  sealReply,
  sealRequest,
} from "./keeper_words.ts";
import { type NameWords, readName, sealName } from "./name_records.ts";
import { count, id, op, plain, word } from "./ops_fixture.ts";
import { decodeProof, encodeProof, openPromise, type Proof, sealPromise } from "./promises.ts";
import { parseWindowSize, STREAM } from "./streamtypes.ts";
import { readToken, writeToken } from "./token.ts";
import type { HostRecord, Policy } from "./trust.ts";

const clock = new VirtualClock(11);
const [ALICE, HOST, OTHER] = Array.from({ length: 3 }, () => generateKeyPair(clock)) as [
  ReturnType<typeof generateKeyPair>,
  ReturnType<typeof generateKeyPair>,
  ReturnType<typeof generateKeyPair>,
];
const idBytes = (key: { publicKey: Uint8Array }) => sha256(key.publicKey);
const DOMAIN = sha256(Uint8Array.of(1));

const isCorrupt = (e: unknown) => e instanceof Fault && e.kind === "corrupt";
const branch = fc.constantFrom("main", "web", "a-b");

/** With one bit changed. */
function flip(bytes: Uint8Array, n: number): Uint8Array {
  const other = bytes.slice();
  const bit = n % (8 * bytes.length);
  other[bit >> 3]! ^= 1 << (bit & 7);
  return other;
}

const entry: fc.Arbitrary<Entry> = fc.record({
  level: fc.constant(ENTRY_LEVEL),
  domain: fc.constant(DOMAIN),
  branch,
  epoch: count,
  seq: fc.integer({ min: 2, max: Number.MAX_SAFE_INTEGER }),
  prev: id,
  term: count,
  policy: id,
  timeMs: count,
  author: fc.constant(idBytes(ALICE)),
  origin: fc.constant(idBytes(HOST)),
  message: word,
  ops: fc.array(op, { minLength: 1, maxLength: 3 })
    .map((ops) => ops.filter(({ op }, i) => op !== "effects" || ops[i - 1]?.op === "exec")) // those of nothing are refused
    .filter((ops) => ops.length > 0),
}, plain);

/** Objects that were decoded have no prototype. */
const bare = (value: unknown): unknown => decode(encode(value as Cbor));

test("property: an entry is read as it was sealed; with any bit changed it is refused when read or by its seals", () => {
  fc.assert(
    fc.property(entry, fc.nat(), (one, n) => {
      const sealed = sealEntry(one, ALICE, HOST);
      const read = readEntry(sealed.entry);
      assert.deepEqual(read.entry, bare(one));
      assert.deepEqual([read.id, read.kid], [sealed.id, keyId(ALICE.publicKey)]);
      const check = (record: EntryRecord) =>
        checkSeals(record, readEntry(record.entry), ALICE.publicKey, HOST.publicKey);
      const record = { ...sealed, cert: new Uint8Array(0) };
      check(record);
      assert.throws(() => check({ ...record, entry: flip(record.entry, n) }), isCorrupt);
      assert.throws(() => check({ ...record, origin: flip(record.origin, n) }), isCorrupt);
      assert.deepEqual(readRecord(decode(encode(writeRecord(record)))), {
        entry: sealed.entry,
        origin: sealed.origin,
        cert: record.cert,
      });
    }),
    { numRuns: 200, seed: 1 },
  );
});

test("property: an entry with a field left out, added or of another kind is refused", () => {
  const strange = fc.constantFrom<Cbor>(null, -1, true, new Uint8Array(31), { a: 1 });
  fc.assert(
    fc.property(entry, fc.nat(), strange, fc.nat(2), (one, n, value, how) => {
      const fields = Object.keys(one).filter((field) => field !== "branch" && field !== "domain"); // also of the context
      const field = fields[n % fields.length] as string;
      const changed: Record<string, unknown> = { ...one };
      if (how === 0) delete changed[field];
      else if (how === 1) changed.more = value;
      else changed[field] = value;
      const payload = encode(changed as { [name: string]: Cbor });
      const sealed = sign1(ALICE, context(TYPE.entry, one.domain, one.branch), payload);
      assert.throws(() => readEntry(sealed), isCorrupt, field);
    }),
    { numRuns: 300, seed: 2 },
  );
});

const proof: fc.Arbitrary<Proof> = fc.record({
  promises: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }),
  past: fc.array(
    fc.record({
      term: count,
      batch: id,
      promises: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 3 }),
    }, plain),
    { maxLength: 3 },
  ),
}, plain);

test("property: proofs, promises and votes are read as they were written, and with any bit changed not at all", () => {
  const vote = fc.record({ epoch: count, term: count, seq: count, id }, plain);
  const voted = fc.option(fc.record({ term: count, batch: id }, plain));
  const words = fc.record({ epoch: count, term: count, seq: count, id, holder: id, host: id, voted }, plain);
  fc.assert(
    fc.property(proof, vote, words, branch, fc.nat(), (proof, vote, words, branch, n) => {
      assert.deepEqual(decodeProof(encodeProof(proof)), proof);
      const promise = sealPromise(words, DOMAIN, branch, HOST);
      assert.deepEqual(openPromise(promise, DOMAIN, branch, HOST.publicKey), bare(words));
      const ballot = sealVote(vote, DOMAIN, branch, HOST);
      assert.deepEqual(openVote(ballot, DOMAIN, branch, HOST.publicKey), bare(vote));
      for (const bytes of [flip(promise, n), ballot]) {
        assert.throws(() => openPromise(bytes, DOMAIN, branch, HOST.publicKey), isCorrupt);
      }
      for (const bytes of [flip(ballot, n), promise]) {
        assert.throws(() => openVote(bytes, DOMAIN, branch, HOST.publicKey), isCorrupt);
      }
      assert.throws(() => openVote(ballot, DOMAIN, `${branch}x`, HOST.publicKey), isCorrupt);
    }),
    { numRuns: 150, seed: 3 },
  );
});

const policy = {
  domain: DOMAIN,
  hosts: ById.empty<HostRecord>().with(keyId(HOST.publicKey), {
    key: HOST.publicKey,
    net: HOST.publicKey,
    name: "h",
  })
    .with(keyId(OTHER.publicKey), { key: OTHER.publicKey, net: OTHER.publicKey, name: "o" }),
  revoked: ById.empty(),
} as unknown as Policy;

const bytes = fc.uint8Array({ maxLength: 30 });
const request = fc.oneof(
  fc.constant({ what: "look" }),
  fc.record({ what: fc.constant("claim"), claim: bytes, freed: bytes }, {
    ...plain,
    requiredKeys: ["what", "claim"],
  }),
  fc.record({
    what: fc.constant("stage"),
    batch: id,
    part: count,
    entries: fc.array(fc.tuple(bytes, bytes), { maxLength: 3 }),
  }, plain),
  fc.record({ what: fc.constant("certify"), batch: id, parts: count, term: count, proof: bytes }, {
    ...plain,
    requiredKeys: ["what", "batch", "parts", "term"],
  }),
  fc.record(
    { what: fc.constant("keep"), batch: id, first: count, certs: fc.array(bytes, { maxLength: 3 }) },
    plain,
  ),
  fc.record({ what: fc.constant("more"), of: bytes, offset: count }, plain),
) as fc.Arbitrary<RequestWords>;

test("property: a request is good for one keeper, a reply for one request, a claim for one branch; each with all its bits", () => {
  const claim = fc.record({
    what: fc.constantFrom("lock" as const, "unlock" as const, "change" as const),
    host: id,
    message: word,
    after: count,
    steal: fc.boolean(),
    seq: count,
    id,
  }, plain);
  const nonce = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const [from, keeper] = [keyId(HOST.publicKey), keyId(OTHER.publicKey)];
  fc.assert(
    fc.property(request, claim, nonce, branch, fc.nat(), (body, claim, nonce, branch, n) => {
      const to = { domain: DOMAIN, branch, keeper: idBytes(OTHER), nonce };
      const asked = sealRequest(body, to, HOST);
      assert.deepEqual(openRequest(asked, policy, branch, from, idBytes(OTHER)), { nonce, body: bare(body) });
      assert.throws(() => openRequest(asked, policy, branch, from, idBytes(HOST)), isCorrupt);
      assert.throws(() => openRequest(asked, policy, `${branch}x`, from, idBytes(OTHER)), isCorrupt);
      assert.throws(() => openRequest(flip(asked, n), policy, branch, from, idBytes(OTHER)), isCorrupt);
      const said = sealReply(body as unknown as Cbor, nonce, DOMAIN, branch, OTHER);
      assert.deepEqual(openReply(said, nonce, policy, branch, keeper), bare(body));
      assert.throws(() => openReply(said, flip(nonce, n), policy, branch, keeper), isCorrupt);
      assert.throws(() => openReply(flip(said, n), nonce, policy, branch, keeper), isCorrupt);
      const claimed = sealClaim(claim, DOMAIN, branch, ALICE);
      assert.deepEqual(openClaim(claimed, DOMAIN, branch, ALICE.publicKey), bare(claim));
      assert.throws(() => openClaim(claimed, DOMAIN, `${branch}x`, ALICE.publicKey), isCorrupt);
      assert.throws(() => openClaim(flip(claimed, n), DOMAIN, branch, ALICE.publicKey), isCorrupt);
    }),
    { numRuns: 100, seed: 4 },
  );
});

test("property: a record of a name is read as it was sealed, and nothing that differs in a field's form", () => {
  const isNone = fc.boolean();
  const words: fc.Arbitrary<NameWords> = fc.record({
    v: fc.constant(1),
    name: fc.stringMatching(/^[a-z]{1,8}\/[a-z]{1,8}$/),
    seq: fc.integer({ min: 1, max: 2 ** 40 }),
    id,
    kind: fc.constantFrom("file", "tree"),
    size: count,
    copies: fc.integer({ min: 1, max: 5 }),
    after: fc.uniqueArray(id, { maxLength: 3, selector: toHex }).map((ids) => ids.sort(compareBytes)),
    policy: count,
    timeMs: fc.nat(),
    host: fc.constant(idBytes(HOST)),
    author: fc.constant(idBytes(ALICE)),
  }, plain);
  fc.assert(
    fc.property(
      words,
      isNone,
      fc.nat(),
      fc.constantFrom<Cbor>(null, -1, [], "\0"),
      (words, isNone, n, value) => {
        const none = { id: new Uint8Array(0), kind: "", copies: 0, size: 0 };
        const one = isNone ? { ...words, ...none } : words;
        const record = sealName(one, DOMAIN, ALICE);
        assert.deepEqual(record.words, bare(one));
        assert.deepEqual(readName(record.bytes), record);
        const fields = Object.keys(one);
        const field = fields[n % fields.length] as string;
        if (field === "after" && Array.isArray(value)) return;
        assert.throws(
          () => sealName({ ...one, [field]: value } as NameWords, DOMAIN, ALICE),
          isCorrupt,
          field,
        );
      },
    ),
    { numRuns: 200, seed: 5 },
  );
});

test("property: frames of a stream and of a bundle come as they were sent, however the line cuts them", async () => {
  const types = [...Object.values(STREAM), ...Object.values(BUNDLE)];
  const frame = fc.record({
    type: fc.constantFrom(...types),
    channel: fc.constant(0),
    body: fc.uint8Array({ maxLength: 200 }),
  }, plain);
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }),
      async (frames, lengths) => {
        const all = new Uint8Array(
          await new Blob(frames.map((f) => encodeFrame(f) as Uint8Array<ArrayBuffer>)).arrayBuffer(),
        );
        async function* line() {
          for (let at = 0, i = 0; at < all.length; at += lengths[i++ % lengths.length] as number) {
            yield await Promise.resolve(all.subarray(at, at + (lengths[i % lengths.length] as number)));
          }
        }
        const read = [];
        for await (const one of readFrames(line(), systemClock)) read.push(one);
        assert.deepEqual(read, frames);
      },
    ),
    { numRuns: 150, seed: 6 },
  );
});

test("property: a token and a window size are read as they were written; other words are refused", () => {
  const token = fc.record({
    domain: id,
    id: word,
    secret: id,
    addresses: fc.array(word, { maxLength: 3 }),
    net: id,
  }, plain);
  fc.assert(
    fc.property(
      token,
      fc.nat(),
      fc.string({ maxLength: 20 }),
      fc.nat(9999),
      fc.nat(9999),
      (one, n, text, rows, columns) => {
        const written = writeToken(one);
        assert.deepEqual(readToken(written), one);
        const at = n % written.length;
        for (const other of [text, written.slice(0, at), `${written.slice(0, at)} ${written.slice(at)}`]) {
          assert.throws(() => readToken(other), { kind: "usage" });
        }
        assert.deepEqual(parseWindowSize(`${rows}x${columns}`), { rows, columns });
        const size = parseWindowSize(text);
        if (size !== undefined) assert.match(text, /^\d{1,4}x\d{1,4}$/);
      },
    ),
    { numRuns: 500, seed: 7 },
  );
});
