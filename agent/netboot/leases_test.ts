// leases: who gets which address, for how long, what outlives a restart, and that nothing is without bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault, VirtualClock } from "../../mq/mod.ts";
import { type LeaseKeeper, Leases, type LeaseSettings } from "./leases.ts";
import { declinedMs, leaseAddressesMax, leaseGraceMs, offerMs, unprovenMs } from "./limits.ts";
import { MemoryLeases } from "./memory_leases.ts";

const SETTINGS: LeaseSettings = {
  from: "10.0.0.10",
  to: "10.0.0.14",
  leaseSeconds: 600,
  except: ["10.0.0.12", "10.0.0.1"],
};
const LEASE_MS = 600_000 + leaseGraceMs;
const ADDRESSES = ["10.0.0.10", "10.0.0.11", "10.0.0.13", "10.0.0.14"];

const macOf = (n: number) =>
  `02:00:00:00:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}`;
const A = macOf(1), B = macOf(2), C = macOf(3), D = macOf(4), E = macOf(5);

async function begin(clock = new VirtualClock(1), keeper: LeaseKeeper = new MemoryLeases()) {
  return { clock, keeper, leases: await Leases.open(clock, SETTINGS, keeper) };
}

/** A machine takes what it is offered. */
async function take(leases: Leases, mac: string): Promise<string> {
  const address = leases.offer(mac);
  assert.ok(address !== undefined && await leases.grant(mac, address), `${mac} gets nothing`);
  return address;
}

test("each machine has one address of the range, and the same one again", async () => {
  const { leases } = await begin();
  const given = await Promise.all([A, B, C, D].map((mac) => take(leases, mac)));
  assert.deepEqual([...given].sort(), ADDRESSES);
  assert.equal(leases.offer(A), given[0]);
  assert.equal(await leases.grant(B, given[0]!), false);
  assert.equal(await leases.grant(A, "10.0.0.12"), false, "an address that is excepted");
  assert.equal(await leases.grant(A, "10.0.0.9"), false);
  assert.equal(await leases.grant(A, "10.0.0.15"), false);
  assert.ok(leases.has(A));
});

test("an offer is a hint: who takes an address first has it", async () => {
  const { leases } = await begin();
  const address = leases.offer(A)!;
  assert.equal(leases.offer(B, address) === address, false, "it is told to one at a time");
  assert.equal(await leases.grant(C, address), true);
  assert.equal(await leases.grant(A, address), false);
  assert.equal(leases.has(A), false);
});

test("what a machine wants it gets when that is free", async () => {
  const { leases } = await begin();
  assert.equal(leases.offer(A, "10.0.0.13"), "10.0.0.13");
  assert.ok(ADDRESSES.includes(leases.offer(B, "10.0.0.12")!));
  assert.ok(ADDRESSES.includes(leases.offer(C, "192.168.0.1")!));
});

test("offers are short, leases end, and staying makes them longer", async () => {
  const { clock, leases } = await begin();
  leases.offer(A);
  const b = await take(leases, B);
  await clock.advance(offerMs + 1000);
  leases.offer(C);
  assert.equal(leases.size, 2, "the offer to A is forgotten");
  await clock.advance(LEASE_MS - offerMs - 2000);
  assert.ok(leases.has(B));
  assert.equal(await leases.grant(B, b), true);
  await clock.advance(LEASE_MS - 1000);
  assert.ok(leases.has(B));
  await clock.advance(1000);
  assert.equal(leases.has(B), false);
  assert.equal(await leases.grant(A, b), true);
});

test("a machine that takes another address gives the first one back; what it gives back is free", async () => {
  const { leases, keeper } = await begin();
  const first = await take(leases, A);
  const other = ADDRESSES.find((address) => address !== first)!;
  assert.equal(await leases.grant(A, other), true);
  assert.deepEqual((await keeper.all()).map(({ address }) => address), [other]);
  assert.equal(await leases.grant(B, first), true);
  await leases.release(B, other);
  assert.ok(leases.has(A) && leases.has(B), "nobody gives back for another");
  await leases.release(A, other);
  assert.equal(leases.has(A), false);
  assert.equal(leases.size, 1);
});

test("a declined address is left alone for a while, by whoever had it only", async () => {
  const { clock, leases } = await begin();
  const address = await take(leases, A);
  await leases.decline(B, address);
  assert.ok(leases.has(A));
  await leases.decline(A, address);
  assert.equal(leases.has(A), false);
  assert.notEqual(leases.offer(A), address);
  assert.equal(await leases.grant(B, address), false);
  await clock.advance(declinedMs + 1000);
  assert.equal(await leases.grant(B, address), true);
});

