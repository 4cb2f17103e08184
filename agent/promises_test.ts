// promises: what a quorum's words allow, and what nobody gets from fewer, older or others' words. That agreement follows from
// it is tried with keepers that are nothing but their promises, proposers that do what they like, and keepers that lie.
import assert from "node:assert/strict";
import { test } from "node:test";
import { generateKeyPair, keyId, type KeyPair, sha256, toHex, VirtualClock } from "../mq/mod.ts";
import { faultOf } from "../tests/world.ts";
import { ById } from "./byid.ts";
import { proofBytesMax } from "./limits.ts";
import {
  decodeProof,
  encodeProof,
  joinProofs,
  judge,
  NO_PROOF,
  type Place,
  type Proof,
  sealPromise,
  type Voted,
} from "./promises.ts";
import type { HostRecord, Policy } from "./trust.ts";

const clock = new VirtualClock(7);
const bytes = (n: number) => sha256(Uint8Array.of(n));
const [ALICE, BOB] = [bytes(1), bytes(2)];

/** A place whose policy knows `n` keepers, of which `quorum` have to agree. */
function makePlace(n: number, quorum: number): { place: Place; keys: KeyPair[] } {
  const keys = Array.from({ length: n }, () => generateKeyPair(clock));
  let hosts = ById.empty<HostRecord>();
  for (const { publicKey } of keys) {
    hosts = hosts.with(keyId(publicKey), { key: publicKey, net: publicKey, name: "k" });
  }
  const policy = {
    domain: bytes(0),
    hosts,
    keepers: { hosts: keys.map(({ publicKey }) => keyId(publicKey)), quorum },
    revoked: ById.empty(),
  } as unknown as Policy;
  return { place: { policy, branch: "main", epoch: 0, seq: 4, id: bytes(9) }, keys };
}

interface Change {
  holder?: Uint8Array;
  seq?: number;
  id?: Uint8Array;
  epoch?: number;
  branch?: string;
}

function promiseOf(
  { policy, ...place }: Place,
  key: KeyPair,
  term: number,
  voted: Voted | null = null,
  change: Change = {},
) {
  const { epoch, seq, id, branch, holder } = { ...place, holder: ALICE, ...change };
  return sealPromise({ epoch, term, seq, id, holder, host: ALICE, voted }, policy.domain, branch, key);
}

test("a quorum is counted: each keeper once, of this term, end, epoch and branch; to one holder", async () => {
  const { place, keys: [a, b, c] } = makePlace(3, 2) as { place: Place; keys: [KeyPair, KeyPair, KeyPair] };
  const of = (...promises: Uint8Array[]) => judge(place, 5, { promises, past: [] });
  const first = promiseOf(place, a, 5);
  const said = of(first, promiseOf(place, b, 5));
  assert.deepEqual(said, { holder: toHex(ALICE), host: toHex(ALICE), must: undefined });
  for (
    const [what, second] of Object.entries({
      "nobody else": first,
      "another term": promiseOf(place, b, 4),
      "another end": promiseOf(place, b, 5, null, { id: bytes(8) }),
      "another place": promiseOf(place, b, 5, null, { seq: 3 }),
      "another epoch": promiseOf(place, b, 5, null, { epoch: 1 }),
      "no keeper": promiseOf(place, generateKeyPair(clock), 5),
    })
  ) {
    assert.match((await faultOf(() => of(first, second))).message, /promises of 1 keepers and needs 2/, what);
  }
  const elsewhere = promiseOf(place, b, 5, null, { branch: "web" });
  assert.equal((await faultOf(() => of(first, elsewhere))).kind, "corrupt");
  const torn = promiseOf(place, b, 5).with(80, 1);
  assert.equal((await faultOf(() => of(first, torn))).kind, "corrupt");
  const other = promiseOf(place, c, 5, null, { holder: BOB });
  assert.match((await faultOf(() => of(first, other))).message, /promised to two/);
  const cut = { ...place.policy, revoked: place.policy.revoked.with(keyId(b.publicKey), { main: 4 }) };
  const { policy: _, ...rest } = place;
  const withCut = () =>
    judge({ ...rest, policy: cut }, 5, { promises: [first, promiseOf(place, b, 5)], past: [] });
  assert.match((await faultOf(withCut)).message, /promises of 1 keepers/);
});

