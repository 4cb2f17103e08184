// sealed.ts and age, the program (https://age-encryption.org): each opens what the other sealed. Also the lines of README.md
// for opening a file by hand. Without the program the tests say so and are skipped.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { concat, toHex } from "./bytes.ts";
import { VirtualClock } from "./clock.ts";
import { generateKeyPair } from "./ed25519.ts";
import { pad, paddedBytes } from "./sealed_padding.ts";
import { identityOf, recipientOf, seal, unseal } from "./secret.ts";

const skip = spawnSync("age", ["--version"]).error ? "no program called age: apt-get install age" : false;
const clock = new VirtualClock(11);
const pairs = Array.from({ length: 3 }, () => generateKeyPair(clock));
const recipients = pairs.map((pair) => recipientOf(pair.publicKey));
const SIZES = [0, 5, 248, 65_528, 131_064, 300_000];

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return concat(...parts);
}

/** What age writes, run in `dir`. By files: Deno's execFileSync stalls when much goes in and comes out. */
function age(dir: string, ...args: string[]): Uint8Array {
  execFileSync("age", ["-o", "OUT", ...args], {
    cwd: dir,
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 120_000,
  });
  return new Uint8Array(readFileSync(join(dir, "OUT")));
}

/** Runs `fn` with a directory that has each host's identity in KEY0, KEY1, … */
async function withKeys(fn: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "isconf-age-"));
  try {
    pairs.forEach((pair, i) => writeFileSync(join(dir, `KEY${i}`), `${identityOf(pair)}\n`, { mode: 0o600 }));
    await fn(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test("age opens what seal made, for each recipient", { skip }, () =>
  withKeys(async (dir) => {
    for (const size of SIZES) {
      const content = clock.random(size);
      writeFileSync(join(dir, "FILE"), await whole(seal(one(content), recipients)));
      for (const key of ["KEY0", "KEY1", "KEY2"]) {
        const padded = age(dir, "-d", "-i", key, "FILE");
        assert.equal(padded.length, paddedBytes(size));
        assert.equal(toHex(padded), toHex(await whole(pad(one(content)))));
      }
    }
  }));

test("unseal opens what age made of a padded file", { skip }, () =>
  withKeys(async (dir) => {
    for (const size of SIZES) {
      const content = clock.random(size);
      writeFileSync(join(dir, "FILE"), await whole(pad(one(content))));
      const file = age(dir, ...recipients.flatMap((word) => ["-r", word]), "FILE");
      for (const pair of pairs) {
        assert.equal(toHex(await whole(unseal(one(file), identityOf(pair)))), toHex(content));
      }
    }
  }));

test("age-keygen finds the same recipient for an identity", { skip }, () =>
  withKeys((dir) => {
    for (const i of [0, 1, 2]) {
      const said = execFileSync("age-keygen", ["-y", join(dir, `KEY${i}`)], { encoding: "utf8" });
      assert.equal(said.trim(), recipients[i]);
    }
    return Promise.resolve();
  }));

test("the lines of README.md open a file by hand", { skip }, () =>
  withKeys(async (dir) => {
    const readme = readFileSync(new URL("README.md", import.meta.url), "utf8");
    const lines = readme.match(/```sh\n(age -d [^`]*)```/)?.[1];
    assert.ok(lines, "README.md has no such lines");
    const content = Buffer.from("the quick brown fox\n");
    writeFileSync(join(dir, "FILE"), await whole(seal(one(content), recipients)));
    writeFileSync(join(dir, "KEY"), readFileSync(join(dir, "KEY1")));
    assert.equal(toHex(execFileSync("bash", ["-euc", lines], { cwd: dir })), toHex(content));
  }));
