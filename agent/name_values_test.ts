// name values: which of several records stands, whatever the order in which they came and whatever was forgotten.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareBytes, fraction, fromHex, toHex, VirtualClock } from "../mq/mod.ts";
import { nameSeqStepMax, nameValuesMax, nameVersionsKept } from "./limits.ts";
import { idOf } from "./name_fixture.ts";
import type { NameRecord } from "./name_records.ts";
import { nextAfter, standingOf, toKeep } from "./name_values.ts";

/** A record of which only what matters here is said. `text` is its id and what it says. */
function record(author: string, text: string, seq: number, after: NameRecord[] = []): NameRecord {
  const words = {
    seq,
    id: fromHex(idOf(text)),
    after: after.map(({ id }) => fromHex(id)).sort(compareBytes),
  };
  return { id: idOf(`${author} ${text}`), author, words, bytes: new Uint8Array(0) } as unknown as NameRecord;
}

const all = () => true;
const but = (revoked: string) => (r: NameRecord) => r.author !== revoked;
const texts = (records: NameRecord[]) => records.map(({ author, words }) => `${author}${words.seq}`).sort();
const next = (
  author: string,
  text: string,
  known: NameRecord[],
  counts = all as (r: NameRecord) => boolean,
) => {
  const { seq, after } = nextAfter(standingOf(known, counts));
  const made = record(author, text, seq);
  made.words.after = after;
  return made;
};

test("one after the other, the last stands; said at the same time, both; who names both replaces both", () => {
  const a1 = next("a", "1", []);
  const b2 = next("b", "2", [a1]);
  assert.deepEqual(texts(standingOf([a1, b2], all).values), ["b2"]);
  const a3 = next("a", "3", [a1, b2]), b3 = next("b", "3'", [a1, b2]);
  const beside = [a1, b2, a3, b3];
  assert.deepEqual(texts(standingOf(beside, all).values), ["a3", "b3"]);
  const c4 = next("c", "4", beside);
  for (const order of [[...beside, c4], [c4, ...beside], [a3, c4, b3], [c4, b3, a3, b2]]) {
    assert.deepEqual(texts(standingOf(order, all).values), ["c4"]);
  }
});

test("who goes on alone replaces his own words, not those he has not heard of", () => {
  const a1 = next("a", "1", []);
  const b = [a1];
  for (let i = 2; i < 30; i++) b.push(next("b", `${i}`, b));
  const a2 = next("a", "2", [a1]);
  assert.deepEqual(texts(standingOf([...b, a2], all).values), ["a2", "b29"]);
});

test("what was replaced stays replaced for who has forgotten all that lay between", () => {
  const chain = [next("a", "1", [])];
  for (let i = 2; i < 60; i++) {
    chain.push(next("bc"[i % 2] as string, `${i}`, chain));
    const kept = toKeep(standingOf(chain, all));
    for (let k = chain.length - 1; k >= 0; k--) if (!kept.has(chain[k]!.id)) chain.splice(k, 1);
    assert.deepEqual(texts(standingOf(chain, all).values), [`${"bc"[i % 2]}${i}`]);
  }
  assert.equal(chain.length, nameVersionsKept + 1, "the last versions, and the first author's only word");
  const back = record("a", "1", 1);
  assert.deepEqual(texts(standingOf([...chain.slice(1), back], all).values), ["c59"]);
});

test("a record that claims to follow one with a higher seq, or one of its own author's, hides nothing", () => {
  const a5 = record("a", "5", 5);
  const low = record("e", "x", 1, [a5]);
  assert.deepEqual(texts(standingOf([a5, low], all).values), ["a5", "e1"]);
  const own = record("e", "y", 1, [record("e", "z", 2)]);
  assert.deepEqual(texts(standingOf([own, record("e", "z", 2)], all).values), ["e2"]);
});

test("of one author's two records with one seq, every host takes the same", () => {
  const [x, y] = [record("a", "x", 1), record("a", "y", 1)];
  const first = standingOf([x, y], all).values.map(({ id }) => id);
  assert.deepEqual(standingOf([y, x], all).values.map(({ id }) => id), first);
  assert.equal(first.length, 1);
});

test("what a revoked key said means nothing, what it had replaced stands again, and the next record follows both", () => {
  const a1 = next("a", "1", []);
  const e2 = next("e", "evil", [a1]);
  const { values, lapsed } = standingOf([a1, e2], but("e"));
  assert.deepEqual([texts(values), texts(lapsed)], [["a1"], ["e2"]]);
  const a3 = next("a", "3", [a1, e2], but("e"));
  assert.equal(a3.words.seq, 3);
  assert.deepEqual(a3.words.after.map(toHex).sort(), [a1.id, e2.id].sort());
  const after = standingOf([a1, e2, a3], but("e"));
  assert.deepEqual([texts(after.values), texts(after.lapsed)], [["a3"], []]);
  assert.ok(!toKeep(after).has(e2.id));
  const far = record("e", "far", 2 ** 53 - 1, [a1]);
  assert.equal(next("a", "3", [a1, far], but("e")).words.seq, 2, "not all numbers are used up with it");
  assert.equal(
    next("a", "3", [a1, record("e", "near", nameSeqStepMax)], but("e")).words.seq,
    nameSeqStepMax + 1,
  );
});

test("of many authors so many are kept as one record can replace, values before what is replaced", () => {
  const many = Array.from({ length: nameValuesMax + 20 }, (_, i) => record(`p${i}`, `${i}`, 1));
  const some = many.slice(0, 10);
  const z = next("z", "z", some);
  assert.equal(z.words.after.length, 10);
  const kept = toKeep(standingOf([...some, z, ...many.slice(10, 20)], all));
  assert.ok(kept.has(z.id) && many.slice(10, 20).every(({ id }) => kept.has(id)));
  assert.ok(toKeep(standingOf(many, all)).size <= nameValuesMax + nameVersionsKept);
  assert.equal(next("z", "z", many).words.after.length, nameValuesMax);
});

test("hosts that say things, forget and hear of each other in any order agree in the end on what is kept and what stands", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const clock = new VirtualClock(seed);
    const chance = (n: number) => Math.floor(fraction(clock) * n);
    const hosts: NameRecord[][] = [[], [], [], []];
    const take = (i: number, more: NameRecord[]) => {
      const held = hosts[i]!;
      const fresh = more.filter((r) => !held.some(({ id }) => id === r.id));
      const kept = toKeep(standingOf([...held, ...fresh], all));
      hosts[i] = [...held, ...fresh].filter(({ id }) => kept.has(id));
    };
    for (let step = 0; step < 150; step++) {
      const i = chance(hosts.length);
      if (chance(3) > 0) take(i, [next(`p${i}`, `${seed}/${step}`, hosts[i]!)]);
      else take(i, hosts[chance(hosts.length)]!);
    }
    for (let round = 0; round < hosts.length; round++) {
      hosts.forEach((_, i) => hosts.forEach((other) => take(i, other)));
    }
    const [first, ...rest] = hosts.map((held) => held.map(({ id }) => id).sort().join());
    assert.ok(rest.every((ids) => ids === first), `seed ${seed}`);
    const most = Math.max(...hosts[0]!.map(({ words }) => words.seq));
    assert.ok(standingOf(hosts[0]!, all).values.some(({ words }) => words.seq === most), `seed ${seed}`);
  }
});
