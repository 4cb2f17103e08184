// roots: what only root keys can say together: how many signatures, of which keys, over what, and for which place. Hosts are real,
// root keys are in the test's hand. Not what an epoch does to the chains (recovery_test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  concat,
  fromHex,
  generateKeyPair,
  keyId,
  type KeyPair,
  keyPairFromSecret,
  sign1,
  systemClock,
  toHex,
} from "../mq/mod.ts";
import {
  faultOf,
  grantTo,
  makeDomain,
  makeFirstHost,
  makeHost,
  type TestHost,
  until,
} from "../tests/world.ts";
import { context, type Entry, type Op, readEntry, TYPE } from "./entry.ts";
import { addOther, allOf, bySignatures, entriesOf, extend, stolen, workOf } from "./fixture.ts";
import { personPair } from "./host.ts";
import { type Ctx, policyOf, signed } from "./recovery_fixture.ts";
import { readProposal, type RootProposal, sealRoot, writeProposal } from "./roots.ts";
import { follow } from "./trust.ts";

const newKey = () => generateKeyPair(systemClock);

/** A domain, and the recovery key that was printed when it began. */
async function withRecovery(t: Ctx): Promise<{ a: TestHost; recovery: KeyPair }> {
  const a = await makeHost(t);
  const { recovery } = await a.acts.domain.init(a.call(), { host: "hosta", branch: "main" });
  return { a, recovery: keyPairFromSecret(fromHex(recovery)) };
}

/** A domain of which two of three root keys have to sign: the recovery key and two more. */
async function twoOfThree(t: Ctx) {
  const { a, recovery } = await withRecovery(t);
  const [b, c] = [newKey(), newKey()];
  const keys = [recovery, b, c] as [KeyPair, KeyPair, KeyPair];
  const { proposal } = a.acts.roots.change(a.call(), { add: [b, c].map((k) => toHex(k.publicKey)) });
  await a.acts.roots.submit(a.call(), [signed(proposal, recovery, b)]);
  return { a, keys };
}

test("root keys come and go by the signatures of enough of the old ones and of the new ones, which several people give", async (t) => {
  const { a, recovery } = await withRecovery(t);
  const [b, c, d] = [newKey(), newKey(), newKey()] as [KeyPair, KeyPair, KeyPair];
  const hex = (...keys: KeyPair[]) => keys.map((k) => toHex(k.publicKey));
  const change = a.acts.roots.change;
  const submit = (...words: string[]) => a.acts.roots.submit(a.call(), words);
  const first = change(a.call(), { add: hex(b, c) });
  assert.deepEqual([first.now, first.next], [1, 2], "one of the old keys, two of the new");
  assert.match(
    (await faultOf(() => submit(first.proposal))).message,
    /lacks the signatures of root keys: 1 of 1/,
  );
  assert.match(
    (await faultOf(() => submit(signed(first.proposal, recovery)))).message,
    /1 of the new root keys/,
  );
  assert.match(
    (await faultOf(() => submit(signed(first.proposal, b, c)))).message,
    /1 of 1/,
    "only the new ones",
  );
  await submit(signed(first.proposal, recovery), signed(first.proposal, b));
  assert.deepEqual(a.acts.roots.list(a.call()), { keys: hex(recovery, b, c), threshold: 2, epoch: 0 });

  const second = change(a.call(), { add: hex(d), remove: [hex(recovery)[0]!.slice(0, 8)] });
  for (const few of [[recovery], [b], [recovery, recovery], [d, b]]) {
    assert.equal((await faultOf(() => submit(signed(second.proposal, ...few)))).kind, "denied");
  }
  await submit(signed(second.proposal, recovery, b, d));
  assert.deepEqual(a.acts.roots.list(a.call()).keys, hex(b, c, d));
  const third = change(a.call(), { threshold: 3 });
  assert.equal(
    (await faultOf(() => submit(signed(third.proposal, recovery, b)))).kind,
    "denied",
    "it is none any more",
  );
  await a.acts.report.verify(a.call(), {});
  await a.restart();
  assert.deepEqual(a.acts.roots.list(a.call()), { keys: hex(b, c, d), threshold: 2, epoch: 0 });
});

