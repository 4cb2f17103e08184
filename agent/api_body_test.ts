// api_body: answers as they go out, through the door where it is about connections: readers that are slow or leave, contents
// that are damaged or elsewhere. Not what headers ask for (api_blob_test.ts).
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import { test } from "node:test";
import { encode, Fault, fromHex, pause } from "../mq/mod.ts";
import { makeDomain, type TestHost, until } from "../tests/world.ts";
import { api, bytesOf, put, sender, sha256, tree } from "./api_fixture.ts";
import { socketOf } from "./paths.ts";

/** Counts the bytes that come out of a host's store from now on. */
function counting(host: TestHost): () => number {
  const { store } = host.agent.host;
  const get = store.get.bind(store);
  let bytes = 0;
  store.get = async (ids) => {
    const objects = await get(ids);
    for (const { length } of objects) bytes += length;
    return objects;
  };
  return () => bytes;
}

/** A GET through the door; the answer has come, its body has not been read. */
function through(host: TestHost, target: string): Promise<http.IncomingMessage> {
  const socketPath = socketOf(host.home, host.call().actor.uid);
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, path: target, agent: false }, resolve);
    request.on("error", reject);
    request.end();
  });
}

/** Waits until a figure stays as it is. */
async function settled(figure: () => number): Promise<number> {
  let last = -1;
  await until("a figure to settle", async () => {
    const before = last;
    for (let i = 0; i < 20; i++) await pause();
    last = figure();
    return last > 0 && last === before;
  });
  return last;
}

test("of a file that nobody reads on little is read, and nothing more when the reader has left", async (t) => {
  const { host, send } = await api(t);
  const bytes = randomBytes(48 * 1024 * 1024);
  const { id } = await put(send, bytes, "big");
  const read = counting(host);
  const answer = await through(host, `/v1/blob/${id}`);
  const stalled = await settled(read);
  assert.ok(stalled < 24 * 1024 * 1024, `${stalled} bytes were read for somebody who reads none`);
  answer.destroy();
  const left = await settled(read);
  assert.ok(left < 32 * 1024 * 1024, `${left} bytes were read for somebody who left`);
  const before = read();
  const reader = (await send("GET", `/v1/blob/${id}`)).body!.getReader();
  await reader.read();
  await reader.cancel();
  assert.ok(await settled(read) - before < 24 * 1024 * 1024);
  const whole = createHash("sha256");
  for await (const piece of await through(host, `/v1/blob/${id}`)) whole.update(piece as Uint8Array);
  assert.equal(whole.digest("hex"), sha256(bytes));
});

/** How many bytes of an answer come, and whether it ends as one that is whole. */
async function ending(
  host: TestHost,
  target: string,
): Promise<{ bytes: number; isWhole: boolean; status: number }> {
  const answer = await through(host, target);
  let bytes = 0;
  try {
    for await (const piece of answer) bytes += (piece as Uint8Array).length;
  } catch {
    return { bytes, isWhole: false, status: answer.statusCode ?? 0 };
  }
  return { bytes, isWhole: answer.complete, status: answer.statusCode ?? 0 };
}

test("what is damaged is never answered as if it were whole, not even when only its last byte or its hash is wrong", async (t) => {
  const { host, send } = await api(t);
  const bytes = randomBytes(12 * 1024 * 1024);
  const { id } = await put(send, bytes, "big");
  const chunk = randomBytes(100_000);
  const [chunkId] = await host.agent.host.store.put([chunk]) as [string];
  const lying = encode({
    v: 1,
    size: chunk.length,
    level: 0,
    sha256: fromHex("0".repeat(64)),
    parts: [[fromHex(chunkId), chunk.length]],
  });
  const [lie] = await host.agent.host.store.put([lying]) as [string];
  const lied = await ending(host, `/v1/blob/${lie}`);
  assert.ok(!lied.isWhole || lied.status >= 400, "bytes that do not match their hash came as a whole answer");
  assert.equal((await ending(host, `/v1/blob/${id}`)).isWhole, true);
  const pack = path.join(host.home.state, "store/packs/1.pack");
  const fd = fs.openSync(pack, "r+");
  const at = 10 * 1024 * 1024, byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  fs.writeSync(fd, Buffer.of(byte[0]! ^ 1), 0, 1, at);
  fs.closeSync(fd);
  const { bytes: came, isWhole } = await ending(host, `/v1/blob/${id}`);
  assert.ok(!isWhole && came < bytes.length, `${came} bytes came`);
  assert.ok(host.logged.some((line) => line.includes("was broken off")));
  await assert.rejects(async () => await bytesOf(await send("GET", "/v1/blob/big")));
  const part = await send("GET", "/v1/blob/big", { range: "bytes=0-9" });
  assert.ok((await bytesOf(part)).equals(bytes.subarray(0, 10)), "what is whole is still given");
});

test("a long directory of which a page cannot be read is no whole list", async (t) => {
  const { host } = await api(t);
  await tree(host, "t", "seq 4000 | xargs touch");
  assert.equal((await ending(host, "/v1/blob/t")).isWhole, true);
  const { store } = host.agent.host;
  const get = store.get.bind(store);
  let readable = 3; // the root, twice, and its first page
  store.get = async (ids) => {
    if (readable-- > 0) return await get(ids);
    throw new Fault("store", "corrupt", "a page is damaged", { hint: "isconf doctor" });
  };
  const { bytes, isWhole, status } = await ending(host, "/v1/blob/t");
  assert.deepEqual([isWhole, status], [false, 200], `${bytes} bytes came`);
});

test("by its whole id, contents that another host has are brought here; by other names they are not", async (t) => {
  const [first, second] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const bytes = randomBytes(300_000);
  const row = await put(sender(first), bytes, "theirs");
  const root = await tree(first, "t", "mkdir d; printf there >d/f");
  const send = sender(second);
  for (const name of ["theirs", row.sha256.slice(0, 20), row.id.slice(0, 20), "t/d/f"]) {
    assert.equal((await send("GET", `/v1/blob/${name}`)).status, 404, name);
  }
  const part = await send("GET", `/v1/blob/${row.id}`, { range: "bytes=-3" });
  assert.ok((await bytesOf(part)).equals(bytes.subarray(-3)));
  assert.ok((await bytesOf(await send("GET", `/v1/blob/${row.id}`))).equals(bytes));
  assert.equal(await (await send("GET", `/v1/blob/${root}/d/f`)).text(), "there");
});
