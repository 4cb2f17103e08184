// Properties of mq: what holds for any frame, signed message, address, message and order of events, tried on thousands made by chance.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAddress, fromMultiaddr, parseAddress, toMultiaddr } from "./address.ts";
import { bytesEqual, concat } from "./bytes.ts";
import { type Cbor, decode, encode } from "./cbor.ts";
import { VirtualClock } from "./clock.ts";
import { generateKeyPair, keyId } from "./ed25519.ts";
import { Fault } from "./fault.ts";
import { encodeFrame, type Frame, FRAME_HEADER_BYTES, FrameDecoder } from "./frame.ts";
import { seenPerPeerMax } from "./limits.ts";
import { type Message, readMessage, writeMessage } from "./message.ts";
import { MqNode } from "./node.ts";
import { Ring } from "./ring.ts";
import { open1, sign1, verify1 } from "./sign.ts";
import type { PeerId, Transport } from "./transport.ts";

const isCorrupt = (e: unknown) => e instanceof Fault && e.kind === "corrupt";

/** The bytes in pieces of lengths by chance. */
function cutUp(bytes: Uint8Array, lengths: number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length] as number;
    parts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return parts;
}

const plain = { noNullPrototype: true };
const frame: fc.Arbitrary<Frame> = fc.record({
  type: fc.nat(255),
  channel: fc.nat(65535),
  body: fc.uint8Array({ maxLength: 60 }),
}, plain);
const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });

test("property: frames are the same however the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), lengths, (frames, lengths) => {
      const decoder = new FrameDecoder();
      const stream = concat(...frames.map((one) => encodeFrame(one)));
      const read = cutUp(stream, lengths).flatMap((part) => decoder.push(part));
      assert.deepEqual(read, frames);
      assert.equal(decoder.partial, false);
    }),
    { numRuns: 500, seed: 1 },
  );
});

test("property: bytes of chance are frames within the limits, or refused for good", () => {
  const opts = { bodyBytesMax: 50 };
  const head = fc.tuple(fc.constantFrom(0, 1, 1, 1, 2), fc.nat(255), fc.nat(65535), fc.nat(70)).map((
    [version, type, channel, length],
  ) => Uint8Array.of(version, type, channel >> 8, channel & 255, 0, 0, 0, length));
  const piece = fc.oneof(fc.uint8Array({ maxLength: 20 }), head);
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 12 }), (parts) => {
      const decoder = new FrameDecoder(opts);
      let refused: unknown;
      for (const part of parts) {
        try {
          for (const { body } of decoder.push(part)) assert.ok(body.length <= opts.bodyBytesMax);
          assert.equal(refused, undefined, "a refused stream goes on");
        } catch (e) {
          assert.ok(isCorrupt(e), String(e));
          refused ??= e;
          assert.equal(e, refused);
        }
      }
    }),
    { numRuns: 1000, seed: 2 },
  );
  assert.equal(FRAME_HEADER_BYTES, 8);
});

test("property: a signature holds for these bytes, this context and this key, and for nothing else", () => {
  const clock = new VirtualClock(3);
  const keys = [generateKeyPair(clock), generateKeyPair(clock)] as const;
  const context = fc.record({
    type: fc.constantFrom("isconf/entry/1", "isconf/vote/1"),
    domain: fc.uint8Array({ minLength: 0, maxLength: 2 }),
    branch: fc.constantFrom("", "a", "aa", "b"),
  });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), context, context, fc.nat(), (payload, mine, other, n) => {
      const bytes = sign1(keys[0], mine, payload);
      assert.equal(open1(bytes).kid, keyId(keys[0].publicKey));
      assert.deepEqual(verify1(bytes, mine, keys[0].publicKey), payload);
      assert.throws(() => verify1(bytes, mine, keys[1].publicKey), isCorrupt);
      if (!bytesEqual(encode({ ...mine }), encode({ ...other }))) {
        assert.throws(() => verify1(bytes, other, keys[0].publicKey), isCorrupt);
      }
      const flipped = bytes.slice();
      const bit = n % (8 * bytes.length);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      assert.throws(() => verify1(flipped, mine, keys[0].publicKey), isCorrupt);
    }),
    { numRuns: 150, seed: 3 },
  );
});

const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$/);
const host = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.array(label, { minLength: 1, maxLength: 3 }).map((l) => l.join(".")),
);

test("property: an address is read as it was written, in one form, in both notations", () => {
  fc.assert(
    fc.property(host, fc.nat(65535), (host, port) => {
      const address = parseAddress(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
      assert.deepEqual(parseAddress(formatAddress(address)), address);
      assert.deepEqual(fromMultiaddr(toMultiaddr(address)), address);
      assert.equal(address.port, port);
    }),
    { numRuns: 1000, seed: 4 },
  );
});

test("property: a text of chance is an address that is read the same again, or a usage fault", () => {
  const part = fc.constantFrom("[", "]", ":", "::", ".", "1", "255", "4726", "a", "%", " ", "-", "/");
  const parts = fc.array(part, { maxLength: 12 }).map((all) => all.join(""));
  const near = fc.oneof(parts, fc.tuple(host, fc.nat(99_999)).map(([host, port]) => `${host}:${port}`));
  fc.assert(
    fc.property(fc.oneof(near, fc.string()), (text) => {
      try {
        const address = parseAddress(text);
        assert.deepEqual(parseAddress(formatAddress(address)), address);
        assert.ok(address.port >= 0 && address.port <= 65535);
      } catch (e) {
        assert.ok(e instanceof Fault && e.kind === "usage", String(e));
      }
      fromMultiaddr(text); // never throws
    }),
    { numRuns: 3000, seed: 5 },
  );
});

const value = fc.oneof(fc.constantFrom<Cbor>(null, true, [], "text"), fc.maxSafeInteger(), fc.uint8Array());
const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
const name = fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" }).filter((s) =>
  !s.startsWith("\ufeff")
);
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant("event" as const), id, topic: name, value }, plain),
  fc.record({ kind: fc.constant("ask" as const), id, method: name, value }, plain),
  fc.record({ kind: fc.constant("reply" as const), id, value }, plain),
);

