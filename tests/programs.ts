// Programs that tests run: the Node of this project, and those of Debian that a test needs and says so.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

/** The Node that the executable is made of. */
export function nodePath(): string {
  return `${root}node_modules/node-linux-${process.arch === "arm64" ? "arm64" : "x64"}/bin/node`;
}

/** Why a test that needs these programs and rights cannot run here; false when it can. */
export function lacks(needs: { programs?: string[]; root?: boolean; files?: string[] }): string | false {
  for (const name of needs.programs ?? []) {
    const dirs = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    if (!dirs.some((d) => fs.existsSync(`${d}/${name}`))) return `needs the program ${name}`;
  }
  for (const file of needs.files ?? []) if (!fs.existsSync(file)) return `needs ${file}`;
  if (needs.root && process.getuid?.() !== 0) return "needs root";
  return false;
}

/** Runs a program of this machine, which must end 0; what it wrote to its standard output. */
export function must(...argv: string[]): string {
  const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), { maxBuffer: 2 ** 26 });
  assert.equal(status, 0, `${argv.join(" ")}\n${stdout}${stderr}`);
  return String(stdout);
}
