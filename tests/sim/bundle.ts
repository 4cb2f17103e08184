// Bundle: makes a program of the simulator and the product, with the disk of the simulation in the place of better-sqlite3,
// perhaps with a mutant, perhaps with signatures and hashes that cost nothing. Not what it simulates.
import * as esbuild from "esbuild";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { type Edit, type Mutant, mutate } from "../mutants.ts";
import type * as Simulator from "./simulate.ts";

const root = new URL("../../", import.meta.url).pathname;

/**
 * Signatures and hashes without cryptography: tags that everybody could make, and that nobody in the simulation forges. What
 * they cost is most of a run, and what they prove is not what is simulated; some runs have the real ones.
 */
const FAST: readonly Edit[] = [
  {
    file: "mq/ed25519.ts",
    find: "export function signRaw(pair: KeyPair, message: Uint8Array): Uint8Array {",
    replace:
      "export function signRaw(pair: KeyPair, message: Uint8Array): Uint8Array {\n  return tagOf(pair.publicKey, message);",
  },
  {
    file: "mq/ed25519.ts",
    find: "  if (!isStrictForm(signature)) return false;\n",
    replace:
      "  return signature.length === 64 && compareBytes(signature, tagOf(publicKey, message)) === 0;\n",
  },
  {
    file: "mq/ed25519.ts",
    find: "  const spki = createPublicKey(privateKeyOf(secretKey))",
    replace:
      "  if (secretKey.length === 32) return { publicKey: sha256(secretKey), secretKey: secretKey.slice() };\n  const spki = createPublicKey(privateKeyOf(secretKey))",
  },
  {
    file: "mq/ed25519.ts",
    find: "  if (isSmallOrder(publicKey)) {",
    replace: "  if (publicKey.length === 32) return;\n  if (isSmallOrder(publicKey)) {",
  },
  {
    file: "mq/ed25519.ts",
    find: 'import { concat, fromHex, toHex } from "./bytes.ts";',
    replace: `import { compareBytes, concat, fromHex, toHex } from "./bytes.ts";
function tagOf(key: Uint8Array, message: Uint8Array): Uint8Array {
  const tag = sha256(concat(key, message));
  return concat(tag, tag);
}`,
  },
  {
    file: "mq/hash.ts",
    find: '  return new Uint8Array(hash("sha256", bytes, "buffer"));',
    replace: `  const out = new Uint32Array(8);
  let a = 0x6a09e667 ^ bytes.length, b = 0xbb67ae85, c = 0x3c6ef372, d = 0xa54ff53a;
  for (let i = 0; i < bytes.length; i++) {
    a = Math.imul(a ^ bytes[i]!, 0x5bd1e995); a = (a << 7) | (a >>> 25);
    b = Math.imul((b + a) | 0, 0x01000193) ^ (b >>> 15);
  }
  for (let i = 0; i < 8; i++) {
    c = Math.imul(c ^ a ^ (i * 0x9e3779b9), 0x85ebca6b); c ^= c >>> 13;
    d = Math.imul((d + b + c) | 0, 0xc2b2ae35); d = (d << 11) | (d >>> 21);
    out[i] = c ^ d;
  }
  return new Uint8Array(out.buffer);`,
  },
];

/** What a host of the simulation has no files for: who its users are, and the variables of its commands. */
const NO_FILES: readonly Edit[] = [
  {
    file: "agent/users.ts",
    find: "export function userOfAgent(): User {",
    replace:
      'export function userOfAgent(): User {\n  if (uidMax > 0) return { name: "root", uid: 0, gid: 0, home: "/", shell: "/bin/sh" };',
  },
  {
    file: "agent/hostvars.ts",
    find: "export function hostVariables(file: string, host: string): Record<string, string> {",
    replace:
      "export function hostVariables(file: string, host: string): Record<string, string> {\n  if (includeDepthMax > 0) return {};",
  },
  { file: "fs/db.ts", find: '    closeSync(openSync(path, "a", 0o600));\n', replace: "" },
];

export interface BundleOptions {
  mutant?: Mutant;
  /** Real SHA-256 and Ed25519. */
  isReal?: boolean;
}

/** Bundles the simulator into one script, which Node and Deno run alike; returns where it is. The caller removes it. */
export async function bundleSimulator({ mutant, isReal = false }: BundleOptions = {}): Promise<string> {
  const edits = [...NO_FILES, ...isReal ? [] : FAST, ...mutant?.edits ?? []];
  const mutation = mutate({ name: mutant?.name ?? "of nothing", breaks: "", edits });
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-sim-"));
  const outfile = path.join(dir, "simulator.mjs");
  await esbuild.build({
    entryPoints: [`${root}tests/sim/simulate.ts`],
    absWorkingDir: root,
    bundle: true,
    outfile,
    platform: "node",
    target: "node26",
    format: "esm",
    alias: { "better-sqlite3": `${root}tests/sim/disk.ts` },
    external: ["cbor-extract", "node:*"],
    plugins: [mutation.plugin, onlyWhatIsUsed],
    define: { __VERSION__: '"sim"', __BUILD__: '"sim"' },
    banner: {
      js:
        'import { createRequire as madeRequire } from "node:module";\nconst require = madeRequire("file:///");',
    },
    logLevel: "silent",
  });
  const missed = mutation.missed();
  if (missed.length > 0) {
    throw new Error(`${missed} is in no part of the simulator: what is changed there has no effect.`);
  }
  return outfile;
}

/** The simulator as a module of this process. */
export async function loadSimulator(options: BundleOptions = {}): Promise<typeof Simulator> {
  const file = await bundleSimulator(options);
  try {
    return await import(`file://${file}`);
  } finally {
    fs.rmSync(path.dirname(file), { recursive: true });
  }
}

/** Our modules do nothing when they are imported, so that what is not used of them may be left out. */
const onlyWhatIsUsed: esbuild.Plugin = {
  name: "only what is used",
  setup(build) {
    build.onResolve({ filter: /^\./ }, async ({ path, importer, kind, resolveDir, pluginData }) => {
      if (pluginData === "resolved" || importer.includes("/node_modules/")) return undefined;
      const found = await build.resolve(path, { importer, kind, resolveDir, pluginData: "resolved" });
      return { ...found, sideEffects: false };
    });
  },
};