test("property: a message is read as it was written; bytes of chance are said to be none, and never throw", () => {
  fc.assert(
    fc.property(message, fc.nat(), fc.nat(255), (one, at, byte) => {
      const bytes = writeMessage(one);
      assert.deepEqual(readMessage(bytes), one);
      const other = bytes.slice();
      other[at % bytes.length] = byte;
      const read = readMessage(other);
      if (typeof read === "object" && read.kind !== "fault") assert.deepEqual(writeMessage(read), other);
      assert.equal(typeof readMessage(bytes.subarray(0, at % bytes.length)), "string");
    }),
    { numRuns: 2000, seed: 6 },
  );
  assert.deepEqual(decode(encode([1])), [1]);
});

/** The ring as a list that nothing falls out of, and how much of it is held. */
interface RingModel {
  all: number[];
}

class Push implements fc.Command<RingModel, Ring<number>> {
  readonly item: number;
  constructor(item: number) {
    this.item = item;
  }
  check = () => true;
  run(model: RingModel, ring: Ring<number>): void {
    assert.equal(ring.push(this.item), model.all.length);
    model.all.push(this.item);
  }
  toString = () => `push ${this.item}`;
}

class Since implements fc.Command<RingModel, Ring<number>> {
  readonly cursor: number;
  readonly capacity: number;
  constructor(cursor: number, capacity: number) {
    [this.cursor, this.capacity] = [cursor, capacity];
  }
  check = () => true;
  run({ all }: RingModel, ring: Ring<number>): void {
    const wanted = this.cursor > all.length || this.cursor < 0 ? 0 : this.cursor;
    const oldest = Math.max(0, all.length - this.capacity);
    const first = Math.max(wanted, oldest);
    const told = { items: all.slice(first), next: all.length, missed: first - wanted };
    assert.deepEqual(ring.since(this.cursor), told);
    assert.equal(ring.oldest, oldest);
  }
  toString = () => `since ${this.cursor}`;
}

test("property: a ring gives what a list would, less what fell out, and says how much that is", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }).chain((capacity) =>
        fc.tuple(
          fc.constant(capacity),
          fc.commands([
            fc.nat(99).map((item) => new Push(item)),
            fc.nat(99).map((item) => new Push(item)),
            fc.integer({ min: -1, max: 25 }).map((cursor) => new Since(cursor, capacity)),
          ], { size: "large" }),
        )
      ),
      ([capacity, commands]) => {
        fc.modelRun(() => ({ model: { all: [] }, real: new Ring<number>(capacity) }), commands);
      },
    ),
    { numRuns: 200, seed: 7 },
  );
});

/** A transport of which a test says what comes in. */
class Inlet implements Transport {
  readonly self = "me" as PeerId;
  #message: (from: PeerId, bytes: Uint8Array) => void = () => {};
  start = (): Promise<void> => Promise.resolve();
  stop = (): Promise<void> => Promise.resolve();
  peers = (): PeerId[] => ["a", "b"];
  send = () => true;
  onMessage(fn: (from: PeerId, bytes: Uint8Array) => void) {
    this.#message = fn;
    return () => {};
  }
  onPeer = () => () => {};
  receive(from: PeerId, n: number): void {
    const id = new Uint8Array(16);
    new DataView(id.buffer).setUint32(0, n);
    this.#message(from, writeMessage({ kind: "event", id, topic: "t", value: n }));
  }
}

test("property: an event is told once, as long as its id is among the latest of its sender", () => {
  // What is new, or once more what was told some time ago, at times by so many events that it is forgotten.
  const turn = fc.tuple(
    fc.constantFrom("a", "a", "a", "b"),
    fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(2 * seenPerPeerMax)),
  );
  fc.assert(
    fc.property(fc.array(turn, { minLength: 500, maxLength: 900, size: "max" }), (turns) => {
      let last = 0;
      const inlet = new Inlet();
      const heard: string[] = [];
      new MqNode(inlet, new VirtualClock(1)).subscribe(
        "t",
        (from, n) => void heard.push(`${from} ${n}`),
      );
      const seen: { [from: string]: number[] } = { a: [], b: [] };
      const expected: string[] = [];
      for (const [from, back] of turns) {
        const n = back === 0 ? ++last : Math.max(0, last - back);
        inlet.receive(from, n);
        const latest = seen[from] as number[];
        if (latest.includes(n)) continue;
        latest.push(n);
        if (latest.length > seenPerPeerMax) latest.shift();
        expected.push(`${from} ${n}`);
      }
      assert.deepEqual(heard, expected);
    }),
    { numRuns: 30, seed: 8 },
  );
});
