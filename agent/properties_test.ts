// Properties of agent: what holds for any entry, promise, claim, record and token, and for any order of what is done to locks,
// history and work, tried on many made by chance.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { Db } from "../fs/mod.ts";
import {
  bytesEqual,
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
  type Op,
  openVote,
  readEntry,
  sealEntry,
  sealVote,
  TYPE,
} from "./entry.ts";
import { History } from "./history.ts";
import { readRecord, writeRecord } from "./intake.ts";
import { type Claim, type Held, Keeper } from "./keeper.ts";
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
import { decodeProof, encodeProof, openPromise, type Proof, sealPromise } from "./promises.ts";
import { openAgentDb } from "./schema.ts";
import { parseWindowSize, STREAM } from "./streamtypes.ts";
import { readToken, writeToken } from "./token.ts";
import type { HostRecord, Policy } from "./trust.ts";
import { Wip } from "./wip.ts";

const clock = new VirtualClock(11);
const [ALICE, HOST, OTHER] = Array.from({ length: 3 }, () => generateKeyPair(clock)) as [
  ReturnType<typeof generateKeyPair>,
  ReturnType<typeof generateKeyPair>,
  ReturnType<typeof generateKeyPair>,
];
const idBytes = (key: { publicKey: Uint8Array }) => sha256(key.publicKey);
const DOMAIN = sha256(Uint8Array.of(1));

const plain = { noNullPrototype: true };
const isCorrupt = (e: unknown) => e instanceof Fault && e.kind === "corrupt";
const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
const count = fc.oneof(fc.nat(), fc.nat(Number.MAX_SAFE_INTEGER));
const word = fc.string({ unit: "grapheme", maxLength: 12 }).filter((s) =>
  !s.includes("\0") && !s.startsWith("\ufeff")
);
const branch = fc.constantFrom("main", "web", "a-b");

/** With one bit changed. */
function flip(bytes: Uint8Array, n: number): Uint8Array {
  const other = bytes.slice();
  const bit = n % (8 * bytes.length);
  other[bit >> 3]! ^= 1 << (bit & 7);
  return other;
}

const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    op: fc.constant("file" as const),
    path: word,
    tree: id,
    kind: word,
    files: count,
    bytes: count,
  }, plain),
  fc.record({ op: fc.constant("delete" as const), path: word }, plain),
  fc.record({
    op: fc.constant("exec" as const),
    argv: fc.array(word, { minLength: 1, maxLength: 4 }),
    cwd: word,
    umask: fc.nat(0o777),
    env: fc.dictionary(word, word, { maxKeys: 3, noNullPrototype: true }),
    user: word,
    timeoutMs: count,
    stdin: fc.option(id),
  }, plain),
  fc.constant({ op: "reboot" as const }),
  fc.record({ op: fc.constant("grant" as const), key: id, role: word, branch: word }, plain),
);
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
  ops: fc.array(op, { minLength: 1, maxLength: 3 }),
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
  fc.record({ what: fc.constant("keep"), batch: id, certs: fc.array(bytes, { maxLength: 3 }) }, plain),
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