test("what a keeper has voted for has to be proposed again, if it could be proposed at all", async () => {
  const { place, keys: [a, b, c] } = makePlace(3, 2) as { place: Place; keys: [KeyPair, KeyPair, KeyPair] };
  const [old, newer] = [{ term: 2, batch: bytes(20) }, { term: 4, batch: bytes(40) }];
  const free = { promises: [promiseOf(place, a, 2), promiseOf(place, b, 2)], past: [] };
  const promises = [promiseOf(place, a, 5, old), promiseOf(place, c, 5)];
  assert.match((await faultOf(() => judge(place, 5, { promises, past: [] }))).message, /not why/);
  assert.deepEqual({ ...judge(place, 5, joinProofs(promises, { voted: old, proof: free })).must }, old);
  // In term 4 somebody was promised by c and b, who knew of nothing: what a votes for in term 2 was never certified.
  const free4 = { promises: [promiseOf(place, b, 4), promiseOf(place, c, 4)], past: [] };
  const both = [promiseOf(place, a, 5, old), promiseOf(place, c, 5, newer)];
  const joined = joinProofs(both, { voted: old, proof: free }, { voted: newer, proof: free4 });
  assert.deepEqual({ ...judge(place, 5, joined).must }, newer);
  // But who knew of it had to propose it: another one in term 4 is a lie.
  const knew = joinProofs([promiseOf(place, a, 4, old), promiseOf(place, c, 4)], { voted: old, proof: free });
  const lie = joinProofs(both, { voted: old, proof: free }, { voted: newer, proof: knew });
  assert.match((await faultOf(() => judge(place, 5, lie))).message, /term 4 is reported, and not why/);
  const later = [promiseOf(place, a, 5, { term: 5, batch: bytes(1) }), promiseOf(place, c, 5)];
  assert.match((await faultOf(() => judge(place, 5, { promises: later, past: [] }))).message, /later term/);
});

test("a proof comes back from bytes as it was; garbage does not", async () => {
  const { place, keys: [a, b] } = makePlace(3, 2) as { place: Place; keys: [KeyPair, KeyPair] };
  const proof = joinProofs([promiseOf(place, a, 5)], {
    voted: { term: 2, batch: bytes(1) },
    proof: { promises: [promiseOf(place, b, 2)], past: [] },
  });
  assert.deepEqual(decodeProof(encodeProof(proof)), proof);
  assert.deepEqual(decodeProof(encodeProof(NO_PROOF)), NO_PROOF);
  const bad = [
    null,
    1,
    "x",
    new Uint8Array(0),
    new Uint8Array(proofBytesMax + 1),
    encodeProof(proof).slice(1),
  ];
  for (const value of bad) await faultOf(() => decodeProof(value));
});

/** A keeper that is nothing but its promises and votes. */
class Paper {
  readonly key: KeyPair;
  readonly #place: Place;
  term = 0;
  said: Uint8Array | undefined;
  accepted: { voted: Voted; proof: Proof } | undefined;

  constructor(place: Place, key: KeyPair) {
    this.#place = place;
    this.key = key;
  }

