// atomic: the machine code of scripts/atomic.ts is what its assembler source says, and does what C expects.
// Not run inside Node: addon_test.ts does that.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { ATOMIC_CODE } from "../../scripts/atomic.ts";
import { run, testWith } from "./tools.ts";

const scripts = new URL("../../scripts/", import.meta.url).pathname;
const program = new URL("fixtures/atomic.c", import.meta.url).pathname;

for (
  const { arch, prefix, emulator } of [
    { arch: "x64", prefix: "x86_64-linux-gnu-", emulator: [] },
    { arch: "arm64", prefix: "aarch64-linux-gnu-", emulator: ["qemu-aarch64"] },
  ] as const
) {
  testWith(
    [`${prefix}as`, `${prefix}objcopy`],
    `the ${arch} bytes are those of atomic_${arch}.s`,
    () =>
      inFolder((folder) => {
        succeeds(`${prefix}as`, "-o", `${folder}/o`, `${scripts}atomic_${arch}.s`);
        succeeds(`${prefix}objcopy`, "-O", "binary", "-j", ".text", `${folder}/o`, `${folder}/code`);
        assert.deepEqual(new Uint8Array(readFileSync(`${folder}/code`)), ATOMIC_CODE[arch]);
      }),
  );

  testWith(
    [`${prefix}gcc`, ...emulator],
    `the ${arch} routine compares and exchanges 1, 2, 4, 8 and 16 bytes`,
    () =>
      inFolder((folder) => {
        writeFileSync(`${folder}/code`, ATOMIC_CODE[arch]);
        succeeds(`${prefix}gcc`, "-O2", "-Wall", "-static", "-pthread", "-o", `${folder}/program`, program);
        const [command, ...args] = [...emulator, `${folder}/program`, `${folder}/code`] as [
          string,
          ...string[],
        ];
        succeeds(command, ...args);
      }),
  );
}

function succeeds(command: string, ...args: string[]): void {
  const { err, status } = run(command, args);
  assert.equal(status, 0, `${command} ${args.join(" ")}: ${err}`);
}

function inFolder(fn: (folder: string) => void): void {
  const folder = mkdtempSync(`${tmpdir()}/isconf-atomic-`);
  try {
    fn(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
