// fixture: directories for the tests of this folder, and a look at them through find(1) and sha256sum(1), which share
// no code with us. Not part of the product.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { listXattr, setXattr } from "../mq/mod.ts";
import { readXattrs } from "./disk.ts";
import { pathBytes } from "./path.ts";

export const isRoot = process.geteuid?.() === 0;
/** Option of a test that needs root. */
export const asRoot = { skip: isRoot ? false as const : "needs root" };

/** A test with a directory of its own, removed afterwards. */
export function testIn(
  name: string,
  fn: (dir: string) => Promise<void> | void,
  options: { skip?: string | false } = {},
): void {
  test(name, { skip: options.skip ?? false }, async () => {
    const dir = mkdtempSync(join(tmpdir(), "isconf-fs-"));
    try {
      await fn(dir);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
}

/** Runs a script of bash in `dir`; bytes of its output as latin1. */
export function sh(dir: string, script: string): string {
  return execFileSync("bash", ["-euc", script], {
    cwd: dir,
    encoding: "latin1",
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/**
 * Everything below `dir` as others see it: per name kind, mode, owner, time to the nanosecond, size, link target, number
 * of names, and all hashes; the sizes and times of directories themselves are left out unless `dirTimes`.
 */
export function look(dir: string, dirTimes = true): string[] {
  const time = dirTimes ? "%T@" : "";
  const names = sh(
    dir,
    `export LC_ALL=C; find . -mindepth 1 \\( -type d -printf '%P|%y|%m|%U:%G|${time}\\0' \\) ` +
      `-o -printf '%P|%y|%m|%U:%G|%T@|%s|%l|%n\\0'`,
  );
  const hashes = sh(dir, `find . -type f -size -64M -print0 | xargs -0r sha256sum -bz --`);
  return [...names.split("\0"), ...hashes.split("\0")].sort();
}

/** Attributes of one path, as [name, hex of value]. */
export function attributes(path: string): string[][] {
  return readXattrs(pathBytes(path)).map(([name, value]) => [
    Buffer.from(name).toString(),
    Buffer.from(value).toString("hex"),
  ]);
}

/** Sets an attribute; false, with a printed word, where the file system or our rights do not allow it. */
export function trySetXattr(path: string, name: string, value: Uint8Array): boolean {
  try {
    setXattr(pathBytes(path), name, value);
    return true;
  } catch (e) {
    console.log(`skipped: attribute ${name} (${(e as Error).message})`);
    return false;
  }
}

/** How many bytes of disk a file takes. */
export function diskBytes(path: string): number {
  return Number(sh("/", `stat -c '%b' '${path}'`)) * 512;
}

export function assertNoTemporaries(dir: string): void {
  assert.equal(sh(dir, "find . -name '.isconf-*'"), "");
  assert.ok(listXattr(dir).length >= 0);
}
