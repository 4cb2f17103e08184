// file_leases: what was kept is there after a restart, what was given back is not; what cannot be written is not kept; what is none is said to be.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { FileLeases } from "./file_leases.ts";
import type { KeptLease, LeaseKeeper } from "./leases.ts";
import { MemoryLeases } from "./memory_leases.ts";

type Ctx = { after(fn: () => void): void };

function tempDir(t: Ctx): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-leases-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const lease = (n: number, untilMs = 1000): KeptLease => ({
  address: `10.0.0.${n}`,
  mac: `02:00:00:00:00:0${n}`,
  untilMs,
});

/** Each kind of keeper, and the same one again, as after a restart where it outlives one. */
const KEEPERS: Record<string, (t: Ctx) => () => LeaseKeeper> = {
  FileLeases(t) {
    const file = path.join(tempDir(t), "leases.json");
    return () => new FileLeases(file);
  },
  MemoryLeases() {
    const one = new MemoryLeases();
    return () => one;
  },
};

for (const [name, made] of Object.entries(KEEPERS)) {
  test(`${name}: the last of each address is kept, and nothing of what was given back`, async (t) => {
    const again = made(t);
    const keeper = again();
    assert.deepEqual(await keeper.all(), []);
    for (const one of [lease(1), lease(2), lease(1, 2000), lease(2, 0), lease(3, 0)]) await keeper.keep(one);
    assert.deepEqual(await again().all(), [lease(1, 2000)]);
    const other = again();
    await other.all();
    await other.keep(lease(4));
    assert.deepEqual(await again().all(), [lease(1, 2000), lease(4)]);
  });
}

test("what cannot be written is not kept, and who wanted it hears of it", async (t) => {
  const dir = path.join(tempDir(t), "gone");
  const keeper = new FileLeases(path.join(dir, "leases.json"));
  await assert.rejects(() => keeper.keep(lease(1)), { code: "ENOENT" });
  fs.mkdirSync(dir);
  await keeper.keep(lease(2));
  assert.deepEqual(await new FileLeases(path.join(dir, "leases.json")).all(), [lease(2)]);
});

test("a file that is no list of leases is said to be none", async (t) => {
  const file = path.join(tempDir(t), "leases.json");
  for (const text of ["", "{", "{}", "[1]", "[null]"]) {
    fs.writeFileSync(file, text);
    await assert.rejects(() => new FileLeases(file).all(), { kind: "corrupt", hint: `rm ${file}` }, text);
  }
});
