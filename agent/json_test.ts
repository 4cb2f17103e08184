// json: JSON from outside is read as everybody else reads it, or not at all.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readJson } from "./json.ts";

const read = (text: string) => readJson(Buffer.from(text));

test("a name that stands twice in an object is refused, however it is written; in two objects it is none", () => {
  for (
    const bad of [
      '{"a":1,"a":2}',
      '{"a":1,"\\u0061":2}',
      '{"a" : 1, "b":{"c":1,"c":1}}',
      '[{"x":[],"y":"}","x":{}}]',
      '{"a":"\\"","a":1}',
      '{"a":"{","a"\n:1}',
      '{"":1,"":1}',
      '{"__proto__":1,"__proto__":2}',
    ]
  ) assert.throws(() => read(bad), bad);
  for (
    const good of [
      '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
      '{"a":"a","b":"a:","c":["a","a"]}',
      '{"a\\"":1,"a":1}',
      '{"a\\\\":1,"a":"\\\\"}',
      '"a"',
      "[]",
    ]
  ) assert.deepEqual(read(good), JSON.parse(good));
});

test("no byte order mark, no other encoding, nothing behind it, and no change of what all objects are", () => {
  for (const bad of ["\ufeff{}", "{} x", "{}{}", ""]) assert.throws(() => read(bad), bad);
  for (const bad of [[0xff], [0x22, 0xc3, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22]]) {
    assert.throws(() => readJson(Uint8Array.from(bad)));
  }
  read('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

test("four megabytes of names, depth or text are read or refused in about the time that JSON.parse takes", () => {
  const size = 4 * 1024 * 1024;
  const names = Array.from({ length: size / 16 }, (_, i) => `"n${i}":1`).join(",");
  const msOf = (fn: () => unknown) => {
    const began = performance.now();
    try {
      fn();
    } catch (e) {
      assert.ok(e instanceof SyntaxError || e instanceof RangeError, String(e));
    }
    return performance.now() - began;
  };
  for (
    const text of [`{${names}}`, `"${"\\\\".repeat(size / 2)}"`, "[".repeat(size), '{"a":'.repeat(size / 5)]
  ) {
    const usual = msOf(() => JSON.parse(text)), ours = msOf(() => read(text));
    assert.ok(ours < 3 * usual + 2_000, `${ours} ms, JSON.parse ${usual} ms`);
  }
});
