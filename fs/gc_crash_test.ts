// gc that is killed, or whose disk fails: what roots need is there, and the next gc does the rest.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Fault, VirtualClock } from "../mq/mod.ts";
import { fsck } from "./fsck.ts";
import { gc } from "./gc.ts";
import { hooked, idsIn, idsOf, noise, putNoise, roomOf, withStore } from "./store_fixture.ts";
import type { Id } from "./store.ts";
import { openStoreDatabase } from "./store_db.ts";
import { SqliteStore } from "./store_sqlite.ts";

/** Nothing that `root` needs is lost, and after one more gc there is nothing else. */
async function isFinishedBy(store: SqliteStore, root: Id, needed: Id[]): Promise<void> {
  const { damaged, missing, database } = await fsck(store, () => [root], { look: "bytes" });
  assert.deepEqual([damaged, missing, database], [[], [], []]);
  await gc(store, () => Promise.resolve([root]));
  assert.deepEqual(idsIn(store), needed);
}

test("an error at each read and write of gc: nothing needed is lost, the next one finishes", async () => {
  await withStore(async (store, dir) => {
    const root = await putNoise(store, noise(1, 40_000));
    const needed = await idsOf(store, root);
    const db = openStoreDatabase(join(dir, "store.db"));
    let left = 0;
    const failing = new SqliteStore(hooked(db, () => {
      if (left-- === 0) throw new Fault("db.write", "environment", "no room", { hint: "isconf doctor" });
    }));
    let at = 0;
    for (let isOver = false; !isOver; at++) {
      await putNoise(store, noise(100 + at, 40_000));
      left = at;
      isOver = await gc(failing, () => Promise.resolve([root])).then(() => true, (e) => {
        assert.equal(e.kind, "environment");
        return false;
      });
      left = Infinity;
      await isFinishedBy(store, root, needed);
    }
    assert.ok(at > 10, `${at} points`);
    failing.close();
    db.close();
  });
});

test("killed at a random moment, 30 times: nothing needed is lost, the next one finishes", async () => {
  await withStore(async (store, dir) => {
    const root = await putNoise(store, noise(1, 400_000), 1000);
    const needed = await idsOf(store, root);
    const script = join(dir, "gc.mjs");
    const at = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);
    writeFileSync(
      script,
      `import { gc } from ${at("./gc.ts")};
       import { noise, putNoise } from ${at("./store_fixture.ts")};
       import { openStoreDatabase } from ${at("./store_db.ts")};
       import { SqliteStore } from ${at("./store_sqlite.ts")};
       const store = new SqliteStore(openStoreDatabase(${JSON.stringify(join(dir, "store.db"))}));
       for (let i = 0;; i++) {
         await putNoise(store, noise(process.pid + i, 300_000), 1000);
         console.log("begun");
         await gc(store, () => Promise.resolve([${JSON.stringify(root)}]));
       }`,
    );
    const config = fileURLToPath(new URL("../deno.json", import.meta.url));
    const args = "Deno" in globalThis ? ["run", "-A", "--no-check", "--config", config, script] : [script];
    const clock = new VirtualClock(5);
    for (let round = 0; round < 30; round++) {
      const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
      await new Promise((resolve) => child.stdout.once("data", resolve));
      await new Promise((resolve) => setTimeout(resolve, clock.u32() % 60));
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      await isFinishedBy(store, root, needed);
    }
    assert.ok(roomOf(dir).bytes < 2 * 400_000 + 500 * 48 * 2);
  });
});