  promise(term: number): Uint8Array | undefined {
    if (term < this.term) return undefined;
    if (term > this.term) this.said = promiseOf(this.#place, this.key, term, this.accepted?.voted ?? null);
    this.term = term;
    return this.said;
  }

  /** Whether it votes for a batch in a term. */
  vote(voted: Voted, proof: Proof): boolean {
    const { term, batch } = voted;
    if (term < this.term) return false;
    try {
      const { must } = judge(this.#place, term, proof);
      if (must !== undefined && toHex(must.batch) !== toHex(batch)) return false;
    } catch {
      return false;
    }
    const before = this.accepted?.voted;
    if (before?.term === term && toHex(before.batch) !== toHex(batch)) return false;
    if (term > this.term) this.said = undefined;
    this.term = term;
    this.accepted = { voted, proof };
    return true;
  }
}

/** A keeper that says whatever comes into its head, and votes for everything. */
class Liar extends Paper {
  readonly #seen: { voted: Voted; proof: Proof }[] = [];
  readonly #rand: (n: number) => number;
  readonly #where: Place;

  constructor(place: Place, key: KeyPair, rand: (n: number) => number) {
    super(place, key);
    this.#rand = rand;
    this.#where = place;
  }

  override promise(term: number): Uint8Array {
    const picked = this.#seen[this.#rand(this.#seen.length + 1)];
    const made = { term: this.#rand(term), batch: bytes(100 + this.#rand(4)) };
    this.accepted = this.#rand(4) === 0 ? { voted: made, proof: NO_PROOF } : picked;
    const voted = this.accepted === undefined || this.accepted.voted.term >= term
      ? null
      : this.accepted.voted;
    return promiseOf(this.#where, this.key, term, voted);
  }

  override vote(voted: Voted, proof: Proof): boolean {
    this.#seen.push({ voted, proof });
    return true;
  }
}

/** Proposers come and go over keepers of which some lie; the batches that came to be certified. */
function play(n: number, quorum: number, liars: number, seed: number, isMutant = false): Set<string> {
  const chance = new VirtualClock(seed);
  const rand = (max: number) => max === 0 ? 0 : chance.u32() % max;
  const { place, keys } = makePlace(n, quorum);
  const keepers = keys.map((key, i) => i < liars ? new Liar(place, key, rand) : new Paper(place, key));
  const votes = new Map<string, Set<Paper>>();
  const saids = new Map<number, Map<Paper, Uint8Array>>();
  const knows: { voted: Voted; proof: Proof }[] = [];
  for (let turn = 0; turn < 14; turn++) {
    const term = 1 + Math.floor(turn / 2) + rand(3);
    const said = saids.get(term) ?? new Map<Paper, Uint8Array>();
    saids.set(term, said);
    for (const keeper of keepers) {
      if (rand(5) === 0) continue;
      const promise = keeper.promise(term);
      if (promise !== undefined) said.set(keeper, promise);
      if (keeper.accepted !== undefined) knows.push(keeper.accepted);
    }
    const chosen = [...said.values()].filter(() => rand(8) > 0);
    const proof = joinProofs(chosen, ...knows);
    let must: Voted | undefined;
    try {
      if (!isMutant) ({ must } = judge(place, term, proof));
    } catch {
      continue;
    }
    const own = must?.batch ?? bytes(100 + rand(4));
    for (const keeper of keepers) {
      if (rand(3) === 0) continue;
      const batch = rand(6) > 0 ? own : bytes(100 + rand(4)); // he may propose two, too
      const voted = { term, batch };
      if (
        isMutant
          ? !keeper.vote(voted, { promises: keys.map((key) => promiseOf(place, key, term)), past: [] })
          : !keeper.vote(voted, proof)
      ) {
        continue;
      }
      const name = `${term} ${toHex(batch)}`;
      votes.set(name, (votes.get(name) ?? new Set()).add(keeper));
    }
  }
  const certain = [...votes].filter(([, by]) => by.size >= quorum);
  return new Set(certain.map(([name]) => name.split(" ")[1] as string));
}

const SIZES = [[3, 2, 0], [5, 3, 0], [4, 3, 1], [5, 4, 2], [7, 5, 2]] as const;

test("whatever proposers do, and as many keepers as may lie do lie: one batch at the most comes to be certified", () => {
  for (const [n, quorum, liars] of SIZES) {
    let certain = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const { size } = play(n, quorum, liars, seed);
      assert.ok(size <= 1, `${n} keepers, ${quorum} needed, ${liars} lie, seed ${seed}: ${size} batches`);
      certain += size;
    }
    assert.ok(certain > 5, `${n} keepers: only ${certain} of 60 came to anything`);
  }
});

test("that game finds it when keepers do not look at the promises, or when more of them lie than may", () => {
  const breaks = (liars: number, isMutant: boolean) =>
    Array.from({ length: 60 }, (_, i) => play(3, 2, liars, i + 1, isMutant).size).filter((size) => size > 1)
      .length;
  assert.ok(breaks(0, true) > 0);
  assert.ok(breaks(1, false) > 0);
});
