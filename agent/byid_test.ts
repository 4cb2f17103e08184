// byid: a map that holds what a Map would, at every moment of its growth.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ById } from "./byid.ts";

test("every state of a growing map stays what it was, also with ids that begin alike", () => {
  const ids = Array.from({ length: 300 }, (_, i) => {
    const digits = ((i * 2654435761) % 2 ** 32).toString(16).padStart(8, "0");
    return i % 3 === 0 ? `${"a".repeat(56)}${digits}` : digits + "0".repeat(56);
  });
  const states: { map: ById<number>; is: Map<string, number> }[] = [];
  let map = ById.empty<number>();
  const is = new Map<string, number>();
  for (const [i, id] of [...ids, ...ids.slice(0, 50)].entries()) {
    map = map.with(id, i);
    states.push({ map, is: new Map(is.set(id, i)) });
  }
  for (const { map, is } of states) {
    assert.equal(map.size, is.size);
    assert.deepEqual(new Map(map), is);
    for (const id of ids) assert.deepEqual([map.get(id), map.has(id)], [is.get(id), is.has(id)]);
  }
  assert.equal(ById.empty().get(ids[0] as string), undefined);
});
