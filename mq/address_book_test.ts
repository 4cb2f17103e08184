// address book: what it remembers, what goes first when it is full, and whom a redial tries when.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressBook, type Entry } from "./address_book.ts";
import { VirtualClock } from "./clock.ts";
import { type Outcome, Redial } from "./redial.ts";

const limits = { knownPeersMax: 4, addressesPerPeerMax: 3 };
const addresses = (entry: Entry | undefined) => [...entry?.addresses.keys() ?? []];

test("addresses of a peer: what worked comes first, and the last makes room", () => {
  const book = new AddressBook(new VirtualClock(1), limits);
  assert.equal(book.learn("a", ["1:1", "1:2"], "told"), true);
  assert.equal(book.learn("a", ["1:2"], "told"), false, "nothing new");
  book.worked("a", "1:3");
  assert.deepEqual(addresses(book.of("a")), ["1:3", "1:1", "1:2"]);
  book.worked("a", "1:2");
  book.worked("a", "1:4");
  assert.deepEqual(addresses(book.of("a")), ["1:4", "1:2", "1:3"]);
});

test("a peer's own word replaces hearsay, but not what worked", () => {
  const book = new AddressBook(new VirtualClock(1), limits);
  book.learn("a", ["1:1"], "told");
  book.worked("a", "1:2");
  assert.equal(book.replace("a", ["1:3"]), true);
  assert.deepEqual(addresses(book.of("a")), ["1:2", "1:3"]);
  assert.equal(book.replace("a", ["1:3"]), false);
});

test("a full book keeps what worked and what the owner said; hearsay goes, and does not come", () => {
  const book = new AddressBook(new VirtualClock(1), limits);
  book.learn(undefined, ["0:1"], "given");
  book.worked("worked", "1:1");
  book.learn("found", ["1:2"], "found");
  book.learn("told", ["1:3"], "told");
  book.learn("given", ["1:4"], "given");
  assert.equal(book.of("told"), undefined);
  assert.equal(book.learn("hearsay", ["1:5"], "told"), false);
  book.learn("more", ["1:6"], "given");
  assert.equal(book.of("found"), undefined);
  assert.deepEqual(book.entries().map(({ peer }) => peer), [undefined, "worked", "given", "more"]);
});

/** A redial over a book, where `dial` does as the test says; what it dialled, with times. */
function redialling(
  outcome: (entry: Entry) => Outcome | Promise<Outcome>,
  more: { connectionsWanted?: number } = {},
) {
  const clock = new VirtualClock(7);
  const book = new AddressBook(clock, { knownPeersMax: 100, addressesPerPeerMax: 8 });
  const dials: [string, number][] = [];
  const up = new Set<string>();
  const redial = new Redial({
    clock,
    book,
    limits: {
      connectionsWanted: 10,
      dialsMax: 2,
      redialFirstMs: 100,
      redialFactor: 2,
      redialMsMax: 5000,
      foreignTriesMax: 3,
      ...more,
    },
    dial: async (entry) => {
      dials.push([entry.peer ?? addresses(entry)[0]!, clock.now()]);
      const how = await outcome(entry);
      if (how === "up") up.add(entry.peer!);
      return how;
    },
    isWanted: ({ peer }) => !up.has(peer!),
    connected: () => up.size,
  });
  return { clock, book, dials, up, redial };
}

test("who fails is tried again, ever later, up to a limit; half as much again by chance", async () => {
  const { clock, book, dials, redial } = redialling(() => "failed");
  book.learn("a", ["1:1"], "told");
  redial.kick();
  await clock.advance(60_000);
  const pauses = dials.slice(1).map(([, atMs], i) => atMs - dials[i]![1]);
  pauses.forEach((pause, i) => {
    const plain = Math.min(5000, 100 * 2 ** i);
    assert.ok(pause >= plain * 0.5 && pause <= plain * 1.5, `pause ${i} of ${pause} ms`);
  });
  assert.ok(dials.length > 12 && new Set(pauses).size === pauses.length);
  redial.stop();
  assert.equal(clock.pending, 0);
});

test("few at a time, no more than are wanted, and at once when one is lost", async () => {
  const { clock, book, dials, up, redial } = redialling(() => "up", { connectionsWanted: 3 });
  for (const name of ["a", "b", "c", "d", "e"]) book.learn(name, [`1:${name}`], "told");
  redial.kick();
  assert.equal(dials.length, 2, "two at a time");
  await clock.advance(10_000);
  assert.deepEqual(dials.map(([name]) => name), ["a", "b", "c"]);
  up.delete("b");
  redial.soon(book.of("b")!);
  const lostMs = clock.now();
  await clock.advance(200);
  assert.equal(up.size, 3);
  assert.ok(dials.at(-1)![1] - lostMs <= 100);
});

test("ourselves and foreigners are forgotten; an address that once worked is not", async () => {
  const { clock, book, dials, redial } = redialling(({ peer }) => peer === "self" ? "self" : "foreign");
  book.learn("self", ["1:1"], "given");
  book.learn("foreign", ["1:2"], "given");
  book.worked("moved", "1:3");
  redial.kick();
  await clock.advance(60_000);
  const times = (name: string) => dials.filter(([dialled]) => dialled === name).length;
  assert.deepEqual([times("self"), times("foreign")], [1, 3]);
  assert.ok(times("moved") > 10);
  assert.deepEqual(book.entries().map(({ peer }) => peer), ["moved"]);
});
