// CBOR: values there and back, the RFC's examples, every refusal, hostile bytes against the clock.
import { test } from "node:test";
import assert from "node:assert/strict";
import process from "node:process";
import fc from "fast-check";
import { Encoder } from "cbor-x";
import { bytesEqual, concat, fromHex, toHex } from "./bytes.ts";
import type { Cbor } from "./cbor.ts";
import { decode, encode, encodeParts } from "./cbor.ts";
import { scan } from "./cbor_scan.ts";
import { systemClock, VirtualClock } from "./clock.ts";
import { Fault } from "./fault.ts";
import { cborDepthMax, viewBytesMin } from "./limits.ts";

const corrupt = (e: unknown) => e instanceof Fault && e.kind === "corrupt";
const usage = (e: unknown) => e instanceof Fault && e.kind === "usage";
const plain = (fields: { [key: string]: Cbor }) => Object.assign(Object.create(null), fields);

/** RFC 8949 appendix A, the examples within our subset, and what they decode to. */
const GOLDEN: [hex: string, value: Cbor][] = [
  ["00", 0],
  ["17", 23],
  ["1818", 24],
  ["18ff", 255],
  ["190100", 256],
  ["1903e8", 1000],
  ["1a00010000", 65536],
  ["1a000f4240", 1000000],
  ["1affffffff", 4294967295],
  ["1b0000000100000000", 4294967296],
  ["1b000000e8d4a51000", 1000000000000],
  ["1b001fffffffffffff", Number.MAX_SAFE_INTEGER],
  ["1b0020000000000000", 2n ** 53n],
  ["1bffffffffffffffff", 18446744073709551615n],
  ["20", -1],
  ["37", -24],
  ["3818", -25],
  ["3903e7", -1000],
  ["3affffffff", -4294967296],
  ["3b001ffffffffffffe", Number.MIN_SAFE_INTEGER],
  ["3b001fffffffffffff", -(2n ** 53n)],
  ["3bffffffffffffffff", -18446744073709551616n],
  ["f4", false],
  ["f5", true],
  ["f6", null],
  ["40", new Uint8Array(0)],
  ["4401020304", Uint8Array.of(1, 2, 3, 4)],
  ["60", ""],
  ["6449455446", "IETF"],
  ["62c3bc", "\u00fc"],
  ["63e6b0b4", "\u6c34"],
  ["64f0908591", "\u{10151}"],
  ["80", []],
  ["8301820203820405", [1, [2, 3], [4, 5]]],
  ["a0", plain({})],
  ["a201020304", new Map([[1, 2], [3, 4]])],
  ["a26161016162820203", plain({ a: 1, b: [2, 3] })],
  ["826161a161626163", ["a", plain({ b: "c" })]],
  ["a20102616103", new Map<number | string, Cbor>([[1, 2], ["a", 3]])],
  ["a26161016162a0", plain({ a: 1, b: plain({}) })],
];

test("RFC 8949 examples encode and decode to the byte", () => {
  for (const [hex, value] of GOLDEN) {
    assert.equal(toHex(encode(value)), hex);
    assert.deepEqual(decode(fromHex(hex)), value, hex);
  }
});

test("the order in which keys were set makes no difference; shorter keys come first", () => {
  const hex = "a4" + "0a00" + "20f6" + "617a01" + "62616102";
  const map = (keys: (number | string)[]) =>
    new Map<number | string, Cbor>(keys.map((k) => [k, k === 10 ? 0 : k === -1 ? null : k === "z" ? 1 : 2]));
  assert.equal(toHex(encode(map(["aa", "z", -1, 10]))), hex);
  assert.equal(toHex(encode(map([10, -1, "z", "aa"]))), hex);
  assert.equal(toHex(encode({ b: 1, a: 2 })), toHex(encode({ a: 2, b: 1 })));
  assert.equal(toHex(encode(5n)), "05");
  assert.equal(toHex(encode(-0)), "00");
});

