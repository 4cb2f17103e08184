// install_way: the number goes from 0 to 99, through both halves, and never back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { come, percentOf, type Way } from "./install_way.ts";

test("half of the way is what comes, half is what is laid out; begun anew it does not go back", () => {
  const way: Way = { brought: 0, laid: 0, of: 1000 };
  const at = (fn: () => void) => (fn(), percentOf(way));
  assert.equal(at(() => {}), 0);
  assert.equal(at(() => come(way, { bytes: 200, of: undefined })), 10, "of what the image says");
  assert.equal(at(() => come(way, { bytes: 200, of: 400 })), 25, "of what is missing");
  assert.equal(at(() => come(way, { bytes: 10, of: 400 })), 25, "it was broken off and begun again");
  assert.equal(at(() => come(way, { bytes: 500, of: 400 })), 50);
  assert.equal(at(() => way.laid = 500), 75);
  assert.equal(at(() => way.laid = 1000), 99);
});

test("where nobody has counted what is in an image, what comes is known as soon as it is found", () => {
  const way: Way = { brought: 0, laid: 0, of: 0 };
  come(way, { bytes: 200, of: undefined });
  assert.equal(percentOf(way), 0);
  come(way, { bytes: 200, of: 400 });
  assert.equal(percentOf(way), 25);
  way.laid = 300;
  assert.equal(percentOf(way), 25);
});
