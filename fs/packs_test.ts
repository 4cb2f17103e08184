// packs: what of them the system keeps in memory. What is in them, and that it stays: store_test.ts, gc_test.ts.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lacks } from "../tests/programs.ts";
import { uncachedBytes } from "./limits.ts";
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