/** Runs `fn` with an agent's database of its own. */
async function withDb(fn: (db: Db) => Promise<void> | void): Promise<void> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-properties-"));
  const db = openAgentDb(path.join(dir, "agent.db"));
  try {
    await fn(db);
  } finally {
    db.close();
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** What a keeper has promised, and voted for, as simply as can be. */
interface Promised {
  term: number;
  who: string;
  held: boolean;
  accepted: { term: number; seq: number } | undefined;
}

const claimOf = (who: string): Claim => ({
  holder: who,
  holderName: who,
  host: "h",
  hostName: "h",
  message: who,
});

interface Real {
  db: Db;
  keeper: Keeper;
}
type Do = fc.Command<Promised, Real>;

/** After each: what the keeper says is what the model says, and its term has not fallen. */
function compare(model: Promised, { keeper }: Real, before: number): void {
  const now = keeper.holder("main");
  assert.equal(now?.term ?? 0, model.term);
  assert.equal(now?.held ?? false, model.held);
  if (now?.held) assert.equal(now.holder, model.who);
  assert.ok(model.term >= before);
  const accepted = keeper.accepted("main");
  assert.deepEqual(accepted && { term: accepted.term, seq: accepted.seq }, model.accepted);
}

function command(text: string, run: (model: Promised, real: Real) => void): Do {
  return {
    check: () => true,
    run(model, real) {
      const before = model.term;
      run(model, real);
      compare(model, real, before);
    },
    toString: () => text,
  };
}

const promise = (who: string, steal: boolean, after: number | undefined): Do =>
  command(`promise ${who} ${steal} ${after}`, (model, { db, keeper }) => {
    const ask = () => db.write((tx) => keeper.promise(tx, "main", claimOf(who), 1, { steal, after }));
    const own = model.held && model.who === who;
    if (model.held && !own && !steal) return assert.throws(ask, { kind: "locked" });
    const told = ask();
    if (!own || (after !== undefined && after >= model.term)) {
      model.term = Math.max(model.term, after ?? 0) + 1;
    }
    Object.assign(model, { who, held: true });
    assert.equal(told.term, model.term);
  });

const accept = (term: number, seq: number): Do =>
  command(`accept ${term} ${seq}`, (model, { db, keeper }) => {
    const proposal = {
      branch: "main",
      epoch: 0,
      seq,
      id: sha256(Uint8Array.of(seq)),
      entry: new Uint8Array(1),
      origin: new Uint8Array(1),
    };
    db.write((tx) => keeper.accept(tx, "main", term, [proposal], { promises: [], past: [] }));
    model.accepted = { term, seq };
    assert.ok(bytesEqual(keeper.accepted("main")!.records[0]![0]!, proposal.entry));
  });

const settle = (seq: number, term: number): Do =>
  command(`settle ${seq} ${term}`, (model, { db, keeper }) => {
    db.write((tx) => keeper.settle(tx, "main", seq, term));
    if ((model.accepted?.seq ?? Infinity) <= seq) model.accepted = undefined;
    if (model.term <= term) model.held = false;
  });

const learn = (term: number, who: string, held: boolean): Do =>
  command(`learn ${term} ${who} ${held}`, (model, { db, keeper }) => {
    const heard: Held = { ...claimOf(who), branch: "main", term, held, sinceMs: 1, change: false };
    const isKnown = keeper.holder("main") !== undefined;
    db.write((tx) => keeper.learn(tx, heard));
    if (!isKnown || model.term < term) Object.assign(model, { term, who, held });
    else if (model.term === term) Object.assign(model, { who, held: held && model.held });
  });

const release: Do = command("release", (model, { db, keeper }) => {
  db.write((tx) => keeper.release(tx, "main"));
  model.held = false;
});

const restart: Do = command("restart", (_, real) => {
  real.keeper = new Keeper(real.db, () => HOST);
});

test("property: a keeper's terms never fall, one claim holds it, what it voted for stays known, in any order of all that is asked", async () => {
  const who = fc.constantFrom("alice", "bob", "carol"), term = fc.nat(12);
  await withDb((db) => {
    fc.assert(
      fc.property(
        fc.commands([
          fc.tuple(who, fc.boolean(), fc.option(term, { nil: undefined })).map((args) => promise(...args)),
          fc.tuple(who, fc.boolean(), fc.option(term, { nil: undefined })).map((args) => promise(...args)),
          fc.tuple(term, fc.integer({ min: 1, max: 4 })).map((args) => accept(...args)),
          fc.tuple(fc.nat(4), term).map((args) => settle(...args)),
          fc.tuple(term, who, fc.boolean()).map((args) => learn(...args)),
          fc.constant(release),
          fc.constant(restart),
        ], { size: "+1" }),
        (commands) => {
          db.write((tx) => ["promise", "accepted"].forEach((table) => tx.run(`DELETE FROM ${table}`)));
          const model: Promised = { term: 0, who: "", held: false, accepted: undefined };
          fc.modelRun(() => ({ model, real: { db, keeper: new Keeper(db, () => HOST) } }), commands);
        },
      ),
      { numRuns: 40, seed: 8 },
    );
  });
});

test("property: the history is the rows that were begun, ended and taken back, and what is applied never overtakes", async () => {
  const states: Record<string, string> = {};
  const step = fc.oneof(
    fc.record({ what: fc.constantFrom("intent", "reboot"), seq: fc.integer({ min: 1, max: 6 }) }, plain),
    fc.record(
      { what: fc.constantFrom("done", "failed", "never"), seq: fc.integer({ min: 1, max: 6 }) },
      plain,
    ),
  );
  await withDb((db) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        db.write((tx) => tx.run("DELETE FROM history"));
        for (const seq of Object.keys(states)) delete states[seq];
        const history = new History(db);
        for (const { what, seq } of steps) {
          db.write((tx) => {
            if (what === "intent" || what === "reboot") {
              history.intent(tx, {
                seq,
                id: sha256(Uint8Array.of(seq)),
                boot: "b",
                startedMs: 1,
                state: what,
              });
              states[seq] = what;
            } else if (what === "never") {
              history.neverStarted(tx, seq);
              if (["intent", "reboot"].includes(states[seq] ?? "")) delete states[seq];
            } else {
              history.ended(tx, seq, { status: what === "done" ? 0 : 3, endedMs: 2 });
              if (states[seq] !== undefined) states[seq] = what;
            }
          });
          const rows = Object.entries(states).map(([seq, state]) => [Number(seq), state]);
          assert.deepEqual(history.range(1, 6).map((row) => [row.seq, row.state]), rows);
          const [last, state] = (rows.at(-1) ?? [0, "done"]) as [number, string];
          assert.equal(history.applied(), state === "done" ? last : last - 1);
          assert.equal(history.last()?.seq ?? 0, last);
          assert.equal(history.at(seq)?.state, states[seq]);
        }
      }),
      { numRuns: 40, seed: 9 },
    );
  });
});