test("what is not data is refused when writing", () => {
  const bad: unknown[] = [
    1.5,
    NaN,
    Infinity,
    2 ** 53,
    -(2 ** 53),
    2n ** 64n,
    -(2n ** 64n) - 1n,
    undefined,
    [undefined],
    new Array(1),
    { a: undefined },
    "\ud800",
    { "\udc00": 1 },
    "\ufefftext",
    new Date(0),
    new Set(),
    /x/,
    new (class A {})(),
    () => 0,
    Symbol("x"),
    { [Symbol("x")]: 1 },
    new Map<unknown, unknown>([[1.5, 1]]),
    new Map<unknown, unknown>([[1n, 1]]),
    new Map<unknown, unknown>([[null, 1]]),
    new Float64Array(1),
    new ArrayBuffer(1),
    Object.create({ inherited: 1 }),
  ];
  for (const value of bad) assert.throws(() => encode(value as Cbor), usage, String(typeof value));
  const nest = (depth: number): Cbor => depth === 0 ? 0 : [nest(depth - 1)];
  assert.deepEqual(decode(encode(nest(cborDepthMax))), nest(cborDepthMax));
  assert.throws(() => encode(nest(cborDepthMax + 1)), usage);
  const loop: Cbor[] = [];
  loop.push(loop);
  assert.throws(() => encode(loop), usage);
});

test("non-minimal, unsorted, twice, indefinite, float, undefined, break, bad UTF-8, trailing: each refused", () => {
  const refused = {
    "nothing": "",
    "non-minimal 1 byte": "1817",
    "non-minimal 2 bytes": "1900ff",
    "non-minimal 4 bytes": "1a0000ffff",
    "non-minimal 8 bytes": "1b00000000ffffffff",
    "non-minimal negative": "3817",
    "non-minimal length of bytes": "580100",
    "non-minimal length of text": "780161",
    "non-minimal length of array": "980100",
    "non-minimal length of map": "b8010000",
    "keys out of order": "a2616201616101",
    "longer key first": "a262616101616201",
    "text key before integer key": "a26161010101",
    "key twice": "a2616101616101",
    "integer key twice": "a201010101",
    "key of bytes": "a1416101",
    "key that is an array": "a18001",
    "key that is a map": "a1a001",
    "key that is null": "a1f601",
    "key above 2^53-1": "a11b002000000000000000",
    "key below -(2^53-1)": "a13b001fffffffffffff00",
    "indefinite bytes": "5f4101ff",
    "indefinite text": "7f6161ff",
    "indefinite array": "9f01ff",
    "indefinite map": "bf0101ff",
    "lone break": "ff",
    "break inside an array": "81ff",
    "half float": "f93c00",
    "single float": "fa3f800000",
    "double float": "fb3ff0000000000000",
    "NaN": "f97e00",
    "undefined": "f7",
    "simple 0": "e0",
    "simple 19": "f3",
    "simple 32": "f820",
    "simple 24, reserved": "f818",
    "reserved information 28": "1c",
    "reserved information 30": "1e",
    "overlong UTF-8": "62c080",
    "surrogate in UTF-8": "63eda080",
    "above U+10FFFF": "64f4908080",
    "cut UTF-8": "61c3",
    "lone continuation": "6180",
    "byte order mark": "63efbbbf",
    "trailing byte": "0000",
    "cut head": "19ff",
    "cut bytes": "42ff",
    "cut text": "6261",
    "cut array": "8201",
    "cut map": "a101",
    "array of 2^64-1": "9bffffffffffffffff",
    "map of 2^63": "bb8000000000000000",
    "bytes of 4 GiB": "5affffffff",
    "date tag": "c074323031332d30332d32315432303a30343a30305a",
    "bignum tag": "c249010000000000000000",
    "self-described tag": "d9d9f700",
  };
  for (const [name, hex] of Object.entries(refused)) {
    assert.throws(() => scan(fromHex(hex)), corrupt, `${name} passed the scan`);
    assert.throws(() => decode(fromHex(hex)), corrupt, name);
  }
});

