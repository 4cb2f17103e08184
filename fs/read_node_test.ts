// read_node: sparse files whole and by range, contents that are not as long as said, holes that let others run.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encode, fromHex } from "../mq/mod.ts";
import { fixedCutter } from "./cutter.ts";
import { zeroBatch, zeroBytes } from "./limits.ts";
import { putFile } from "./manifest.ts";
import { collect, streamOf } from "./oci_fixture.ts";
import { readNodeFile } from "./read_node.ts";
import type { Id } from "./store.ts";
import { MemoryStore } from "./store.ts";
import { noise } from "./store_fixture.ts";
import type { FileNode } from "./tree.ts";

const META = { mode: 0o600, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
const corrupt = { name: "Fault", kind: "corrupt" };

function nodeOf(content: Id, size: number, runs?: [number, number][]): FileNode {
  return { kind: "file", ...META, size, content, ...(runs !== undefined && { runs }) };
}

/** What a file with these runs has in it, written down without us. */
function spread(size: number, runs: [number, number][], data: Uint8Array): Uint8Array {
  const file = new Uint8Array(size);
  let from = 0;
  for (const [start, length] of runs) file.set(data.subarray(from, from += length), start);
  return file;
}

/** A store that notes what it is asked for. */
class Noting extends MemoryStore {
  asked: Id[] = [];

  override get(ids: Id[]): Promise<Uint8Array[]> {
    this.asked.push(...ids);
    return super.get(ids);
  }
}

test("a sparse file comes whole and by any range, each object asked for once", async () => {
  const store = new Noting();
  const shapes: [size: number, runs: [number, number][] | undefined][] = [
    [9000, [[1000, 3000], [4001, 1], [5000, 2999]]], // holes around, and one of a single byte
    [6000, [[0, 3000], [3500, 2500]]], // data at both ends
    [2 * zeroBytes + 7000, [[zeroBytes + 1, 6000]]],
    [5000, []],
    [5000, undefined],
    [0, undefined],
  ];
  for (const [i, [size, runs]] of shapes.entries()) {
    const whole: [number, number][] = runs ?? [[0, size]];
    const data = noise(i + 1, whole.reduce((sum, [, length]) => sum + length, 0));
    const { id } = await putFile(store, streamOf(data), fixedCutter(500));
    const node = nodeOf(id, size, runs);
    const file = spread(size, whole, data);
    store.asked = [];
    assert.deepEqual(await collect(readNodeFile(store, node)), file, `shape ${i}`);
    assert.equal(new Set(store.asked).size, store.asked.length, `shape ${i}: something asked for twice`);
    const borders = [...new Set([0, size, ...whole.flatMap(([start, length]) => [start, start + length])])];
    const near = borders.flatMap((at) => [at - 1, at, at + 1]).filter((at) => at >= 0);
    for (const offset of near) {
      assert.deepEqual(
        await collect(readNodeFile(store, node, { offset })),
        file.slice(offset),
        `${offset}+`,
      );
      for (const to of near.filter((at) => at >= offset)) {
        store.asked = [];
        const got = await collect(readNodeFile(store, node, { offset, length: to - offset }));
        assert.deepEqual(got, file.slice(offset, to), `shape ${i}: ${offset} to ${to}`);
        assert.equal(new Set(store.asked).size, store.asked.length, `${offset} to ${to}: asked for twice`);
      }
    }
    for (const bad of [{ offset: -1 }, { length: -1 }, { offset: 0.5 }]) {
      await assert.rejects(collect(readNodeFile(store, node, bad)), { kind: "usage" }, JSON.stringify(bad));
    }
  }
});

test("a range asks only for the chunks that it needs", async () => {
  const store = new Noting();
  const { id } = await putFile(store, streamOf(noise(1, 10_000)), fixedCutter(1000));
  const node = nodeOf(id, 1_000_000, [[100_000, 5000], [500_000, 5000]]);
  const asks = async (offset: number, length: number) => {
    store.asked = [];
    await collect(readNodeFile(store, node, { offset, length }));
    return store.asked.length - 1; // the manifest
  };
  assert.deepEqual(
    [await asks(0, 100_000), await asks(100_000, 1), await asks(104_500, 396_500), await asks(0, 1_000_000)],
    [0, 1, 2, 10],
  );
});

test("content that is shorter or longer than the node says is corrupt, also when only a range is read", async () => {
  const store = new MemoryStore();
  const contents = [noise(1, 2), noise(2, 9000)];
  for (const content of contents) {
    const { id } = await putFile(store, streamOf(content), fixedCutter(1000));
    const size = content.length;
    await collect(readNodeFile(store, nodeOf(id, size)));
    await collect(readNodeFile(store, nodeOf(id, size + 5, [[5, size]])));
    const lies: [number, [number, number][]?][] = [
      [0],
      [size - 1],
      [size + 1],
      [size + 9, []],
      [size + 9, [[5, size - 1]]],
      [size + 9, [[0, 1], [5, size]]],
      [size + 9, [[5, size + 1]]],
    ];
    for (const [said, runs] of lies) {
      for (const range of [{}, { length: 1 }, { offset: 1, length: 3 }, { offset: said }]) {
        const reading = collect(readNodeFile(store, nodeOf(id, said, runs), range));
        await assert.rejects(reading, corrupt, JSON.stringify([said, runs, range]));
      }
    }
  }
});

test("all of the data of a sparse file is checked against the hash of the whole", async () => {
  const store = new MemoryStore();
  const [chunk] = await store.put([noise(1, 100)]);
  const manifest = encode({
    v: 1,
    size: 100,
    level: 0,
    sha256: new Uint8Array(32),
    parts: [[fromHex(chunk!), 100]],
  });
  const [id] = await store.put([manifest]);
  const node = nodeOf(id!, 300, [[10, 50], [100, 50]]);
  await assert.rejects(collect(readNodeFile(store, node)), corrupt);
  await assert.rejects(collect(readNodeFile(store, node, { offset: 5, length: 200 })), corrupt);
});

test("holes come in bounded pieces, and others run meanwhile, also when each hole is small", async () => {
  const store = new MemoryStore();
  const runs = Array.from({ length: 4 * zeroBatch }, (_, i): [number, number] => [(i + 1) * zeroBytes, 1]);
  const { id } = await putFile(store, streamOf(noise(1, runs.length)));
  const { id: none } = await putFile(store, streamOf(new Uint8Array(0)));
  const size = (runs.length + 1) * zeroBytes;
  for (const node of [nodeOf(id, size, runs), nodeOf(none, size, [])]) {
    let [turns, isDone, bytes] = [0, false, 0];
    const others = () => isDone || (turns++, setImmediate(others));
    setImmediate(others);
    for await (const piece of readNodeFile(store, node)) {
      assert.ok(piece.length <= zeroBytes);
      bytes += piece.length;
    }
    isDone = true;
    assert.equal(bytes, size);
    assert.ok(turns >= 3, `others had ${turns} turns`);
  }
});
