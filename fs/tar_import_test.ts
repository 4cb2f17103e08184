// tar_import: what GNU tar made is the tree that was there, packed or not; archives that lead out or lie are refused.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { capture } from "./capture.ts";
import { isRoot, look, sh, testIn } from "./fixture.ts";
import { streamOf, tarOf } from "./oci_fixture.ts";
import { PutBatch } from "./put_batch.ts";
import { restore } from "./restore.ts";
import { MemoryStore } from "./store.ts";
import { importTar, type TarOptions } from "./tar_import.ts";
import { TreeWriter } from "./tree_writer.ts";
import { Fault } from "../mq/mod.ts";

/** Imports into a store; the root's id with it. */
async function importInto(store: MemoryStore, source: AsyncIterable<Uint8Array>, options: TarOptions = {}) {
  const batch = new PutBatch(store);
  const tree = new TreeWriter(batch);
  const told = await importTar({ tree, store: batch }, source, options);
  const id = await tree.finish();
  await batch.flush();
  return { id, ...told };
}

const faultOf = async (bytes: Uint8Array, options: TarOptions = {}): Promise<Fault> => {
  try {
    await importInto(new MemoryStore(), streamOf(bytes), options);
  } catch (e) {
    assert.ok(e instanceof Fault, String(e));
    return e;
  }
  throw new assert.AssertionError({ message: "it was taken" });
};

testIn("a root that GNU tar packed is the tree that was on the disk, of gzip and zstd, too", async (dir) => {
  sh(
    dir,
    `mkdir -p root/etc/empty root/bin; cd root; echo conf > etc/conf; printf x > bin/su; chmod 4755 bin/su
    ln bin/su bin/su2; ln -s /etc/conf etc/link; ln -s ../../.. out; head -c 300000 /dev/urandom > big
    printf y > $'\\xff\\n'; truncate -s 100000 zeros; touch -d '2001-02-03 04:05:06.123456789 UTC' etc/conf
    if [ $(id -u) = 0 ]; then chown 1234:56 etc/conf; fi
    find . -depth -type d -exec touch -d '2020-02-02 UTC' {} +
    tar --format=pax -cf ../a.tar .`,
  );
  const plain = new Uint8Array(readFileSync(`${dir}/a.tar`));
  const ids = new Set<string>();
  for (const packed of [plain, gzipSync(plain), zstdCompressSync(plain)]) {
    const store = new MemoryStore();
    const { id, files, skipped } = await importInto(store, streamOf(packed, 1000));
    assert.deepEqual([files, skipped], [8, 0]);
    ids.add(id);
    if (ids.size === 1) {
      await restore(store, id, `${dir}/again`, { owners: isRoot ? "kept" : "own" });
      assert.deepEqual(look(`${dir}/again`), look(`${dir}/root`));
    }
  }
  assert.equal(ids.size, 1);
});

test("the same names and bytes are the same id as captured from a disk", async () => {
  const store = new MemoryStore();
  const { id } = await importInto(
    store,
    streamOf(tarOf(["./", { kind: "dir", mode: 0o755 }], ["./a", { data: "x" }])),
  );
  const again = await importInto(store, streamOf(tarOf(["a", { data: "x" }])));
  assert.equal(id, again.id);
  await assert.rejects(() => capture(store, "/proc/version"), /refused|proc/);
});

test("what leads out, lies below a file, is there twice or is no archive is refused, and says how to look", async () => {
  const cases: [string, Uint8Array, string][] = [
    ["up", tarOf(["../x"]), "refused"],
    ["absolute", tarOf(["/etc/passwd"]), "refused"],
    ["below a file", tarOf(["a"], ["a/b"]), "corrupt"],
    ["below a link", tarOf(["a", { kind: "link", target: Buffer.from("/etc") }], ["a/b"]), "corrupt"],
    ["twice", tarOf(["a"], ["a"]), "corrupt"],
    ["hard link to nothing", tarOf(["a", { kind: "hard", target: Buffer.from("b") }]), "corrupt"],
    ["nothing", tarOf(), "corrupt"],
    ["text", Buffer.from("no archive at all".repeat(100)), "corrupt"],
    ["empty", new Uint8Array(0), "corrupt"],
    ["half", tarOf(["a", { data: "x".repeat(5000) }]).subarray(0, 3000), "corrupt"],
    ["half of gzip", gzipSync(tarOf(["a", { data: "x".repeat(5000) }])).subarray(0, 40), "corrupt"],
  ];
  for (const [what, bytes, kind] of cases) {
    const fault = await faultOf(bytes);
    assert.deepEqual(
      [fault.kind, fault.op, fault.hint],
      [kind, "tar.import", "tar tvf FILE"],
      `${what}: ${fault.message}`,
    );
  }
});

test("devices are refused, or left out and counted; an archive has a limit, packed and unpacked", async () => {
  const device = tarOf(["dev/null", { kind: "char" }], ["a"]);
  assert.equal((await faultOf(device)).kind, "refused");
  assert.equal((await importInto(new MemoryStore(), streamOf(device), { skipSpecial: true })).skipped, 1);
  const zeros = tarOf(["zeros", { data: new Uint8Array(3_000_000) }]);
  assert.equal((await faultOf(zeros, { bytesMax: 1_000_000 })).kind, "refused");
  assert.equal((await faultOf(gzipSync(zeros), { bytesMax: 1_000_000 })).kind, "refused");
});
