// tools: runs the executables under test, and skips by name what this machine has no program for.
// Not a test runner: that is node:test.
import { spawnSync, type SpawnSyncOptions } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../../", import.meta.url).pathname;
const cache = process.env.ISCONF_TEST_CACHE ?? "/var/tmp/isconf-test-cache";

/** The shipped executable; `deno task build` makes it. */
export const ISCONF = `${root}dist/isconf`;
/** The same for arm64; `deno task build:arm64` makes it. */
export const ISCONF_ARM64 = `${root}dist/isconf-arm64`;
/** The same with the stand-in agent of fixtures/agent_main.ts; `deno task build:stand-in` makes both. */
export const STAND_IN = `${root}dist/stand-in`;
export const STAND_IN_ARM64 = `${root}dist/stand-in-arm64`;
/** Debian roots; scripts/ci_setup.sh makes both. */
export const BARE_ROOT = process.env.ISCONF_BARE_ROOT ?? `${cache}/bare`;
export const ARM64_ROOT = process.env.ISCONF_ARM64_ROOT ?? `${cache}/arm64`;

export interface Outcome {
  out: string;
  err: string;
  /** Exit status, or the name of the signal that ended it. */
  status: number | string;
}

/** Runs a program to its end, with no standard input, for at most five minutes. */
export function run(command: string, args: string[] = [], options: SpawnSyncOptions = {}): Outcome {
  const result = spawnSync(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 300_000,
    ...options,
    encoding: "utf8",
  });
  if (result.error) throw result.error;
  return {
    out: String(result.stdout),
    err: String(result.stderr),
    status: result.status ?? result.signal ?? "?",
  };
}

/** What a test needs that this machine lacks, in words; undefined when it has everything. */
export function lacking(...needs: string[]): string | undefined {
  for (const need of needs) {
    if (need === "root") {
      if (process.getuid?.() !== 0) return "it needs root";
    } else if (need.startsWith("/")) {
      if (!existsSync(need)) return `${need} is missing: run scripts/ci_setup.sh`;
    } else if (!(process.env.PATH ?? "").split(":").some((folder) => executable(`${folder}/${need}`))) {
      return `there is no program "${need}": run scripts/ci_setup.sh`;
    }
  }
}

/** A test that is skipped, with the reason printed, where this machine lacks one of `needs`. */
export function testWith(needs: string[], name: string, fn: () => void | Promise<void>): void {
  const reason = lacking(...needs);
  if (reason) console.log(`skipped: ${name}: ${reason}`);
  test(name, { skip: reason ?? false }, fn);
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