test("leases outlive a restart; what was given back, what is over and what is nonsense does not", async () => {
  const { clock, keeper, leases } = await begin();
  const [a, b] = [await take(leases, A), await take(leases, B)];
  await take(leases, C);
  await leases.release(B, b);
  await clock.advance(LEASE_MS / 2);
  await leases.grant(A, a);
  await keeper.keep({ address: "10.0.0.99", mac: D, untilMs: clock.wall() + LEASE_MS });
  await keeper.keep({ address: "nonsense", mac: D, untilMs: clock.wall() + LEASE_MS });
  await keeper.keep({ address: b, mac: "nonsense", untilMs: clock.wall() + LEASE_MS });
  await clock.advance(LEASE_MS / 2 + 1000);
  const after = await Leases.open(clock, SETTINGS, keeper);
  assert.equal(after.size, 1);
  assert.ok(after.has(A));
  assert.equal(await after.grant(B, a), false);
  clock.stepWall(-100 * LEASE_MS);
  const back = await Leases.open(clock, SETTINGS, keeper);
  await clock.advance(LEASE_MS + 1000);
  assert.equal(back.has(A), false, "a clock that was set back made it longer");
});

test("two that take one address at the same time, while it is being kept: one gets it", async () => {
  const slow: LeaseKeeper = {
    all: () => Promise.resolve([]),
    keep: () => new Promise((done) => setTimeout(done, 5)),
  };
  const { leases } = await begin(new VirtualClock(1), slow);
  await leases.grant(A, "10.0.0.10");
  await leases.grant(B, "10.0.0.11");
  const both = await Promise.all([leases.grant(A, "10.0.0.13"), leases.grant(B, "10.0.0.13")]);
  assert.deepEqual(both, [true, false]);
  const declining = leases.decline(A, "10.0.0.13");
  assert.equal(await leases.grant(C, "10.0.0.13"), false);
  await declining;
});

test("who stays again and again costs a write now and then, and is told nothing that is not kept", async () => {
  let kept = 0;
  const memory = new MemoryLeases();
  const counting: LeaseKeeper = { all: () => memory.all(), keep: (lease) => (kept++, memory.keep(lease)) };
  const { clock, leases } = await begin(new VirtualClock(1), counting);
  for (let n = 0; n < 1000; n++) {
    assert.equal(await leases.grant(A, "10.0.0.10"), true);
    await clock.advance(10);
  }
  assert.ok(kept <= 10_000 / leaseGraceMs + 1, `${kept} writes`);
  assert.ok((await memory.all())[0]!.untilMs >= clock.wall() + 600_000 - 10);
  assert.equal(await leases.grant(B, "10.0.0.10"), false);
});

test("what cannot be kept is not given", async () => {
  const keeper: LeaseKeeper = {
    all: () => Promise.resolve([]),
    keep: () => Promise.reject(new Error("disk full")),
  };
  const { leases } = await begin(new VirtualClock(1), keeper);
  await assert.rejects(leases.grant(A, "10.0.0.10"), /disk full/);
  const twice = await Promise.allSettled([leases.grant(A, "10.0.0.10"), leases.grant(A, "10.0.0.10")]);
  assert.deepEqual(twice.map(({ status }) => status), ["rejected", "rejected"]);
  assert.equal(leases.has(A), false);
});

test("when all are taken, offers are reused first, then who was declined, then who was never seen to work", async () => {
  const { clock, leases } = await begin();
  const a = await take(leases, A), b = await take(leases, B);
  leases.prove(a);
  await clock.advance(1000);
  const c = leases.offer(C)!, d = leases.offer(D)!;
  assert.equal(leases.offer(E), c, "the older offer");
  await leases.grant(E, c);
  await leases.grant(D, d);
  await leases.decline(D, d);
  assert.equal(leases.offer(D), d, "what was declined");
  await leases.grant(D, d, true);
  assert.equal(leases.offer(C), undefined, "all are taken, and lately");
  assert.equal(leases.offer(C, undefined, true), b, "but one that boots is let in");
  await leases.grant(C, b);
  await clock.advance(unprovenMs);
  assert.equal(leases.offer(macOf(9)), c);
  await leases.grant(macOf(9), c, true);
  leases.prove(b);
  await clock.advance(unprovenMs);
  assert.equal(leases.offer(macOf(10), undefined, true), undefined, "who works keeps what they have");
});

test("an offer is reused before what was declined, though that is older", async () => {
  const { clock, leases } = await begin();
  const declined = await take(leases, A);
  await leases.decline(A, declined);
  await clock.advance(10);
  const offers = [B, C, D].map((mac) => leases.offer(mac));
  assert.equal(leases.offer(E), offers[0]);
});

test("ranges and times that are none are faults", async () => {
  const wrong: Partial<LeaseSettings>[] = [
    { from: "10.0.0.15" },
    { to: "10.0.255.255" },
    { from: "10.0.0.256" },
    { leaseSeconds: 1 },
    { leaseSeconds: Infinity },
    { leaseSeconds: NaN },
    { except: ["x"] },
  ];
  for (const one of wrong) {
    await assert.rejects(
      Leases.open(new VirtualClock(1), { ...SETTINGS, ...one }, new MemoryLeases()),
      (e) => e instanceof Fault && e.kind === "usage",
      JSON.stringify(one),
    );
  }
  assert.ok(leaseAddressesMax < 65_535);
});
