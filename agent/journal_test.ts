// journal, entry, trust: what is refused by name, with the host's state unchanged; and what is accepted.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encode,
  fromHex,
  generateKeyPair,
  keyId,
  type KeyPair,
  sign1,
  systemClock,
  toHex,
} from "../mq/mod.ts";
import { faultOf, grantTo, makeFirstHost, run, type TestHost } from "../tests/world.ts";
import {
  type Entry,
  ENTRY_LEVEL,
  type EntryRecord,
  type Op,
  readEntry,
  sealEntry,
  sealVote,
  TYPE,
  votesOf,
} from "./entry.ts";
import { revokeKey } from "./fixture.ts";
import { hostPair, personPair } from "./host.ts";

/** A host with one entry on main, and a maker of a next entry that is right in everything unless changed. */
async function withOneEntry(t: Parameters<typeof makeFirstHost>[0]) {
  const host = await makeFirstHost(t);
  await host.acts.locks.lock(host.call(), "why");
  await run(host, ["/bin/true"]);
  await host.acts.checkin.ci(host.call());
  return host;
}

interface Change {
  entry?: Partial<Entry>;
  author?: KeyPair;
  origin?: KeyPair;
  keeper?: KeyPair;
  vote?: { epoch?: number; term?: number; seq?: number; id?: Uint8Array };
  votes?: number;
}

function next(host: TestHost, change: Change = {}): EntryRecord {
  const { journal } = host.agent.host;
  const head = journal.head("main");
  const policy = journal.needPolicy("test");
  const self = hostPair(host.agent.host);
  const author = change.author ?? personPair(host.agent.host, host.call().actor);
  const entry: Entry = {
    level: ENTRY_LEVEL,
    domain: policy.domain,
    branch: "main",
    epoch: 0,
    seq: head.seq + 1,
    prev: head.id,
    term: 2,
    policy: policy.head,
    timeMs: 1,
    author: fromHex(keyId(author.publicKey)),
    origin: fromHex(keyId(self.publicKey)),
    message: "m",
    ops: [{ op: "delete", path: "/tmp/x" }],
    ...change.entry,
  };
  const sealed = sealEntry(entry, author, change.origin ?? self);
  const vote = { epoch: entry.epoch, term: entry.term, seq: entry.seq, id: sealed.id, ...change.vote };
  const one = sealVote(vote, entry.domain, entry.branch, change.keeper ?? self);
  return { entry: sealed.entry, origin: sealed.origin, cert: encode(Array(change.votes ?? 1).fill(one)) };
}

const check = (host: TestHost, record: EntryRecord) =>
  host.agent.host.journal.check(record, host.agent.host.journal.head("main"));

test("the right next entry passes every check", async (t) => {
  const host = await withOneEntry(t);
  assert.equal(check(host, next(host)).entry.seq, 2);
});

test("each wrong entry is refused by name and changes nothing", async (t) => {
  const host = await withOneEntry(t);
  const stranger = generateKeyPair(systemClock);
  const cases: [string, Change, RegExp, string][] = [
    ["a gap", { entry: { seq: 4 } }, /entry 4 of main does not follow entry 1/, "corrupt"],
    ["a repetition", { entry: { seq: 1 } }, /does not follow/, "corrupt"],
    ["a broken chain", { entry: { prev: new Uint8Array(32) } }, /chain is broken there/, "corrupt"],
    ["another domain", { entry: { domain: new Uint8Array(32) } }, /another domain/, "corrupt"],
    ["a branch nobody made", { entry: { branch: "other" } }, /branch nobody made/, "corrupt"],
    [
      "an unknown policy",
      { entry: { policy: new Uint8Array(32) } },
      /policy this host does not hold/,
      "refused",
    ],
    ["a stranger as author", { author: stranger }, /had no right to write/, "denied"],
    ["a stranger as origin", { origin: stranger }, /signature|key/, "corrupt"],
    ["a stranger's vote", { keeper: stranger }, /votes of 0 keepers and needs 1/, "corrupt"],
    ["no vote", { votes: 0 }, /votes of 0 keepers/, "corrupt"],
    ["a vote for another place", { vote: { seq: 9 } }, /votes of 0 keepers/, "corrupt"],
    ["a vote for another entry", { vote: { id: new Uint8Array(32) } }, /votes of 0 keepers/, "corrupt"],
    ["a vote of an older term", { vote: { term: 1 } }, /votes of 0 keepers/, "corrupt"],
    ["a vote of another epoch", { vote: { epoch: 1 } }, /votes of 0 keepers/, "corrupt"],
    ["a term out of reach", { entry: { term: 2 ** 53 - 1 } }, /jumps in its term/, "corrupt"],
    ["a newer level", { entry: { level: ENTRY_LEVEL + 1 } }, /needs an agent of level 2/, "refused"],
  ];
  for (const [name, change, message, kind] of cases) {
    const fault = await faultOf(() => check(host, next(host, change)));
    assert.match(fault.message, message, name);
    assert.equal(fault.kind, kind, name);
  }
  assert.equal(host.agent.host.journal.head("main").seq, 1);
});