test("property: work is the list of what was added and not dropped, each as it was, in order", async () => {
  const step = fc.record({
    what: fc.constantFrom("add", "add", "done", "change", "drop", "rebase", "move", "dropAll"),
    n: fc.nat(5),
    op,
    author: fc.constantFrom("alice", "bob"),
    value: fc.nat(9),
  }, plain);
  await withDb((db) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const wip = new Wip(db);
        db.write((tx) => wip.dropAll(tx));
        type Item = ReturnType<Wip["items"]>[number];
        let items: Item[] = [];
        for (const { what, n, op, author, value } of steps) {
          const at = items[n % (items.length || 1)];
          db.write((tx) => {
            if (what === "add") {
              const base = {
                branch: "main",
                term: 1,
                baseSeq: 0,
                baseId: DOMAIN,
                uid: 0,
                message: "m",
                boot: "b",
                startedMs: 1,
              };
              const item = { ...base, author, op, state: "intent" as const };
              items.push({ ...item, n: wip.add(tx, item), endedMs: null, status: null, output: null });
            } else if (what === "rebase") {
              wip.rebase(tx, value, sha256(Uint8Array.of(value)));
              items = items.map((one) => ({ ...one, baseSeq: value, baseId: sha256(Uint8Array.of(value)) }));
            } else if (what === "move") {
              wip.moveTo(tx, value);
              items = items.map((one) => ({ ...one, term: value }));
            } else if (what === "dropAll") {
              if (value > 0) return;
              wip.dropAll(tx);
              items = [];
            } else if (at === undefined) return;
            else if (what === "done") {
              wip.done(tx, at.n, { endedMs: 2, status: value, output: DOMAIN });
              Object.assign(at, { state: "done", endedMs: 2, status: value, output: DOMAIN });
            } else if (what === "change") {
              wip.changeOp(tx, at.n, op);
              at.op = op;
            } else {
              wip.drop(tx, at.n);
              items = items.filter((one) => one !== at);
            }
          });
          const bared = (all: Item[]) => all.map((one) => ({ ...one, op: bare(one.op) }));
          assert.deepEqual(bared(wip.items().map((one) => ({ ...one }))), bared(items));
          assert.equal(wip.count(), items.length);
          for (const who of ["alice", "bob"]) {
            const own = items.filter((one) => one.author === who);
            const lost = own.find((one) => one.term !== value);
            const told = wip.heldBy(who, value);
            assert.equal(told.count, own.length);
            assert.deepEqual(
              told.lost && { ...told.lost },
              lost && { term: lost.term, baseSeq: lost.baseSeq },
            );
          }
        }
      }),
      { numRuns: 40, seed: 10 },
    );
  });
});