test("depth: 16 is decoded, 17 and a million are refused, in arrays, maps and tags", () => {
  const nested = (byte: string, depth: number, inner: string) => fromHex(byte.repeat(depth) + inner);
  assert.equal(cborDepthMax, 16);
  for (const [open, inner] of [["81", "00"], ["a100", "00"], ["81", ""]] as const) {
    const shut = inner === "" ? "80" : inner;
    const room = inner === "" ? 15 : 16;
    const bytes = nested(open, room, shut);
    assert.deepEqual(encode(decode(bytes)), bytes);
    assert.throws(() => decode(nested(open, room + 1, shut)), corrupt);
    assert.throws(() => decode(nested(open, 400_000, shut)), corrupt);
  }
  assert.throws(() => decode(nested("c1", 1_000_000, "00")), corrupt);
});

test("limits of the caller hold to the item", () => {
  const bytes = encode([1, 2, 3, [4]]);
  decode(bytes, { itemsMax: 6, depthMax: 2, bytesMax: bytes.length });
  assert.throws(() => decode(bytes, { itemsMax: 5 }), corrupt);
  assert.throws(() => decode(bytes, { depthMax: 1 }), corrupt);
  assert.throws(() => decode(bytes, { bytesMax: bytes.length - 1 }), corrupt);
});

/** What plain cbor-x would spend minutes and gigabytes on, or keep for the next message. */
function hostile(): Record<string, Uint8Array> {
  const sized = (hex: string, size: number) => concat(fromHex(hex), new Uint8Array(size).fill(0xff));
  const packed = concat(
    fromHex("d83384" + "8163414141" + "8163424242" + "80"),
    fromHex("d8e1".repeat(11_000) + "6161"),
  );
  return {
    "bignum of 256 KiB": sized("c25a00040000", 0x40000),
    "bignum of 256 KiB in an array": sized("81c25a00040000", 0x40000),
    "packed of 22 KB": packed,
    "a million empty arrays": concat(fromHex("9a000f0000"), new Uint8Array(0xf0000).fill(0x80)),
    "arrays that each claim 4 GiB": fromHex("9affffffff".repeat(1000)),
    "record, legacy tag 105": fromHex("d8698319e000816161" + "01"),
    "record definitions, tag 0xdffe": fromHex("d9dffe8319e000816161" + "00"),
    "inline record, tag 0xdfff": fromHex("d9dfff8319e000816161" + "01"),
    "bundled strings, tag 0xdff9": fromHex("d9dff98201" + "6161"),
    "record use, tag 0xe000": fromHex("d9e0008101"),
    "shared value, tags 28 and 29": fromHex("d81c81d81d00"),
    "generic object, tag 27": fromHex("d81b82655265674578" + "6161"),
    "map tag 259": fromHex("d90103a0"),
    "set tag 258": fromHex("d9010281" + "01"),
    "typed array tag 64": fromHex("d8404101"),
    "shared data tag": fromHex("da5368726400"),
  };
}

test("bignum, packed, record, bundled, shared and other tags are refused in under 5 ms each", () => {
  for (const [name, bytes] of Object.entries(hostile())) {
    let best = Infinity;
    for (let i = 0; i < 5; i++) {
      const start = systemClock.now();
      assert.throws(() => decode(bytes), corrupt, name);
      best = Math.min(best, systemClock.now() - start);
    }
    assert.ok(best < 5, `${name} took ${best} ms`);
  }
});

test("a hostile message, or records of another codec, leave nothing behind for the next message", () => {
  const value = [plain({ a: 1, b: "x" }), plain({ a: 2, b: "y" })];
  const bytes = encode(value);
  const records = new Encoder({ useRecords: true, structures: [] });
  for (const poison of [...Object.values(hostile()), new Uint8Array(records.encode([{ a: 1 }, { a: 2 }]))]) {
    assert.throws(() => decode(poison), corrupt);
    assert.deepEqual(decode(bytes), value);
  }
});

