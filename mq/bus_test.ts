// Bus: listeners that come, go and throw.
import { test } from "node:test";
import assert from "node:assert/strict";
import { Bus } from "./bus.ts";

test("a listener that throws does not stop the others, and is reported", () => {
  const reported: unknown[] = [];
  const bus = new Bus<{ ping: number; pong: string }>((thrown, name) => reported.push([name, thrown]));
  const heard: number[] = [];
  bus.on("ping", () => {
    throw "bang";
  });
  const off = bus.on("ping", (n) => heard.push(n));
  bus.emit("ping", 1);
  bus.emit("pong", "nobody listens");
  off();
  off();
  bus.emit("ping", 2);
  assert.deepEqual(heard, [1]);
  assert.deepEqual(reported, [["ping", "bang"], ["ping", "bang"]]);
});

test("the same function may listen twice, and who comes during an event hears the next one", () => {
  const bus = new Bus<{ ping: number }>((thrown) => assert.fail(String(thrown)));
  let heard = 0;
  const count = () => void heard++;
  const off = bus.on("ping", count);
  bus.on("ping", count);
  bus.on("ping", () => void bus.on("ping", count));
  bus.emit("ping", 1);
  assert.equal(heard, 2);
  off();
  bus.emit("ping", 2);
  assert.equal(heard, 4);
});
