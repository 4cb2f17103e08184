// booter: files are as long as they say, padding is noughts, and the one in memory knows who is whose.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../../mq/mod.ts";
import { type BootFile, bytesOf, type Machine, padded, piecesOf } from "./booter.ts";
import { MemoryBooter, memoryFile } from "./memory_booter.ts";

const BYTES = new Uint8Array([1, 2, 3, 4, 5, 6]);
const MACHINE: Machine = { mac: "52:54:00:12:34:56", arch: "bios", program: "rom" };

test("an initrd is filled up with noughts to a multiple of four, and any part of it can be read", async () => {
  const file = padded(memoryFile(BYTES));
  assert.equal(file.bytes, 8);
  assert.deepEqual([...await bytesOf(file)], [...BYTES, 0, 0]);
  assert.deepEqual([...await bytesOf(file, 5, 7)], [6, 0]);
  assert.deepEqual([...await bytesOf(file, 7, 8)], [0]);
  assert.deepEqual([...await bytesOf(file, 2, 4)], [3, 4]);
  assert.deepEqual([...await bytesOf(file, 6, 6)], []);
  assert.notEqual(file.id, memoryFile(BYTES).id);
  const whole = memoryFile(BYTES.subarray(0, 4));
  assert.equal(padded(whole), whole);
});

test("a file that is shorter or longer than it says is a fault, not a wrong file", async () => {
  const short: BootFile = { bytes: 7, read: () => Promise.resolve(BYTES) };
  const long: BootFile = {
    bytes: 5,
    async *read() {
      yield BYTES.subarray(0, 3);
      yield BYTES.subarray(3);
    },
  };
  for (const file of [short, long]) {
    await assert.rejects(bytesOf(file), (e) => e instanceof Fault && e.kind === "corrupt");
  }
  let given = 0;
  await assert.rejects(async () => {
    for await (const piece of piecesOf(long, 0, 5)) given += piece.length;
  });
  assert.ok(given <= 5);
});

test("who is not known gets nothing; what has no loader is left alone", async () => {
  const booter = new MemoryBooter({
    loaders: { bios: { name: "first.bin", bytes: BYTES } },
    script: ({ arch }) => `#!ipxe for ${arch}`,
    files: { kernel: { bytes: BYTES, step: "kernel" } },
    isKnown: (mac) => mac === MACHINE.mac,
  });
  const other = { ...MACHINE, mac: "52:54:00:00:00:01" };
  assert.equal((await booter.loaderFor(MACHINE))?.name, "first.bin");
  assert.equal(await booter.loaderFor({ ...MACHINE, arch: "uefi-x64" }), undefined);
  assert.equal(await booter.loaderFor(other), undefined);
  assert.equal(await booter.scriptFor(MACHINE), "#!ipxe for bios");
  assert.equal(await booter.scriptFor(other), undefined);
  assert.equal((await booter.fileAt({ name: "kernel", mac: MACHINE.mac }))?.step, "kernel");
  assert.equal((await booter.fileAt({ name: "first.bin" }))?.step, "loader");
  assert.equal(await booter.fileAt({ name: "kernel", mac: other.mac }), undefined);
  assert.equal(await booter.fileAt({ name: "toString" }), undefined);
});