test("what was decoded shares no memory with the bytes it came from, and marks nothing on them", () => {
  const source = new Uint8Array(encode([Uint8Array.of(1, 2, 3), "text"]));
  const [bytes] = decode(source) as [Uint8Array];
  source.fill(0);
  assert.deepEqual(bytes, Uint8Array.of(1, 2, 3));
  assert.equal(bytes.buffer.byteLength, 3);
  assert.equal(Object.getPrototypeOf(bytes), Uint8Array.prototype);
  assert.deepEqual(Object.keys(source), Object.keys(new Uint8Array(source.length)));
});

test("__proto__ and constructor are keys like any other", () => {
  const bytes = encode(new Map<string, Cbor>([["__proto__", { polluted: 1 }], ["constructor", 2]]));
  const value = decode(bytes) as { [key: string]: Cbor };
  assert.equal(Object.getPrototypeOf(value), null);
  assert.deepEqual(Object.keys(value).sort(), ["__proto__", "constructor"]);
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  assert.deepEqual(encode(value), bytes);
});

const cbor: fc.Arbitrary<Cbor> = fc.letrec<{ value: Cbor }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger(),
    fc.bigInt(-(2n ** 64n), 2n ** 64n - 1n),
    fc.string({ unit: "binary", maxLength: 100 }).filter((s) => !s.startsWith("\ufeff")),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(
      fc.string({ unit: "binary", maxLength: 30 }).filter((s) => !s.startsWith("\ufeff")),
      tie("value"),
      {
        maxKeys: 5,
      },
    ),
    fc.array(fc.tuple(fc.maxSafeInteger(), tie("value")), { maxLength: 5 }).map((pairs) => new Map(pairs)),
  ),
})).value;

test("property: a value goes there and back, and back to the same bytes", () => {
  fc.assert(
    fc.property(cbor, (value) => {
      const bytes = encode(value);
      const back = decode(bytes);
      assert.ok(bytesEqual(encode(back), bytes));
      assert.deepEqual(decode(encode(back)), back);
    }),
    { numRuns: 2000, seed: 8949 },
  );
});

test("in parts, the bytes are the same, and long byte strings are not copied", () => {
  const long = new Uint8Array(viewBytesMin).fill(7), short = long.subarray(1);
  const value = [1, long, { a: short, b: [long] }, "end"];
  const parts = encodeParts(value);
  assert.ok(bytesEqual(concat(...parts), encode(value)));
  assert.equal(parts.filter((part) => part === long).length, 2);
  assert.equal(parts.length, 5);
});

test("property: any one flipped bit is refused or is another text, byte for byte", () => {
  fc.assert(
    fc.property(cbor, fc.nat(), (value, n) => {
      const bytes = encode(value);
      const bit = n % (8 * bytes.length);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      assert.ok(acceptedIsIdentical(bytes) !== "different");
    }),
    { numRuns: 5000, seed: 8949 },
  );
});

function acceptedIsIdentical(bytes: Uint8Array): "refused" | "identical" | "different" {
  let value: Cbor;
  try {
    value = decode(bytes);
  } catch (e) {
    if (corrupt(e)) return "refused";
    throw e;
  }
  return bytesEqual(encode(value), bytes) ? "identical" : "different";
}

const long = process.env.ISCONF_LONG === "1";
test(`property: ${long ? "1e6" : "1e5 (1e6 with ISCONF_LONG=1)"} random byte strings: accepted means identical`, () => {
  const clock = new VirtualClock(20_261_120);
  const count = { refused: 0, identical: 0, different: 0 };
  for (let i = long ? 1e6 : 1e5; i > 0; i--) {
    const bytes = clock.random(1 + (clock.u32() % 24));
    // Half of the first bytes open something short, so that the inner rules are reached.
    if (clock.u32() & 1) bytes[0] = [0x81, 0x82, 0xa1, 0xa2, 0x61, 0x63, 0x18, 0x39][clock.u32() & 7]!;
    count[acceptedIsIdentical(bytes)]++;
  }
  assert.equal(count.different, 0);
  assert.ok(count.identical > 1000 && count.refused > 1000, JSON.stringify(count));
});