test("a signature counts for one statement, in one domain, after one place, brought by one host and person, and once", async (t) => {
  const { a, keys: [x, y, z] } = await twoOfThree(t);
  const other = await twoOfThree(t);
  const submit = (word: string) => a.acts.roots.submit(a.call(), [word]);
  const { proposal } = a.acts.roots.change(a.call(), { threshold: 3 });
  const right = readProposal(proposal);
  const before = allOf(a);
  const statements: Record<string, Partial<RootProposal>> = {
    "another place": { after: readEntry(a.agent.host.journal.at("@domain", 1)!.entry).id },
    "another domain": { domain: policyOf(other.a).domain },
    "other operations": { ops: [{ op: "roots", keys: [x.publicKey], threshold: 1 }] },
    "another person's": { author: right.origin },
    "another host's": { origin: right.author },
  };
  for (const [what, change] of Object.entries(statements)) {
    const signatures = [x, y, z].map((key) => sealRoot({ ...right, ...change }, key));
    const copied = writeProposal({ ...right, signatures });
    assert.equal((await faultOf(() => submit(copied))).kind, "corrupt", `${what}: copied`);
    if (change.ops !== undefined) continue; // which they have signed then
    assert.ok(await faultOf(() => submit(writeProposal({ ...right, ...change, signatures }))), what);
  }
  const digest = sealRoot(right, x).slice(-96, -64);
  for (
    const [type, branch] of [[TYPE.entry, "@domain"], [TYPE.origin, "@domain"], [TYPE.root, "main"]] as const
  ) {
    const copied = [x, y, z].map((key) => sign1(key, context(type, right.domain, branch), digest));
    assert.equal(
      (await faultOf(() => submit(writeProposal({ ...right, signatures: copied })))).kind,
      "corrupt",
      type,
    );
  }
  const one = sealRoot(right, x);
  assert.equal(
    (await faultOf(() => submit(writeProposal({ ...right, signatures: [one, one, one] })))).kind,
    "denied",
  );
  const strangers = [newKey(), newKey(), newKey()].map((key) => sealRoot(right, key));
  assert.equal(
    (await faultOf(() => submit(writeProposal({ ...right, signatures: strangers })))).kind,
    "denied",
  );
  assert.equal(allOf(a), before);
  await submit(signed(proposal, x, y, z));
  assert.match(
    (await faultOf(() => submit(signed(proposal, x, y, z)))).message,
    /said something else since/,
    "once",
  );
});

test("an entry that was made past all our tools is refused like that by every host that reads it", async (t) => {
  const { a, keys: [x, y, z] } = await twoOfThree(t);
  const policy = policyOf(a);
  const id = new Uint8Array(32).fill(7);
  const [[bytes]] = workOf(a, stolen(a), 0, 1, { branch: "@domain", ops: [{ op: "reboot" }] }) as [
    [Uint8Array],
  ];
  const place = readEntry(bytes).entry;
  const roots: Op = { op: "roots", keys: [x.publicKey], threshold: 1 };
  const made = (ops: Op[], ...keys: KeyPair[]) => bySignatures(policy, { ...place, ops }, ...keys);
  assert.equal(follow(policy, made([roots], x, y), id).threshold, 1);
  const bad = (entry: Entry, kind: string, why: RegExp) =>
    assert.throws(
      () => follow(policy, entry, id),
      (e: { kind: string; message: string }) => e.kind === kind && why.test(e.message),
    );
  bad({ ...place, ops: [roots] }, "denied", /needs the signatures of 2 root keys/);
  bad(made([roots], x), "denied", /1 of 2/);
  bad(made([roots], y, z), "denied", /1 of the new/);
  bad(made([roots], x, x), "denied", /1 of 2/);
  const right = made([roots], x, y);
  bad({ ...right, ops: right.ops.toReversed() }, "corrupt", /do not come last/);
  bad({ ...right, ops: [...right.ops, right.ops.at(-1)!] }, "corrupt", /do not come last/);
  bad(
    { ...right, ops: [{ ...roots, keys: [x.publicKey, y.publicKey] }, right.ops.at(-1)!] },
    "corrupt",
    /something else/,
  );
  bad({ ...right, author: new Uint8Array(32) }, "corrupt", /something else/);
  bad(
    { ...right, ops: [roots, { ...right.ops.at(-1)!, after: policy.domain } as Op] },
    "corrupt",
    /another place/,
  );
  const broken = made([roots], x, y);
  (broken.ops.at(-1) as Op & { op: "signed" }).signatures[0]![90]! ^= 1;
  bad(broken, "corrupt", /./);
});