test("a record that is truncated, extended, or changed in any single byte is refused", async (t) => {
  const host = await withOneEntry(t);
  const good = next(host);
  for (const part of ["entry", "origin", "cert"] as const) {
    const bytes = good[part];
    for (const bad of [bytes.subarray(0, -1), new Uint8Array([...bytes, 0]), new Uint8Array(0)]) {
      await faultOf(() => check(host, { ...good, [part]: bad }));
    }
    for (let i = 0; i < bytes.length; i += 7) {
      const bad = bytes.slice();
      bad[i] = (bad[i] as number) ^ 0x10;
      await faultOf(() => check(host, { ...good, [part]: bad }));
    }
  }
});

test("a signature made for one type is worth nothing as another: entry, origin's word and vote", async (t) => {
  const host = await withOneEntry(t);
  const good = next(host);
  const { entry, id } = readEntry(good.entry);
  const self = hostPair(host.agent.host);
  const place = { domain: entry.domain, branch: entry.branch };
  for (const type of [TYPE.entry, TYPE.vote]) {
    const origin = sign1(self, { type, ...place }, id);
    await faultOf(() => check(host, { ...good, origin }));
  }
  const other = sign1(self, { type: TYPE.origin, ...place }, new Uint8Array(32));
  assert.match((await faultOf(() => check(host, { ...good, origin: other }))).message, /of another entry/);
  const payload = encode({ epoch: 0, term: 2, seq: 2, id });
  for (const [type, branch] of [[TYPE.origin, "main"], [TYPE.vote, "other"]] as const) {
    const cert = encode([sign1(self, { type, domain: entry.domain, branch }, payload)]);
    await faultOf(() => check(host, { ...good, cert }));
  }
});

test("one keeper's vote counts once, however often it is there", async (t) => {
  const host = await withOneEntry(t);
  assert.equal(check(host, next(host, { votes: 3 })).entry.seq, 2);
  const others = [generateKeyPair(systemClock), generateKeyPair(systemClock)];
  const self = hostPair(host.agent.host);
  const named = others.map((o, i) => ({
    op: "host" as const,
    key: o.publicKey,
    net: o.publicKey,
    name: `host${i}`,
  }));
  extend(host, named);
  const hosts = [self, ...others].map((o) => fromHex(keyId(o.publicKey)));
  extend(host, [{ op: "keepers", hosts, quorum: 2, cuts: { main: 1 }, terms: {} }], undefined, ...others);
  assert.match(
    (await faultOf(() => check(host, next(host, { votes: 3 })))).message,
    /votes of 1 keepers and needs 2/,
  );
  const one = next(host);
  const { entry, id } = readEntry(one.entry);
  const vote = (pair: KeyPair) => sealVote({ epoch: 0, term: 2, seq: 2, id }, entry.domain, "main", pair);
  const bob = generateKeyPair(systemClock);
  assert.equal(check(host, { ...one, cert: encode([vote(self), vote(others[0] as KeyPair)]) }).entry.seq, 2);
  const late = sealVote({ epoch: 0, term: 9, seq: 2, id }, entry.domain, "main", self);
  const votes = [
    late,
    vote(self),
    sealVote({ epoch: 0, term: 2 ** 50, seq: 2, id }, entry.domain, "main", bob),
  ];
  const mixed = check(host, { ...one, cert: encode([...votes, vote(others[0] as KeyPair)]) });
  assert.equal(mixed.term, 2, "a vote of another term, and one of nobody, change nothing");
});

