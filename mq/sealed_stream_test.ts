// sealed_stream.ts: what sealed_test.ts cannot see: which pieces the library is given.
import assert from "node:assert/strict";
import { test } from "node:test";
import { through } from "./sealed_stream.ts";

test("one huge piece is given to the library in small ones, each when it is asked for", async () => {
  async function* huge() {
    yield new Uint8Array(200_000).fill(1);
    yield new Uint8Array(0);
    yield new Uint8Array(3).fill(2);
  }
  const sizes: number[] = [];
  for await (
    const piece of through(huge(), (stream) => Promise.resolve(stream), () => new Error("refused"))
  ) {
    sizes.push(piece.length);
  }
  assert.deepEqual(sizes, [65_536, 65_536, 65_536, 3_392, 3]);
});