test("where two root keys have to sign, nobody makes or unmakes owners of the domain alone, not by any way around", async (t) => {
  const { a, keys: [x, y] } = await twoOfThree(t);
  const b = await addOther(a, "hostb", [["append", "main"]]);
  const owner = { person: "eve@hostb", role: "owner", branch: "*" };
  const denied = async (fn: () => unknown, why = /needs the signatures of 2 root keys/) => {
    const fault = await faultOf(fn);
    assert.equal(fault.kind, "denied");
    assert.match(fault.message, why);
  };
  await denied(() => a.acts.roles.grant(a.call(), owner));
  await a.acts.roles.grant(a.call(), { ...owner, branch: "main" }); // of one branch: like before
  const { proposal } = await a.acts.roots.grant(a.call(), owner);
  await denied(() => a.acts.roots.submit(a.call(), [signed(proposal, x)]), /1 of 2/);
  await a.acts.roots.submit(a.call(), [signed(proposal, x, y)]);
  assert.ok(policyOf(a).grants.get(b.author)?.some(({ role, branch }) => role === "owner" && branch === "*"));
  await denied(() => a.acts.roles.revoke(a.call(), { person: "eve@hostb", reason: "" }));
  await denied(() => a.acts.roles.evict(a.call(), { host: "hostb", reason: "" }));
  await denied(() =>
    extend(a, [{ op: "rotate", old: fromHex(b.author), key: newKey().publicKey, net: null, cuts: {} }])
  );
  const out = a.acts.roots.revoke(a.call(), { whose: "hostb", reason: "sold" });
  await grantTo(a, 2_012_345_678, "carol", "append", "main"); // the journal goes on while people sign
  await a.acts.roots.submit(a.call(), [signed(out.proposal, x, y)]);
  assert.ok(policyOf(a).revoked.has(b.author) && policyOf(a).revoked.has(b.id));
  const last = entriesOf(a, "@domain").at(-1)!;
  assert.equal(
    (last.ops[0] as Op & { op: "revoke" }).cuts["@domain"],
    last.seq,
    "the ends are those of when it was brought",
  );
  await a.acts.report.verify(a.call(), {});
});

test("root keys alone do nothing: as an author, one has no say", async (t) => {
  const { a, recovery } = await withRecovery(t);
  const by = { ...stolen(a), person: recovery, author: keyId(recovery.publicKey) };
  for (
    const op of [
      { op: "roots", keys: [recovery.publicKey], threshold: 1 },
      { op: "grant", key: fromHex(by.author), role: "owner", branch: "*" },
      { op: "branch", name: "mine", from: null },
    ] as Op[]
  ) {
    const [[entry, origin]] = workOf(a, by, 0, 1, { branch: "@domain", ops: [op] }) as [
      [Uint8Array, Uint8Array],
    ];
    const { journal } = a.agent.host;
    const record = { entry, origin, cert: new Uint8Array(0) };
    assert.equal(
      (await faultOf(() => journal.check(record, journal.head("@domain"), "proposal"))).kind,
      "denied",
    );
  }
});

test("what is no proposal, of another domain, or somebody else's to bring, is refused and says so", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const { proposal } = a.acts.roots.change(a.call(), { add: [toHex(newKey().publicKey)] });
  const submit = (host: TestHost, ...words: string[]) => host.acts.roots.submit(host.call(), words);
  for (
    const word of [
      "",
      "x",
      "isconf-root1.",
      "isconf-root1.AAAA",
      proposal.slice(0, -9),
      `isconf1.${proposal.slice(13)}`,
    ]
  ) {
    assert.equal((await faultOf(() => submit(a, word))).kind, "usage", word);
  }
  const { domain, ...rest } = readProposal(proposal);
  const strange = [{ op: "sudo" }, { op: "roots", keys: [], threshold: 1 }] as unknown as Op[];
  for (const op of strange) {
    assert.ok(await faultOf(() => submit(a, writeProposal({ ...rest, domain, ops: [op] }))));
  }
  const huge = writeProposal({
    ...rest,
    domain,
    signatures: [concat(...Array<Uint8Array>(2_000).fill(domain))],
  });
  assert.equal((await faultOf(() => submit(a, huge))).kind, "usage");
  assert.match((await faultOf(() => submit(b, proposal))).message, /only root@hosta can bring it, on hosta/);
  const another = a.acts.roots.change(a.call(), { add: [toHex(newKey().publicKey)] }).proposal;
  assert.match((await faultOf(() => submit(a, proposal, another))).message, /two proposals/);
  const stranger = await makeFirstHost(t);
  assert.match((await faultOf(() => submit(stranger, proposal))).message, /for another domain/);
  for (const args of [{ add: ["abc"] }, { remove: ["ffffffff"] }, { threshold: 2 }, {}, { threshold: 0 }]) {
    assert.equal((await faultOf(() => a.acts.roots.change(a.call(), args))).kind, "usage");
  }
  assert.equal(personPair(a.agent.host, a.call().actor).publicKey.length, 32);
  await until("nothing has changed", () => policyOf(b).threshold === 1);
});