/** Extends the control journal by an entry of the first owner's, or of somebody else's. */
function extend(host: TestHost, ops: Entry["ops"], author?: KeyPair, ...others: KeyPair[]): void {
  const { journal, db } = host.agent.host;
  const { seq, id: prev } = journal.head("@domain");
  const place = { branch: "@domain", seq: seq + 1, prev, policy: prev, term: 0, ops };
  const record = next(host, { entry: place, ...(author === undefined ? {} : { author }) });
  const { entry, id } = readEntry(record.entry);
  const vote = { epoch: 0, term: 0, seq: entry.seq, id };
  const votes = others.map((key) => sealVote(vote, entry.domain, "@domain", key));
  const cert = encode([...votesOf(record.cert).map(({ bytes }) => bytes), ...votes]);
  const checked = journal.check({ ...record, cert }, journal.head("@domain"));
  db.write((tx) => journal.append(tx, [checked]));
}

test("who may write to a branch may not write to the control journal, whatever tool makes the entry", async (t) => {
  const host = await withOneEntry(t);
  await grantTo(host, 2_012_345_678, "bob", "append", "main");
  const bob = personPair(host.agent.host, { uid: 2_012_345_678, name: "bob" });
  const key = fromHex(keyId(bob.publicKey));
  for (
    const op of [
      { op: "grant", key, role: "owner", branch: "*" },
      { op: "keepers", hosts: [key], quorum: 1, cuts: {}, terms: {} },
      { op: "host", key: bob.publicKey, net: bob.publicKey, name: "evil" },
      { op: "branch", name: "mine", from: null },
      { op: "roots", keys: [bob.publicKey], threshold: 1 },
      { op: "revoke", key, cuts: {}, reason: "r" },
    ] as Entry["ops"]
  ) assert.equal((await faultOf(() => extend(host, [op], bob))).kind, "denied", op.op);
});

test("quorums that need not intersect, and thresholds that cannot be met, are refused", async (t) => {
  const host = await withOneEntry(t);
  const ids = [1, 2, 3, 4].map((n) => new Uint8Array(32).fill(n));
  for (const quorum of [0, 1, 2, 5]) {
    assert.equal(
      (await faultOf(() => extend(host, [{ op: "keepers", hosts: ids, quorum, cuts: {}, terms: {} }]))).kind,
      "corrupt",
      `${quorum}`,
    );
  }
  for (const threshold of [0, 2]) {
    const keys = [generateKeyPair(systemClock).publicKey];
    await faultOf(() => extend(host, [{ op: "roots", keys, threshold }]));
  }
});

test("entries of a revoked key: accepted up to the cut, refused beyond it", async (t) => {
  const host = await withOneEntry(t);
  await grantTo(host, 2_012_345_678, "bob", "append", "main");
  const bob = personPair(host.agent.host, { uid: 2_012_345_678, name: "bob" });
  const record = next(host, { author: bob });
  assert.equal(check(host, record).entry.seq, 2);
  await revokeKey(host, keyId(bob.publicKey), { main: 2 });
  assert.equal(check(host, record).entry.seq, 2, "made before the cut");
  const { journal, db } = host.agent.host;
  const checked = check(host, record);
  db.write((tx) => journal.append(tx, [checked]));
  const fault = await faultOf(() => check(host, next(host, { author: bob })));
  assert.match(fault.message, /revoked before entry 3/);
});

test("an entry made under a policy older than its predecessor's is refused", async (t) => {
  const host = await withOneEntry(t);
  const { journal } = host.agent.host;
  const old = journal.needPolicy("test").head;
  await grantTo(host, 2_012_345_678, "bob", "append", "main");
  const head = { ...journal.head("main"), policySeq: journal.needPolicy("test").seq };
  const fault = await faultOf(() => journal.check(next(host, { entry: { policy: old } }), head));
  assert.match(fault.message, /policy older/);
});

