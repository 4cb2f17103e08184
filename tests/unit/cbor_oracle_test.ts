// cbor oracle: our CBOR beside python3-cbor2: what we write it reads, to the same value and back to the same bytes; what we accept
// it accepts, as the same value. It accepts more than we do.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Cbor, decode, encode, Fault, fromHex, toHex } from "../../mq/mod.ts";
import { isOrderTheSame, lacksOracle, Oracle, wordsOf } from "./cbor_oracle.ts";

const lack = lacksOracle();

/** A test with an oracle; skipped, with the reason printed, where there is none. */
function oracleTest(name: string, fn: (oracle: Oracle) => Promise<void>): void {
  if (lack) console.log(`skipped: ${name}: ${lack}`);
  test(name, { skip: lack }, async () => {
    const oracle = new Oracle();
    try {
      await fn(oracle);
    } finally {
      oracle.end();
    }
  });
}

const text = fc.string({ unit: "binary", maxLength: 40 }).filter((s) => !s.startsWith("\ufeff"));
const value: fc.Arbitrary<Cbor> = fc.letrec<{ value: Cbor }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger(),
    fc.integer({ min: -300, max: 300 }),
    fc.bigInt(-(2n ** 64n), 2n ** 64n - 1n),
    text,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(text, tie("value"), { maxKeys: 5 }),
    fc.array(fc.tuple(fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -300, max: 300 })), tie("value")), {
      maxLength: 5,
    }).map((pairs) => new Map<number, Cbor>(pairs)),
  ),
})).value;

oracleTest(
  "what we write, the oracle reads as the same value and writes as the same bytes",
  async (oracle) => {
    const count = { canonical: 0 };
    await fc.assert(
      fc.asyncProperty(value, async (v) => {
        const bytes = encode(v);
        const told = await oracle.ask(bytes);
        const read = decode(bytes);
        assert.equal(told.value, wordsOf(read), told.why);
        assert.equal(told.bytes, toHex(bytes));
        if (!isOrderTheSame(read)) return;
        count.canonical++;
        assert.equal(told.canonical, toHex(bytes));
      }),
      { numRuns: 2000, seed: 8949 },
    );
    assert.ok(count.canonical > 1000, `${count.canonical} were compared with the canonical encoding`);
  },
);

oracleTest("what we accept of bytes of chance, the oracle accepts as the same value", async (oracle) => {
  const count = { accepted: 0, refused: 0, onlyThere: 0 };
  const small = fc.uint8Array({ minLength: 1, maxLength: 12 });
  // Most bytes of chance are refused at once: half of the cases are right ones with a byte changed, cut or added.
  const nearly = fc.tuple(value, fc.nat(), fc.nat(255), fc.nat(3)).map(([v, at, byte, how]) => {
    const bytes = encode(v);
    if (how === 0) return bytes.slice(0, -1);
    if (how === 1) return Uint8Array.of(...bytes, byte);
    bytes[at % bytes.length] = byte;
    return bytes;
  });
  await fc.assert(
    fc.asyncProperty(fc.oneof(small, nearly), async (bytes) => {
      let ours: Cbor | undefined;
      try {
        ours = decode(bytes);
      } catch (e) {
        assert.ok(e instanceof Fault && e.kind === "corrupt");
      }
      const told = await oracle.ask(bytes);
      if (ours === undefined) {
        count[told.value === undefined ? "refused" : "onlyThere"]++;
        return;
      }
      count.accepted++;
      assert.equal(told.value, wordsOf(ours), told.why);
      assert.equal(told.bytes, toHex(bytes));
    }),
    { numRuns: 5000, seed: 7049 },
  );
  assert.ok(count.accepted > 500 && count.refused > 1000 && count.onlyThere > 100, JSON.stringify(count));
});

oracleTest("what only the oracle accepts is of the kinds that we leave out on purpose", async (oracle) => {
  const LEFT_OUT = ["1817", "9f01ff", "a2616201616101", "a201010102", "f93c00", "c11a514b67b0", "f7"];
  for (const hex of LEFT_OUT) {
    assert.throws(() => decode(fromHex(hex)), { kind: "corrupt" }, hex);
    const { why } = await oracle.ask(fromHex(hex));
    assert.ok(why === "" || /not within our subset/.test(why), `${hex}: ${why}`);
  }
});
