// packs: what of them the system keeps in memory, and when what is written is said to be durable. What is in them, and that it stays:
// store_test.ts, gc_test.ts.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lacks } from "../tests/programs.ts";
import { uncachedBytes } from "./limits.ts";
import { Packs } from "./packs.ts";
import { noise, withStore } from "./store_fixture.ts";

const TMPFS = 0x01021994;
const isMemory = statfsSync(tmpdir()).type === TMPFS ? "the temporary directory is memory" : false;

test(
  "a large write does not push out what the system has in memory for others; a small one stays for who reads next",
  {
    skip: isMemory || lacks({ programs: ["fincore"] }),
  },
  () =>
    withStore(async (store, dir) => {
      const cached = () => {
        const words = ["--bytes", "--noheadings", "--output", "RES", join(dir, "packs/1.pack")];
        return Number(execFileSync("fincore", words, { encoding: "utf8" }));
      };
      const parts = Array.from({ length: 40 }, (_, i) => noise(i, Math.ceil(uncachedBytes / 20)));
      const ids = await store.put(parts);
      assert.ok(cached() < uncachedBytes / 4, `${cached()} bytes are in memory`);
      const [small] = await store.put([noise(99, 50_000)]);
      const before = cached();
      assert.ok(before > 0);
      assert.deepEqual(await store.get([...ids.slice(0, 3), small!]), [
        ...parts.slice(0, 3),
        noise(99, 50_000),
      ]);
    }),
);

/** Packs in a directory of their own, whose syncs end when the test says so. */
function heldPacks(t: { after(fn: () => void): void }) {
  const dir = mkdtempSync(join(tmpdir(), "isconf-packs-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const syncs: { end(e?: Error): void }[] = [];
  const sync = () =>
    new Promise<void>((resolve, reject) =>
      syncs.push({ end: (e) => e === undefined ? resolve() : reject(e) })
    );
  const packs = new Packs(join(dir, "packs"), sync);
  /** What happened to each piece: "written", "durable", or what went wrong. */
  const said: string[] = [];
  const append = (name: string) =>
    packs.append([Buffer.from(name)], () => said.push(`${name} durable`), () => said.push(`${name} written`))
      .catch((
        e,
      ) => said.push(`${name} ${e.code ?? e.kind}`));
  return { packs, syncs, said, append };
}

const moment = () => new Promise((resolve) => setImmediate(resolve));

test("one sync is for all that was written before it began, and nobody is told of more than that", async (t) => {
  const { packs, syncs, said, append } = heldPacks(t);
  const first = append("a");
  await moment();
  const others = ["b", "c", "d"].map(append);
  await moment();
  assert.deepEqual(said, ["a", "b", "c", "d"].map((name) => `${name} written`));
  assert.equal(syncs.length, 1);
  syncs[0]!.end();
  await first;
  await moment();
  assert.deepEqual(said.slice(4), ["a durable"]);
  assert.equal(syncs.length, 2, "what came after the first had begun is not durable by it");
  const late = append("e");
  await moment();
  syncs[1]!.end();
  await Promise.all(others);
  assert.deepEqual(said.slice(5), ["e written", "b durable", "c durable", "d durable"]);
  await moment();
  syncs[2]!.end();
  await late;
  assert.deepEqual([said.at(-1), syncs.length], ["e durable", 3]);
  packs.close();
});

test("a sync that fails is told to everybody whose bytes it had, and the next is another", async (t) => {
  const { packs, syncs, said, append } = heldPacks(t);
  const first = append("a");
  await moment();
  const second = append("b");
  syncs[0]!.end(Object.assign(new Error("EIO"), { code: "EIO" }));
  await first;
  await moment();
  syncs[1]!.end();
  await second;
  assert.deepEqual(said, ["a written", "b written", "a environment", "b durable"]);
  packs.close();
});