test("an operation with a missing, an extra or a wrong field is refused", async (t) => {
  const host = await withOneEntry(t);
  const ops = [
    { op: "delete" },
    { op: "delete", path: "/x", more: 1 },
    { op: "delete", path: 7 },
    { op: "delete", path: "/x\0" },
    { op: "file", path: "/x", tree: new Uint8Array(31), kind: "file", files: 1, bytes: 1 },
    { op: "exec", argv: [], cwd: "/", umask: 0, env: {}, user: "", timeoutMs: 0, stdin: null },
    { op: "exec", argv: ["x"], cwd: "/", umask: 0o7777, env: {}, user: "", timeoutMs: 0, stdin: null },
    { op: "nothing" },
    { op: "constructor" },
    { op: "__proto__" },
  ];
  for (const op of ops) {
    const fault = await faultOf(() => check(host, next(host, { entry: { ops: [op as never] } })));
    assert.equal(fault.kind, "corrupt", JSON.stringify(op));
  }
});

test("effects are of the command right before them, or of nothing", async (t) => {
  const host = await withOneEntry(t);
  const command = { argv: ["x"], cwd: "/", umask: 0, env: {}, user: "", timeoutMs: 0, stdin: null };
  const exec: Op = { op: "exec", ...command };
  const effects: Op = { op: "effects", list: new Uint8Array(32), paths: 1 };
  const gone: Op = { op: "delete", path: "/x" };
  check(host, next(host, { entry: { ops: [exec, effects] } }));
  for (const ops of [[effects], [effects, exec], [exec, gone, effects], [exec, effects, effects]]) {
    assert.equal((await faultOf(() => check(host, next(host, { entry: { ops } })))).kind, "corrupt");
  }
});

test("verify names the first entry that was changed on disk, whichever byte it is", async (t) => {
  const host = await withOneEntry(t);
  const { db, journal } = host.agent.host;
  const good = journal.at("main", 1)?.entry as Uint8Array;
  for (const at of [0, 1, 40, good.length - 1]) {
    const bad = good.slice();
    bad[at] = (bad[at] as number) ^ 1;
    db.write((tx) => void tx.run("UPDATE entry SET entry = ? WHERE branch = 'main' AND seq = 1", bad));
    assert.equal((await faultOf(() => host.acts.report.verify(host.call(), {}))).exit, 226);
  }
});

test("the control journal: only owners extend it, and its own rules hold", async (t) => {
  const host = await withOneEntry(t);
  const { roles } = host.acts;
  const mallory = host.call(4711, "mallory");
  const fault = await faultOf(() => roles.grant(mallory, { person: "root", role: "owner", branch: "*" }));
  assert.equal(fault.exit, 77);
  assert.equal(
    (await faultOf(() => roles.grant(host.call(), { person: "root", role: "king", branch: "main" })))
      .exit,
    22,
  );
  assert.equal(
    (await faultOf(() => roles.grant(host.call(), { person: "root", role: "append", branch: "no" })))
      .exit,
    2,
  );
  assert.equal(host.agent.host.journal.head("@domain").seq, 1);
  assert.equal(toHex(host.agent.host.journal.needPolicy("test").domain), host.agent.host.journal.domain());
});

test("a key revoked while its holder has the lock checks nothing in, and gets no lock again", async (t) => {
  const host = await makeFirstHost(t);
  await grantTo(host, 2_012_345_678, "bob", "append", "main");
  const bob = host.call(2_012_345_678, "bob");
  await host.acts.locks.lock(bob, "his");
  await host.acts.work.snap(bob, "/etc/hostname", false);
  const key = keyId(personPair(host.agent.host, bob.actor).publicKey);
  await revokeKey(host, key, {});
  assert.equal((await faultOf(() => host.acts.checkin.ci(bob))).kind, "denied");
  assert.equal(host.agent.host.journal.head("main").seq, 0);
  assert.equal((await faultOf(() => host.acts.locks.lock(bob, "again"))).kind, "denied");
  await host.acts.report.verify(host.call(), {});
});
