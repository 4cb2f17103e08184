// moment, and blob_memory: what is given again is what was made, for a moment, and never what has changed meanwhile.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../mq/mod.ts";
import { makeFirstHost, run } from "../tests/world.ts";
import { put, sender } from "./api_fixture.ts";
import { BlobMemory } from "./blob_memory.ts";
import { blobMemoryBytesMax, blobMemoryIdleMs, blobMemoryOneMax } from "./limits_api.ts";
import { Moment } from "./moment.ts";

test("an answer is made once for all who ask at the time, again after its moment, and again when something has changed", async () => {
  const clock = new VirtualClock(1);
  const moment = new Moment<number>(clock, 100, 4);
  let made = 0, release = () => {};
  const slow = () =>
    new Promise<number>((resolve) => {
      const n = ++made;
      release = () => resolve(n);
    });
  const [one, two] = [moment.get("k", slow), moment.get("k", slow)];
  release();
  assert.deepEqual([await one, await two, made], [1, 1, 1]);
  assert.equal(await moment.get("k", () => Promise.resolve(7)), 1);
  await clock.advance(100);
  assert.equal(await moment.get("k", () => Promise.resolve(7)), 7);
  moment.clear();
  assert.equal(await moment.get("k", () => Promise.resolve(8)), 8);
  const late = moment.get("l", slow);
  moment.clear(); // it was made of what was before
  assert.equal(await moment.get("l", () => Promise.resolve(9)), 9);
  release();
  await late;
  assert.equal(await moment.get("l", () => Promise.resolve(10)), 9);
  await assert.rejects(moment.get("f", () => Promise.reject(new Error("no"))));
  assert.equal(await moment.get("f", () => Promise.resolve(1)), 1);
  assert.equal(await moment.get("n", () => Promise.resolve(1), () => false), 1);
  assert.equal(await moment.get("n", () => Promise.resolve(2)), 2);
});

test("what is read over HTTP is never older than what has been done here", async (t) => {
  const host = await makeFirstHost(t);
  const send = sender(host);
  const get = async (path: string) => await (await send("GET", path)).json();
  for (let i = 1; i <= 3; i++) {
    assert.equal((await get("/v1/status")).lock, null);
    await host.acts.locks.lock(host.call(), `why ${i}`);
    assert.equal((await get("/v1/status")).lock.message, `why ${i}`);
    await run(host, ["/bin/true"]);
    assert.equal((await get("/v1/status")).wip, 1);
    await host.acts.checkin.ci(host.call());
    assert.equal((await get("/v1/log")).entries.length, i);
    assert.equal((await get(`/v1/show?seq=${i}`)).here, "applied");
  }
  const { id } = await put(send, new TextEncoder().encode("one"), "x");
  assert.equal(await (await send("GET", "/v1/blob/x")).text(), "one");
  await put(send, new TextEncoder().encode("two"), "x");
  assert.equal(await (await send("GET", "/v1/blob/x")).text(), "two");
  assert.equal(await (await send("GET", `/v1/blob/${id}`)).text(), "one");
});

test("contents in memory are bounded, the longest unasked for goes, and all go when nobody asks", async () => {
  const clock = new VirtualClock(1);
  const memory = new BlobMemory(clock);
  let reads = 0;
  const read = (size: number) =>
    async function* () {
      reads++;
      yield await Promise.resolve(new Uint8Array(size));
    };
  const idOf = (i: number) => String(i).padStart(64, "0");
  const fit = blobMemoryBytesMax / blobMemoryOneMax;
  for (let i = 0; i < fit; i++) await memory.get(idOf(i), blobMemoryOneMax, read(blobMemoryOneMax));
  for (let i = 0; i < fit; i++) await memory.get(idOf(i), blobMemoryOneMax, read(blobMemoryOneMax));
  assert.equal(reads, fit);
  await memory.get(idOf(fit), blobMemoryOneMax, read(blobMemoryOneMax));
  await memory.get(idOf(1), blobMemoryOneMax, read(blobMemoryOneMax));
  assert.equal(reads, fit + 1);
  await memory.get(idOf(0), blobMemoryOneMax, read(blobMemoryOneMax));
  assert.equal(reads, fit + 2, "the first had to go");
  assert.equal(await memory.get("x", blobMemoryOneMax + 1, read(1)), undefined);
  assert.equal(await memory.get("y", 5, read(4)), undefined, "what is not all of it is not kept");
  await clock.advance(blobMemoryIdleMs);
  reads = 0;
  await memory.get(idOf(1), blobMemoryOneMax, read(blobMemoryOneMax));
  assert.equal(reads, 1);
});
